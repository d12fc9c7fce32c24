//! What a node learns of the store, as the history has it.

use queuectl_core::transition::{Standing, transition};
use queuectl_core::{Event, JobId, Timestamp, Transition};
use queuectl_storage::sim as store_sim;
use queuectl_storage::{MaybeBusy, Record, StoreError, WasBusy};
use queuectl_testkit::history::{Call, History, Reply};
use queuectl_worker::sim::NodeEvent;

/// Notes what a node learned of the store.
pub fn hear(history: &mut History, event: &NodeEvent<'_>) {
    let at = store_sim::Instant::now().0.as_millis() as i64;
    match event {
        NodeEvent::Heartbeat { node, result } => {
            let reply = match result {
                Ok(true) => Reply::Done,
                Ok(false) => Reply::Refused,
                Err(error) => failure(error),
            };
            history.called(at, Call::Heartbeat(*node), reply);
        }
        NodeEvent::CycleEnded { cycle, result } => {
            let mut stale = result.map(|done| done.stale.clone()).unwrap_or_default();
            let failed = result.err().map(failure);
            for record in cycle.records {
                let key = (record.job, record.fence);
                let found_busy = result.map_or(None, |done| {
                    let of_record = |busy: &&WasBusy| (busy.job, busy.fence) == key;
                    done.busy.iter().find(of_record).map(|busy| busy.until)
                });
                if let Some(until) = found_busy {
                    let status = record
                        .attempt
                        .as_ref()
                        .and_then(|attempt| attempt.outcome.exit_code);
                    let status = status.filter(|_| record.busy == MaybeBusy::ByStatus);
                    history.called(
                        at,
                        outcome(record, busy(record, until)),
                        Reply::Busy { until, status },
                    );
                    continue;
                }
                let call = outcome(record, record.change);
                let reply = match (&failed, stale.iter().position(|one| *one == key)) {
                    (Some(failed), _) => failed.clone(),
                    (None, Some(place)) => {
                        stale.swap_remove(place);
                        Reply::Refused
                    }
                    (None, None) => Reply::Done,
                };
                // What the store made of it is not known, either.
                if matches!(reply, Reply::Unknown) && record.busy != MaybeBusy::No {
                    let call = outcome(record, busy(record, Timestamp(0)));
                    history.called(at, call, Reply::Unknown);
                }
                history.called(at, call, reply);
            }
            if cycle.claim > 0 {
                let reply = failed.unwrap_or_else(|| {
                    let claimed = result.map(|done| done.claimed.as_slice()).unwrap_or_default();
                    let one = |job: &queuectl_storage::Claimed| (JobId(job.id), job.fence, job.attempt);
                    Reply::Claimed(claimed.iter().map(one).collect())
                });
                history.called(at, Call::Claim(cycle.node, cycle.now), reply);
            }
        }
        _ => {}
    }
}

fn outcome(record: &Record, change: Transition) -> Call {
    Call::Outcome {
        job: record.job,
        fence: record.fence,
        node: record.node,
        change,
        kept: record.attempt.is_some(),
    }
}

/// What becomes of a job whose attempt found something busy. For the history it waits for its time in any case.
fn busy(record: &Record, until: Timestamp) -> Transition {
    let standing = Standing {
        state: record.change.from(),
        attempts: record.change.attempts(),
        system_failures: record.change.system_failures(),
    };
    transition(standing, Event::Busy { until: Some(until) }).unwrap_or(record.change)
}

fn failure(error: &StoreError) -> Reply {
    if store_sim::is_unknown(error) {
        Reply::Unknown
    } else {
        Reply::Failed
    }
}
