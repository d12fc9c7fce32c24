//! Schedules: one job for each tick that says it made one, and every tick accounted for.

use std::collections::{HashMap, HashSet};

use queuectl_core::schedule::Tick;
use queuectl_core::{JobId, Timestamp};

use super::{Call, History, StoredJob, Verdict, Violation, What};

/// A schedule at equal distances, as it was found in the end.
#[derive(Debug, Clone)]
pub struct Scheduled {
    /// Its name.
    pub name: String,
    /// From when its ticks are counted.
    pub start: Timestamp,
    /// The time between two ticks, in ms.
    pub every_ms: i64,
    /// Its next tick; all before it have come.
    pub next: Timestamp,
    /// All its ticks.
    pub ticks: Vec<Tick>,
}

/// Checks a schedule whose ticks are all there, and the jobs that are.
pub fn check_ticks(history: &History, found: &[StoredJob], schedule: &Scheduled) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut violation = |job: Option<JobId>, detail: String| {
        violations.push(Violation {
            verdict: Verdict::Tick,
            job,
            name: schedule.name.clone(),
            detail,
            history: history.of_job(job, &schedule.name),
        });
    };
    let purged: HashSet<JobId> = history
        .events
        .iter()
        .filter_map(|event| match event.what {
            What::Invoked(_, Call::Purge(job)) => Some(job),
            _ => None,
        })
        .collect();
    let mut made: HashMap<JobId, Timestamp> = HashMap::new();
    for tick in &schedule.ticks {
        match tick.job {
            Some(job) => {
                if let Some(other) = made.insert(job, tick.at) {
                    violation(
                        Some(job),
                        format!("it is the job of the ticks {} and {}", other.0, tick.at.0),
                    );
                }
            }
            None if tick.result.ran() => {
                violation(None, format!("the tick {} ran, and has no job", tick.at.0))
            }
            None => {}
        }
    }
    let mut jobs: HashSet<JobId> = HashSet::new();
    for one in found {
        let of = one.job.payload.env.get("QUEUECTL_SCHEDULE");
        if of.is_some_and(|name| *name == schedule.name) {
            jobs.insert(one.job.id);
            if !made.contains_key(&one.job.id) {
                let at = one.job.payload.env.get("QUEUECTL_SCHEDULED_AT");
                let detail = format!(
                    "no tick made it; it says that the one of {} did",
                    at.map_or("", String::as_str)
                );
                violation(Some(one.job.id), detail);
            }
        }
    }
    for (job, at) in &made {
        if !jobs.contains(job) && !purged.contains(job) {
            violation(
                Some(*job),
                format!("the tick {} made it, and it is not there", at.0),
            );
        }
    }
    let mut rows: Vec<(i64, i64)> = schedule
        .ticks
        .iter()
        .map(|tick| (tick.at.0, tick.last_at.0))
        .collect();
    rows.sort_unstable();
    let mut rows = rows.into_iter().peekable();
    let mut covered = i64::MIN;
    let mut at = schedule.start.0 + schedule.every_ms;
    while at < schedule.next.0 {
        while let Some((_, last)) = rows.next_if(|(first, _)| *first <= at) {
            covered = covered.max(last);
        }
        if covered < at {
            violation(
                None,
                format!("the tick {at} of {} is not accounted for", schedule.name),
            );
        }
        at += schedule.every_ms;
    }
    violations
}
