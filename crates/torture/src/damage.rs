//! Flipped bits and missing ends of the database file and its write-ahead log.
//!
//! Each run damages a copy of a queue in one place and asks `db:check`. What is damaged and not found must show nowhere: every
//! job and its attempts look as before (but for the figures named in [`UNPROTECTED`]). Then a node runs the queue: a job may
//! be lost to the damage, but what runs is what was stored, to the letter.
//!
//! A damaged frame of the log is, to SQLite, the end of the log, as after a power cut in the middle of a commit: what
//! was stored after it is gone and nothing can tell. So with the log, jobs may be missing from the end.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use fastrand::Rng;
use serde_json::Value;

use super::rig::{Queue, Rig, complaint, finish_within, wait_for};

/// What has no checksum because it changes with the job: a flipped bit there may go unnoticed. It decides neither what a job
/// runs nor what becomes of it. `attempts` decides when a job gives up.
const UNPROTECTED: &[&str] = &[
    "created_at",
    "updated_at",
    "started_at",
    "attempts",
    "cancel_requested",
    "run_at",
    "finished_at",
];

/// Jobs in the file, and then in the log alone.
const IN_FILE: usize = 60;
const IN_LOG: usize = 20;

/// What became of damaged copies.
#[derive(Debug, Default)]
pub struct Damaged {
    pub files: u32,
    /// SQLite found it.
    pub by_sqlite: u32,
    /// Only the checksums did.
    pub by_sums: u32,
    /// Nothing shows: the place is unused.
    pub nothing: u32,
    /// Something without a checksum is different.
    pub unprotected: u32,
    /// Jobs are missing from the end of the log.
    pub cut_logs: u32,
    /// Copies that a node ran to see what runs.
    pub ran: u32,
}

/// How a copy is damaged.
#[derive(Debug, Clone, Copy)]
enum Harm {
    Flip { byte: u64, bit: u8 },
    Truncate { length: u64 },
}

/// Damages this many copies. With `checked` false, for the control, jobs run without a look at their checksum.
pub fn damage(rig: &Rig, runs: u32, rng: &mut Rng, checked: bool) -> anyhow::Result<Damaged> {
    let original = Original::new(rig, rng)?;
    let mut sum = Damaged::default();
    for run in 0..runs {
        let name = if checked && run % 4 == 3 { LOG } else { FILE };
        let length = fs::metadata(original.folder.join(name))?.len();
        let harm = if checked && run % 10 == 0 {
            let length = rng.u64(..length);
            Harm::Truncate { length }
        } else {
            let (byte, bit) = (rng.u64(..length), rng.u8(..8));
            Harm::Flip { byte, bit }
        };
        sum.files += 1;
        if !checked {
            let copy = original.copy(rig, name, harm, checked)?;
            run_it(rig, &original, &copy).with_context(|| format!("{harm:?} of {name}"))?;
            continue;
        }
        let copy = original.copy(rig, name, harm, checked)?;
        look_at(&original, &copy, name == LOG, run % 5 == 0, &mut sum)
            .with_context(|| format!("{harm:?} of {name}"))?;
        if run % 4 == 0 {
            let copy = original.copy(rig, name, harm, checked)?;
            run_it(rig, &original, &copy).with_context(|| format!("{harm:?} of {name}"))?;
            sum.ran += 1;
        }
    }
    Ok(sum)
}

const FILE: &str = "queue.db";
const LOG: &str = "queue.db-wal";

/// A queue that some of is only in its log, and what it looks like.
struct Original {
    folder: PathBuf,
    jobs: BTreeMap<i64, Value>,
    /// The words that its jobs print, which nothing else may.
    words: BTreeSet<String>,
}

impl Original {
    fn new(rig: &Rig, rng: &mut Rng) -> anyhow::Result<Original> {
        let (making, folder) = (rig.fresh("making")?, rig.fresh("original")?);
        let queue = rig.queue(making.join(FILE), making);
        let mut words = BTreeSet::new();
        let said = format!("SAID={}", rig.path("said").display());
        let script = format!("echo $1 | tee -a {}", rig.path("said").display());
        let mut enqueue = |n: usize| {
            let word: String = std::iter::repeat_with(|| rng.alphanumeric())
                .take(40 + n * 5)
                .collect();
            let command = ["sh", "-c", &script, "say", &word];
            let job = [&["enqueue", "--env", &said, "--priority", "3"], &command[..]].concat();
            words.insert(word.clone());
            queue.ok(job).map(drop)
        };
        (0..IN_FILE / 2).try_for_each(&mut enqueue)?;
        queue.ok(["-q", "worker:start", "--drain"])?;
        (IN_FILE / 2..IN_FILE).try_for_each(&mut enqueue)?;
        // Commands leave what they store in the log; a node leaves the file whole.
        queue.ok(["-q", "worker:start", "--queue", "nothing", "--drain"])?;
        // As long as somebody has the file open, the log stays a log.
        let mut holder = queue.command(["-q", "worker:start", "--queue", "nothing"]);
        let mut holder = holder.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let copied = (|| {
            wait_for("the node", || {
                Ok((queue.json(["worker:list"])?.as_array().map(Vec::len) == Some(1)).then_some(()))
            })?;
            (IN_FILE..IN_FILE + IN_LOG).try_for_each(&mut enqueue)?;
            for name in [FILE, LOG] {
                fs::copy(queue.work.join(name), folder.join(name))?;
            }
            anyhow::Ok(())
        })();
        holder.kill()?;
        holder.wait()?;
        copied?;
        let mut original = Original {
            folder,
            jobs: BTreeMap::new(),
            words,
        };
        let harmless = Harm::Flip {
            byte: u64::MAX,
            bit: 0,
        };
        let copy = original.copy(rig, FILE, harmless, true)?;
        copy.check()?;
        original.jobs = look(&copy, true)?;
        ensure!(
            original.jobs.len() == IN_FILE + IN_LOG,
            "{} jobs",
            original.jobs.len()
        );
        Ok(original)
    }

    /// A copy with some damage to one of its files.
    fn copy(&self, rig: &Rig, name: &str, harm: Harm, checked: bool) -> anyhow::Result<Queue> {
        let folder = rig.fresh("copy")?;
        for name in [FILE, LOG] {
            fs::copy(self.folder.join(name), folder.join(name))?;
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(folder.join(name))?;
        match harm {
            Harm::Flip { byte: u64::MAX, .. } => {}
            Harm::Flip { byte, bit } => {
                let mut old = [0];
                file.read_exact_at(&mut old, byte)?;
                file.write_all_at(&[old[0] ^ (1 << bit)], byte)?;
            }
            Harm::Truncate { length } => file.set_len(length)?,
        }
        let mut queue = rig.queue(folder.join(FILE), folder);
        queue.without = (!checked).then_some("sums");
        Ok(queue)
    }
}

/// What all jobs look like; with their attempts, if asked for.
fn look(queue: &Queue, attempts: bool) -> anyhow::Result<BTreeMap<i64, Value>> {
    let mut all = BTreeMap::new();
    for mut job in queue.jobs()? {
        let number = job["number"].as_i64().context("a job without number")?;
        if attempts {
            job = queue.json(["show", &number.to_string()])?;
            if job["attempt_history"] != Value::Array(Vec::new()) {
                job["printed"] = queue.ok(["logs", &number.to_string()])?.into();
            }
        }
        all.insert(number, job);
    }
    Ok(all)
}

/// Asks `db:check`, and if that finds nothing, looks whether anything is different.
fn look_at(
    original: &Original,
    copy: &Queue,
    log: bool,
    attempts: bool,
    sum: &mut Damaged,
) -> anyhow::Result<()> {
    let output = copy.run(["--json", "db:check"])?;
    match output.status.code() {
        Some(0) => {}
        Some(1) => {
            let report: Value = serde_json::from_slice(&output.stdout)?;
            let lines = report["damage"].as_array().context("no damage")?;
            let sums = lines
                .iter()
                .filter(|line| line.as_str().is_some_and(|line| line.starts_with("job ")));
            let ours = sums.count() + usize::from(report["miscounted"] != 0);
            let all =
                lines.len() + usize::from(report["miscounted"] != 0) + usize::from(report["dangling"] != 0);
            *(if ours == all {
                &mut sum.by_sums
            } else {
                &mut sum.by_sqlite
            }) += 1;
            return Ok(());
        }
        // Not even opened; or not a queue any more.
        Some(5 | 6) => {
            ensure!(!complaint(&output).is_empty(), "it did not say why");
            sum.by_sqlite += 1;
            return Ok(());
        }
        other => bail!("db:check ended with {other:?}: {}", complaint(&output)),
    }
    let jobs = look(copy, attempts)?;
    let missing = original.jobs.len().saturating_sub(jobs.len());
    if missing > 0 {
        ensure!(
            log && missing <= IN_LOG,
            "{missing} jobs are gone without a report"
        );
        sum.cut_logs += 1;
    }
    let mut unprotected = false;
    for (number, job) in &jobs {
        let before = original
            .jobs
            .get(number)
            .with_context(|| format!("job {number} was never stored"))?;
        for (key, value) in job.as_object().context("no job")? {
            let old = &before[key];
            if value == old || (*old == Value::Null && !attempts && key == "printed") {
                continue;
            }
            ensure!(
                UNPROTECTED.contains(&key.as_str()),
                "job {number}: {key} was {old} and is {value}"
            );
            unprotected = true;
        }
    }
    *(if unprotected {
        &mut sum.unprotected
    } else {
        &mut sum.nothing
    }) += 1;
    Ok(())
}

/// Has a node run a copy: nothing may run but what was stored.
fn run_it(rig: &Rig, original: &Original, copy: &Queue) -> anyhow::Result<()> {
    let said = rig.path("said");
    let _ = fs::remove_file(&said);
    // A job whose time was damaged may wait for ever.
    let node = copy.command(["worker:start", "--drain"]);
    if let Some(output) = finish_within(node, Duration::from_secs(1))? {
        let known = matches!(output.status.code(), Some(0 | 1 | 5 | 6));
        ensure!(
            known,
            "the node ended with {}: {}",
            output.status,
            complaint(&output)
        );
    }
    let text = fs::read(&said).unwrap_or_default();
    for word in String::from_utf8_lossy(&text).lines() {
        ensure!(
            original.words.contains(word),
            "a job ran that was never stored; it said {word:?}"
        );
    }
    Ok(())
}
