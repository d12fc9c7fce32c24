//! Limits: gives back what a job held, waited for or was let through for, and lets others go on.

use queuectl_core::{Gates, Timestamp};

use super::Change;
use crate::StoreError;
use crate::backend::{Db, on_any};
use crate::counts::Deltas;
use crate::limits::{Keys, LimitRows, release, settle};

/// Does what follows from changes of jobs, of which some name limits. For all of a transaction at once, because that takes
/// as many statements as for one.
pub fn after(
    db: &mut Db,
    changes: &[Change],
    keys: &mut Keys,
    now: Timestamp,
    deltas: &mut Deltas,
) -> Result<(), StoreError> {
    let limited = changes.iter().filter(|change| change.gates.has(Gates::LIMITS));
    let jobs: Vec<i64> = limited.map(|change| change.job).collect();
    if jobs.is_empty() {
        return Ok(());
    }
    let conn: &mut dyn LimitRows = on_any!(db, conn => conn);
    let freed = release(conn, keys, &jobs)?;
    settle(conn, keys, freed, now, deltas)
}
