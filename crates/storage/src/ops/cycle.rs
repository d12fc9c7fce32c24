//! One cycle of a dispatcher: record what ended, make due what is due, claim for the free slots, all in one
//! transaction and so with one commit.
//!
//! The decisions about ended attempts come from outside; this applies them where the fencing token still holds.

use std::time::Duration;

use queuectl_core::{JobId, QueueName, Timestamp};

use crate::backend::on_any;
use crate::limits::LimitRows;
use crate::types::cycle::{Cycle, CycleResult, Queues, Record};
use crate::types::nodes::Wake;
use crate::{Problem, Store, StoreError};

impl Store {
    /// Runs one cycle.
    ///
    /// # Errors
    /// [`StoreError::Database`]: nothing of the cycle happened; the same cycle can be tried again.
    pub fn cycle(&mut self, cycle: &Cycle<'_>) -> Result<CycleResult, StoreError> {
        let mut done = match self.backend.cycle(cycle) {
            Err(error) if is_refused(&error) && !cycle.records.is_empty() => self.cycle_one_by_one(cycle),
            done => done,
        }?;
        // An attempt before may have stored one. If this fails, the cycle has: its claims are given back.
        let again = done.claimed.iter().filter(|job| job.fence > 1);
        let again: Vec<JobId> = again.map(|job| JobId(job.id)).collect();
        if !again.is_empty() {
            done.checkpoints = self.checkpoints(&again)?;
        }
        if done.unblocked > 0 || self.has_more(&done.freed, cycle.now) {
            self.wake_all(Wake::Jobs);
        }
        Ok(done)
    }

    /// Whether jobs wait in queues in which room was made, for other nodes.
    fn has_more(&mut self, freed: &[QueueName], now: Timestamp) -> bool {
        if freed.is_empty() {
            return false;
        }
        // What was recorded stays recorded if this fails, and nodes look by themselves before long.
        let ready = self.backend.has_ready(&Queues::Only(freed.to_vec()), now);
        ready.unwrap_or(false)
    }

    /// Records by themselves outcomes that the database did not take together, each as far as it takes it; then the rest of
    /// the cycle.
    fn cycle_one_by_one(&mut self, cycle: &Cycle<'_>) -> Result<CycleResult, StoreError> {
        let (mut stale, mut busy, mut unblocked) = (Vec::new(), Vec::new(), 0);
        let mut freed = Vec::new();
        for record in cycle.records {
            let mut recorded = None;
            for reduced in Reduced::ALL {
                let record = reduced.of(record);
                let records = std::slice::from_ref(&record);
                let single = Cycle {
                    node: cycle.node,
                    records,
                    claim: 0,
                    queues: cycle.queues,
                    now: cycle.now,
                };
                match self.backend.cycle(&single) {
                    Err(error) if is_refused(&error) => {
                        let (job, fence) = (record.job.0, record.fence);
                        tracing::error!(
                            job,
                            fence,
                            what = reduced.what(),
                            "the database does not take an outcome: {error}"
                        );
                    }
                    done => {
                        let done = done?;
                        unblocked += done.unblocked;
                        busy.extend(done.busy);
                        freed.extend(done.freed);
                        recorded = Some(done.stale);
                        break;
                    }
                }
            }
            // It stays with the node, as far as the database knows, and is rescued when that has ended.
            stale.extend(recorded.unwrap_or_else(|| vec![(record.job, record.fence)]));
        }
        let mut rest = self.backend.cycle(&Cycle {
            records: &[],
            ..*cycle
        })?;
        freed.append(&mut rest.freed);
        Ok(CycleResult {
            stale,
            freed,
            busy,
            unblocked: unblocked + rest.unblocked,
            ..rest
        })
    }

    /// How long a claim on PostgreSQL takes that is long, and for how long at least what it passed over is passed over
    /// then. For tests.
    #[doc(hidden)]
    pub fn set_long_claims(&mut self, long: Duration, pause: Duration) {
        self.backend.set_long_claims(long, pause);
    }

    /// Whether a cycle would find a job to make due or to claim. Reads only.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn has_work(&mut self, queues: &Queues, now: Timestamp) -> Result<bool, StoreError> {
        if self.next_due()?.is_some_and(|due| due <= now) || self.backend.has_ready(queues, now)? {
            return Ok(true);
        }
        let started = on_any!(self.conn()?, conn => conn.started())?.into_iter();
        let mut served = started.filter(|(_, _, queue, counts)| {
            let queue = queue.as_ref().filter(|_| *counts);
            queue.is_some_and(|queue| queues.include(&queue.text))
        });
        if served.next().is_some() {
            return Ok(true);
        }
        // A cycle looks whether one of them may go on.
        let any = on_any!(self.conn()?, conn => conn.keys_behind("", 1))?;
        Ok(!any.is_empty())
    }

    /// When the next waiting job is due. Reads only.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn next_due(&mut self) -> Result<Option<Timestamp>, StoreError> {
        self.backend.next_due()
    }
}

/// How much of an outcome is recorded that the database does not take as it is.
#[derive(Clone, Copy)]
enum Reduced {
    Nothing,
    Output,
    Words,
    Attempt,
}

impl Reduced {
    const ALL: [Reduced; 4] = [
        Reduced::Nothing,
        Reduced::Output,
        Reduced::Words,
        Reduced::Attempt,
    ];

    fn what(self) -> &'static str {
        match self {
            Reduced::Nothing => "all of it",
            Reduced::Output => "without what it printed",
            Reduced::Words => "without its reason",
            Reduced::Attempt => "without the attempt",
        }
    }

    fn of(self, record: &Record) -> Record {
        let mut record = record.clone();
        if let (Reduced::Output | Reduced::Words, Some(attempt)) = (self, &mut record.attempt) {
            attempt.output.head.clear();
            attempt.output.tail.clear();
            if let Reduced::Words = self {
                "the database did not take the reason".clone_into(&mut attempt.outcome.message);
            }
        }
        if let Reduced::Attempt = self {
            record.attempt = None;
        }
        record
    }
}

/// Whether the database does not take what it is given: not now, and not later.
fn is_refused(error: &StoreError) -> bool {
    error.problem() == Some(Problem::Refused)
}
