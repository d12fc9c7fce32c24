//! The outcome transaction: all that follows from a change of a job, in the transaction that changes it.
//!
//! What changes the state of a job that has gates calls [`follow`], and [`finish`] before it commits: the cycle, which also
//! rescues, and the operations `cancel` and `retry`; a purge calls [`removed`]. A plain job has no gates, and nothing here is called for it. Each
//! mechanism is a file and a line in [`MECHANISMS`]; it reads what it needs from its own tables.
//!
//! This is below the dialects, which call it from their cycles, and knows a database only as [`Db`]. It calls no operation.

mod alerts;
mod apply;
mod dependencies;
mod edge_statements;
mod edges;
mod enqueued;
mod groups;
mod hook_facts;
mod hooks;
mod labels;
mod limits;
mod members;
pub mod schedules;
mod start;
mod unique;
mod verdict;

use queuectl_core::{Gates, State, Timestamp};

pub use self::alerts::arm as arm_alerts;
pub use self::apply::{apply, apply_blocking, standing};
pub use self::dependencies::{set_unmet, wait_again};
pub(crate) use self::edge_statements::{ChildColumns, ChildRow, EdgeRows, child, edge_statements};
pub use self::edges::{EdgeRow, lock_parents};
pub use self::enqueued::{enqueued, insert, link};
pub use self::groups::{GroupRow, WRONG as GROUPS_WRONG, change, close, group_named, progress, stop_further};
pub use self::hooks::events;
pub use self::members::enter;
pub use self::start::start;
pub use self::unique::is_superseded;
pub use self::verdict::{Child, Step};
use crate::StoreError;
use crate::backend::{Db, on_any};
use crate::counts::Deltas;
use crate::env::{self, Guard};
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

/// The statements about groups and alerts, for tests that read their query plans.
pub fn group_statements() -> Vec<(&'static str, &'static str)> {
    [groups::all(), members::all(), alerts::all()].concat()
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
const MECHANISMS: &[Mechanism] = &[
    unique::MECHANISM,
    dependencies::MECHANISM,
    schedules::MECHANISM,
    groups::MECHANISM,
    hooks::MECHANISM,
    labels::MECHANISM,
];

/// Does all that follows from a change, in its transaction, up to what [`finish`] does at its end.
///
/// # Errors
/// [`StoreError::Database`]; the change is not to be stored then.
pub fn follow(db: &mut Db, change: &Change, now: Timestamp, deltas: &mut Deltas) -> Result<(), StoreError> {
    follow_within(db, std::slice::from_ref(change), now, deltas)
}

/// Does the same for several changes.
fn follow_within(
    db: &mut Db,
    changes: &[Change],
    now: Timestamp,
    deltas: &mut Deltas,
) -> Result<(), StoreError> {
    dependencies::lock_children(db, changes)?;
    for change in changes {
        let keeps_place = env::is_disabled(Guard::Slots) && !change.to.is_final();
        if change.gates.has(Gates::LIMITS) && !keeps_place {
            deltas.limited(change.job, change.to);
        }
        for mechanism in MECHANISMS
            .iter()
            .filter(|mechanism| change.gates.has(mechanism.gates))
        {
            (mechanism.follow)(db, change, now, deltas)?;
        }
    }
    Ok(())
}

/// Ends a transaction that has changed jobs: settles groups and limits, then stores the numbers of jobs. Limits come last,
/// because two transactions would wait for each other that lock limits and then rows which the other has locked.
///
/// # Errors
/// [`StoreError::Database`]; the changes are not to be stored then.
pub fn finish(db: &mut Db, mut deltas: Deltas, now: Timestamp) -> Result<(), StoreError> {
    groups::settle(db, now, &mut deltas)?;
    arm_alerts(db, &deltas)?;
    let mut keys = Keys::default();
    limits::after(db, &mut keys, now, &mut deltas)?;
    on_any!(db, conn => keys.store_times(conn))?;
    db.dialect().add_counts(deltas)
}

/// Does all that follows from the changes of a cycle. What was found out about keys of limits is left in `keys`; its times
/// are not stored yet, nor are the numbers of jobs.
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
    follow_within(db, changes, now, deltas)?;
    hooks::after(db, changes, keys, now)?;
    groups::settle(db, now, deltas)?;
    alerts::after(db, changes, keys, now, deltas)?;
    limits::after(db, keys, now, deltas)
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
