//! Applying a decision to a job that does not run, guarded on where the decision saw it.

use diesel::prelude::*;
use queuectl_core::gates::Blocking;
use queuectl_core::transition::Standing;
use queuectl_core::{Gates, State, Timestamp, Transition, Waits};

use crate::StoreError;
use crate::backend::Db;
use crate::backend::statements::{Change, SetWaits};
use crate::counts::Deltas;
use crate::rows::JobRow;
use crate::types::readable::count;

/// The part of a stored job that decides what happens next.
pub fn standing(row: &JobRow) -> Result<Standing, StoreError> {
    let state = State::from_code(row.state).ok_or(StoreError::Unreadable {
        job: row.id,
        what: "state",
    })?;
    Ok(Standing {
        state,
        attempts: count(row.attempts),
        system_failures: count(row.system_failures),
    })
}

/// Applies a decision to a job that is not running; false if it no longer stands where the decision saw it. `waits` is what
/// blocks it then.
pub fn apply(
    db: &mut Db,
    row: &JobRow,
    change: &Transition,
    waits: Waits,
    now: Timestamp,
    deltas: &mut Deltas,
) -> Result<bool, StoreError> {
    debug_assert!(
        change.from() != State::Processing,
        "running jobs are changed by their node"
    );
    debug_assert_eq!(change.to() == State::Blocked, !waits.is_empty());
    let changed = Change {
        state: change.to().code(),
        attempts: i32::try_from(change.attempts()).unwrap_or(i32::MAX),
        system_failures: i32::try_from(change.system_failures()).unwrap_or(i32::MAX),
        due_at: change.due_at().map(|due| due.0),
        finished_at: change.to().is_final().then_some(now.0),
        updated_at: now.0,
        waits: waits.code(),
        // A blocked job is not in the index of those that are due.
        resume_at: row.due_at.filter(|_| change.to() == State::Blocked),
        id: row.id,
        from: change.from().code(),
        fence: row.fence,
    }
    .execute(db)?;
    if changed == 1 {
        deltas.entered(&row.queue, change.from(), -1);
        deltas.entered(&row.queue, change.to(), 1);
        if Gates::from_code(row.gates).has(Gates::LIMITS) {
            deltas.limited(row.id, change.to());
        }
    }
    Ok(changed == 1)
}

/// Applies what a reason that came or went does to a job. Returns the state that it has then.
pub fn apply_blocking(
    db: &mut Db,
    row: &JobRow,
    blocking: &Blocking,
    now: Timestamp,
    deltas: &mut Deltas,
) -> Result<State, StoreError> {
    if let Some(change) = &blocking.change {
        apply(db, row, change, blocking.waits, now, deltas)?;
        return Ok(change.to());
    }
    SetWaits {
        waits: blocking.waits.code(),
        updated_at: now.0,
        id: row.id,
    }
    .execute(db)?;
    Ok(State::Blocked)
}
