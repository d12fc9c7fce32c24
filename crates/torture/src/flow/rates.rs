//! Jobs of a rate of ten a second and a burst of ten, on two nodes: never more starts than that allows, and hardly fewer.
//!
//! Each job writes the time of its start. A start counts when a node takes the job, and a job may write later than that,
//! but never earlier; so in any time from the first moment on, the lines must not be more than the rate allows. For the
//! times in between, the judge takes when jobs were taken, and checks that each wrote after that.

use std::collections::HashMap;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use fastrand::Rng;
use serde_json::json;

use super::Plan;
use super::stage::{Stage, store};
use super::ticks::millis;
use crate::rig::Rig;
use crate::storage::must_fail;

/// Starts, unless the plan says otherwise: a minute, and the burst.
const STARTS: u32 = 610;
const PER_SECOND: u64 = 10;
const BURST: u64 = 10;
/// Least part of the starts that were allowed.
const LEAST: f64 = 0.98;

const JOB: &str = "echo s $QUEUECTL_JOB_ID $QUEUECTL_FENCE ${EPOCHREALTIME/./} >> log; \
    echo e $QUEUECTL_JOB_ID $QUEUECTL_FENCE >> log";

/// Runs the campaign: undisturbed, under kills, and its control.
pub fn run(rig: &Rig, plan: &Plan) -> anyhow::Result<()> {
    let starts = plan.jobs.unwrap_or(STARTS);
    let kills = plan.kills.unwrap_or(starts / 20);
    campaign(rig, plan, starts, 0, PER_SECOND)?;
    campaign(rig, plan, starts, kills, PER_SECOND)?;
    must_fail(
        "twice the rate",
        campaign(rig, plan, starts.min(60), 0, 2 * PER_SECOND),
    )
}

fn campaign(rig: &Rig, plan: &Plan, count: u32, kills: u32, per_second: u64) -> anyhow::Result<()> {
    let mut rng = Rng::with_seed(plan.seed);
    let mut stage = Stage::new(rig, "rates", plan.database)?;
    if per_second != PER_SECOND {
        stage.make_control(None);
    }
    let (rate, burst) = (format!("{per_second}/1s"), BURST.to_string());
    stage
        .queue
        .ok(["limit:set", "api", "--rate", &rate, "--burst", &burst])?;
    stage.start(&[])?;
    // Two of them.
    stage.nodes.pop();
    let begun = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as u64;
    let job = json!({"command": ["bash", "-c", JOB], "limit": ["api"]});
    store(&stage.queue, "jobs", &format!("{job}\n").repeat(count as usize))?;
    let lived = stage.live(count as usize, kills, &mut rng);
    stage.conclude(lived, |stage| {
        let (starts, took, part) = judge(stage, begun, kills == 0)?;
        Ok(format!(
            "{starts} starts in {:.1} s, {:.1} % of what is allowed",
            took as f64 / 1000.0,
            part * 100.0
        ))
    })
}

/// How many starts are allowed in this time, in ms.
fn allowed(ms: u64) -> u64 {
    BURST + ms * PER_SECOND / 1000
}

/// Starts, the time from the first moment to the last of them in ms, and which part they are of what was allowed.
fn judge(stage: &Stage, begun: u64, is_full: bool) -> anyhow::Result<(u64, u64, f64)> {
    let mut wrote: Vec<u64> = Vec::new();
    let mut first: HashMap<i64, u64> = HashMap::new();
    for line in fs::read_to_string(stage.queue.work.join("log"))?.lines() {
        if let ["s", job, _, micros] = line.split(' ').collect::<Vec<_>>()[..] {
            let at = micros.parse::<u64>()? / 1000;
            wrote.push(at);
            first.insert(job.parse()?, at);
        }
    }
    wrote.sort_unstable();
    for (number, at) in (1..).zip(&wrote) {
        let most = allowed(at.saturating_sub(begun) + 1);
        ensure!(
            number <= most,
            "{number} starts in the first {} ms, of {most}",
            at - begun
        );
    }
    let mut taken = Vec::new();
    for job in stage.queue.jobs()? {
        ensure!(job["state"] == "completed", "{job}");
        let at = millis(job["started_at"].as_str().unwrap_or_default())?;
        let job = job["number"].as_i64().context("a job without number")?;
        let wrote = first.get(&job).context("it wrote nothing")?;
        ensure!(*wrote >= at, "job {job} wrote at {wrote}, and was taken at {at}");
        taken.push(at);
    }
    taken.sort_unstable();
    for (place, from) in taken.iter().enumerate() {
        for (number, at) in (1..).zip(&taken[place..]) {
            let most = allowed(at - from + 1);
            ensure!(
                number <= most,
                "{number} jobs taken in {} ms, of {most}",
                at - from
            );
        }
    }
    let (starts, last) = (wrote.len() as u64, wrote.last().copied().unwrap_or(begun));
    // Counted from the first start: how long it took to store the jobs is not the rate's.
    let from = taken.first().copied().unwrap_or(begun);
    let part = starts as f64 / (BURST as f64 + (last - from) as f64 * PER_SECOND as f64 / 1000.0);
    ensure!(
        !is_full || part >= LEAST,
        "{starts} starts, {:.1} % of what is allowed",
        part * 100.0
    );
    stage.queue.check()?;
    Ok((starts, last - begun, part))
}
