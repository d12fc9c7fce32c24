//! The measurements themselves. Linux: they read `/proc` and use its tools.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::figures::Figures;
use super::rig::{Rig, timed};

const JOBS: usize = 5000;
const NOOP_JOBS: usize = 100_000;
const BULK_JOBS: usize = 200_000;
/// Calls measured one by one.
const CALLS: usize = 200;
/// How long a node is watched doing nothing.
const IDLE: Duration = Duration::from_secs(20);

/// Draining short shell jobs, against what the machine can do at all and against a tool that stores nothing.
pub fn drain(rig: &Rig, figures: &mut Figures) -> anyhow::Result<()> {
    let jobs = rig.jobs(JOBS, "\"true\"")?;
    let (mut ours, mut xargs, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rig.runs {
        rig.fresh()?;
        rig.timed(&["enqueue", "--from", &jobs])?;
        ours.push(JOBS as f64 / rig.timed(&["worker:start", "-q", "--count", "2", "--drain"])?);
        let line = format!("seq {JOBS} | xargs -P2 -n1 sh -c true");
        xargs.push(JOBS as f64 / timed(Command::new("sh").args(["-c", &line]))?);
        bare.push(JOBS as f64 / bare_loop()?);
    }
    figures.ratio("queuectl / bare loop", &ours, &bare);
    figures.ratio("queuectl / xargs -P2", &ours, &xargs);
    figures.add("queuectl, durability full", "jobs/s", ours);
    figures.add("xargs -P2 -n1 sh -c true", "jobs/s", xargs);
    figures.add("bare loop of Command::output, 2 threads", "jobs/s", bare);
    Ok(())
}

/// Nothing but starting processes and taking in their output, on two threads.
fn bare_loop() -> anyhow::Result<f64> {
    let start = Instant::now();
    let threads: Vec<_> = (0..2)
        .map(|_| {
            thread::spawn(|| -> std::io::Result<()> {
                for _ in 0..JOBS / 2 {
                    Command::new("/bin/sh")
                        .args(["-c", "true"])
                        .stdin(Stdio::null())
                        .process_group(0)
                        .output()?;
                }
                Ok(())
            })
        })
        .collect();
    for thread in threads {
        thread
            .join()
            .map_err(|_| anyhow::anyhow!("a thread panicked"))??;
    }
    Ok(start.elapsed().as_secs_f64())
}

/// Draining jobs that do nothing: what is left is queuectl.
pub fn noop(rig: &Rig, figures: &mut Figures) -> anyhow::Result<()> {
    let jobs = rig.jobs(NOOP_JOBS, r#"{"executor":"noop","payload":{}}"#)?;
    let mut rates = [Vec::new(), Vec::new()];
    for _ in 0..rig.runs {
        for (durability, rates) in ["full", "normal"].into_iter().zip(&mut rates) {
            rig.fresh()?;
            rig.timed(&["config:set", "durability", durability])?;
            rig.timed(&["enqueue", "--from", &jobs])?;
            rates.push(NOOP_JOBS as f64 / rig.timed(&["worker:start", "-q", "--count", "2", "--drain"])?);
        }
    }
    let [full, normal] = rates;
    figures.add("no-op executor, durability full", "jobs/s", full);
    figures.add("no-op executor, durability normal", "jobs/s", normal);
    Ok(())
}

/// Storing jobs, one by one and in bulk.
pub fn enqueue(rig: &Rig, figures: &mut Figures) -> anyhow::Result<()> {
    let mut bulk = Vec::new();
    let jobs = rig.jobs(BULK_JOBS, "\"true\"")?;
    for _ in 0..rig.runs {
        rig.fresh()?;
        bulk.push(BULK_JOBS as f64 / rig.timed(&["enqueue", "--from", &jobs])?);
    }
    figures.add("enqueue --from, batches of 1,000, full", "jobs/s", bulk);
    let mut calls = |what: &str| -> anyhow::Result<()> {
        let times = (0..CALLS).map(|_| rig.timed(&["enqueue", "true"]).map(|s| s * 1000.0));
        figures.add(what, "ms", times.collect::<Result<_, _>>()?);
        Ok(())
    };
    calls(&format!("enqueue as a process, {BULK_JOBS} jobs there"))?;
    rig.fresh()?;
    calls("enqueue as a process, new queue")
}

/// From calling `enqueue` until the job gives its first sign, on a node that waits.
pub fn latency(rig: &Rig, figures: &mut Figures) -> anyhow::Result<()> {
    rig.fresh()?;
    let node = rig.node(&["--count", "2"])?;
    let sign = rig.path("sign");
    let made = Command::new("mkfifo")
        .arg(&sign)
        .status()
        .context("cannot start mkfifo")?;
    ensure!(made.success(), "cannot make a named pipe");
    let line = format!("echo > '{}'", sign.display());
    let mut times = Vec::new();
    for _ in 0..CALLS {
        let start = Instant::now();
        let mut call = rig.queuectl(&["enqueue", &line]).spawn()?;
        fs::read(&sign)?;
        times.push(start.elapsed().as_secs_f64() * 1000.0);
        ensure!(call.wait()?.success(), "enqueue failed");
        // The node shall be idle again, as it is for a user at a prompt.
        rig.timed(&["enqueue", "--wait", "true"])?;
    }
    fs::remove_file(&sign)?;
    drop(node);
    figures.add("enqueue called to the job's first output", "ms", times);
    Ok(())
}

/// What a node costs that has nothing to do.
pub fn idle(rig: &Rig, figures: &mut Figures) -> anyhow::Result<()> {
    rig.fresh()?;
    let node = rig.node(&["--count", "2"])?;
    let pids = family(node.pid())?;
    let before = ticks(&pids)?;
    // Doing nothing for a while is what is measured here.
    thread::sleep(IDLE);
    let used = (ticks(&pids)? - before) as f64 / 100.0 / IDLE.as_secs_f64();
    figures.add("idle node with 2 workers, of one core", "%", vec![used * 100.0]);
    let memory = |pid: &u32| -> anyhow::Result<f64> {
        let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
    };
    figures.add("resident memory, dispatcher", "MiB", vec![memory(&pids[0])?]);
    figures.add(
        "resident memory, one worker process",
        "MiB",
        pids[1..].iter().map(memory).collect::<Result<_, _>>()?,
    );
    Ok(())
}

/// A process and its children.
fn family(pid: u32) -> anyhow::Result<Vec<u32>> {
    let mut pids = vec![pid];
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let children = fs::read_to_string(task?.path().join("children"))?;
        pids.extend(
            children
                .split_ascii_whitespace()
                .filter_map(|child| child.parse::<u32>().ok()),
        );
    }
    Ok(pids)
}

/// Processor time that they have used, in hundredths of a second.
fn ticks(pids: &[u32]) -> anyhow::Result<u64> {
    let mut sum = 0;
    for pid in pids {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_ascii_whitespace()
            .collect();
        let field = |at: usize| {
            fields
                .get(at)
                .and_then(|field| field.parse::<u64>().ok())
                .unwrap_or(0)
        };
        // Fields 14 and 15 of the line, user and system; the split begins with field 3.
        sum += field(14 - 3) + field(15 - 3);
    }
    Ok(sum)
}
