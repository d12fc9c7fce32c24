//! A queue on one of the databases, three nodes, and faults until all jobs have ended.
//!
//! What is stored, and how what is left is judged, is up to the campaigns. They share the jobs that write when they lived,
//! and the end: the judge's words are printed, and what a campaign leaves that failed is kept, unless it is a control.

use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use fastrand::Rng;
use nix::sys::signal::Signal;
use queuectl_devkit::postgres::Server;
use serde_json::{Value, json};

use crate::chaos::{Fault, Node, Tally, strike};
use crate::log;
use crate::processes::send;
use crate::rig::{PATIENCE, Queue, Rig, finish, succeeded};

/// What the campaigns do to nodes that hold jobs, besides long stalls.
const FAULTS: &[Fault] = &[
    Fault::KillNode,
    Fault::KillNode,
    Fault::KillDispatcher,
    Fault::KillWorker,
    Fault::KillJob,
    Fault::HoldDispatcher,
    Fault::HoldWorker,
    Fault::HoldJob,
    Fault::StopNow,
];
/// Nodes, and what each runs at a time.
pub const NODES: usize = 3;
const SLOTS: &[&str] = &["--count", "2", "--concurrency", "4"];
/// The lease on PostgreSQL. Some stalls outlast it.
const LEASE: &str = "5s";
const LONG_STALL: Duration = Duration::from_millis(5500);
/// Interval between two looks at what is left.
const LOOK: Duration = Duration::from_millis(500);

/// A job that writes its first line, one more and its last.
pub const SHORT: &str = "say() { echo $1 $QUEUECTL_JOB_ID $QUEUECTL_FENCE >> log; }; say s; say t; say e";

/// The command of a job that lives on for fewer pauses than that, with a process that tries to outlive it.
pub fn long_job(pauses: u32, rng: &mut Rng) -> Value {
    json!(["bash", "job.sh", rng.u32(1..pauses).to_string()])
}

/// Where the queue is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Database {
    Sqlite,
    Postgres,
}

/// A queue with nodes.
pub struct Stage {
    pub queue: Queue,
    pub nodes: Vec<Node>,
    /// What can happen to nodes that hold jobs; twice what is to happen twice as often.
    pub faults: &'static [Fault],
    /// Longest time without the end of a job.
    pub patience: Duration,
    begun: Instant,
    pub is_control: bool,
    /// Until when a node is suspended.
    stalled: Option<Instant>,
    server: Option<Server>,
    /// How far the log has been read, and the ends in it.
    read: u64,
    ends: usize,
}

impl Stage {
    /// Makes an empty queue; jobs can be `job.sh` and write to `log`. No node runs yet.
    pub fn new(rig: &Rig, name: &str, database: Database) -> anyhow::Result<Stage> {
        let work = rig.fresh(name)?;
        fs::write(work.join("job.sh"), log::SCRIPT)?;
        nix::unistd::mkfifo(&work.join("wait"), nix::sys::stat::Mode::S_IRWXU)?;
        let server = match database {
            Database::Sqlite => None,
            Database::Postgres => {
                Some(Server::start()?.context("the programs of a PostgreSQL server are not installed")?)
            }
        };
        let db = match &server {
            None => work.join("queue.db"),
            Some(server) => PathBuf::from(&server.location),
        };
        let queue = rig.queue(db, work);
        let mut settings = vec![
            ("backoff_cap", "20ms"),
            ("max_retries", "1000"),
            ("kill_grace", "200ms"),
        ];
        if server.is_some() {
            settings.push(("lease", LEASE));
        }
        for (key, value) in settings {
            queue.ok(["config:set", key, value])?;
        }
        Ok(Stage {
            queue,
            nodes: Vec::new(),
            faults: FAULTS,
            patience: PATIENCE,
            begun: Instant::now(),
            is_control: false,
            stalled: None,
            server,
            read: 0,
            ends: 0,
        })
    }

    /// Makes it a control: it is expected to fail. The guarantee is one that the binary can switch off.
    pub fn make_control(&mut self, without: Option<&'static str>) {
        self.is_control = true;
        self.queue.without = without;
    }

    /// Starts the nodes; the clock of each is what its environment makes of it.
    pub fn start(&mut self, environments: &[&[(&'static str, String)]]) -> anyhow::Result<()> {
        for place in 0..NODES {
            let environment = environments.get(place).copied().unwrap_or_default();
            self.nodes.push(Node::start(&self.queue, SLOTS, environment)?);
        }
        Ok(())
    }

    /// Runs statements on the database, to break something.
    pub fn sql(&self, statements: &str) -> anyhow::Result<()> {
        if let Some(server) = &self.server {
            let statements = format!("SET search_path = {SCHEMA}; {statements}");
            return server.sql("postgres", &statements).map(drop);
        }
        let mut sqlite = Command::new("sqlite3");
        sqlite
            .args(["-cmd", ".timeout 30000"])
            .arg(&self.queue.db)
            .arg(statements);
        succeeded(&finish(sqlite)?).map(drop)
    }

    /// Runs the nodes until all of `jobs` have ended, with faults evenly over the time that this takes. What happened.
    pub fn live(&mut self, jobs: usize, kills: u32, rng: &mut Rng) -> anyhow::Result<Tally> {
        self.live_until(jobs, kills, rng, |stage| Ok(stage.unfinished()? == 0))
    }

    /// The same until there were as many ends and that holds, which is asked now and then.
    pub fn live_until(
        &mut self,
        jobs: usize,
        kills: u32,
        rng: &mut Rng,
        mut is_over: impl FnMut(&Stage) -> anyhow::Result<bool>,
    ) -> anyhow::Result<Tally> {
        let (mut done, mut tally) = (0, Tally::new());
        let (mut before, mut moved, mut asked) = (usize::MAX, Instant::now(), Instant::now());
        loop {
            self.tend()?;
            let ended = self.ends()?;
            if ended != before {
                (before, moved) = (ended, Instant::now());
            }
            ensure!(
                moved.elapsed() < self.patience,
                "no job ends any more: {}",
                self.left()?
            );
            let is_due = u64::from(done) * jobs as u64 <= ended as u64 * u64::from(kills);
            if done < kills && is_due {
                if let Some(kind) = self.strike(rng)? {
                    *tally.entry(kind).or_default() += 1;
                    done += 1;
                }
            } else if asked.elapsed() > LOOK {
                if is_over(self)? && ended >= jobs {
                    break;
                }
                asked = Instant::now();
            }
            std::thread::sleep(Duration::from_millis(rng.u64(1..15)));
        }
        Ok(tally)
    }

    /// Restarts nodes that a fault has ended.
    pub fn tend(&mut self) -> anyhow::Result<()> {
        let queue = &self.queue;
        self.nodes.iter_mut().try_for_each(|node| node.tend(queue, false))
    }

    /// One fault, if there is a process to hit.
    pub fn strike(&mut self, rng: &mut Rng) -> anyhow::Result<Option<String>> {
        let now = Instant::now();
        if rng.u8(..20) == 0 && self.stalled.is_none_or(|until| until < now) {
            let length = LONG_STALL.mul_f64(0.1 + rng.f64());
            self.nodes[rng.usize(..self.nodes.len())].stall(length);
            self.stalled = Some(now + length);
            return Ok(Some("Stall".to_owned()));
        }
        let Some(fault) = rng.choice(self.faults.iter().copied()) else {
            return Ok(None);
        };
        let hit =
            strike(fault, &mut self.nodes, &self.queue, None, rng).with_context(|| format!("{fault:?}"))?;
        Ok(hit.then(|| format!("{fault:?}")))
    }

    /// How many ends jobs have written so far.
    pub fn ends(&mut self) -> anyhow::Result<usize> {
        let Ok(mut file) = fs::File::open(self.queue.work.join("log")) else {
            return Ok(0);
        };
        file.seek(SeekFrom::Start(self.read))?;
        let mut more = Vec::new();
        file.read_to_end(&mut more)?;
        let whole = more
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |end| end + 1);
        self.read += whole as u64;
        let lines = more[..whole].split(|byte| *byte == b'\n');
        self.ends += lines.filter(|line| line.starts_with(b"e ")).count();
        Ok(self.ends)
    }

    /// Jobs that have not ended.
    pub fn unfinished(&self) -> anyhow::Result<u64> {
        let total = self.left()?;
        let open = ["pending", "scheduled", "processing", "failed", "blocked"];
        Ok(open.iter().filter_map(|state| total[*state].as_u64()).sum())
    }

    fn left(&self) -> anyhow::Result<Value> {
        Ok(self.queue.json(["status"])?["total"].clone())
    }

    /// Judges what is left of a campaign, and prints what the judge says and what happened.
    pub fn conclude(
        mut self,
        lived: anyhow::Result<Tally>,
        judge: impl FnOnce(&mut Stage) -> anyhow::Result<String>,
    ) -> anyhow::Result<()> {
        let judged = lived.and_then(|tally| Ok((tally, judge(&mut self)?)));
        let (tally, said) = self.kept(judged)?;
        let took = self.begun.elapsed().as_secs_f64();
        println!("{said}; in {took:.0} s\nfaults: {tally:?}");
        Ok(())
    }

    /// Keeps what there is of a campaign that failed, to be looked at, unless it is a control.
    pub fn kept<T>(&mut self, result: anyhow::Result<T>) -> anyhow::Result<T> {
        if self.is_control || result.is_ok() {
            return result;
        }
        self.nodes.clear();
        let name = self.queue.work.file_name().unwrap_or_default().display();
        let kept = std::env::temp_dir().join(format!("torture-{}-{name}", std::process::id()));
        let _ = Command::new("cp")
            .arg("-a")
            .args([&self.queue.work, &kept])
            .status();
        result.with_context(|| format!("see {}", kept.display()))
    }
}

/// The schema of the queue on a server.
const SCHEMA: &str = "queuectl";

impl Drop for Stage {
    fn drop(&mut self) {
        self.nodes.clear();
        kill_inside(&self.queue);
    }
}

/// Kills what works in a queue's folder: jobs of killed nodes would run on, and keep the folder from being removed.
fn kill_inside(queue: &Queue) {
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let inside = fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd == queue.work);
        if let (true, Some(Ok(pid))) = (inside, entry.file_name().to_str().map(str::parse)) {
            send(pid, Signal::SIGKILL);
        }
    }
}

/// Stores jobs, one a line, and returns their numbers in that order. None has a name.
pub fn store(queue: &Queue, name: &str, lines: &str) -> anyhow::Result<Vec<i64>> {
    let ids = enqueue(queue, name, lines)?;
    Ok(ids.iter().map(|id| id.parse()).collect::<Result<_, _>>()?)
}

/// The same; what was printed for each.
pub fn enqueue(queue: &Queue, name: &str, lines: &str) -> anyhow::Result<Vec<String>> {
    let file = queue.work.join(name);
    fs::write(&file, lines)?;
    let mut command = queue.command(["enqueue", "--from", "-"]);
    command.stdin(fs::File::open(file)?);
    let ids: Vec<String> = succeeded(&finish(command)?)?.lines().map(str::to_owned).collect();
    ensure!(ids.len() == lines.lines().count(), "ids of some jobs only");
    Ok(ids)
}
