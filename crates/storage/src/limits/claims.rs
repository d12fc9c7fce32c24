//! The claims of one cycle: in rounds, because what a limit holds back leaves room for other jobs.

use queuectl_core::{JobId, Timestamp};

use super::admit::admit;
use super::keys::Keys;
use super::statements::LimitRows;
use super::sweep::{Sweep, sweep};
use crate::StoreError;
use crate::counts::Deltas;
use crate::types::cycle::{Claimed, Cycle, CycleResult};
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

    /// Takes what a round has claimed. What a limit holds back is put back.
    pub fn admit(
        &mut self,
        conn: &mut dyn LimitRows,
        keys: &mut Keys,
        at: &mut Sweep,
        serves: &Serves,
        mut some: Vec<Claimed>,
        deltas: &mut Deltas,
    ) -> Result<(), StoreError> {
        let now = self.cycle.now;
        let back = admit(conn, keys, &mut some, now, deltas)?;
        self.claimed.extend(some);
        self.is_open = back > 0;
        if !self.is_open && self.missing() > 0 && at.is_due(now) {
            let before = keys.woken.len();
            sweep(conn, at, keys, serves, now, deltas)?;
            self.is_open = keys.woken.len() > before;
        }
        Ok(())
    }

    /// The result of the cycle.
    pub fn result(self, stale: Vec<(JobId, i64)>, keys: &Keys, next_due: Option<Timestamp>) -> CycleResult {
        let taken = self.claimed.iter().filter(|job| keys.woken.contains(&job.id));
        CycleResult {
            stale,
            unblocked: keys.woken.len() - taken.count(),
            // The rest has to wait no longer than for the next cycle.
            next_due: self.is_cut.then_some(self.cycle.now).or(next_due),
            claimed: self.claimed,
        }
    }
}
