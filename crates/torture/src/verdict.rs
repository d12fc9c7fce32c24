//! What must have become of the jobs of a scene.

use std::collections::{HashMap, HashSet};

use anyhow::{Context, ensure};
use serde_json::Value;

use super::log;
use super::rig::Queue;

/// What a job is to become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Completed,
    /// It takes its worker process down whenever it runs.
    Dead,
    /// The same, in a plugin.
    CrashedPlugin,
    /// Somebody asked to cancel it, maybe too late.
    CancelledOrCompleted,
}

/// Judges a queue in which nothing is left to do. How many jobs there are.
pub fn judge(queue: &Queue, fates: &HashMap<String, Fate>) -> anyhow::Result<usize> {
    let told = log::read(&queue.work.join("log"))?;
    let jobs = queue.jobs()?;
    let there: HashSet<&str> = jobs.iter().filter_map(|job| job["id"].as_str()).collect();
    for id in fates.keys() {
        ensure!(
            there.contains(id.as_str()),
            "job {id} was acknowledged and is gone"
        );
    }
    for job in &jobs {
        let number = job["number"].as_i64().context("a job without number")?;
        let told = told.get(&number).copied().unwrap_or_default();
        let fate = fates.get(&number.to_string()).copied();
        // A job that completed at once has one attempt, which succeeded; asking for each takes longer than the faults.
        let once = job["attempts"] == 1 && told.started == 1 && told.ended == 1;
        let may_be_completed = !matches!(fate, Some(Fate::Dead | Fate::CrashedPlugin));
        if job["state"] == "completed" && once && may_be_completed {
            continue;
        }
        let shown = queue.json(["show", &number.to_string()])?;
        judge_job(&shown, told, fate).with_context(|| format!("job {number}: {shown}"))?;
    }
    queue.check()?;
    Ok(jobs.len())
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
        (Some(Fate::Dead | Fate::CrashedPlugin), "dead") => true,
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
