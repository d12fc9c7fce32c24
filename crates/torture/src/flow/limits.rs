//! Jobs of many keys, some with three, while nodes are killed and suspended: at no moment do more of a key live than it
//! allows, all end, and the jobs of a key start in their order.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, ensure};
use fastrand::Rng;
use serde_json::json;

use super::spans::{self, Span};
use super::stage::{SHORT, Stage, long_job, store};
use super::{Plan, spans::within};
use crate::chaos::Fault;
use crate::rig::Rig;
use crate::storage::must_fail;
use crate::verdict::{self, Fate};

/// Jobs, and faults for them, unless the plan says otherwise.
const JOBS: u32 = 100_000;
const KILLS: u32 = 200;
/// Jobs for each key, on average.
const JOBS_PER_KEY: usize = 100;
/// Limits: `k1` lets one job of a key run at a time, and so on.
const LIMITS: usize = 5;
/// Longest file that is stored at a time.
const BATCH: usize = 5_000;
/// How many places later than by its age a job may be among the starts of its key. A job whose node dies waits until it is
/// rescued, and others of its key go on meanwhile.
const LATE: usize = 1_000;

/// What is switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Control {
    None,
    /// The limits are raised, and the judge does not know.
    Gate,
    /// Slots come back before the processes of a dead node are.
    Sweep,
}

/// Runs the campaign and its controls.
pub fn run(rig: &Rig, plan: &Plan) -> anyhow::Result<()> {
    let (jobs, kills) = (plan.jobs.unwrap_or(JOBS) as usize, plan.kills.unwrap_or(KILLS));
    campaign(rig, plan, jobs, kills, Control::None)?;
    must_fail("limits raised", campaign(rig, plan, 400, 0, Control::Gate))?;
    if rig.has_controls() && kills >= 20 {
        let swept = campaign(rig, plan, 300, 20, Control::Sweep);
        must_fail("no sweep before a rescue", swept)?;
    }
    Ok(())
}

fn campaign(rig: &Rig, plan: &Plan, count: usize, kills: u32, control: Control) -> anyhow::Result<()> {
    let mut rng = Rng::with_seed(plan.seed);
    let name = format!("limits-{control:?}").to_lowercase();
    let mut stage = Stage::new(rig, &name, plan.database)?;
    match control {
        Control::None => {}
        Control::Gate => stage.make_control(None),
        Control::Sweep => {
            stage.make_control(Some("sweep"));
            stage.faults = &[Fault::KillNode];
        }
    }
    for running in 1..=LIMITS {
        let number = running.to_string();
        stage.queue.ok([
            "limit:set",
            &format!("k{number}"),
            "--per-key",
            "--running",
            &number,
        ])?;
    }
    // The first half is there before the nodes; the second comes while they run.
    let keys = (count / JOBS_PER_KEY).max(10);
    let long = if control == Control::Sweep { 2 } else { 10 };
    let mut plans: Vec<(String, Vec<String>)> =
        (0..count).map(|place| job(place, keys, long, &mut rng)).collect();
    let later = plans.split_off(count / 2);
    let mut named = HashMap::new();
    feed(&stage.queue, "ahead", plans, &mut named)?;
    if control == Control::Gate {
        for running in 1..=LIMITS {
            stage
                .queue
                .ok(["limit:set", &format!("k{running}"), "--running", "1000"])?;
        }
    }
    stage.start(&[])?;
    let (lived, more) = std::thread::scope(|scope| {
        let queue = stage.queue.clone();
        let feeder = scope.spawn(move || {
            let mut named = HashMap::new();
            feed(&queue, "later", later, &mut named).map(|()| named)
        });
        (stage.live(count, kills, &mut rng), feeder.join())
    });
    stage.conclude(lived, |stage| {
        named.extend(more.ok().context("the feeder broke")??);
        judge(stage, &named, keys)
    })
}

/// A job and the keys that it names.
fn job(place: usize, keys: usize, long: u32, rng: &mut Rng) -> (String, Vec<String>) {
    let mut named: Vec<String> = Vec::new();
    let wanted = if rng.u8(..10) == 0 { 3 } else { 1 };
    while named.len() < wanted {
        // Half of the jobs belong to a few keys that much is wanted of at the time.
        let key = if rng.bool() {
            place / 200 * 7 + rng.usize(..4)
        } else {
            rng.usize(..keys)
        } % keys;
        let key = format!("k{}:{key}", key % LIMITS + 1);
        if !named.contains(&key) {
            named.push(key);
        }
    }
    let command = match rng.u32(..long) {
        0 => long_job(8, rng),
        _ => json!(SHORT),
    };
    (json!({"command": command, "limit": named}).to_string(), named)
}

type Named = HashMap<i64, Vec<String>>;

fn feed(
    queue: &crate::rig::Queue,
    name: &str,
    mut plans: Vec<(String, Vec<String>)>,
    named: &mut Named,
) -> anyhow::Result<()> {
    while !plans.is_empty() {
        let batch: Vec<_> = plans.drain(..plans.len().min(BATCH)).collect();
        let lines: String = batch.iter().map(|(job, _)| format!("{job}\n")).collect();
        let ids = store(queue, name, &lines)?;
        named.extend(ids.into_iter().zip(batch.into_iter().map(|(_, keys)| keys)));
    }
    Ok(())
}

/// What was found besides that nothing was violated.
fn judge(stage: &Stage, named: &Named, keys: usize) -> anyhow::Result<String> {
    let spans = spans::read(&stage.queue.work.join("log"))?;
    let allowed = |key: &str| key[1..2].parse().unwrap_or(0);
    let full = within(&spans, |job| named.get(&job).map_or(&[], Vec::as_slice), allowed)?;
    if stage.is_control {
        // Whatever else is wrong then is not what it is about.
        return Ok("never more than allowed".to_owned());
    }
    let fates = named
        .keys()
        .map(|job| (job.to_string(), Fate::Completed))
        .collect();
    let jobs = verdict::judge(&stage.queue, &fates)?;
    ensure!(jobs == named.len(), "{jobs} jobs, of {} stored", named.len());
    let latest = latest(&spans, named);
    ensure!(
        latest <= LATE,
        "a job started {latest} places later than by its age"
    );
    let several = named.values().filter(|keys| keys.len() > 1).count();
    let cut_short = spans.iter().filter(|span| !span.ended).count();
    Ok(format!(
        "{jobs} jobs of {keys} keys, {several} with three; {} attempts, {cut_short} cut short; a start filled its key {full} \
         times; at most {latest} places late",
        spans.len()
    ))
}

/// How many places later than by its age any job with a single key was among the starts of its key.
fn latest(spans: &[Span], named: &Named) -> usize {
    let mut starts: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    let mut seen = std::collections::HashSet::new();
    for span in spans {
        if let Some([key]) = named.get(&span.job).map(Vec::as_slice)
            && seen.insert(span.job)
        {
            starts.entry(key).or_default().push(span.job);
        }
    }
    let late = |started: &Vec<i64>| {
        let mut by_age = started.clone();
        by_age.sort_unstable();
        let places = started.iter().enumerate();
        let late =
            places.map(|(place, job)| place.saturating_sub(by_age.partition_point(|other| other < job)));
        late.max().unwrap_or(0)
    };
    starts.values().map(late).max().unwrap_or(0)
}
