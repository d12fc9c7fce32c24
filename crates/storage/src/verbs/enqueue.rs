//! Storing new jobs.

use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::sqlite::SqliteConnection;
use queuectl_core::{JobId, NewJob, State, Timestamp};

use crate::sqlite::counts::Deltas;
use crate::sqlite::statements::{InsertJob, InsertPayload, LastNumber};
use crate::{Store, StoreError};

impl Store {
    /// Stores jobs in one transaction, all or none, and wakes the nodes. When this returns, the jobs survive a
    /// process kill, and with `durability = full` a power cut. The numbers are in the order of the jobs.
    ///
    /// # Errors
    /// [`StoreError::BadJob`] and [`StoreError::NameTaken`] say which job is to blame; nothing was stored then.
    pub fn enqueue(&mut self, jobs: &[NewJob], now: Timestamp) -> Result<Vec<JobId>, StoreError> {
        let mut checked = Vec::with_capacity(jobs.len());
        for (index, job) in jobs.iter().enumerate() {
            let bad = |error| StoreError::BadJob { error, index };
            job.check().map_err(bad)?;
            checked.push((job, job.payload.to_stored().map_err(bad)?));
        }
        let ids = self.write(|conn| {
            let mut ids = Vec::with_capacity(checked.len());
            let mut deltas = Deltas::default();
            for (index, (job, payload)) in checked.into_iter().enumerate() {
                ids.push(insert(conn, job, payload, index, now, &mut deltas)?);
            }
            deltas.store(conn)?;
            Ok(ids)
        })?;
        self.beside.wake_all();
        Ok(ids)
    }
}

fn insert(
    conn: &mut SqliteConnection,
    job: &NewJob,
    payload: String,
    index: usize,
    now: Timestamp,
    deltas: &mut Deltas,
) -> Result<JobId, StoreError> {
    let due_at = job.run_at.filter(|due| *due > now);
    let state = if due_at.is_some() {
        State::Scheduled
    } else {
        State::Pending
    };
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
    deltas.came(job.queue.as_str(), state, 1);
    Ok(JobId(id))
}
