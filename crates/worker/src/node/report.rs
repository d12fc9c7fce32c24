//! The node's log: one line per job event.

use queuectl_core::limits::SYSTEM_FAILURES;
use queuectl_core::{JobId, OutcomeKind, State};
use queuectl_storage::{Claimed, Record};

use super::decide::Ending;

fn id(job: &Claimed) -> String {
    job.name.clone().unwrap_or_else(|| job.id.to_string())
}

pub fn started(job: &Claimed, worker: usize) {
    tracing::info!(
        job = id(job),
        attempt = job.attempt,
        worker = worker + 1,
        "job started"
    );
}

pub fn adopted(job: &Claimed, worker: usize) {
    tracing::info!(
        job = id(job),
        attempt = job.attempt,
        worker = worker + 1,
        "job taken over by another worker process"
    );
}

pub fn ended(job: &Claimed, ending: &Ending) {
    let took = ending.finished_at.since(ending.started_at);
    let duration = format!("{:.3}s", took.as_secs_f64());
    let (job, attempt, worker) = (id(job), job.attempt, ending.worker);
    let outcome = &ending.outcome;
    match outcome.kind {
        OutcomeKind::Succeeded => tracing::info!(job, attempt, worker, duration, "job succeeded"),
        OutcomeKind::Cancelled => tracing::info!(job, attempt, worker, duration, "job cancelled"),
        OutcomeKind::Returned => tracing::info!(job, attempt, worker, duration, "job given back"),
        kind => tracing::warn!(
            job,
            attempt,
            worker,
            duration,
            "job {}: {}",
            words(kind),
            outcome.message
        ),
    }
}

fn words(kind: OutcomeKind) -> String {
    kind.name().replace('_', " ")
}

pub fn next(job: &Claimed, record: &Record, is_final: bool) {
    let (id, attempt) = (id(job), job.attempt);
    match (record.change.to(), record.change.due_at(), &record.attempt) {
        (State::Failed, Some(due), Some(ended)) => {
            let wait = format!("{:.3}s", due.since(ended.finished_at).as_secs_f64());
            tracing::info!(job = id, attempt, wait, "job will be retried");
        }
        (State::Dead, _, _) => {
            let kind = record.attempt.as_ref().map(|ended| ended.outcome.kind);
            let why = match kind {
                _ if is_final => "another attempt could not succeed".to_owned(),
                Some(OutcomeKind::SystemFailure) => {
                    format!("it could not be run {SYSTEM_FAILURES} times in a row")
                }
                _ => "no attempts left".to_owned(),
            };
            tracing::error!(
                job = id,
                attempt,
                "job is dead: {why}; see `queuectl dlq:show {id}`"
            );
        }
        _ => {}
    }
}

pub fn refused(stale: &[(JobId, i64)]) {
    for (job, fence) in stale {
        tracing::warn!(
            job = job.0,
            fence,
            "a stale outcome was refused: the job is not this node's any more"
        );
    }
}
