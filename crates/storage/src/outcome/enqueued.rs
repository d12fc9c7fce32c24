//! What a new job has besides its row: why it is blocked at first, and when it is due then.

use diesel::prelude::*;
use queuectl_core::{JobId, Timestamp, ValidJob};

use crate::StoreError;
use crate::backend::Db;
use crate::backend::statements::StartBlocked;
use crate::types::jobs::{first_due, first_waits};

/// Completes jobs that were just stored, in their transaction. Plain jobs cost nothing here.
pub fn enqueued(db: &mut Db, jobs: &[ValidJob], ids: &[JobId], now: Timestamp) -> Result<(), StoreError> {
    for (job, id) in jobs.iter().zip(ids) {
        let waits = first_waits(job);
        if !waits.is_empty() {
            StartBlocked {
                waits: waits.code(),
                resume_at: first_due(job, now).map(|due| due.0),
                id: id.0,
            }
            .execute(db)?;
        }
    }
    Ok(())
}
