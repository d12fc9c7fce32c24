//! What a node does now and then besides running jobs: removing ended jobs whose retention is over, in small steps
//! so that claims never wait for it, and what else the store wants to be done.

use queuectl_core::{Settings, State, Timestamp};
use queuectl_storage::{PurgeFilter, Store, StoreError};

/// Jobs removed in one step.
const STEP: u32 = 500;

/// Removes one step's worth of expired jobs. Returns whether more may be left.
pub fn purge_expired(store: &mut Store, settings: &Settings, now: Timestamp) -> Result<bool, StoreError> {
    store.tidy_up()?;
    let Some(retention) = settings.retention else {
        return Ok(false);
    };
    let cutoff = Timestamp(
        now.0
            .saturating_sub(i64::try_from(retention.as_millis()).unwrap_or(i64::MAX)),
    );
    let mut more = false;
    for state in [State::Completed, State::Cancelled] {
        let filter = PurgeFilter {
            state,
            queue: None,
            ended_before: Some(cutoff),
            limit: STEP,
        };
        let purged = store.purge(&filter)?;
        if purged.jobs > 0 {
            tracing::debug!(jobs = purged.jobs, %state, "removed jobs whose retention is over");
        }
        more |= purged.more;
    }
    Ok(more)
}
