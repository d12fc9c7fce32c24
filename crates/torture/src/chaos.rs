//! Faults for processes: who is there, whom it hits, and what is done to them.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, ensure};
use fastrand::Rng;
use nix::sys::signal::Signal;
use serde_json::Value;

use super::containers::Engine;
use super::processes::{children, send};
use super::rig::{Queue, wait_for};

/// What can happen. Each aims at a node that holds a job, if one does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Its process, or its container.
    KillJob,
    KillWorker,
    KillDispatcher,
    /// Dispatcher and worker processes at once: no process is left to clean up behind the jobs.
    KillNode,
    HoldJob,
    /// By force, while it runs; only where jobs are containers.
    RemoveContainer,
    HoldWorker,
    HoldDispatcher,
    /// `worker:stop`, which lets jobs finish.
    Stop,
    /// `worker:stop --now`, which does not.
    StopNow,
    /// `worker:stop`, while the node is killed, stopped by somebody else or loses a worker process.
    StopRace,
    /// SIGTERM twice, as an impatient service manager does.
    Terminate,
}

impl Fault {
    /// Those that can happen in every world.
    pub const ALL: &[Fault] = &[
        Fault::KillJob,
        Fault::KillWorker,
        Fault::KillDispatcher,
        Fault::KillNode,
        Fault::HoldJob,
        Fault::HoldWorker,
        Fault::HoldDispatcher,
        Fault::Stop,
        Fault::StopNow,
        Fault::StopRace,
        Fault::Terminate,
    ];
}

/// The status of commands when the queue cannot be served right now.
pub const UNSERVED: i32 = 6;

/// A node of ours.
pub struct Node {
    child: Child,
    arguments: &'static [&'static str],
    environment: Vec<(&'static str, String)>,
    /// Whether something was done to it that may end it.
    may_end: bool,
}

impl Node {
    /// Starts one with these arguments of `worker:start`.
    pub fn start(
        queue: &Queue,
        arguments: &'static [&'static str],
        environment: &[(&'static str, String)],
    ) -> anyhow::Result<Node> {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(queue.work.join("node.log"))?;
        let mut command = queue.command(["worker:start"].iter().chain(arguments));
        for (name, value) in environment {
            command.env(name, value);
        }
        let child = command
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("cannot start a node")?;
        Ok(Node {
            child,
            arguments,
            environment: environment.to_vec(),
            may_end: false,
        })
    }

    /// Restarts it if it ended; an error if it had no reason to end. One that finds the disk full when it starts says
    /// so and ends, which only counts as a reason where the disk can be full.
    pub fn tend(&mut self, queue: &Queue, disk_may_be_full: bool) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            let refused = disk_may_be_full && status.code() == Some(UNSERVED);
            ensure!(self.may_end || refused, "a node ended by itself: {status}");
            ensure!(!matches!(status.code(), Some(70 | 101)), "a node broke: {status}");
            *self = Node::start(queue, self.arguments, &self.environment)?;
        }
        Ok(())
    }

    fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Suspends its dispatcher for that time and does not wait: commands would, if it holds the lock of a file.
    pub fn stall(&self, length: Duration) {
        let pid = self.pid();
        send(pid, Signal::SIGSTOP);
        std::thread::spawn(move || {
            sleep(length);
            send(pid, Signal::SIGCONT);
        });
    }

    /// Kills it and everything it has started, and waits.
    pub fn end(&mut self) -> anyhow::Result<()> {
        self.may_end = true;
        for worker in workers(self.pid()) {
            send(worker, Signal::SIGCONT);
        }
        send(self.pid(), Signal::SIGCONT);
        send(self.pid(), Signal::SIGKILL);
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// The worker processes of a dispatcher.
fn workers(dispatcher: i32) -> Vec<i32> {
    let is_worker = |pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|word| word == b"worker:run")
    };
    let all = children(dispatcher).into_iter();
    all.filter(is_worker).collect()
}

/// What a worker process has running.
#[derive(Clone)]
enum Job {
    Process(i32),
    Container(String),
}

/// What happened, by kind; a fault that found no process to hit does not count.
pub type Tally = BTreeMap<String, u32>;

/// Does a fault to one of the nodes. False if there was no process to hit.
pub fn strike(
    fault: Fault,
    nodes: &mut [Node],
    queue: &Queue,
    engine: Option<&Engine>,
    rng: &mut Rng,
) -> anyhow::Result<bool> {
    // Nodes, workers and jobs that hold something.
    let mut held = Vec::new();
    let containers = match engine {
        Some(engine) => contained(queue, engine)?,
        None => Vec::new(),
    };
    for (place, node) in nodes.iter().enumerate() {
        for worker in workers(node.pid()) {
            held.extend(
                children(worker)
                    .into_iter()
                    .map(|job| (place, worker, Job::Process(job))),
            );
            // Which worker process of a node a container belongs to is not to be seen from outside.
            let own = containers.iter().filter(|(pid, _)| *pid == node.pid());
            held.extend(own.map(|(_, id)| (place, worker, Job::Container(id.clone()))));
        }
    }
    let Some((place, worker, job)) = rng.choice(held) else {
        return Ok(false);
    };
    let node = &mut nodes[place];
    let pause = Duration::from_millis(rng.u64(1..60));
    let dispatcher = node.pid();
    let hold = |pid| {
        let hit = send(pid, Signal::SIGSTOP);
        sleep(pause);
        send(pid, Signal::SIGCONT);
        hit
    };
    Ok(match fault {
        Fault::KillJob => match (job, engine) {
            (Job::Process(pid), _) => send(pid, Signal::SIGKILL),
            (Job::Container(id), Some(engine)) => engine.act(&id, "kill")?,
            _ => false,
        },
        Fault::RemoveContainer => match (job, engine) {
            (Job::Container(id), Some(engine)) => engine.act(&id, "remove")?,
            _ => false,
        },
        Fault::KillWorker => send(worker, Signal::SIGKILL),
        Fault::KillDispatcher => {
            node.may_end = true;
            send(dispatcher, Signal::SIGKILL)
        }
        Fault::KillNode => {
            node.may_end = true;
            // Held still, the dispatcher cannot see its workers die.
            send(dispatcher, Signal::SIGSTOP);
            for worker in workers(dispatcher) {
                send(worker, Signal::SIGKILL);
            }
            send(dispatcher, Signal::SIGKILL)
        }
        Fault::HoldJob => match (job, engine) {
            (Job::Process(pid), _) => hold(pid),
            (Job::Container(id), Some(engine)) => engine.hold(&id, pause)?,
            _ => false,
        },
        Fault::HoldWorker => hold(worker),
        Fault::HoldDispatcher => hold(dispatcher),
        Fault::Terminate => {
            node.may_end = true;
            let hit = send(dispatcher, Signal::SIGTERM);
            sleep(pause / 4);
            send(dispatcher, Signal::SIGTERM);
            hit
        }
        Fault::Stop | Fault::StopNow => {
            let Some(number) = number(queue, dispatcher)? else {
                return Ok(false);
            };
            node.may_end = true;
            let now = (fault == Fault::StopNow).then_some("--now");
            // It may have ended by itself meanwhile.
            queue.run(["worker:stop", &number].into_iter().chain(now))?;
            true
        }
        Fault::StopRace => {
            let Some(number) = number(queue, dispatcher)? else {
                return Ok(false);
            };
            node.may_end = true;
            let wait = rng.bool().then_some("--wait");
            let mut stop = queue.command(["worker:stop", &number].into_iter().chain(wait));
            let mut stop = stop.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
            sleep(pause / 3);
            match rng.u8(..4) {
                0 => drop(send(dispatcher, Signal::SIGKILL)),
                1 => drop(send(worker, Signal::SIGKILL)),
                2 => drop(send(dispatcher, Signal::SIGTERM)),
                _ => drop(queue.run(["worker:stop", "--now", &number])?),
            }
            // Whatever happened, who asked gets an answer.
            let status = wait_for("worker:stop to end", || Ok(stop.try_wait()?))?;
            ensure!(
                !matches!(status.code(), None | Some(70 | 101)),
                "worker:stop ended with {status}"
            );
            true
        }
    })
}

/// The containers that run now, each with the dispatcher whose job it is; not those that no job waits for any more.
fn contained(queue: &Queue, engine: &Engine) -> anyhow::Result<Vec<(i32, String)>> {
    let running = engine.running()?;
    if running.is_empty() {
        return Ok(Vec::new());
    }
    let table = |value: Value, from: &str, to: &str| -> HashMap<i64, i64> {
        let rows = value.as_array().cloned().unwrap_or_default();
        let pair = |row: &Value| Some((row[from].as_i64()?, row[to].as_i64()?));
        rows.iter().filter_map(pair).collect()
    };
    let nodes = table(queue.json(["list", "--state", "processing"])?, "number", "node");
    let pids = table(queue.json(["worker:list"])?, "id", "pid");
    let owned = running.into_iter().filter_map(|(id, job)| {
        let pid = pids.get(nodes.get(&job)?)?;
        Some((i32::try_from(*pid).ok()?, id))
    });
    Ok(owned.collect())
}

/// The number of a node; none if it is not there yet, or not any more.
fn number(queue: &Queue, dispatcher: i32) -> anyhow::Result<Option<String>> {
    let listed = queue.json(["worker:list"])?;
    let mut known = listed.as_array().into_iter().flatten();
    let entry = known.find(|entry| entry["pid"] == dispatcher);
    Ok(entry.and_then(|entry| Some(entry["id"].as_i64()?.to_string())))
}
