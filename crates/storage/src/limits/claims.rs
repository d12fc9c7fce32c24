//! The claims of one cycle: in rounds, because what a limit holds back leaves room for other jobs.

use queuectl_core::{JobId, QueueName, Timestamp};

use super::admit::{Started, admit};
use super::keys::Keys;
use super::statements::LimitRows;
use super::sweep::{Sweep, sweep};
use crate::StoreError;
use crate::counts::Deltas;
use crate::types::cycle::{Claimed, Cycle, CycleResult, WasBusy};
use crate::types::limits::Serves;

/// Rounds of one cycle; the next cycle goes on.
const ROUNDS: u32 = 8;

/// The claims of a cycle.
pub struct Claims<'a> {
    cycle: &'a Cycle<'a>,
    claimed: Vec<Claimed>,
    rounds: u32,
    /// Whether another round may find something.
    is_open: bool,
    /// Whether there may be jobs that the last round left.
    is_cut: bool,
    /// When a look for jobs that wait is worth while again.
    look_again: Option<Timestamp>,
}

impl<'a> Claims<'a> {
    /// Has none so far.
    pub fn new(cycle: &'a Cycle<'a>) -> Claims<'a> {
        Claims {
            cycle,
            claimed: Vec::new(),
            rounds: 0,
            is_open: true,
            is_cut: false,
            look_again: None,
        }
    }

    fn missing(&self) -> u32 {
        let claimed = u32::try_from(self.claimed.len()).unwrap_or(u32::MAX);
        self.cycle.claim.saturating_sub(claimed)
    }

    /// Whether another round would find nothing.
    pub fn is_complete(&self) -> bool {
        self.missing() == 0 || !self.is_open
    }

    /// What the next round is to claim; none if the claims are complete.
    pub fn more(&mut self) -> Option<Cycle<'a>> {
        if self.is_complete() {
            return None;
        }
        if self.rounds == ROUNDS {
            self.is_cut = true;
            return None;
        }
        self.rounds += 1;
        Some(Cycle {
            claim: self.missing(),
            ..*self.cycle
        })
    }

    /// Takes the jobs that were started by hand. They hold their keys even where those are full.
    pub fn admit_started(
        &mut self,
        conn: &mut dyn LimitRows,
        keys: &mut Keys,
        mut some: Vec<Claimed>,
        deltas: &mut Deltas,
    ) -> Result<(), StoreError> {
        let now = self.cycle.now;
        let jobs: Vec<i64> = some.iter().map(|job| job.id).collect();
        let started = conn.claimed_starts(&jobs)?;
        admit(conn, keys, &mut some, &Started::These(started), now, deltas)?;
        for job in &some {
            keys.start_in(&job.queue, now);
        }
        self.claimed.extend(some);
        Ok(())
    }

    /// Takes what a round has claimed. What a limit holds back is put back.
    pub fn admit(
        &mut self,
        conn: &mut dyn LimitRows,
        keys: &mut Keys,
        at: &mut Sweep,
        serves: &Serves<'_>,
        mut some: Vec<Claimed>,
        deltas: &mut Deltas,
    ) -> Result<(), StoreError> {
        let now = self.cycle.now;
        let back = admit(conn, keys, &mut some, &Started::Ask, now, deltas)?;
        for job in &some {
            keys.start_in(&job.queue, now);
        }
        self.claimed.extend(some);
        self.is_open = back > 0;
        if !self.is_open && self.missing() > 0 && at.is_due(now) {
            let before = keys.woken.len();
            keys.set_inexact();
            sweep(conn, at, keys, serves, now, deltas)?;
            self.is_open = keys.woken.len() > before;
            if self.is_open {
                self.look_again = Some(at.go_on(now));
            }
        }
        Ok(())
    }

    /// What was claimed so far.
    pub fn claimed(&self) -> &[Claimed] {
        &self.claimed
    }

    /// The result of the cycle.
    pub fn result(
        self,
        stale: Vec<(JobId, i64)>,
        busy: Vec<WasBusy>,
        freed: Vec<QueueName>,
        keys: &Keys,
        next_due: Option<Timestamp>,
    ) -> CycleResult {
        let taken = self.claimed.iter().filter(|job| keys.woken.contains(&job.id));
        CycleResult {
            stale,
            busy,
            unblocked: keys.woken.len() - taken.count(),
            freed,
            // The rest has to wait no longer than for the next cycle.
            next_due: match self.is_cut {
                true => Some(self.cycle.now),
                false => [self.look_again, next_due].into_iter().flatten().min(),
            },
            claimed: self.claimed,
            checkpoints: Vec::new(),
        }
    }
}
