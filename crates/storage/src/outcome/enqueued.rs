//! What a new job has besides its row: why it is blocked at first, and when it is due then.

use diesel::prelude::*;
use queuectl_core::{JobId, Timestamp, ValidJob};

use super::edges;
use crate::StoreError;
use crate::backend::Db;
use crate::backend::statements::StartBlocked;
use crate::counts::Deltas;
use crate::types::jobs::{first_due, first_gates, first_waits};

/// Completes jobs that were just stored, in their transaction. Plain jobs cost nothing here.
pub fn enqueued(db: &mut Db, jobs: &[ValidJob], ids: &[JobId], now: Timestamp) -> Result<(), StoreError> {
    start(db, jobs, ids, now)?;
    link(db, jobs, ids, |_| true, now)
}

/// Says what blocks jobs that were just stored.
pub fn start(db: &mut Db, jobs: &[ValidJob], ids: &[JobId], now: Timestamp) -> Result<(), StoreError> {
    for (job, id) in jobs.iter().zip(ids) {
        let waits = first_waits(job);
        if !waits.is_empty() {
            StartBlocked {
                waits: waits.code(),
                gates: first_gates(job).code(),
                resume_at: first_due(job, now).map(|due| due.0),
                id: id.0,
            }
            .execute(db)?;
        }
    }
    Ok(())
}

/// Says for which others jobs wait that were just stored, those that `is_new` tells by their place; in the place of each of
/// the rest, a job counts that was there.
pub fn link(
    db: &mut Db,
    jobs: &[ValidJob],
    ids: &[JobId],
    is_new: impl Fn(usize) -> bool,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut deltas = Deltas::default();
    edges::link(db, jobs, ids, is_new, now, &mut deltas)?;
    db.dialect().add_counts(deltas)
}
