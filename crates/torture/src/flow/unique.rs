//! Unique keys: enqueuers that store jobs of the same keys at the same time, and are killed, as the nodes are. Of the jobs
//! with a key, at most one has not ended at any moment, besides the successor of one that runs.
//!
//! The judge replays the ledger of events. A job that is stored while another with its key runs must be its successor, so
//! it must not start before that has ended; in any other state there must be no other.

use std::collections::{BTreeMap, HashMap};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use fastrand::Rng;
use serde_json::{Value, json};

use super::Plan;
use super::spans::{self, within};
use super::stage::{Database, SHORT, Stage, long_job};
use crate::rig::{Queue, Rig};
use crate::storage::must_fail;

/// Keys, and faults of nodes, unless the plan says otherwise.
const KEYS: u32 = 10_000;
const KILLS: u32 = 100;
const ENQUEUERS: usize = 8;
/// Jobs that are asked for, for each key.
const CALLS: usize = 5;
/// Jobs of one call.
const BATCH: usize = 50;
/// Keys that half of the jobs have.
const HOT: usize = 40;

/// What is switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Control {
    None,
    /// Jobs are stored under keys that no other has, and the judge does not know.
    Key,
    /// The index is dropped.
    Index,
}

/// Runs the campaign and its controls.
pub fn run(rig: &Rig, plan: &Plan) -> anyhow::Result<()> {
    let (keys, kills) = (plan.jobs.unwrap_or(KEYS) as usize, plan.kills.unwrap_or(KILLS));
    campaign(rig, plan, keys, kills, Control::None)?;
    let few = keys.min(60);
    must_fail("no key", campaign(rig, plan, few, 0, Control::Key))?;
    // A file has one writer at a time, so there the index is a second lock on the door.
    if plan.database == Database::Postgres {
        let control = campaign(rig, plan, few.max(200), 0, Control::Index);
        must_fail("no unique index", control)?;
    }
    Ok(())
}

fn campaign(rig: &Rig, plan: &Plan, keys: usize, kills: u32, control: Control) -> anyhow::Result<()> {
    let mut rng = Rng::with_seed(plan.seed);
    let mut stage = Stage::new(rig, "unique", plan.database)?;
    if control != Control::None {
        stage.make_control(None);
    }
    stage.queue.ok(["config:set", "event_retention", "1d"])?;
    if control == Control::Index {
        stage.sql("DROP INDEX jobs_unique")?;
    }
    stage.start(&[])?;
    let (asked, cut) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let busy = AtomicUsize::new(ENQUEUERS);
    let lived = std::thread::scope(|scope| {
        for number in 0..ENQUEUERS {
            let (queue, seed) = (stage.queue.clone(), rng.u64(..));
            let (asked, cut, busy) = (&asked, &cut, &busy);
            scope.spawn(move || {
                let mut rng = Rng::with_seed(seed);
                let calls = (keys * CALLS / BATCH / ENQUEUERS).max(1);
                for _ in 0..calls {
                    match call(&queue, number, keys, control, &mut rng) {
                        Ok(true) => {}
                        Ok(false) => drop(cut.fetch_add(1, Ordering::Relaxed)),
                        Err(error) => println!("enqueuer {number}: {error:#}"),
                    }
                    asked.fetch_add(BATCH, Ordering::Relaxed);
                }
                busy.fetch_sub(1, Ordering::SeqCst);
            });
        }
        stage.live_until(keys / 2, kills, &mut rng, |stage| {
            Ok(busy.load(Ordering::SeqCst) == 0 && stage.unfinished()? == 0)
        })
    });
    stage.conclude(lived, |stage| {
        let (stored, history) = judge(stage)?;
        Ok(format!(
            "{} jobs asked for by {ENQUEUERS} enqueuers, of {keys} keys, {stored} stored; {} calls killed; {history:?}",
            asked.into_inner(),
            cut.into_inner()
        ))
    })
}

/// Stores a batch; false if the command was killed meanwhile.
fn call(queue: &Queue, number: usize, keys: usize, control: Control, rng: &mut Rng) -> anyhow::Result<bool> {
    let mut lines = String::new();
    for _ in 0..BATCH {
        let key = if rng.bool() {
            rng.usize(..HOT.min(keys))
        } else {
            rng.usize(..keys)
        };
        let unique = match control {
            Control::Key => format!("{key} {}", rng.u64(..)),
            _ => key.to_string(),
        };
        let command = match rng.u8(..20) {
            0 => long_job(6, rng),
            _ => json!(SHORT),
        };
        let on_conflict = if rng.u8(..3) == 0 { "replace" } else { "return" };
        let job = json!({"command": command, "unique": unique, "on_conflict": on_conflict});
        lines += &format!("{job}\n");
    }
    let file = format!("jobs-{number}");
    std::fs::write(queue.work.join(&file), lines)?;
    let mut command = queue.command(["-q", "enqueue", "--from", &file]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    if rng.u8(..10) == 0 {
        std::thread::sleep(Duration::from_millis(rng.u64(1..150)));
        child.kill()?;
        return Ok(child.wait()?.success());
    }
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {}", output.status, said.trim());
    Ok(true)
}

/// The jobs of a key that have not ended.
#[derive(Default)]
struct Key {
    holder: Option<i64>,
    runs: bool,
    successor: Option<i64>,
}

/// Counts of what happened.
#[derive(Debug, Default)]
struct History {
    events: usize,
    successors: usize,
    promoted: usize,
}

impl History {
    /// Applies an event to its key.
    fn apply(&mut self, kind: &str, job: i64, key: &mut Key) -> anyhow::Result<()> {
        self.events += 1;
        let is_holder = key.holder == Some(job);
        match kind {
            "enqueued" if key.holder.is_none() => (key.holder, key.runs) = (Some(job), false),
            "enqueued" => {
                ensure!(key.runs, "job {job} was stored while job {:?} waited", key.holder);
                ensure!(
                    key.successor.is_none(),
                    "there was a successor: {:?}",
                    key.successor
                );
                key.successor = Some(job);
                self.successors += 1;
            }
            "started" => {
                ensure!(
                    is_holder,
                    "job {job} started, and job {:?} had the key",
                    key.holder
                );
                key.runs = true;
            }
            "failed" | "returned" => {
                ensure!(
                    is_holder,
                    "job {job} {kind}, and job {:?} had the key",
                    key.holder
                );
                key.runs = false;
            }
            "succeeded" | "dead" | "cancelled" if is_holder => {
                self.promoted += usize::from(key.successor.is_some());
                (key.holder, key.runs, key.successor) = (key.successor.take(), false, None);
            }
            "succeeded" | "dead" | "cancelled" => {
                ensure!(key.successor == Some(job), "job {job} {kind} without the key");
                key.successor = None;
            }
            // What was replaced was cancelled before.
            _ => {}
        }
        Ok(())
    }
}

/// How many jobs there were, and what happened to them.
fn judge(stage: &Stage) -> anyhow::Result<(usize, History)> {
    let mut keys: HashMap<i64, Vec<String>> = HashMap::new();
    for job in stage.queue.jobs()? {
        let number = job["number"].as_i64().context("a job without number")?;
        let key = job["unique"].as_str().unwrap_or_default();
        let key = key.split(' ').next().unwrap_or_default().to_owned();
        ensure!(
            job["state"] == "completed" || job["state"] == "cancelled",
            "{job}"
        );
        keys.insert(number, vec![key]);
    }
    let mut events: Vec<Value> = stage
        .queue
        .json(["events"])?
        .as_array()
        .context("no events")?
        .clone();
    // By number: a job is entered once the index let it in, which was after the commit of what ended the one before.
    events.sort_by_key(|event| event["event"].as_i64());
    let mut history = History::default();
    let mut now: BTreeMap<&str, Key> = BTreeMap::new();
    for event in &events {
        let Some(job) = event["number"].as_i64() else {
            continue;
        };
        let [key] = keys
            .get(&job)
            .context("an event of a job that is gone")?
            .as_slice()
        else {
            continue;
        };
        let kind = event["kind"].as_str().unwrap_or_default();
        let applied = history.apply(kind, job, now.entry(key).or_default());
        applied.with_context(|| format!("key {key}, event {event}"))?;
    }
    let spans = spans::read(&stage.queue.work.join("log"))?;
    within(&spans, |job| keys.get(&job).map_or(&[], Vec::as_slice), |_| 1)?;
    stage.queue.check()?;
    Ok((keys.len(), history))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replay(events: &[(&str, i64)]) -> anyhow::Result<()> {
        let (mut history, mut key) = (History::default(), Key::default());
        events
            .iter()
            .try_for_each(|(kind, job)| history.apply(kind, *job, &mut key))
    }

    #[test]
    fn one_job_at_a_time_and_a_successor_are_in_order() {
        replay(&[
            ("enqueued", 1),
            ("cancelled", 1),
            ("enqueued", 2),
            ("replaced", 1),
            ("started", 2),
            ("succeeded", 2),
        ])
        .unwrap();
        replay(&[
            ("enqueued", 1),
            ("started", 1),
            ("enqueued", 2),
            ("succeeded", 1),
            ("unblocked", 2),
            ("started", 2),
        ])
        .unwrap();
    }

    #[test]
    fn a_second_job_is_found() {
        for events in [
            &[("enqueued", 1), ("enqueued", 2)][..],
            &[("enqueued", 1), ("started", 1), ("failed", 1), ("enqueued", 2)],
            &[("enqueued", 1), ("started", 1), ("enqueued", 2), ("enqueued", 3)],
            &[("enqueued", 1), ("started", 1), ("enqueued", 2), ("started", 2)],
        ] {
            assert!(replay(events).is_err(), "{events:?}");
        }
    }
}
