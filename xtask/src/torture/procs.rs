//! `torture procs`: what happens to processes.
//!
//! Two nodes run a steady stream of jobs while faults hit them, aimed at whoever holds a job. Every job logs its start, its
//! life and its end, and has a process that tries to outlive it. After every [`ERA`] faults the nodes heal, the queue is
//! drained, and then: every job is completed (cancelled, dead) as it must be, once; no attempt was alive when
//! the next one ran; every start has its recorded attempt.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use fastrand::Rng;
use serde_json::Value;

use super::chaos::{Fault, Node, Tally, strike};
use super::log;
use super::rig::{Queue, Rig, complaint};
use super::storage::must_fail;
use crate::report::heading;

/// Faults that one queue lives through.
const ERA: u32 = 150;
/// Jobs that are kept unfinished.
const STREAM: usize = 10;
/// Faults of the control.
const CONTROL: u32 = 40;

/// What else is wrong in an era.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum World {
    Whole,
    /// The clock of one node jumps.
    Clock,
    /// The disk is full now and then.
    Disk,
}

/// What an era's jobs are to become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Completed,
    /// It kills its worker process whenever it runs.
    Dead,
    /// Somebody asked to cancel it, maybe too late.
    CancelledOrCompleted,
}

/// Lets so many faults happen. The first violation is the error.
pub fn run(rig: &Rig, faults: u32, seed: u64, control: bool) -> anyhow::Result<()> {
    heading("faults of processes");
    println!("seed {seed}");
    let mut rng = Rng::with_seed(seed);
    let mut tally = Tally::new();
    let (mut sum, mut others, mut jobs, mut era) = (0, 0, 0, 0);
    let worlds = worlds(rig);
    while sum < faults {
        let world = worlds[era % worlds.len()];
        let wanted = ERA
            .min(faults - sum)
            .min(if era < worlds.len() { faults / 4 + 1 } else { ERA });
        let mut scene = Scene::new(rig, world, None)?;
        let begun = Instant::now();
        let happened = scene.live(wanted, Fault::ALL, &mut rng, &mut tally);
        let judged = happened.and_then(|more| {
            others += more;
            scene.judge()
        });
        jobs += judged.with_context(|| {
            let kept = scene.keep();
            format!(
                "era {era}, {world:?}, after {sum} faults, seed {seed}; see {}",
                kept.display()
            )
        })?;
        sum += wanted;
        era += 1;
        println!(
            "  {sum} faults, {jobs} jobs, {world:?}, {:.1} s",
            begun.elapsed().as_secs_f64()
        );
    }
    let mut kinds: Vec<_> = tally.into_iter().collect();
    kinds.sort_by_key(|(fault, _)| format!("{fault:?}"));
    println!("{sum} faults and {others} of disks and clocks, {jobs} jobs, no violation: {kinds:?}");
    if control && rig.has_controls() {
        let mut scene = Scene::new(rig, World::Whole, Some("sweep"))?;
        let lived = scene.live(CONTROL, &[Fault::KillNode], &mut rng, &mut Tally::new());
        must_fail("no sweep before a rescue", lived.and_then(|_| scene.judge()))?;
    }
    Ok(())
}

/// The worlds that this machine can make.
fn worlds(rig: &Rig) -> Vec<World> {
    let mut worlds = vec![World::Whole];
    match faketime() {
        Some(_) => worlds.push(World::Clock),
        None => rig.skip("clock", "libfaketime is not installed"),
    }
    if nix::unistd::geteuid().is_root() {
        worlds.push(World::Disk);
    } else {
        rig.skip("disk", "only root can mount disks");
    }
    worlds
}

fn faketime() -> Option<PathBuf> {
    let places = [
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/usr/lib64",
        "/usr/lib",
    ];
    let mut all = places
        .iter()
        .map(|place| Path::new(place).join("faketime/libfaketimeMT.so.1"));
    all.find(|path| path.exists())
}

/// A queue with two nodes, and what became of it so far.
struct Scene {
    queue: Queue,
    nodes: Vec<Node>,
    world: World,
    fates: HashMap<String, Fate>,
    mount: Option<PathBuf>,
}

impl Scene {
    fn new(rig: &Rig, world: World, without: Option<&'static str>) -> anyhow::Result<Scene> {
        let work = rig.fresh("procs")?;
        fs::write(work.join("job.sh"), log::SCRIPT)?;
        let mut db = work.join("queue.db");
        let mut mount = None;
        if world == World::Disk {
            let folder = rig.fresh("small")?;
            let mut command = Command::new("mount");
            command
                .args(["-t", "tmpfs", "-o", "size=16m", "none"])
                .arg(&folder);
            let output = command.output()?;
            ensure!(output.status.success(), "mount: {}", complaint(&output));
            db = folder.join("queue.db");
            mount = Some(folder);
        }
        let mut queue = rig.queue(db, work);
        queue.without = without;
        for (key, value) in [
            ("backoff_cap", "20ms"),
            ("max_retries", "1000"),
            ("kill_grace", "200ms"),
        ] {
            queue.ok(["config:set", key, value])?;
        }
        let mut environment = Vec::new();
        if world == World::Clock
            && let Some(library) = faketime()
        {
            let file = queue.work.join("clock");
            fs::write(&file, "+0\n")?;
            environment = vec![
                ("LD_PRELOAD", library.display().to_string()),
                ("FAKETIME_TIMESTAMP_FILE", file.display().to_string()),
                ("FAKETIME_NO_CACHE", "1".to_owned()),
                ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ];
        }
        let nodes = vec![Node::start(&queue, &environment)?, Node::start(&queue, &[])?];
        Ok(Scene {
            queue,
            nodes,
            world,
            fates: HashMap::new(),
            mount,
        })
    }

    /// Lets faults happen; how many of disk or clock came along.
    fn live(
        &mut self,
        wanted: u32,
        kinds: &[Fault],
        rng: &mut Rng,
        tally: &mut Tally,
    ) -> anyhow::Result<u32> {
        let (mut sum, mut others) = (0, 0);
        let mut until = Instant::now() + super::rig::PATIENCE;
        while sum < wanted {
            self.feed(rng)?;
            for node in &mut self.nodes {
                node.tend(&self.queue)?;
            }
            std::thread::sleep(Duration::from_millis(rng.u64(1..15)));
            if rng.u8(..12) == 0 && self.disturb(rng)? {
                others += 1;
            }
            let Some(fault) = rng.choice(kinds.iter().copied()) else {
                bail!("there are no faults");
            };
            if strike(fault, &mut self.nodes, &self.queue, rng)? {
                *tally.entry(fault).or_default() += 1;
                sum += 1;
                until = Instant::now() + super::rig::PATIENCE;
            }
            ensure!(Instant::now() < until, "no job runs any more");
        }
        Ok(others)
    }

    /// Keeps jobs coming.
    fn feed(&mut self, rng: &mut Rng) -> anyhow::Result<()> {
        let status = self.queue.json(["status"])?;
        let count = |state: &str| status["total"][state].as_u64().unwrap_or(0);
        let unfinished = count("pending") + count("processing") + count("failed");
        for _ in unfinished..STREAM as u64 {
            let ticks = rng.u32(1..12).to_string();
            let (arguments, fate): (Vec<&str>, _) = match rng.u8(..20) {
                0 => {
                    let command = "echo s $QUEUECTL_JOB_ID $QUEUECTL_FENCE >> log; grep -q worker:run /proc/$PPID/cmdline && kill -ABRT $PPID; sleep 1000";
                    (vec!["enqueue", "--max-retries", "1", command], Fate::Dead)
                }
                _ => (vec!["enqueue", "sh", "job.sh", &ticks], Fate::Completed),
            };
            // The disk may be full; what was not acknowledged was not promised.
            let output = self.queue.run(arguments)?;
            if !output.status.success() {
                ensure!(self.world == World::Disk, "enqueue: {}", complaint(&output));
                return Ok(());
            }
            let id = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            self.fates.insert(id, fate);
        }
        if rng.u8(..10) == 0
            && let Some(id) = rng.choice(self.fates.keys().cloned().collect::<Vec<_>>())
            && self.fates[&id] == Fate::Completed
            && self.queue.run(["cancel", &id])?.status.success()
        {
            self.fates.insert(id, Fate::CancelledOrCompleted);
        }
        Ok(())
    }

    /// Makes the clock jump, or the disk full for a moment.
    fn disturb(&mut self, rng: &mut Rng) -> anyhow::Result<bool> {
        match (self.world, &self.mount) {
            (World::Clock, _) => {
                let seconds = rng.i64(-400_000..400_000);
                // In one step, so that nobody reads half of it.
                let (new, file) = (self.queue.work.join("clock.new"), self.queue.work.join("clock"));
                fs::write(&new, format!("{seconds:+}\n"))?;
                fs::rename(new, file)?;
            }
            (World::Disk, Some(mount)) => {
                let ballast = mount.join("ballast");
                // As much as fits in, which ends with an error.
                let _ = fs::write(&ballast, vec![0; 16 << 20]);
                std::thread::sleep(Duration::from_millis(rng.u64(1..300)));
                fs::remove_file(&ballast)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Heals, drains, and judges. How many jobs there were.
    fn judge(&mut self) -> anyhow::Result<usize> {
        for node in &mut self.nodes {
            node.end()?;
        }
        // A retry by a clock that was ahead would be waited for until then.
        for job in self.queue.jobs()? {
            if let (Some("failed"), Some(id)) = (job["state"].as_str(), job["id"].as_str()) {
                self.queue.ok(["retry", id])?;
            }
        }
        let drained = self
            .queue
            .run(["-q", "worker:start", "--drain", "--count", "4"])?;
        ensure!(
            matches!(drained.status.code(), Some(0 | 1)),
            "the queue does not drain: {}",
            complaint(&drained)
        );
        let told = log::read(&self.queue.work.join("log"))?;
        let jobs = self.queue.jobs()?;
        ensure!(
            jobs.len() >= self.fates.len(),
            "{} jobs of {} are left",
            jobs.len(),
            self.fates.len()
        );
        for job in &jobs {
            let number = job["number"].as_i64().context("a job without number")?;
            let shown = self.queue.json(["show", &number.to_string()])?;
            let told = told.get(&number).copied().unwrap_or_default();
            let fate = self.fates.get(&number.to_string()).copied();
            judge_job(&shown, told, fate).with_context(|| format!("job {number}: {shown}"))?;
        }
        for id in self.fates.keys() {
            ensure!(
                jobs.iter().any(|job| job["id"] == id.as_str()),
                "job {id} was acknowledged and is gone"
            );
        }
        self.queue.check()?;
        Ok(jobs.len())
    }

    /// Puts what there is of it aside, to be looked at.
    fn keep(&self) -> PathBuf {
        let kept = std::env::temp_dir().join(format!("torture-{}", std::process::id()));
        let _ = Command::new("cp")
            .arg("-a")
            .args([&self.queue.work, &kept])
            .status();
        if self.mount.is_some() {
            let _ = Command::new("cp")
                .arg("-a")
                .args([&self.queue.db, &kept])
                .status();
        }
        kept
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.nodes.clear();
        if let Some(mount) = &self.mount {
            let _ = Command::new("umount").arg("-l").arg(mount).output();
        }
    }
}

fn judge_job(shown: &Value, told: log::Told, fate: Option<Fate>) -> anyhow::Result<()> {
    let attempts = shown["attempt_history"].as_array().context("no attempts")?;
    let count = |outcome: &str| {
        attempts
            .iter()
            .filter(|attempt| attempt["outcome"] == outcome)
            .count()
    };
    let state = shown["state"].as_str().unwrap_or_default();
    let may = match (fate, state) {
        // Not acknowledged, and stored all the same.
        (None, "completed" | "dead") => true,
        (Some(Fate::Completed | Fate::CancelledOrCompleted), "completed") => true,
        (Some(Fate::Dead), "dead") => true,
        (Some(Fate::CancelledOrCompleted), "cancelled") => true,
        _ => false,
    };
    ensure!(may, "it should be {fate:?} and is {state}");
    let succeeded = count("succeeded");
    if state == "completed" {
        ensure!(succeeded == 1, "it is completed with {succeeded} successes");
        ensure!(told.ended > 0, "it is completed and never ended");
    } else {
        ensure!(succeeded == 0, "it is {state} and succeeded");
    }
    ensure!(
        told.started as usize <= attempts.len(),
        "it started {} times, of which {} are recorded",
        told.started,
        attempts.len()
    );
    let mut fences: Vec<i64> = attempts
        .iter()
        .filter_map(|attempt| attempt["fence"].as_i64())
        .collect();
    fences.dedup();
    ensure!(
        fences.len() == attempts.len() || fences.is_empty(),
        "two attempts under one fence"
    );
    Ok(())
}
