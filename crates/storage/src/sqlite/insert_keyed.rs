//! Storing jobs of which some have keys, one a statement: one whose key or name is taken is left out.

use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::sqlite::SqliteConnection;
use queuectl_core::Timestamp;

use super::inserts::{self, KeyedRow, PayloadRow};
use crate::StoreError;
use crate::counts::Deltas;
use crate::types::jobs::{NewJob, content};

/// Stores new jobs and counts them, but those whose name or key another has; which ones.
pub fn insert_new(
    conn: &mut SqliteConnection,
    jobs: &[NewJob<'_>],
    now: Timestamp,
    deltas: &mut Deltas,
) -> Result<Vec<bool>, StoreError> {
    let mut stored = Vec::with_capacity(jobs.len());
    for new in jobs {
        let row = KeyedRow::new(new, &content(new.job), now);
        let is_stored = match inserts::insert_one(conn, &row) {
            Ok(()) => true,
            // The statement is undone, the transaction is not.
            Err(DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _)) => false,
            Err(error) => return Err(error.into()),
        };
        if is_stored {
            let payload = PayloadRow {
                job_id: new.id,
                payload: new.job.stored_payload(),
            };
            inserts::insert_one(conn, &payload)?;
            deltas.came(new.job.queue(), new.state, 1);
        }
        stored.push(is_stored);
    }
    Ok(stored)
}
