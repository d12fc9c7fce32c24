//! What a node does now and then besides running jobs: removing ended jobs whose retention is over, in small steps
//! so that claims never wait for it, and what else the store wants to be done.

use std::time::Duration;

use queuectl_core::{State, Timestamp};
use queuectl_storage::{PurgeFilter, Store, StoreError};

use super::context::Context;
use super::events::NodeEvent;
use crate::env::Instant;

/// Jobs removed in one step.
const STEP: u32 = 500;

/// How often expired jobs are removed.
const EVERY: Duration = Duration::from_secs(60);
/// While more of them are left, how long the pause after a step is, in steps: clean-up takes half of the time at most, and
/// keeps pace with a busy node, for removing a job costs less than running it.
const PAUSE: u32 = 1;

/// When the next step is.
pub struct Housekeeping {
    next: Instant,
}

impl Housekeeping {
    /// At once: nodes that live for less than a minute must clean up, too.
    pub fn new() -> Housekeeping {
        Housekeeping { next: Instant::now() }
    }

    /// When it is time.
    pub fn next(&self) -> Instant {
        self.next
    }

    /// Takes a step, if it is time.
    pub fn run(&mut self, store: &mut Store, context: &Context, now: Timestamp) -> Result<(), StoreError> {
        let start = Instant::now();
        if start < self.next {
            return Ok(());
        }
        let more = purge_expired(store, context, now)?;
        let pause = if more { start.elapsed() * PAUSE } else { EVERY };
        self.next = Instant::now() + pause;
        Ok(())
    }
}

/// Removes one step's worth of expired jobs. Returns whether more may be left.
fn purge_expired(store: &mut Store, context: &Context, now: Timestamp) -> Result<bool, StoreError> {
    store.tidy_up()?;
    let mut more = store.purge_events(context.settings.event_retention, now)?;
    more |= store.purge_operations(context.settings.op_retention, now)?;
    more |= store.purge_answers(now)?;
    more |= store.stop_groups(now)?;
    more |= store.keep_history(context.settings.history_retention, now)?;
    let Some(retention) = context.settings.retention else {
        return Ok(more);
    };
    let cutoff = Timestamp(
        now.0
            .saturating_sub(i64::try_from(retention.as_millis()).unwrap_or(i64::MAX)),
    );
    more |= store.purge_groups(cutoff)?;
    for state in [State::Completed, State::Cancelled] {
        let filter = PurgeFilter {
            state,
            queue: None,
            ended_before: Some(cutoff),
            limit: STEP,
        };
        let purged = store.purge_expired(&filter, now)?;
        if purged.jobs > 0 {
            let jobs = purged.jobs;
            context.events.emit(&NodeEvent::Purged { state, jobs });
        }
        more |= purged.more;
    }
    Ok(more)
}
