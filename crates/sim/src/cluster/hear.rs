//! What a node learns of the store, as the history has it.

use queuectl_core::JobId;
use queuectl_storage::StoreError;
use queuectl_storage::sim as store_sim;
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
                let call = Call::Outcome {
                    job: record.job,
                    fence: record.fence,
                    node: record.node,
                    change: record.change,
                    kept: record.attempt.is_some(),
                };
                let key = (record.job, record.fence);
                let reply = match (&failed, stale.iter().position(|one| *one == key)) {
                    (Some(failed), _) => failed.clone(),
                    (None, Some(place)) => {
                        stale.swap_remove(place);
                        Reply::Refused
                    }
                    (None, None) => Reply::Done,
                };
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

fn failure(error: &StoreError) -> Reply {
    if store_sim::is_unknown(error) {
        Reply::Unknown
    } else {
        Reply::Failed
    }
}
