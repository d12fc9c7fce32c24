//! A queue with two nodes that live through faults, and the verdict over what is left.
//!
//! Every job logs its start, its life and its end, and has a process that tries to outlive it. In the end every job must
//! be completed (cancelled, dead) as it must be, once; no attempt was alive when the next one ran; every start has its
//! recorded attempt.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use fastrand::Rng;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::chaos::{Fault, Node, Tally, UNSERVED, strike};
use super::containers::{self, Engine};
use super::log;
use super::processes::send;
use super::rig::{PATIENCE, Queue, Rig, complaint, finish, succeeded, wait_for};
use super::verdict::{self, Fate};

/// Jobs that are kept unfinished.
const STREAM: u64 = 16;
/// How much each node runs at a time.
const SLOTS: &[&str] = &["--count", "2", "--concurrency", "2"];
/// Interval between two counts.
const FEED: Duration = Duration::from_millis(100);

/// What else is wrong in a scene.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum World {
    /// Nothing is.
    Whole,
    /// The clock of one node jumps.
    Clock,
    /// The disk is full now and then, or read-only.
    Disk,
    /// Jobs run in containers, whose engine is killed now and then.
    Containers,
}

/// Those of the worlds that this machine can make.
pub fn worlds(rig: &Rig, wanted: &[World]) -> Vec<World> {
    let mut worlds = wanted.to_vec();
    worlds.retain(|world| match impossible(*world) {
        Some(reason) => {
            rig.skip(&format!("{world:?}").to_lowercase(), &reason);
            false
        }
        None => true,
    });
    worlds
}

/// Why this machine cannot make such a world, if so.
fn impossible(world: World) -> Option<String> {
    let is_root = nix::unistd::geteuid().is_root();
    match world {
        World::Clock if faketime().is_none() => Some("libfaketime is not installed".to_owned()),
        World::Disk if !is_root => Some("only root can mount disks".to_owned()),
        World::Containers => containers::impossible(),
        _ => None,
    }
}

/// Compiles the plugin that crashes on demand; the folder that it is in. None where there is no compiler.
pub fn fatal_plugin(rig: &Rig) -> anyhow::Result<Option<PathBuf>> {
    let folder = rig.fresh("plugins")?;
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-I"])
        .arg(queuectl_devkit::root().join("crates/plugin-api/include"))
        .arg(queuectl_devkit::root().join("crates/cli/tests/end_to_end/fatal.c"))
        .arg("-o")
        .arg(folder.join("libqueuectl_plugin_fatal.so"));
    let Ok(output) = cc.output() else {
        rig.skip("crashes of plugins", "there is no C compiler `cc`");
        return Ok(None);
    };
    succeeded(&output).context("cannot compile the plugin")?;
    Ok(Some(folder))
}

/// What makes processes take the clock to be off by what a file says, see [`set_clock`].
pub fn fake_clock(library: &Path, file: &Path) -> Vec<(&'static str, String)> {
    vec![
        ("LD_PRELOAD", library.display().to_string()),
        ("FAKETIME_TIMESTAMP_FILE", file.display().to_string()),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
    ]
}

/// Sets the clock of those who read the file, in one step, so that no reader sees half of it.
pub fn set_clock(file: &Path, seconds: i64) -> anyhow::Result<()> {
    let new = file.with_extension("new");
    fs::write(&new, format!("{seconds:+}\n"))?;
    Ok(fs::rename(new, file)?)
}

/// The library that fakes clocks, if it is installed.
pub fn faketime() -> Option<PathBuf> {
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
pub struct Scene {
    queue: Queue,
    nodes: Vec<Node>,
    world: World,
    plugin: bool,
    fates: HashMap<String, Fate>,
    mount: Option<PathBuf>,
    engine: Option<Engine>,
    fed: Option<Instant>,
    others: Tally,
}

impl Scene {
    /// Sets one up, in folders that begin with that name.
    pub fn new(
        rig: &Rig,
        name: &str,
        world: World,
        plugin: Option<&Path>,
        without: Option<&'static str>,
        rng: &mut Rng,
    ) -> anyhow::Result<Scene> {
        let work = rig.fresh(name)?;
        fs::write(work.join("job.sh"), log::SCRIPT)?;
        nix::unistd::mkfifo(&work.join("wait"), nix::sys::stat::Mode::S_IRWXU)?;
        let mut db = work.join("queue.db");
        let mut mount = None;
        if world == World::Disk {
            let folder = rig.fresh(&format!("{name}-disk"))?;
            let mut command = Command::new("mount");
            command
                .args(["-t", "tmpfs", "-o", "size=16m", "none"])
                .arg(&folder);
            succeeded(&command.output()?).context("cannot mount a disk")?;
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
        let mut clock = Vec::new();
        if world == World::Clock
            && let Some(library) = faketime()
        {
            let file = queue.work.join("clock");
            set_clock(&file, 0)?;
            clock = fake_clock(&library, &file);
        }
        let engine = match world {
            // Whether containers outlive their engine depends on the engine; both kinds are met.
            World::Containers => Some(Engine::start(rng.bool())?),
            _ => None,
        };
        if let Some(engine) = &engine {
            engine.serve(&queue)?;
        }
        let mut scene = Scene {
            nodes: Vec::new(),
            engine,
            world,
            plugin: plugin.is_some(),
            fates: HashMap::new(),
            mount,
            fed: None,
            others: Tally::new(),
            queue,
        };
        scene.queue.plugins = plugin.map(Path::to_owned);
        for environment in [&clock[..], &[]] {
            scene.nodes.push(Node::start(&scene.queue, SLOTS, environment)?);
        }
        Ok(scene)
    }

    /// Lets faults happen; which.
    pub fn live(&mut self, wanted: u32, kinds: &[Fault], rng: &mut Rng) -> anyhow::Result<Tally> {
        let (mut sum, mut tally) = (0, Tally::new());
        let mut until = Instant::now() + PATIENCE;
        while sum < wanted {
            self.feed(rng)?;
            for node in &mut self.nodes {
                node.tend(&self.queue, self.world == World::Disk)?;
            }
            std::thread::sleep(Duration::from_millis(rng.u64(1..15)));
            let Some(fault) = rng.choice(kinds.iter().copied()) else {
                bail!("there are no faults");
            };
            let engine = self.engine.as_ref();
            if strike(fault, &mut self.nodes, &self.queue, engine, rng)
                .with_context(|| format!("{fault:?}"))?
            {
                *tally.entry(format!("{fault:?}")).or_default() += 1;
                sum += 1;
                // Not more often than that, for there must be time for jobs to run in between.
                if rng.u8(..4) == 0 {
                    self.disturb(rng)?;
                }
                until = Instant::now() + PATIENCE;
            }
            ensure!(Instant::now() < until, "no job runs any more");
        }
        Ok(tally)
    }

    /// What else happened, by kind.
    pub fn others(&self) -> Tally {
        self.others.clone()
    }

    /// Keeps jobs coming.
    fn feed(&mut self, rng: &mut Rng) -> anyhow::Result<()> {
        if self.fed.is_some_and(|fed| fed.elapsed() < FEED) {
            return Ok(());
        }
        self.fed = Some(Instant::now());
        let status = self.queue.json(["status"])?;
        let count = |state: &str| status["total"][state].as_u64().unwrap_or(0);
        let mut unfinished = count("pending") + count("processing");
        // After a jump, a retry may be due in some days.
        if self.world != World::Clock {
            unfinished += count("failed");
        }
        let (mut lines, mut fates) = (String::new(), Vec::new());
        for _ in unfinished..STREAM {
            let (job, fate) = self.job(rng);
            lines += &format!("{job}\n");
            fates.push(fate);
        }
        if !fates.is_empty() {
            let file = self.queue.work.join("jobs.jsonl");
            fs::write(&file, lines)?;
            let mut command = self.queue.command(["enqueue", "--from", "-"]);
            command.stdin(fs::File::open(file)?);
            let output = finish(command)?;
            // The disk may be full; what was not acknowledged was not promised.
            if !output.status.success() {
                ensure!(self.world == World::Disk, "enqueue: {}", complaint(&output));
                return Ok(());
            }
            let ids = succeeded(&output)?;
            ensure!(
                ids.lines().count() == fates.len(),
                "ids of {} jobs: {ids}",
                fates.len()
            );
            self.fates.extend(ids.lines().map(str::to_owned).zip(fates));
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

    fn job(&self, rng: &mut Rng) -> (Value, Fate) {
        if self.world == World::Containers {
            let (job, ends_well) = containers::job(&self.queue, rng);
            return (job, if ends_well { Fate::Completed } else { Fate::Dead });
        }
        match rng.u8(..20) {
            0 => {
                let command = "echo s $QUEUECTL_JOB_ID $QUEUECTL_FENCE >> log; \
                               grep -q worker:run /proc/$PPID/cmdline && kill -ABRT $PPID; sleep 1000";
                (json!({"command": command, "max_retries": 1}), Fate::Dead)
            }
            1 if self.plugin => {
                let how = ["segfault", "abort", "exit"][rng.usize(..3)];
                let job = json!({"executor": "fatal", "max_retries": 1, "payload": {"do": how}});
                (job, Fate::CrashedPlugin)
            }
            _ => {
                let ticks = rng.u32(1..8).to_string();
                (json!({"command": ["bash", "job.sh", ticks]}), Fate::Completed)
            }
        }
    }

    /// Makes the clock jump, or the disk full or read-only for a moment, or kills the engine.
    fn disturb(&mut self, rng: &mut Rng) -> anyhow::Result<()> {
        let kind = match (self.world, self.mount.clone()) {
            (World::Clock, _) => {
                let seconds = rng.i64(-400_000..400_000);
                set_clock(&self.queue.work.join("clock"), seconds)?;
                "JumpClock"
            }
            (World::Disk, Some(mount)) if rng.u8(..4) > 0 => {
                let ballast = mount.join("ballast");
                // As much as fits in, which ends with an error.
                let _ = fs::write(&ballast, vec![0; 16 << 20]);
                std::thread::sleep(Duration::from_millis(rng.u64(1..300)));
                fs::remove_file(&ballast)?;
                "FillDisk"
            }
            (World::Disk, Some(mount)) => {
                self.make_read_only(&mount)?;
                "RemountReadOnly"
            }
            (World::Containers, _) if rng.u8(..4) == 0 => {
                let engine = self.engine.as_mut().context("there is no engine")?;
                engine.crash()?;
                "KillEngine"
            }
            _ => return Ok(()),
        };
        *self.others.entry(kind.to_owned()).or_default() += 1;
        Ok(())
    }

    /// A disk with open files cannot be made read-only, so the nodes are killed for it, and their jobs left alone. Until
    /// it can be written again, who wants to write is told so.
    fn make_read_only(&mut self, mount: &Path) -> anyhow::Result<()> {
        for node in &mut self.nodes {
            node.end()?;
        }
        let remount = |how: &str| {
            let mut command = Command::new("mount");
            command
                .args(["-o", &format!("remount,{how}")])
                .arg(mount)
                .output()
        };
        wait_for("files on the disk to be closed", || {
            Ok(remount("ro")?.status.success().then_some(()))
        })?;
        let mut all = Ok(());
        for words in [&["enqueue", "true"][..], &["worker:start", "--drain"]] {
            let output = self.queue.run(words)?;
            let (status, said) = (output.status.code(), complaint(&output));
            if all.is_ok() && (status != Some(UNSERVED) || !said.contains("cannot be written")) {
                all = Err(anyhow::anyhow!(
                    "{words:?} on a read-only disk: {status:?}, {said}"
                ));
            }
        }
        succeeded(&remount("rw")?).context("cannot make the disk writable again")?;
        all
    }

    /// Heals, drains, and judges. How many jobs there were.
    pub fn judge(&mut self) -> anyhow::Result<usize> {
        for node in &mut self.nodes {
            node.end()?;
        }
        // A retry by a clock that was ahead would be waited for until then.
        for job in self.queue.jobs()? {
            if let (Some(state), Some(id)) = (job["state"].as_str(), job["id"].as_str())
                && (state == "failed" || state == "dead" && self.had_no_engine(id)?)
            {
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
        let jobs = verdict::judge(&self.queue, &self.fates)?;
        if let Some(engine) = &self.engine {
            engine.judge()?;
        }
        Ok(jobs)
    }

    /// Whether a job gave up because its engine was away, which its short back-offs do not outlast. Who runs the queue then
    /// retries it.
    fn had_no_engine(&self, id: &str) -> anyhow::Result<bool> {
        if self.engine.is_none() {
            return Ok(false);
        }
        let shown = self.queue.json(["show", id])?;
        let mut attempts = shown["attempt_history"].as_array().into_iter().flatten();
        Ok(attempts
            .next_back()
            .is_some_and(|last| last["outcome"] == "system_failure"))
    }

    /// Puts what there is of it aside, to be looked at.
    pub fn keep(&self) -> PathBuf {
        let name = self.queue.work.file_name().unwrap_or_default().display();
        let kept = std::env::temp_dir().join(format!("torture-{}-{name}", std::process::id()));
        let _ = Command::new("cp")
            .arg("-a")
            .args([&self.queue.work, &kept])
            .status();
        // Who is there, and what each waits for.
        let mut ps = Command::new("ps");
        ps.args(["-eLo", "pid,ppid,lwp,stat,wchan:32,etimes,args"]);
        if let Ok(output) = ps.output() {
            let _ = fs::write(kept.join("processes"), output.stdout);
        }
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
        // What escaped in a control would run on, and keep the folder from being removed.
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let inside = fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd == self.queue.work);
            if let (true, Some(Ok(pid))) = (inside, entry.file_name().to_str().map(str::parse)) {
                send(pid, Signal::SIGKILL);
            }
        }
        if let Some(mount) = &self.mount {
            let _ = Command::new("umount").arg("-l").arg(mount).output();
        }
    }
}
