//! Applying a decision to one job, with all that follows from it.

use diesel::prelude::*;
use queuectl_core::{Gates, State, Timestamp, Transition, Waits};

use crate::StoreError;
use crate::backend::Db;
use crate::counts::Deltas;
use crate::outcome::{self, Change};
use crate::rows::JobRow;
use crate::schema::jobs;

/// Applies a decision to a job that is not running, and does all that follows; false if it no longer stands where the
/// decision saw it.
pub(super) fn change(
    conn: &mut Db,
    row: &JobRow,
    change: &Transition,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let mut deltas = Deltas::default();
    let changed = outcome::apply(conn, row, change, Waits::NONE, now, &mut deltas)?;
    let gates = Gates::from_code(row.gates);
    if changed && row.follows.is_some() && change.to() != State::Blocked {
        // It waited to follow another, and does so no more.
        let own = diesel::update(jobs::table.find(row.id));
        own.set(jobs::follows.eq(None::<i64>)).execute(conn)?;
    }
    if changed && !gates.is_empty() {
        let change = Change {
            job: row.id,
            gates,
            from: change.from(),
            to: change.to(),
        };
        outcome::follow(conn, &change, now, &mut deltas)?;
    }
    conn.dialect().add_counts(deltas)?;
    Ok(changed)
}
