//! Applying a decision to one job, with all that follows from it.

use queuectl_core::{Gates, Timestamp, Transition, Waits};

use crate::StoreError;
use crate::backend::Db;
use crate::counts::Deltas;
use crate::outcome::{self, Change};
use crate::rows::JobRow;

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
