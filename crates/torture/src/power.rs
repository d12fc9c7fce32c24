//! Power cuts: the queue is on an ext4 of its own, which is shut down at a random moment as if the machine were.
//!
//! `EXT4_IOC_SHUTDOWN` without flushing ends all writing at once: what no `fsync` asked for is gone, and the journal is
//! replayed at the next mount. What it cannot show is a disk that lies about its cache or writes half a sector; what it
//! shows is whether everything that was acknowledged had been asked to be durable, and in the right order.
//!
//! While clients store, wait for, and cancel jobs and a node runs them, they note what was acknowledged. After each cut
//! that must be there, and the file must be whole. Every [`ERA`] cuts all jobs are finished and their log is judged.

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use fastrand::Rng;
use serde_json::Value;

use super::log;
use super::rig::{self, Queue, Rig, succeeded, wait_for};

/// Cuts that one queue lives through.
const ERA: u32 = 25;
/// The longest that clients and node work before a cut.
const LIFE_MS: u64 = 120;

/// `EXT4_IOC_SHUTDOWN`, the same number as XFS's: `_IOR('X', 125, __u32)`.
const SHUTDOWN: nix::libc::c_ulong = 0x8004_587d;
/// Neither data nor journal is written any more.
const NO_FLUSH: u32 = 2;

/// How the names of backups begin.
const BACKUP: &str = "backup-";

/// A file system in a file.
struct Disk {
    image: PathBuf,
    mount: PathBuf,
    _folder: tempfile::TempDir,
}

/// Where the image is: in memory, if there is such a file system, for a cut is cut off all the same.
const MEMORY: &str = "/dev/shm";

impl Disk {
    fn new(rig: &Rig) -> anyhow::Result<Disk> {
        let mut folder = tempfile::Builder::new();
        folder.prefix("torture-");
        let folder = folder.tempdir_in(MEMORY).or_else(|_| folder.tempdir())?;
        let disk = Disk {
            image: folder.path().join("disk.img"),
            mount: rig.fresh("disk")?,
            _folder: folder,
        };
        disk.format()?;
        Ok(disk)
    }

    fn format(&self) -> anyhow::Result<()> {
        let _ = fs::remove_file(&self.image);
        File::create(&self.image)?.set_len(64 << 20)?;
        run(Command::new("mkfs.ext4").arg("-q").arg(&self.image))?;
        self.mount()
    }

    fn mount(&self) -> anyhow::Result<()> {
        let mut mount = Command::new("mount");
        run(mount.args(["-o", "loop"]).args([&self.image, &self.mount]))
    }

    fn cut(&self) -> anyhow::Result<()> {
        let mut how = NO_FLUSH;
        let root = File::open(&self.mount)?;
        // SAFETY: the descriptor is open, and the kernel only reads the number behind the pointer.
        let result = unsafe { nix::libc::ioctl(root.as_raw_fd(), SHUTDOWN, &raw mut how) };
        nix::errno::Errno::result(result).context("cannot shut the file system down")?;
        Ok(())
    }

    /// Waits until no process uses it any more.
    fn unmount(&self) -> anyhow::Result<()> {
        wait_for("processes to leave the disk", || {
            let output = Command::new("umount").arg(&self.mount).output()?;
            let busy = String::from_utf8_lossy(&output.stderr).contains("busy");
            ensure!(
                output.status.success() || busy,
                "umount: {}",
                rig::complaint(&output)
            );
            Ok((!busy).then_some(()))
        })
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Whatever still holds it goes with the process that ends.
        let _ = Command::new("umount").arg("-l").arg(&self.mount).output();
    }
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command
        .output()
        .with_context(|| format!("cannot start {command:?}"))?;
    succeeded(&output)
        .with_context(|| format!("{command:?}"))
        .map(drop)
}

/// What was acknowledged.
#[derive(Default)]
struct Promised {
    /// By the job's number or id, the state that it must be in, if one was promised.
    jobs: HashMap<String, Option<&'static str>>,
    /// Backups since the last cut, with how many jobs must be in each.
    backups: HashMap<PathBuf, usize>,
}

/// Counts of a campaign.
#[derive(Debug, Default)]
pub struct Cuts {
    pub cuts: u32,
    pub promises: usize,
    pub jobs: usize,
    /// Backups that had been reported as made.
    pub backups: usize,
}

/// Why power cuts cannot be tried here, if they cannot.
pub fn impossible(rig: &Rig) -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("only root can mount disks".into());
    }
    let tried = Disk::new(rig).and_then(|disk| {
        disk.cut()?;
        disk.unmount()
    });
    tried
        .err()
        .map(|error| format!("no disk can be mounted and cut off here: {error:#}"))
}

/// Cuts the power so often. The first violation is the error.
pub fn cut(rig: &Rig, cuts: u32, rng: &mut Rng, durable: bool) -> anyhow::Result<Cuts> {
    let mut sum = Cuts::default();
    while sum.cuts < cuts {
        let disk = Disk::new(rig)?;
        let queue = rig.queue(disk.mount.join("queue.db"), rig.fresh("power")?);
        fs::write(queue.work.join("job.sh"), JOB)?;
        // Every cut may cost every running job an attempt; do not wait for its retry.
        queue.ok(["config:set", "max_retries", "1000"])?;
        queue.ok(["config:set", "backoff_cap", "0s"])?;
        if !durable {
            queue.ok(["config:set", "durability", "normal"])?;
        }
        let mut promised = Promised::default();
        for _ in 0..ERA.min(cuts - sum.cuts) {
            live(&queue, &disk, rng, &mut promised)?;
            disk.unmount()?;
            disk.mount()?;
            sum.cuts += 1;
            judge(&queue, &promised).with_context(|| format!("after cut {}", sum.cuts))?;
            sum.backups += judge_backups(rig, &disk, &mut promised)
                .with_context(|| format!("after cut {}", sum.cuts))?;
        }
        sum.promises += promised.jobs.len();
        sum.jobs += finish(&queue).with_context(|| format!("after cut {}", sum.cuts))?;
        disk.unmount()?;
    }
    Ok(sum)
}

/// Jobs log outside of the disk. Every one starts and ends there.
const JOB: &str = "\
echo s $QUEUECTL_JOB_ID $QUEUECTL_FENCE >> log
echo e $QUEUECTL_JOB_ID $QUEUECTL_FENCE >> log
";

/// Clients and a node work until the power is cut.
fn live(queue: &Queue, disk: &Disk, rng: &mut Rng, promised: &mut Promised) -> anyhow::Result<()> {
    let over = AtomicBool::new(false);
    let acknowledged = Mutex::new(std::mem::take(promised));
    let seeds = [rng.u64(..), rng.u64(..)];
    let life = Duration::from_millis(rng.u64(1..=LIFE_MS));
    let mut node = node(queue)?;
    let cut = std::thread::scope(|scope| {
        for seed in seeds {
            let (over, acknowledged) = (&over, &acknowledged);
            scope.spawn(move || client(queue, seed, over, acknowledged));
        }
        std::thread::sleep(life);
        over.store(true, Ordering::SeqCst);
        let cut = disk.cut();
        let _ = node.kill();
        cut
    });
    node.wait()?;
    *promised = acknowledged.into_inner().unwrap_or_default();
    cut
}

fn node(queue: &Queue) -> anyhow::Result<Child> {
    let mut command = queue.command(["-q", "worker:start", "--count", "2"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().context("cannot start a node")
}

/// Does this and that, and notes what was acknowledged.
fn client(queue: &Queue, seed: u64, over: &AtomicBool, acknowledged: &Mutex<Promised>) {
    let mut rng = Rng::with_seed(seed);
    // What comes back while the file system goes down is no promise: an `fsync` that is caught by the shutdown may return
    // as if it had succeeded, as it cannot when a machine loses its power.
    let note = |ids: &str, state| {
        if let Ok(mut promised) = acknowledged.lock()
            && !over.load(Ordering::SeqCst)
        {
            promised.jobs.extend(ids.lines().map(|id| (id.to_owned(), state)));
        }
    };
    // A command that waits for a job cannot see that no node will run it any more.
    let ok = |arguments: &[&str]| {
        let over = || over.load(Ordering::SeqCst);
        let output = rig::finish_unless(queue.command(arguments), over)?;
        succeeded(&output.context("cut off")?)
    };
    while !over.load(Ordering::SeqCst) {
        // A command that failed promised nothing; the next one fails as well, and soon it is over.
        let answer = match rng.u8(0..9) {
            0..3 => queue.ok(["enqueue", "sh", "job.sh"]).map(|id| note(&id, None)),
            3..6 => ok(&["enqueue", "--wait", "--json", "sh", "job.sh"]).map(|text| {
                let stored: Value = serde_json::from_str(&text).unwrap_or_default();
                note(stored["id"].as_str().unwrap_or_default(), Some("completed"));
            }),
            6 => many(queue).map(|ids| note(&ids, None)),
            7 => back_up(queue, rng.u64(..), over, acknowledged),
            _ => ok(&["enqueue", "--delay", "1h", "true"]).and_then(|id| {
                note(&id, None);
                ok(&["cancel", &id])?;
                note(&id, Some("cancelled"));
                Ok(())
            }),
        };
        if answer.is_err() {
            return;
        }
    }
}

/// Backs the queue up to a file on the same disk. All jobs that were acknowledged before it began must be in it.
fn back_up(
    queue: &Queue,
    number: u64,
    over: &AtomicBool,
    acknowledged: &Mutex<Promised>,
) -> anyhow::Result<()> {
    let file = queue.db.with_file_name(format!("{BACKUP}{number}.db"));
    let jobs = acknowledged.lock().map_or(0, |promised| promised.jobs.len());
    queue.ok(["db:backup".as_ref(), file.as_os_str()])?;
    if let Ok(mut promised) = acknowledged.lock()
        && !over.load(Ordering::SeqCst)
    {
        promised.backups.insert(file, jobs);
    }
    Ok(())
}

/// After the cut: each backup that was promised is there, each that is there is whole, promised or not. Removes them.
fn judge_backups(rig: &Rig, disk: &Disk, promised: &mut Promised) -> anyhow::Result<usize> {
    let count = promised.backups.len();
    for entry in fs::read_dir(&disk.mount)? {
        let file = entry?.path();
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(BACKUP) && name.ends_with(".db") {
            let copy = rig.queue(file.clone(), rig.fresh("backup")?);
            copy.check().with_context(|| name.clone().into_owned())?;
            // Set before anything else: what has not even this is a new queue, not a copy.
            let retries = copy.ok(["config:get", "max_retries"])?;
            ensure!(retries == "1000", "{name} has no settings");
            let least = promised.backups.remove(&file).unwrap_or(0);
            let jobs = copy.jobs()?.len();
            ensure!(
                jobs >= least,
                "{name} has {jobs} jobs, and {least} were stored before it"
            );
        }
    }
    if let Some(lost) = promised.backups.keys().next() {
        bail!("{} was reported as made and is gone", lost.display());
    }
    for entry in fs::read_dir(&disk.mount)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(BACKUP) || name.ends_with(".unfinished") {
            let _ = fs::remove_file(entry.path()).or_else(|_| fs::remove_dir_all(entry.path()));
        }
    }
    Ok(count)
}

/// Stores some jobs from standard input, in one transaction.
fn many(queue: &Queue) -> anyhow::Result<String> {
    let file = queue.work.join("jobs.jsonl");
    if !file.exists() {
        fs::write(&file, "{\"command\": [\"sh\", \"job.sh\"]}\n".repeat(20))?;
    }
    let input = File::open(&file)?;
    let mut command = queue.command(["enqueue", "--from", "-"]);
    command.stdin(input);
    succeeded(&rig::finish(command)?)
}

/// After the cut: the file is whole, and everything that was promised is there.
fn judge(queue: &Queue, promised: &Promised) -> anyhow::Result<()> {
    queue.check()?;
    let jobs = queue.jobs()?;
    let states: HashMap<&str, &str> = jobs.iter().filter_map(id_and_state).collect();
    for (id, state) in &promised.jobs {
        match (states.get(id.as_str()), state) {
            (None, _) => bail!("job {id} was acknowledged and is gone"),
            (Some(found), Some(wanted)) if found != wanted => {
                bail!("job {id} was said to be {wanted} and is {found}")
            }
            _ => {}
        }
    }
    Ok(())
}

fn id_and_state(job: &Value) -> Option<(&str, &str)> {
    Some((job["id"].as_str()?, job["state"].as_str()?))
}

/// Runs what is left, and judges the log: all jobs have ended, and what is completed did run.
fn finish(queue: &Queue) -> anyhow::Result<usize> {
    // Those that were to be cancelled next.
    for job in queue.jobs()?.iter().filter(|job| job["state"] == "scheduled") {
        queue.ok(["cancel", job["id"].as_str().unwrap_or_default()])?;
    }
    queue.ok(["-q", "worker:start", "--drain", "--count", "2"])?;
    let told = log::read(&queue.work.join("log"))?;
    let jobs = queue.jobs()?;
    for job in &jobs {
        let (id, state) = id_and_state(job).context("a job without id or state")?;
        let told = told.get(&id.parse()?).copied().unwrap_or_default();
        match state {
            "completed" => ensure!(told.ended > 0, "job {id} is completed and never ran"),
            "cancelled" => ensure!(told.started == 0, "job {id} was cancelled before it ran, and ran"),
            other => bail!("job {id} is {other} when all is done"),
        }
    }
    queue.check()?;
    Ok(jobs.len())
}
