//! The node's log: it subscribes to the node's events and writes a line for most of them.

use queuectl_core::limits::SYSTEM_FAILURES;
use queuectl_core::{Attempt, OutcomeKind, State, show_short};
use queuectl_storage::{Claimed, CycleResult, MaybeBusy, Record, Ticked};
use tracing::{debug, error, info, trace, warn};

use super::events::{NodeEvent, Subscriber};
use super::lease::Stage;
use super::shutdown::Step;

/// See the module.
pub struct Log;

impl Subscriber for Log {
    fn on_event(&self, event: &NodeEvent<'_>) {
        match *event {
            NodeEvent::Started {
                node,
                workers,
                concurrency,
                store,
            } => info!(node = node.0, workers, concurrency, store = %store, "node started"),
            NodeEvent::Stopped { node, owed_jobs } => {
                if owed_jobs {
                    error!(node = node.0, "the node still had jobs; another will rescue them");
                }
                info!(node = node.0, "node stopped");
            }
            NodeEvent::TooLate { outcomes } => {
                warn!(
                    late = outcomes,
                    "outcomes arrived too late; another node has taken over the jobs"
                );
            }

            NodeEvent::JobStarted { job, worker } => {
                info!(
                    job = id(job),
                    attempt = job.attempt,
                    worker = worker + 1,
                    "job started"
                );
            }
            NodeEvent::JobAdopted { job, worker } => info!(
                job = id(job),
                attempt = job.attempt,
                worker = worker + 1,
                "job taken over by another worker process"
            ),
            NodeEvent::AttemptEnded {
                job,
                record,
                is_final,
            } => ended(job, record, is_final),
            NodeEvent::ClaimedAheadReturned { jobs } => {
                debug!(jobs, "jobs turned long; giving back what was claimed ahead");
            }

            NodeEvent::CycleEnded { cycle, result } => {
                trace!(
                    records = cycle.records.len(),
                    wanted = cycle.claim,
                    claimed = result.map_or(0, |stored| stored.claimed.len()),
                    "a cycle ended"
                );
                if let Ok(stored) = result {
                    decided(cycle.records, stored);
                }
            }
            NodeEvent::Heartbeat { node, result } => {
                trace!(node = node.0, entered = result.unwrap_or(true), "sign of life");
            }
            NodeEvent::OutcomeRefused { job, fence } => warn!(
                job = job.0,
                fence, "stale outcome refused; another node owns the job"
            ),
            NodeEvent::StoreFailed {
                waiting,
                store,
                error,
            } => error!(waiting, store = %store, "cannot use the store, trying again: {error}"),
            NodeEvent::StoreRecovered => info!("the store is available again"),
            NodeEvent::Reconciled { recorded, claimed } => info!(
                recorded,
                claimed, "the last cycle was committed although its reply was lost"
            ),
            NodeEvent::ClockSetBack { jobs } => {
                warn!(jobs, "the clock was set back; moved waiting retries forward");
            }
            NodeEvent::Ticked { ticked } => ticks(ticked),
            NodeEvent::SettingsChanged => info!("settings changed"),
            NodeEvent::NodeRescued {
                dead,
                jobs,
                processes,
            } => warn!(
                node = dead.id.0,
                pid = dead.pid,
                jobs,
                processes,
                "rescued a dead node's jobs"
            ),
            NodeEvent::Purged { state, jobs } => {
                debug!(jobs, %state, "removed jobs whose retention is over");
            }

            NodeEvent::Stopping { step, running } => stopping(step, running),
            NodeEvent::LeaseChanged { stage, running } => match stage {
                Stage::Held => info!("lease renewed again; claiming jobs"),
                Stage::Stop => error!(running, "lease not renewed in time; stopping running jobs"),
                Stage::Kill | Stage::Sweep => {
                    error!(running, "lease about to expire; killing running jobs");
                }
            },
            NodeEvent::ShortageBegan { running, cause } => error!(
                running,
                "cannot start jobs; they wait, and the node tries one now and then: {cause}"
            ),
            NodeEvent::ShortageLasts { job, cause } => {
                debug!(job = job.0, "still cannot start jobs: {cause}");
            }
            NodeEvent::ShortageEnded => info!("jobs can be started again"),

            NodeEvent::WorkerStarted { worker, pid } => {
                info!(worker = worker + 1, pid, "worker process started again");
            }
            NodeEvent::WorkerNotStarted { worker, error } => {
                error!(worker = worker + 1, %error, "cannot start a worker process");
            }
            NodeEvent::WorkerEnding { worker, reason } => {
                error!(worker = worker + 1, "ending the worker process: {reason}");
            }
            NodeEvent::WorkerDied { worker, how } => {
                warn!(worker = worker + 1, "worker process died: {how}");
            }
            NodeEvent::LeftoversKilled { worker, processes } => {
                info!(
                    worker = worker + 1,
                    processes, "killed processes that the worker left behind"
                );
            }
            NodeEvent::WorkerSilent { worker, seconds } => match seconds {
                Some(seconds) => error!(
                    worker = worker + 1,
                    "the worker process has not answered for {seconds} s; killing it"
                ),
                None => error!(
                    worker = worker + 1,
                    "the worker process does not answer; killing it"
                ),
            },
            NodeEvent::MessageNotSent { worker, error } => {
                error!(worker = worker + 1, %error, "cannot send to the worker");
            }
        }
    }
}

fn id(job: &Claimed) -> String {
    job.name.clone().unwrap_or_else(|| job.id.to_string())
}

fn stopping(step: Step, running: usize) {
    match step {
        Step::None | Step::KillWorkers => {}
        Step::GiveBack => info!(running, "finishing running jobs; Ctrl-C again stops them"),
        Step::Stop => info!(running, "stopping running jobs; Ctrl-C again kills them"),
        Step::Kill => info!(running, "killing running jobs"),
    }
}

fn ticks(ticked: &Ticked) {
    let Ticked { jobs, skipped, .. } = *ticked;
    if jobs + skipped > 0 {
        debug!(jobs, skipped, "ticks of schedules");
    }
    for (schedule, reason) in &ticked.unable {
        error!(%schedule, "cannot make the ticks of a schedule here: {reason}");
    }
    for (schedule, reason) in &ticked.paused {
        warn!(%schedule, "schedule paused: {reason}");
    }
}

fn ended(job: &Claimed, record: &Record, is_final: bool) {
    if let Some(attempt) = &record.attempt {
        attempt_ended(job, attempt);
    }
    // Otherwise the store decides.
    if record.busy == MaybeBusy::No {
        next(&id(job), record, is_final);
    }
}

/// What becomes of jobs whose attempts may have found something busy.
fn decided(records: &[Record], stored: &CycleResult) {
    let open = records.iter().filter(|record| record.busy != MaybeBusy::No);
    for record in open {
        let token = (record.job, record.fence);
        let busy = stored.busy.iter().find(|busy| (busy.job, busy.fence) == token);
        match (busy, &record.attempt) {
            (Some(busy), Some(ended)) => info!(
                job = record.job.0,
                attempt = ended.attempt,
                wait = show_short(busy.until.since(ended.finished_at)),
                "busy; the attempt does not count"
            ),
            _ if stored.stale.contains(&token) => {}
            _ => next(&record.job.to_string(), record, false),
        }
    }
}

fn attempt_ended(job: &Claimed, ended: &Attempt) {
    let outcome = &ended.outcome;
    let duration = || show_short(ended.finished_at.since(ended.started_at));
    let (attempt, worker) = (job.attempt, ended.worker);
    // The fields are worked out only where somebody wants the line.
    match outcome.kind {
        OutcomeKind::Succeeded => info!(
            job = id(job),
            attempt,
            worker,
            duration = duration(),
            "job succeeded"
        ),
        OutcomeKind::Cancelled => info!(
            job = id(job),
            attempt,
            worker,
            duration = duration(),
            "job cancelled"
        ),
        OutcomeKind::Returned => info!(
            job = id(job),
            attempt,
            worker,
            duration = duration(),
            "job given back"
        ),
        kind => warn!(
            job = id(job),
            attempt,
            worker,
            duration = duration(),
            "job {}: {}",
            kind.name().replace('_', " "),
            outcome.message
        ),
    }
}

/// What becomes of the job.
fn next(id: &str, record: &Record, is_final: bool) {
    let attempt = record.attempt.as_ref().map(|ended| ended.attempt);
    match (record.change.to(), record.change.due_at(), &record.attempt) {
        (State::Failed, Some(due), Some(ended)) => info!(
            job = id,
            attempt,
            wait = show_short(due.since(ended.finished_at)),
            "job will be retried"
        ),
        (State::Dead, _, _) => {
            let kind = record.attempt.as_ref().map(|ended| ended.outcome.kind);
            let why = match kind {
                _ if is_final => "another attempt could not succeed".to_owned(),
                Some(OutcomeKind::SystemFailure) => {
                    format!("it could not be run {SYSTEM_FAILURES} times in a row")
                }
                _ => "no attempts left".to_owned(),
            };
            error!(
                job = id,
                attempt, "job is dead: {why}; see `queuectl dlq:show {id}`"
            );
        }
        _ => {}
    }
}
