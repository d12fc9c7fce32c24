//! A fault at every system call of the transaction by which a node records the end of a job on which others hang:
//! everything that follows from the end is stored with it, or nothing is.
//!
//! The job holds the slot of a limit for which others wait. One job waits until it is completed, and one until it has failed,
//! which is cancelled instead. It has a hook, and it is the last member of a group with a callback. Right after each fault,
//! before anything is repaired, these must fit together. Then the rest must run to its end.
//!
//! `strace` comes while the job runs, which then may end, so it counts the calls from there on: a kill at each of them, by
//! name, until the end of the job outlives it. That is how many there are of a name, and then as many are made to fail.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Child, Stdio};
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use fastrand::Rng;
use serde_json::{Value, json};

use super::Plan;
use super::stage::{Stage, enqueue};
use crate::rig::{Queue, Rig, complaint, wait_for};
use crate::storage::must_fail;
use crate::strace::{Injection, Tracer, came_to_it, cannot_attach};

/// A fault at every n-th of the calls, unless the plan says otherwise.
const STEP: u32 = 1;
/// Queues that meet faults at the same time.
const LANES: u32 = 2;
const KILL: &str = "signal=KILL";
/// How calls fail: those of a file, and those to a server. Not `sendto`: libpq leaves it to the next read to find out about a
/// connection that broke, and of one that did not, it would wait for an answer to what was never sent.
const BROKEN: &[(&str, &str)] = &[
    ("pread64", "error=EIO"),
    ("pwrite64", "error=EIO"),
    ("fsync", "error=EIO"),
    ("fdatasync", "error=EIO"),
    ("ftruncate", "error=EIO"),
    ("pwrite64", "error=ENOSPC"),
    ("ftruncate", "error=ENOSPC"),
    ("recvfrom", "error=ECONNRESET"),
];
/// Kills of calls of one name that the end of the job must have outlived one after the other.
const OUTLIVED: u32 = 2;
const LIMIT: &str = "one";
/// The jobs that are there before the end of the first.
const JOBS: usize = 5;

/// Runs the campaign and its controls.
pub fn run(rig: &Rig, plan: &Plan) -> anyhow::Result<()> {
    if let Some(reason) = cannot_attach() {
        rig.skip("atomic", &reason);
        return Ok(());
    }
    let step = plan.jobs.unwrap_or(STEP).max(1);
    let begun = Instant::now();
    let mut first = Lane::new(rig, plan, 0, None)?;
    let calls = Mutex::new(first.calls()?);
    let mut lanes = vec![first];
    for number in 1..LANES {
        lanes.push(Lane::new(rig, plan, number, None)?);
    }
    let found: Vec<anyhow::Result<Seen>> = std::thread::scope(|scope| {
        let work = lanes.into_iter().map(|mut lane| {
            let (calls, mut rng) = (&calls, Rng::with_seed(plan.seed));
            scope.spawn(move || {
                let swept = lane.sweep_all(calls, step, &mut rng);
                if let Err(error) = &swept {
                    // The others need not go on, and may take a while to their next call.
                    println!("  violation: {error:#}");
                    take_all(calls);
                }
                lane.stage.kept(swept)
            })
        });
        let work: Vec<_> = work.collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| match thread.join() {
            Ok(found) => found,
            Err(_) => bail!("a lane broke"),
        };
        work.into_iter().map(join).collect()
    });
    let mut seen = Seen::default();
    for lane in found {
        let lane = lane?;
        seen.before += lane.before;
        seen.after += lane.after;
    }
    println!(
        "{} faults, of which the end of the job outlived {}; in {:.0} s",
        seen.before + seen.after,
        seen.after,
        begun.elapsed().as_secs_f64()
    );
    ensure!(
        seen.before > 0 && seen.after > 0,
        "no fault came before the end, or none after it"
    );
    if rig.has_controls() {
        for guarantee in ["dependencies", "hooks"] {
            let jobs = Lane::new(rig, plan, LANES, Some(guarantee))?.undisturbed()?;
            must_fail(&format!("the end of a job without its {guarantee}"), whole(&jobs))?;
        }
    }
    Ok(())
}

/// Counts of faults: those that left the job as if it had not ended, and those that left it ended.
#[derive(Debug, Default)]
struct Seen {
    before: u32,
    after: u32,
}

/// The names of calls that no lane has begun with.
type Calls = Mutex<BTreeSet<String>>;

fn take_all(calls: &Calls) {
    calls
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .clear();
}

/// A queue that meets one fault after the other, each with jobs of its own.
struct Lane {
    stage: Stage,
    round: u32,
}

impl Lane {
    fn new(rig: &Rig, plan: &Plan, number: u32, without: Option<&'static str>) -> anyhow::Result<Lane> {
        let mut stage = Stage::new(rig, &format!("atomic-{number}"), plan.database)?;
        if without.is_some() {
            stage.make_control(without);
        }
        stage.queue.ok(["limit:set", LIMIT, "--running", "1"])?;
        Ok(Lane { stage, round: 0 })
    }

    /// The names of the calls that a node makes from the end of the job on.
    fn calls(&mut self) -> anyhow::Result<BTreeSet<String>> {
        let (_, trace) = self.play(None)?;
        self.settle()?;
        let name = |line: &str| {
            let (name, _) = line.split_once('(')?;
            let is_name = name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            // Nothing comes after this one.
            (is_name && name != "exit_group").then(|| name.to_owned())
        };
        Ok(trace.lines().filter_map(name).collect())
    }

    fn sweep_all(&mut self, calls: &Calls, step: u32, rng: &mut Rng) -> anyhow::Result<Seen> {
        let mut seen = Seen::default();
        let next = || calls.lock().ok().and_then(|mut calls| calls.pop_first());
        while let Some(call) = next() {
            let first = rng.u32(1..=step);
            let (mut last, mut outlived, mut faults) = (0, 0, 0);
            let mut count = |ended: bool| {
                faults += 1;
                *(if ended { &mut seen.after } else { &mut seen.before }) += 1;
            };
            let mut numbers = (first..).step_by(step as usize);
            while outlived < OUTLIVED
                && let Some(n) = numbers.next()
                && let Some(ended) = self.meet(&call, KILL, n)?
            {
                count(ended);
                (last, outlived) = if ended { (last, outlived + 1) } else { (n, 0) };
            }
            for (_, fault) in BROKEN.iter().filter(|(broken, _)| *broken == call) {
                // The last one is the first that the end outlives: what was written is there, though the disk is waited for.
                for n in (first..=last + 1).step_by(step as usize) {
                    if let Some(ended) = self.meet(&call, fault, n)? {
                        count(ended);
                    }
                }
            }
            if last > 0 || faults > OUTLIVED {
                println!("  {call}: {faults} faults; at number {last} the end was not yet stored");
            }
        }
        Ok(seen)
    }

    /// One fault: whether the job has ended then; none if it did not come to that.
    fn meet(&mut self, call: &str, fault: &str, n: u32) -> anyhow::Result<Option<bool>> {
        let (jobs, trace) = self
            .play(Some(Injection { call, fault, n }))
            .with_context(|| format!("{fault} at {call} number {n}"))?;
        let judged = whole(&jobs).and_then(|ended| {
            self.settle()?;
            Ok(ended)
        });
        let said = fs::read_to_string(self.stage.queue.work.join("node.log"))?;
        let ended = judged.with_context(|| {
            let states = states(&jobs);
            format!(
                "{fault} at {call} number {n} left {states}; the node said: {}",
                said.trim()
            )
        })?;
        Ok(came_to_it(&trace).then_some(ended))
    }

    /// Has a node run the jobs, with a fault after the first may end. What is left then, and the trace.
    fn play(&mut self, injection: Option<Injection<'_>>) -> anyhow::Result<(Jobs, String)> {
        let mut node = self.begin()?;
        let tracer = Tracer::attach(node.id(), self.stage.queue.work.join("trace"), injection)?;
        self.let_go()?;
        wait_for("the end of the node", || Ok(node.try_wait()?))?;
        Ok((read(&self.stage.queue)?, tracer.wait()?))
    }

    /// The same without anything; the node is killed when the job has ended.
    fn undisturbed(&mut self) -> anyhow::Result<Jobs> {
        let mut node = self.begin()?;
        self.let_go()?;
        wait_for("the end of the job", || {
            let jobs = read(&self.stage.queue)?;
            Ok(find(&jobs, "first")
                .filter(|job| job["state"] == "completed")
                .map(drop))
        })?;
        node.kill()?;
        node.wait()?;
        read(&self.stage.queue)
    }

    /// Stores jobs, and starts a node that is running the first one.
    fn begin(&mut self) -> anyhow::Result<Child> {
        self.round += 1;
        let (queue, round) = (&self.stage.queue, self.round);
        for file in ["begun", "go", "ran"] {
            let _ = fs::remove_file(queue.work.join(file));
        }
        let group = format!("group-{round}");
        queue.ok(["group:create", &group, "--then", &echo("callback")])?;
        let id = |role: &str| format!("{role}-{round}");
        let wait = format!(
            "touch begun; until [ -e go ]; do sleep 0.01; done; {}",
            echo("first")
        );
        let first = id("first");
        let jobs = [
            json!({"id": first, "command": wait, "limit": [LIMIT], "group": group, "close_group": true,
                "on_success": echo("hook")}),
            json!({"id": id("second"), "command": echo("second"), "limit": [LIMIT]}),
            json!({"id": id("third"), "command": echo("third"), "limit": [LIMIT]}),
            json!({"id": id("completed"), "command": echo("completed"), "after": [first]}),
            json!({"id": id("failed"), "command": echo("failed"), "after": [format!("{first}:failed")]}),
        ];
        let lines: String = jobs.iter().map(|job| format!("{job}\n")).collect();
        enqueue(queue, "jobs", &lines)?;
        let mut node = queue
            .command([
                "-q",
                "worker:start",
                "--drain",
                "--count",
                "1",
                "--concurrency",
                "2",
            ])
            .stdout(Stdio::null())
            .stderr(fs::File::create(queue.work.join("node.log"))?)
            .spawn()
            .context("cannot start a node")?;
        wait_for("the job to begin", || {
            if let Some(status) = node.try_wait()? {
                bail!("the node ended: {status}");
            }
            Ok(queue.work.join("begun").exists().then_some(()))
        })?;
        Ok(node)
    }

    fn let_go(&self) -> anyhow::Result<()> {
        Ok(fs::write(self.stage.queue.work.join("go"), "")?)
    }

    /// Runs what is left to its end, judges that, and removes it.
    fn settle(&self) -> anyhow::Result<()> {
        let queue = &self.stage.queue;
        queue.check().context("right after the fault")?;
        // Its status says whether it saw one that was not completed.
        let drained = queue.run(["-q", "worker:start", "--drain", "--count", "1"])?;
        ensure!(
            matches!(drained.status.code(), Some(0 | 1)),
            "{}",
            complaint(&drained)
        );
        let jobs = read(queue)?;
        let ran = fs::read_to_string(queue.work.join("ran"))?;
        for (role, job) in &jobs {
            let is_cancelled = role == "failed";
            let wanted = if is_cancelled { "cancelled" } else { "completed" };
            ensure!(job["state"] == wanted, "in the end: {}", states(&jobs));
            let has_run = ran.lines().any(|line| line == role);
            ensure!(has_run != is_cancelled, "{role} ran: {has_run}");
        }
        ensure!(whole(&jobs)?, "in the end: {}", states(&jobs));
        queue.check()?;
        queue.ok(["purge", "--yes"]).map(drop)
    }
}

/// What a job does: it writes its role.
fn echo(role: &str) -> String {
    format!("echo {role} >> ran")
}

/// Jobs and their roles.
type Jobs = Vec<(String, Value)>;

fn read(queue: &Queue) -> anyhow::Result<Jobs> {
    let role = |job: &Value| {
        // What a transaction stores has no name.
        let id = job["id"].as_str()?.rsplit_once('-').map(|(role, _)| role);
        let command = || job["command"].as_str()?.split(' ').nth(1);
        id.or_else(command).map(str::to_owned)
    };
    let jobs = queue.jobs()?.into_iter();
    jobs.map(|job| Ok((role(&job).context("a job without a role")?, job)))
        .collect()
}

fn find<'a>(jobs: &'a Jobs, role: &str) -> Option<&'a Value> {
    jobs.iter()
        .find_map(|(other, job)| (other == role).then_some(job))
}

/// Checks that everything that follows from the end of the first job is there, or nothing. Whether it has ended.
fn whole(jobs: &Jobs) -> anyhow::Result<bool> {
    let is = |role: &str, field: &str, value: &str| find(jobs, role).is_some_and(|job| job[field] == value);
    let ended = is("first", "state", "completed");
    let follows = [
        ("its child", !is("completed", "blocked_by", "dependency")),
        (
            "the child that needs its failure",
            is("failed", "state", "cancelled"),
        ),
        ("its hook", find(jobs, "hook").is_some()),
        ("the callback of its group", find(jobs, "callback").is_some()),
    ];
    for (what, followed) in follows {
        ensure!(
            followed == ended,
            "it has ended: {ended}, and {what} followed: {followed}"
        );
    }
    let all = JOBS + if ended { 2 } else { 0 };
    ensure!(jobs.len() == all, "{} jobs, not {all}", jobs.len());
    let open = ["first", "second", "third"]
        .into_iter()
        .filter(|role| !is(role, "state", "completed"));
    let (waiting, through): (Vec<&str>, Vec<&str>) = open.partition(|role| is(role, "blocked_by", "limit"));
    // Exactly one has the slot, or is next to get it.
    ensure!(
        through.len() == 1 || (through.is_empty() && waiting.is_empty()),
        "{through:?} have the slot, and {waiting:?} wait"
    );
    Ok(ended)
}

fn states(jobs: &Jobs) -> String {
    let mut all: Vec<String> = jobs
        .iter()
        .map(|(role, job)| format!("{role} {} {}", job["state"], job["blocked_by"]))
        .collect();
    all.sort();
    all.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is there after the end of the first job, without what the name says.
    fn ended_without(missing: &str) -> Jobs {
        let mut jobs = Jobs::new();
        let mut add = |role: &str, waits: &str, state: &str| {
            let (waits, state) = match (waits.is_empty(), role == missing) {
                (false, true) => (json!(waits), "blocked"),
                _ => (Value::Null, state),
            };
            jobs.push((role.to_owned(), json!({"state": state, "blocked_by": waits})));
        };
        add("first", "", "completed");
        add("second", "limit", "pending");
        add("completed", "dependency", "pending");
        add("failed", "dependency", "cancelled");
        for stored in ["hook", "callback"] {
            if stored != missing {
                add(stored, "", "pending");
            }
        }
        let third = json!({"state": "blocked", "blocked_by": "limit"});
        jobs.push(("third".to_owned(), third));
        jobs
    }

    #[test]
    fn half_of_what_follows_is_found() {
        assert!(whole(&ended_without("nothing")).unwrap());
        for missing in ["second", "completed", "failed", "hook", "callback"] {
            assert!(whole(&ended_without(missing)).is_err(), "{missing}");
        }
    }

    #[test]
    fn a_callback_before_the_end_or_twice_is_found() {
        let mut jobs = ended_without("nothing");
        jobs.push(jobs[5].clone());
        assert!(whole(&jobs).is_err());
        jobs.retain(|(role, _)| role != "hook");
        jobs[0].1["state"] = json!("processing");
        assert!(whole(&jobs).is_err());
    }
}
