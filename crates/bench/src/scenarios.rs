//! The measurements themselves. Linux: they read `/proc` and use its tools.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::ensure;

use super::figures::Figures;
use super::rig::{QUEUE, Rig, memory, timed};

const JOBS: usize = 20_000;
const NOOP_JOBS: usize = 100_000;
const BULK_JOBS: usize = 1_000_000;
const ENDED_JOBS: usize = 1_000_000;
/// Calls measured one by one.
const CALLS: usize = 200;
/// How long a node is watched doing nothing.
const IDLE: Duration = Duration::from_secs(60);

/// Draining short shell jobs, against what the machine can do at all and against a tool that stores nothing.
pub fn drain(rig: &Rig, figures: &mut Figures) -> anyhow::Result<()> {
    let jobs = rig.jobs(JOBS, "\"true\"")?;
    let (mut ours, mut xargs, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    let peers: Vec<_> = PEERS.iter().filter(|peer| peer.is_there()).collect();
    let mut others = vec![Vec::new(); peers.len()];
    for _ in 0..rig.runs {
        rig.fresh()?;
        rig.timed(&["enqueue", "--from", &jobs])?;
        ours.push(JOBS as f64 / rig.timed(&["worker:start", "-q", "--count", "2", "--drain"])?);
        let line = format!("seq {JOBS} | xargs -P2 -n1 sh -c true");
        xargs.push(JOBS as f64 / timed(Command::new("sh").args(["-c", &line]))?);
        bare.push(JOBS as f64 / bare_loop()?);
        for (peer, rates) in peers.iter().zip(&mut others) {
            rates.push(peer.rate(rig)?);
        }
    }
    for (peer, rates) in peers.iter().zip(others) {
        figures.ratio(&format!("queuectl / {}", peer.name), &ours, &rates);
        figures.add(peer.name, "jobs/s", rates);
    }
    figures.ratio("queuectl / bare loop", &ours, &bare);
    figures.ratio("queuectl / xargs -P2", &ours, &xargs);
    figures.add("queuectl, durability full", "jobs/s", ours);
    figures.add("xargs -P2 -n1 sh -c true", "jobs/s", xargs);
    figures.add("bare loop of Command::output, 2 threads", "jobs/s", bare);
    Ok(())
}

/// A program that does something like it, where it is installed.
struct Peer {
    program: &'static str,
    name: &'static str,
    /// Jobs, fewer for those that take a process to store one.
    jobs: usize,
    /// What runs that many jobs, for a shell.
    line: &'static str,
}

const PEERS: &[Peer] = &[
    Peer {
        program: "parallel",
        name: "GNU parallel -j2",
        jobs: 1000,
        line: "seq $N | parallel -j2 -n1 true",
    },
    Peer {
        program: "tsp",
        name: "task-spooler, 2 slots, stored one by one",
        jobs: 500,
        line: "export TS_SOCKET=\"$D/tsp\"; tsp -S 2; for i in $(seq $N); do tsp -n sh -c true; done; tsp -w; tsp -K",
    },
    Peer {
        program: "nq",
        name: "nq, one at a time, stored one by one",
        jobs: 500,
        line: "export NQDIR=\"$D/nq\"; mkdir -p \"$D/nq\"; for i in $(seq $N); do nq -c -q sh -c true; done; nq -w",
    },
];

impl Peer {
    fn is_there(&self) -> bool {
        let line = format!("command -v {} >/dev/null", self.program);
        let there = Command::new("sh")
            .args(["-c", &line])
            .status()
            .is_ok_and(|status| status.success());
        if !there {
            println!("{} is not installed; it is left out", self.program);
        }
        there
    }

    fn rate(&self, rig: &Rig) -> anyhow::Result<f64> {
        let mut command = Command::new("sh");
        command
            .args(["-c", self.line])
            .env("N", self.jobs.to_string())
            .env("D", rig.folder())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Ok(self.jobs as f64 / timed(&mut command)?)
    }
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
    calls("enqueue as a process, new queue")?;
    // In turn: what ended long ago must not matter.
    rig.fresh()?;
    rig.timed(&["enqueue", "true"])?;
    rig.fill("ended.db", &[&format!("completed={ENDED_JOBS}")])?;
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..CALLS {
        for (queue, times) in ["ended.db", QUEUE].into_iter().zip(&mut times) {
            times.push(timed(&mut rig.queuectl_on(queue, &["enqueue", "true"]))? * 1000.0);
        }
    }
    rig.remove("ended.db")?;
    let [ended, empty] = times;
    let median = |times: &[f64]| {
        let mut sorted = times.to_vec();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    };
    let what = format!("enqueue, {ENDED_JOBS} ended jobs / empty queue, of medians");
    figures.ratio(&what, &[median(&ended)], &[median(&empty)]);
    figures.add(
        &format!("enqueue as a process, {ENDED_JOBS} ended jobs"),
        "ms",
        ended,
    );
    figures.add("enqueue as a process, empty queue", "ms", empty);
    Ok(())
}

/// From calling `enqueue` until the job gives its first sign, on a node that waits.
pub fn latency(rig: &Rig, figures: &mut Figures) -> anyhow::Result<()> {
    rig.fresh()?;
    let node = rig.node(&["--count", "2"])?;
    let sign = rig.named_pipe("sign")?;
    let line = format!("echo > '{}'", sign.display());
    let mut times = Vec::new();
    for _ in 0..CALLS {
        let start = Instant::now();
        let mut call = rig.queuectl(&["enqueue", &line]).spawn()?;
        fs::read(&sign)?;
        times.push(start.elapsed().as_secs_f64() * 1000.0);
        ensure!(call.wait()?.success(), "enqueue failed");
        // Wait until the node is idle again, as it is for a user at a prompt.
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
    figures.add(
        "resident memory, dispatcher",
        "MiB",
        vec![memory(pids[0], "VmRSS")?],
    );
    figures.add(
        "resident memory, one worker process",
        "MiB",
        pids[1..]
            .iter()
            .map(|pid| memory(*pid, "VmRSS"))
            .collect::<Result<_, _>>()?,
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
