//! What becomes of the jobs that workers are done with: those that ended, and those that come back unstarted.

use queuectl_core::{Clock, OutcomeKind};
use queuectl_executor::{Finished, RunKey, StopReason};
use queuectl_storage::Claimed;

use super::claims::Running;
use super::decide::{self, Ending};
use super::dispatcher::Dispatcher;
use crate::env::Instant;

impl Dispatcher {
    pub(super) fn job_finished(&mut self, worker: usize, finished: Finished) {
        let Finished {
            key,
            outcome,
            output,
            started_at,
            finished_at,
            advice,
            confirm,
            shortage,
        } = finished;
        let Some(Running {
            job, sent_at, handle, ..
        }) = self.claims.finish(worker, key)
        else {
            return;
        };
        if shortage && self.could_not_start(&job, &outcome.message) {
            self.slot_freed(worker);
            return;
        }
        let age = self.clock.now().since(sent_at);
        if !shortage && self.shortage.started(key.job, age, Instant::now()) {
            self.shortage_ended();
        }
        self.pace.finished(finished_at.since(started_at));
        self.slot_freed(worker);
        let ending = Ending {
            node: self.node,
            worker: worker as u32 + 1,
            started_at: self.clock.of_local(started_at),
            finished_at: self.clock.of_local(finished_at),
            outcome,
            output,
            advice,
        };
        self.ended(&job, ending);
        if confirm {
            self.pending_acks.ended(Some(worker), &job, handle);
        }
    }

    /// A job comes back that was stopped or recalled before it had started.
    pub(super) fn not_started(&mut self, worker: usize, key: RunKey) {
        let Some(Running { job, stopping, .. }) = self.claims.finish(worker, key) else {
            return;
        };
        if stopping == Some(StopReason::Cancelled) {
            self.cancelled_before_start(&job);
        } else {
            self.put_back(job);
        }
    }

    /// Puts a job that has not started in front of the stock, or gives it back when nothing is to start any more.
    pub(super) fn put_back(&mut self, job: Claimed) {
        self.claims.unassigned.push_front(job);
        if !self.phase.is_working() || self.shortage.is_known() {
            self.give_back_unassigned();
        }
    }

    pub(super) fn cancelled_before_start(&mut self, job: &Claimed) {
        let now = self.clock.now();
        let message = "cancelled before it started".to_owned();
        let ending = decide::died(OutcomeKind::Cancelled, message, self.node, 0, now, now);
        self.ended(job, ending);
    }
}
