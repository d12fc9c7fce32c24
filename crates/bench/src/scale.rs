//! Measurements with very many jobs: whether anything costs more than with a few.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::figures::Figures;
use super::rig::{QUEUE, Rig, memory, timed};

/// A queue with few jobs.
const SMALL: &str = "small.db";
/// Jobs that are run through turns at a time: many a turn, as under load, and one a turn.
const BATCHES: [(&str, &str); 2] = [("256", "20000"), ("1", "1000")];
/// How long a node works on a large queue before its memory is looked at.
const WORK: Duration = Duration::from_secs(5);
/// Calls of each command that lists.
const CALLS: usize = 20;

/// A dispatcher's turns, which claim jobs and record their ends, on large queues in turn with a small one; and how much
/// memory a node takes.
pub fn turns(rig: &Rig, figures: &mut Figures) -> anyhow::Result<()> {
    let jobs = rig.jobs;
    rig.fill(SMALL, &["pending=1000"])?;
    let scheduled = jobs / 10;
    let large = [
        (format!("{jobs} pending"), format!("pending={jobs}"), None),
        (
            format!("{jobs} completed in front"),
            format!("completed={jobs}"),
            Some("pending=1000"),
        ),
        (
            format!("{scheduled} scheduled"),
            format!("scheduled={scheduled}"),
            Some("pending=1000"),
        ),
    ];
    for (what, most, rest) in large {
        let mut arguments = vec!["executor=noop", most.as_str()];
        arguments.extend(rest);
        rig.fill(QUEUE, &arguments)?;
        let bytes = fs::metadata(rig.path(QUEUE))?.len() as f64;
        figures.add(&format!("{what}: file"), "MiB", vec![bytes / 1024.0 / 1024.0]);
        for (batch, jobs) in BATCHES {
            let (mut with, mut without) = (Series::default(), Series::default());
            for _ in 0..rig.runs {
                with.measure(rig, QUEUE, batch, jobs)?;
                without.measure(rig, SMALL, batch, jobs)?;
            }
            let name = format!("{what}, {batch} a turn");
            figures.ratio(
                &format!("{name}: time, / 1000 pending"),
                &with.wall,
                &without.wall,
            );
            figures.ratio(
                &format!("{name}: processor, / 1000 pending"),
                &with.cpu,
                &without.cpu,
            );
            figures.add(&format!("{name}: time per job"), "us", with.wall);
            figures.add(&format!("{name}: processor per job"), "us", with.cpu);
            figures.add(&format!("{name}: written per job"), "bytes", with.bytes);
            figures.add(
                &format!("1000 pending, {batch} a turn: processor per job"),
                "us",
                without.cpu,
            );
        }
        if rest.is_none() {
            let node = rig.node(&["--count", "2"])?;
            // What is measured is what it takes after some work.
            thread::sleep(WORK);
            for (field, name) in [("VmRSS", "now"), ("VmHWM", "at most")] {
                let taken = memory(node.pid(), field)?;
                figures.add(
                    &format!("{what}: memory of the dispatcher, {name}"),
                    "MiB",
                    vec![taken],
                );
            }
        }
    }
    rig.fresh()?;
    rig.remove(SMALL)
}

/// The same on PostgreSQL. What is measured there is the time, for the work is the server's.
pub fn turns_on_postgres(rig: &Rig, figures: &mut Figures) -> anyhow::Result<()> {
    let server = rig.server(&["shared_buffers=1GB", "max_wal_size=4GB"])?;
    let queue = |schema: &str| OsString::from(format!("{}?schema={schema}", server.location));
    let (small, large) = (queue("small"), queue("large"));
    rig.tool_at("fill", &small, &["executor=noop", "pending=1000"])?;
    let (pending, completed) = (
        format!("pending={}", rig.jobs),
        format!("completed={}", rig.jobs * 10),
    );
    let start = Instant::now();
    rig.tool_at("fill", &large, &["executor=noop", &completed, &pending])?;
    println!("filled in {} s", start.elapsed().as_secs());
    let size = server.sql("postgres", "SELECT pg_database_size('postgres')")?;
    let what = format!("{} pending, {} completed", rig.jobs, rig.jobs * 10);
    figures.add(
        &format!("{what}: database"),
        "MiB",
        vec![size.trim().parse::<f64>()? / 1024.0 / 1024.0],
    );
    for (batch, jobs) in BATCHES {
        let (mut with, mut without) = (Series::default(), Series::default());
        for _ in 0..rig.runs {
            with.measure_at(rig, &large, batch, jobs)?;
            without.measure_at(rig, &small, batch, jobs)?;
        }
        let name = format!("{what}, {batch} a turn");
        figures.ratio(
            &format!("{name}: time, / 1000 pending"),
            &with.wall,
            &without.wall,
        );
        figures.add(&format!("{name}: time per job"), "us", with.wall);
        figures.add(
            &format!("1000 pending, {batch} a turn: time per job"),
            "us",
            without.wall,
        );
    }
    Ok(())
}

#[derive(Default)]
struct Series {
    wall: Vec<f64>,
    cpu: Vec<f64>,
    bytes: Vec<f64>,
}

impl Series {
    fn measure(&mut self, rig: &Rig, queue: &str, batch: &str, jobs: &str) -> anyhow::Result<()> {
        self.measure_at(rig, rig.path(queue).as_os_str(), batch, jobs)
    }

    fn measure_at(&mut self, rig: &Rig, queue: &OsStr, batch: &str, jobs: &str) -> anyhow::Result<()> {
        let arguments = [format!("batch={batch}"), format!("jobs={jobs}")];
        let printed = rig.tool_at("turns", queue, &[&arguments[0], &arguments[1]])?;
        let numbers: Vec<f64> = printed
            .split_ascii_whitespace()
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        let [wall, cpu, bytes] = numbers.try_into().ok().context("three numbers were expected")?;
        self.wall.push(wall);
        self.cpu.push(cpu);
        self.bytes.push(bytes);
        Ok(())
    }
}

/// What people and monitors look at, as whole processes. What is listed lies where a walk over all jobs finds it last.
pub fn pages(rig: &Rig, figures: &mut Figures) -> anyhow::Result<()> {
    let jobs = rig.jobs;
    let half = jobs / 2;
    let rare = [
        "completed=1000",
        "dead=1000",
        "cancelled=1000",
        "scheduled=1000",
        "failed=1000",
    ];
    let mixes = [
        (
            "mostly pending",
            [&rare[..], &[&format!("pending={jobs}")]].concat().join(" "),
        ),
        (
            "mostly completed",
            format!("pending=1000 {} completed={jobs}", rare[1..].join(" ")),
        ),
        (
            "half dead, 20 queues",
            format!(
                "pending=1000 {} queues=20 dead={half} completed={half}",
                rare.join(" ")
            ),
        ),
    ];
    for (name, mix) in mixes {
        rig.fill(QUEUE, &mix.split(' ').collect::<Vec<_>>())?;
        let bytes = fs::metadata(rig.path(QUEUE))?.len() as f64;
        figures.add(&format!("{name}: file"), "MiB", vec![bytes / 1024.0 / 1024.0]);
        let mut commands = vec![
            vec!["status"],
            vec!["list"],
            vec!["list", "--queue", "default"],
            vec!["list", "--queue", "default", "--state", "dead"],
            vec!["list", "--queue", "queue-7"],
            vec!["dlq:list"],
            vec!["dlq:list", "--queue", "default"],
        ];
        let states = [
            "pending",
            "scheduled",
            "processing",
            "failed",
            "completed",
            "dead",
            "cancelled",
        ];
        commands.extend(states.map(|state| vec!["list", "--state", state]));
        for command in commands {
            let times = (0..CALLS).map(|_| timed(&mut rig.queuectl(&command)).map(|s| s * 1000.0));
            let times = times.collect::<Result<_, _>>()?;
            figures.add(&format!("{name}: {}", command.join(" ")), "ms", times);
        }
    }
    rig.fresh()
}
