//! After the store failed: what of the last cycle was stored all the same.
//!
//! A cycle whose commit was asked for and not answered may be in the store or not. Its outcomes are then recorded, and a
//! second time they would be refused; and its claims are jobs that the node has and knows nothing of, which nobody would
//! run as long as it lives. So before anything else the node compares its ledger with the store's.

use std::collections::BTreeSet;

use queuectl_executor::RunKey;
use queuectl_storage::{RunningJob, StoreError};

use super::decide::{self, Subject};
use super::dispatcher::Dispatcher;

impl Dispatcher {
    /// Compares the ledgers. Claims that were lost on their way are given back: they cost no attempt.
    pub(super) fn reconcile(&mut self) -> Result<(), StoreError> {
        let Some(held) = self.store.settle(self.node)? else {
            // Another node has the jobs now, and the lease will say so.
            return Ok(());
        };
        let keys: BTreeSet<RunKey> = held.iter().map(key).collect();
        let (recorded, unknown) = self.claims.compare(&keys);
        for job in held.iter().filter(|job| unknown.contains(&key(job))) {
            self.give_back(&Subject::from(job));
        }
        if recorded > 0 || !unknown.is_empty() {
            tracing::info!(
                recorded,
                claimed = unknown.len(),
                "the last cycle had been stored, though the store could not say so"
            );
        }
        Ok(())
    }

    pub(super) fn give_back(&mut self, job: &Subject) {
        self.note_ended(decide::given_back(job, self.node));
    }
}

fn key(job: &RunningJob) -> RunKey {
    RunKey {
        job: job.id,
        fence: job.fence,
    }
}
