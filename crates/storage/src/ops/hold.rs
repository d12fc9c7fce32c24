//! Holding jobs back, and letting them go on.

use queuectl_core::gates::{block, unblock};
use queuectl_core::{BlockedBy, Gates, JobRef, Resume, State, Timestamp, Waits};

use super::show::find;
use crate::backend::Db;
use crate::counts::Deltas;
use crate::outcome::{self, Change, apply_blocking, standing};
use crate::types::nodes::Wake;
use crate::{Store, StoreError};

/// What became of a job that was released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Released {
    /// Its state.
    pub state: State,
    /// What still blocks it.
    pub waits: Waits,
}

impl Store {
    /// Holds back a job that has not started: it is blocked until it is released. One that is held already stays so.
    ///
    /// # Errors
    /// [`StoreError::NoSuchJob`]; [`StoreError::Refused`] if the job runs or has ended.
    pub fn hold(&mut self, job: &JobRef, now: Timestamp) -> Result<(), StoreError> {
        self.write(|conn| {
            let mut deltas = Deltas::default();
            hold(conn, job, now, &mut deltas)?;
            outcome::finish(conn, deltas, now)
        })
    }

    /// Lets a held job go on: it is ready, or waits for its time if that is still to come, or for what else blocks it. One that
    /// was held for a parent goes on without that one, unless it was retried and has not ended, and waits for its other ones.
    ///
    /// # Errors
    /// [`StoreError::NoSuchJob`]; [`StoreError::Refused`] if the job is not held.
    pub fn release(&mut self, job: &JobRef, now: Timestamp) -> Result<Released, StoreError> {
        let released = self.write(|conn| {
            let mut deltas = Deltas::default();
            release(conn, job, now, &mut deltas)?;
            outcome::finish(conn, deltas, now)?;
            let row = find(conn, job)?;
            Ok(Released {
                state: standing(&row)?.state,
                waits: Waits::from_code(row.waits),
            })
        })?;
        self.wake_all(Wake::Jobs);
        Ok(released)
    }
}

/// Holds a job back in a transaction that is the caller's, up to what [`outcome::finish`] does.
pub(super) fn hold(
    conn: &mut Db,
    job: &JobRef,
    now: Timestamp,
    deltas: &mut Deltas,
) -> Result<(), StoreError> {
    let row = find(conn, job)?;
    let waits = Waits::from_code(row.waits);
    let held = block(standing(&row)?, waits, BlockedBy::Held).map_err(|refused| StoreError::Refused {
        job: job.to_string(),
        refused,
    })?;
    apply_blocking(conn, &row, &held, now, deltas)?;
    if row.unmet.is_some() {
        // It was held for a parent; from now on, it is the operator who holds it.
        outcome::set_unmet(conn, row.id, None, now)?;
    }
    let gates = Gates::from_code(row.gates);
    if let Some(change) = held.change.filter(|_| !gates.is_empty()) {
        let change = Change {
            job: row.id,
            gates,
            from: change.from(),
            to: change.to(),
        };
        outcome::follow(conn, &change, now, deltas)?;
    }
    Ok(())
}

/// Releases a held job in the same way.
pub(super) fn release(
    conn: &mut Db,
    job: &JobRef,
    now: Timestamp,
    deltas: &mut Deltas,
) -> Result<(), StoreError> {
    let row = find(conn, job)?;
    let waits = Waits::from_code(row.waits);
    let resume = Resume::at(row.resume_at.map(Timestamp), row.fence > 0, now);
    let released =
        unblock(standing(&row)?, waits, BlockedBy::Held, resume).map_err(|refused| StoreError::Refused {
            job: job.to_string(),
            refused,
        })?;
    apply_blocking(conn, &row, &released, now, deltas)?;
    let gates = Gates::from_code(row.gates);
    if gates.has(Gates::DEPENDS) && !waits.has(BlockedBy::Dependency) {
        outcome::wait_again(conn, row.id, now, deltas)?;
    }
    Ok(())
}
