//! After the store failed: what of the last turn was stored all the same.
//!
//! A turn whose commit was asked for and not answered may be in the store or not. Its outcomes are then recorded, and a
//! second time they would be refused; and its claims are jobs that the node has and knows nothing of, which nobody would
//! run as long as it lives. So before anything else the node compares its books with the store's.

use std::collections::BTreeSet;

use queuectl_executor::RunKey;
use queuectl_storage::{RunningJob, StoreError};

use super::decide::{self, Subject};
use super::dispatcher::Dispatcher;

impl Dispatcher {
    /// Compares the books. Claims that were lost on their way are given back: they cost no attempt.
    pub(super) fn settle(&mut self) -> Result<(), StoreError> {
        let Some(held) = self.store.settle(self.node)? else {
            // Another node has the jobs now, and the lease will say so.
            return Ok(());
        };
        let keys: BTreeSet<RunKey> = held.iter().map(key).collect();
        let (recorded, unknown) = self.hand.compare(&keys);
        for job in held.iter().filter(|job| unknown.contains(&key(job))) {
            self.give_back(&Subject::from(job));
        }
        if recorded > 0 || !unknown.is_empty() {
            tracing::info!(
                recorded,
                claimed = unknown.len(),
                "the last turn had been stored, though the store could not say so"
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
