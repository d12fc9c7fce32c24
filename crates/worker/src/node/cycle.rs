//! One cycle of the dispatcher: whether there is reason for one, what it records and how many jobs it claims.
//!
//! What is done before and after with the jobs is the dispatcher's business; the transaction is the store's.

use std::time::Duration;

use queuectl_core::{State, Timestamp};
use queuectl_scheduler::claim_count;
use queuectl_storage::{Cycle, CycleResult, StoreError};

use super::dispatcher::Dispatcher;
use super::report;

/// How long outcomes may wait for company while the stock keeps the workers busy, and how many wait at most.
pub const LINGER: Duration = Duration::from_millis(20);
const LINGER_MOST: usize = 512;

impl Dispatcher {
    /// How many jobs the node would claim now.
    pub(super) fn wants(&self) -> u32 {
        if !self.phase.is_working() || self.store_retry.is_some() || !self.lease.is_held() {
            return 0;
        }
        let slots = self.worker_pool.present().count() * self.slots();
        let (running, waiting) = self.claims.running_and_waiting(self.slots());
        let in_stock = self.claims.unassigned.len() + waiting;
        if let Some(most) = self.shortage.most() {
            return most.min(slots).saturating_sub(running + in_stock) as u32;
        }
        claim_count(slots as u32, running as u32, in_stock as u32, &self.pace)
    }

    /// Whether outcomes can wait a little for others: only while the workers have enough to do.
    pub(super) fn may_linger(&self) -> bool {
        let (_, waiting) = self.claims.running_and_waiting(self.slots());
        let enough =
            self.claims.unassigned.len() + waiting >= self.worker_pool.present().count() * self.slots();
        enough && self.claims.unrecorded.len() < LINGER_MOST && self.phase.is_working()
    }

    /// One cycle, if there is reason for one.
    pub(super) fn cycle(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let due = self.next_due.is_some_and(|due| due <= now);
        let claim = if self.maybe_work || due { self.wants() } else { 0 };
        let record = self
            .ended_since
            .is_some_and(|since| claim > 0 || !self.may_linger() || since.elapsed() >= LINGER);
        if record {
            self.record_apart(now);
        }
        let record = record && self.claims.recording == 0;
        if !record && claim == 0 {
            return Ok(());
        }
        let cycle = Cycle {
            node: self.node,
            records: if record { &self.claims.unrecorded } else { &[] },
            claim,
            queues: &self.options.queues,
            now,
        };
        let CycleResult {
            stale,
            claimed,
            next_due,
        } = self.store.cycle(&cycle)?;
        report::refused(&stale);
        if record {
            self.pending_acks.recording();
            self.tell_recorded();
            for record in self.claims.unrecorded.drain(..) {
                self.maybe_work |= record.change.to() == State::Pending;
            }
            self.ended_since = None;
            self.trust_recorder();
        }
        if claim > 0 {
            self.maybe_work = claimed.len() as u32 == claim;
        }
        let bytes = claimed.iter().map(|job| job.payload.len()).sum();
        self.pace.claimed(claimed.len(), bytes);
        self.next_due = next_due;
        self.claims.unassigned.extend(claimed);
        Ok(())
    }
}
