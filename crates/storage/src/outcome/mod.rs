//! The outcome transaction: all that follows from a change of a job, in the transaction that changes it.
//!
//! What changes the state of a job that has gates calls [`follow`] before it commits: the cycle, which also rescues, and the
//! operations `cancel` and `retry`; a purge calls [`removed`]. A plain job has no gates, and nothing here is called for it. Each
//! mechanism is a file and a line in [`MECHANISMS`]; it reads what it needs from its own tables.
//!
//! This is below the dialects, which call it from their cycles, and knows a database only as [`Db`]. It calls no operation.

mod apply;
mod dependencies;
mod edges;
mod enqueued;
mod limits;
pub mod schedules;
mod unique;

use queuectl_core::{Gates, State, Timestamp};

pub use self::apply::{apply, apply_blocking, standing};
pub use self::edges::EdgeRow;
pub use self::enqueued::{enqueued, link, start};
pub use self::unique::is_superseded;
use crate::StoreError;
use crate::backend::{Db, on_any};
use crate::counts::Deltas;
use crate::limits::Keys;

/// A change of a job that has gates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The job.
    pub job: i64,
    /// Its gates.
    pub gates: Gates,
    /// The state that it left.
    pub from: State,
    /// The state that it has now.
    pub to: State,
}

/// What follows from jobs that have some gates.
pub struct Mechanism {
    /// The gates.
    gates: Gates,
    /// Does what follows from a change; what it does to the numbers of jobs goes into the differences.
    follow: fn(&mut Db, &Change, Timestamp, &mut Deltas) -> Result<(), StoreError>,
    /// Removes what it keeps of a job that was removed.
    forget: fn(&mut Db, i64) -> Result<(), StoreError>,
}

/// The mechanisms, in the order in which they follow.
const MECHANISMS: &[Mechanism] = &[unique::MECHANISM, dependencies::MECHANISM, schedules::MECHANISM];

/// Does all that follows from a change, in its transaction.
///
/// # Errors
/// [`StoreError::Database`]; the change is not to be stored then.
pub fn follow(db: &mut Db, change: &Change, now: Timestamp, deltas: &mut Deltas) -> Result<(), StoreError> {
    let mut keys = Keys::default();
    follow_all(db, std::slice::from_ref(change), &mut keys, now, deltas)?;
    on_any!(db, conn => keys.store_times(conn))?;
    Ok(())
}

/// Does all that follows from several changes. What was found out about keys of limits is left in `keys`; its times are not
/// stored yet.
///
/// # Errors
/// [`StoreError::Database`]; the changes are not to be stored then.
pub fn follow_all(
    db: &mut Db,
    changes: &[Change],
    keys: &mut Keys,
    now: Timestamp,
    deltas: &mut Deltas,
) -> Result<(), StoreError> {
    for change in changes {
        for mechanism in MECHANISMS
            .iter()
            .filter(|mechanism| change.gates.has(mechanism.gates))
        {
            (mechanism.follow)(db, change, now, deltas)?;
        }
    }
    // Last, because what follows may end other jobs, whose keys are then read as they stand.
    limits::after(db, changes, keys, now, deltas)
}

/// Removes what belongs to jobs that were removed, in the transaction that removes them.
///
/// # Errors
/// [`StoreError::Database`].
pub fn removed(db: &mut Db, jobs: &[(i64, Gates)]) -> Result<(), StoreError> {
    for (job, gates) in jobs.iter().filter(|(_, gates)| !gates.is_empty()) {
        for mechanism in MECHANISMS.iter().filter(|mechanism| gates.has(mechanism.gates)) {
            (mechanism.forget)(db, *job)?;
        }
    }
    Ok(())
}
