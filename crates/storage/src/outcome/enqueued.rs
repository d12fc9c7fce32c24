//! What a new job has besides its row: why it is blocked at first, and when it is due then.

use queuectl_core::{JobId, Timestamp, ValidJob};

use super::start::start;
use super::{edges, members};
use crate::StoreError;
use crate::backend::Db;
use crate::counts::Deltas;

/// Stores ordinary jobs, which must not have unique keys, in a transaction that is the caller's: that of an enqueue, of a tick, or one
/// that ends other jobs.
pub fn insert(db: &mut Db, jobs: &[ValidJob], now: Timestamp) -> Result<Vec<JobId>, StoreError> {
    let ids = db.dialect().insert_all(jobs, now)?;
    enqueued(db, jobs, &ids, now)?;
    Ok(ids)
}

/// Completes jobs that were just stored, in their transaction. Plain jobs cost nothing here.
pub fn enqueued(db: &mut Db, jobs: &[ValidJob], ids: &[JobId], now: Timestamp) -> Result<(), StoreError> {
    start(db, jobs, ids, now)?;
    let mut deltas = Deltas::default();
    link(db, jobs, ids, |_| true, now, &mut deltas)?;
    super::finish(db, deltas, now)
}

/// Says for which others jobs wait that were just stored, and which groups they are in: those that `is_new` tells by their
/// place; in the place of each of the rest, a job counts that was there.
pub fn link(
    db: &mut Db,
    jobs: &[ValidJob],
    ids: &[JobId],
    is_new: impl Fn(usize) -> bool,
    now: Timestamp,
    deltas: &mut Deltas,
) -> Result<(), StoreError> {
    members::join(db, jobs, ids, &is_new, now, deltas)?;
    edges::link(db, jobs, ids, &is_new, now, deltas)
}
