//! A fault at every n-th system call that can fail: the process is killed there, or is told that the disk is broken or
//! full. `strace` injects them, one a run, with growing n until none fires any more.
//!
//! What was acknowledged must be there afterwards, what was there before must be unchanged or done, the file must be
//! whole, and what is left must run to its end. A command that failed says why, with the status for it.

use std::fs;
use std::path::Path;
use std::process::Output;

use anyhow::{Context, bail, ensure};

use super::rig::{Queue, Rig, complaint, succeeded};
use super::strace::{Injection, under_strace};

/// How much of everything.
pub struct Plan {
    pub cuts: u32,
    pub flips: u32,
    pub step: u32,
    pub operations: Vec<String>,
    pub seed: u64,
}

/// The calls by which something gets onto the disk, or out.
const CALLS: &[&str] = &[
    "pwrite64",
    "fdatasync",
    "fsync",
    "ftruncate",
    "write",
    "unlink",
    "openat",
    "mkdir",
    "rename",
];

/// The status of commands when the queue cannot be served right now.
const UNSERVED: i32 = 6;
/// The same of commands that could not open it at all.
const UNUSABLE: i32 = 5;

/// What is done to the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Kill,
    BrokenDisk,
    FullDisk,
}

impl Fault {
    fn inject(self) -> &'static str {
        match self {
            Fault::Kill => "signal=KILL",
            Fault::BrokenDisk => "error=EIO",
            Fault::FullDisk => "error=ENOSPC",
        }
    }

    /// Whether the call can end like that.
    fn fits(self, call: &str) -> bool {
        match self {
            Fault::Kill => true,
            // Where output goes is not the queue's disk, and a program whose own libraries cannot be read has no say.
            Fault::BrokenDisk => !matches!(call, "write" | "openat"),
            Fault::FullDisk => matches!(call, "pwrite64" | "ftruncate" | "mkdir"),
        }
    }
}

/// An operation, with how the queue is prepared for it and what it must have done if it says that it succeeded.
struct Operation {
    name: &'static str,
    arguments: &'static [&'static str],
    /// How many more jobs there are then.
    stored: i64,
    /// Whether nothing unfinished is left then.
    drains: bool,
    /// Whether it begins without a queue.
    makes: bool,
}

const OPERATIONS: &[Operation] = &[
    Operation {
        name: "enqueue",
        arguments: &["enqueue", "true"],
        stored: 1,
        drains: false,
        makes: false,
    },
    Operation {
        name: "bulk",
        arguments: &["enqueue", "--from", "jobs.jsonl"],
        stored: 40,
        drains: false,
        makes: false,
    },
    Operation {
        name: "turns",
        arguments: &["-q", "worker:start", "--drain"],
        stored: 0,
        drains: true,
        makes: false,
    },
    Operation {
        name: "migrate",
        arguments: &["db:migrate"],
        stored: 0,
        drains: false,
        makes: true,
    },
    Operation {
        name: "checkpoint",
        arguments: &["db:compact"],
        stored: 0,
        drains: false,
        makes: false,
    },
    Operation {
        name: "purge",
        arguments: &["purge", "--yes"],
        stored: -PURGED,
        drains: false,
        makes: false,
    },
];

/// Jobs that a purge removes from the queue that operations begin with.
const PURGED: i64 = 3;
/// Jobs in it.
const BEFORE: i64 = 7;

/// Counts of a campaign.
#[derive(Debug, Default)]
pub struct Faults {
    pub faults: u32,
    /// Runs in which the command said that it had succeeded all the same.
    pub shrugged_off: u32,
}

/// Tries all operations, or only the chosen ones, with all faults, at every `step`-th call from a random one of the first
/// on.
pub fn inject(rig: &Rig, plan: &Plan, rng: &mut fastrand::Rng) -> anyhow::Result<Faults> {
    let (step, chosen) = (plan.step, &plan.operations);
    let known = |name: &String| OPERATIONS.iter().any(|operation| operation.name == name);
    if let Some(unknown) = chosen.iter().find(|name| !known(name)) {
        bail!("there is no operation '{unknown}'");
    }
    let template = template(rig)?;
    let mut sum = Faults::default();
    let wanted = |name: &str| chosen.is_empty() || chosen.iter().any(|chosen| chosen == name);
    for operation in OPERATIONS.iter().filter(|operation| wanted(operation.name)) {
        let before = sum.faults;
        for fault in [Fault::Kill, Fault::BrokenDisk, Fault::FullDisk] {
            // A node opens /proc of every process again and again, which says nothing about the store.
            let calls = CALLS
                .iter()
                .filter(|call| fault.fits(call) && !(operation.drains && **call == "openat"));
            for call in calls {
                let mut n = rng.u32(1..=step);
                while once(rig, &template, operation, fault, call, n, &mut sum)
                    .with_context(|| format!("{}: {fault:?} at {call} number {n}", operation.name))?
                {
                    n += step;
                }
            }
        }
        println!("  {}: {} faults", operation.name, sum.faults - before);
    }
    Ok(sum)
}

/// A queue with jobs that have ended, one of them dead, and jobs that wait, whose log has not been moved into the file.
fn template(rig: &Rig) -> anyhow::Result<Queue> {
    let folder = rig.fresh("template")?;
    let queue = rig.queue(folder.join("queue.db"), folder.clone());
    fs::write(folder.join("jobs.jsonl"), "\"true\"\n".repeat(40))?;
    for command in ["true", "true", "true"] {
        queue.ok(["enqueue", command])?;
    }
    queue.ok(["enqueue", "--max-retries", "0", "exit 3"])?;
    let drained = queue.run(["-q", "worker:start", "--drain"])?;
    ensure!(drained.status.code() == Some(1), "{}", complaint(&drained));
    let ran = format!("echo ran >> {}", rig.path("run").join("ran").display());
    for _ in 0..3 {
        queue.ok(["enqueue", &ran])?;
    }
    Ok(queue)
}

/// One run; false if the fault did not come any more.
fn once(
    rig: &Rig,
    template: &Queue,
    operation: &Operation,
    fault: Fault,
    call: &str,
    n: u32,
    sum: &mut Faults,
) -> anyhow::Result<bool> {
    let folder = rig.fresh("run")?;
    let queue = rig.queue(folder.join("queue.db"), folder.clone());
    copy(&template.work, &folder)?;
    if operation.makes {
        fs::remove_file(&queue.db)?;
    }
    let injection = Injection {
        call,
        fault: fault.inject(),
        n,
    };
    let (output, fired) = under_strace(&queue, operation.arguments, injection)?;
    if !fired {
        return Ok(false);
    }
    sum.faults += 1;
    judge(&queue, operation, fault, &output, sum)
        .with_context(|| format!("it said: {}", complaint(&output)))?;
    Ok(true)
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

fn judge(
    queue: &Queue,
    operation: &Operation,
    fault: Fault,
    output: &Output,
    sum: &mut Faults,
) -> anyhow::Result<()> {
    let succeeded_all_the_same = match output.status.code() {
        Some(0) => true,
        // The template has a job that dies, and so has a drained node that says so.
        Some(1) if operation.drains => true,
        Some(UNSERVED | UNUSABLE) if fault != Fault::Kill => false,
        None | Some(137) if fault == Fault::Kill => false,
        other => bail!("it ended with {other:?}"),
    };
    if !succeeded_all_the_same && fault != Fault::Kill {
        ensure!(!complaint(output).is_empty(), "it failed and did not say why");
    }
    sum.shrugged_off += u32::from(succeeded_all_the_same);
    // A queue that was never finished is made by the next command.
    queue.ok([if operation.makes {
        "db:migrate"
    } else {
        "config:list"
    }])?;
    queue.check()?;
    let jobs = queue.jobs()?;
    let (before, count) = (if operation.makes { 0 } else { BEFORE }, jobs.len() as i64);
    let whole = before + operation.stored;
    let allowed = if succeeded_all_the_same {
        count == whole
    } else {
        // All or nothing; a purge goes in steps.
        count == before || count == whole || (operation.stored < 0 && (whole..before).contains(&count))
    };
    ensure!(
        allowed,
        "there are {count} jobs, of {before} before and {whole} after"
    );
    if operation.drains && succeeded_all_the_same {
        let left = jobs.iter().filter(|job| job["finished_at"].is_null()).count();
        ensure!(
            left == 0,
            "{left} jobs are left, and the node said that it was done"
        );
    }
    queue.ok(["config:set", "backoff_cap", "0s"])?;
    let drained = queue.run(["-q", "worker:start", "--drain"])?;
    if drained.status.code() != Some(1) {
        succeeded(&drained).context("what is left does not run")?;
    }
    let jobs = queue.jobs()?;
    ensure!(
        jobs.len() as i64 == count,
        "jobs came or went while the queue was drained"
    );
    for job in jobs {
        let state = job["state"].as_str().unwrap_or_default();
        ensure!(
            matches!(state, "completed" | "dead"),
            "job {} is {state}",
            job["id"]
        );
    }
    if !operation.makes {
        let ran = fs::read_to_string(queue.work.join("ran"))
            .unwrap_or_default()
            .lines()
            .count();
        // Once each; one of a killed node again, at most each of them.
        let again = if fault == Fault::Kill { 3 } else { 0 };
        ensure!((3..=3 + again).contains(&ran), "three jobs ran {ran} times");
    }
    queue.check()
}
