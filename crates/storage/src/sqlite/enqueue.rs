//! Storing jobs on SQLite, one after the other.

use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::sqlite::SqliteConnection;
use queuectl_core::{JobId, Timestamp};

use super::statements::{InsertJob, InsertPayload, LastNumber};
use crate::StoreError;
use crate::counts::Deltas;
use crate::verbs::enqueue::{Checked, first_state};

/// Stores jobs; their numbers, in their order.
pub fn insert_all(
    conn: &mut SqliteConnection,
    jobs: Vec<Checked<'_>>,
    now: Timestamp,
) -> Result<Vec<JobId>, StoreError> {
    let mut ids = Vec::with_capacity(jobs.len());
    let mut deltas = Deltas::default();
    for (index, new) in jobs.into_iter().enumerate() {
        deltas.came(new.job.queue.as_str(), first_state(new.job, now).0, 1);
        ids.push(insert(conn, new, index, now)?);
    }
    deltas.store_sqlite(conn)?;
    Ok(ids)
}

fn insert(
    conn: &mut SqliteConnection,
    Checked { job, payload }: Checked<'_>,
    index: usize,
    now: Timestamp,
) -> Result<JobId, StoreError> {
    let (state, due_at) = first_state(job, now);
    let row = InsertJob {
        name: job.name.clone().map(String::from),
        queue: job.queue.to_string(),
        state: state.code(),
        priority: job.priority,
        // `NewJob::check` keeps these far below the limits of the columns.
        max_retries: job.max_retries.map(|n| i32::try_from(n).unwrap_or(i32::MAX)),
        backoff_base: job.backoff_base,
        timeout_ms: job.timeout_ms.map(|ms| i64::try_from(ms).unwrap_or(i64::MAX)),
        executor: job.executor.to_string(),
        due_at: due_at.map(|due| due.0),
        created_at: now.0,
        updated_at: now.0,
    };
    row.execute(conn).map_err(|error| match (error, &job.name) {
        (DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _), Some(name)) => {
            StoreError::NameTaken {
                name: name.to_string(),
                index,
            }
        }
        (error, _) => error.into(),
    })?;
    let (id,) = LastNumber {}.get_result::<(i64,)>(conn)?;
    InsertPayload { job_id: id, payload }.execute(conn)?;
    Ok(JobId(id))
}
