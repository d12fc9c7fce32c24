//! Storing new jobs.

use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::sqlite::SqliteConnection;
use queuectl_core::{JobId, NewJob, State, Timestamp};

use crate::sqlite::counts::Deltas;
use crate::sqlite::inserts::{self, JobRow, PayloadRow};
use crate::sqlite::statements::LastNumber;
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
        let jobs: Vec<&NewJob> = checked.iter().map(|(job, _)| *job).collect();
        let rows: Vec<JobRow<'_>> = jobs.iter().map(|job| row(job, now)).collect();
        let ids = self.write(|conn| {
            let numbers = insert_jobs(conn, &rows)?;
            let payloads: Vec<PayloadRow<'_>> = numbers
                .iter()
                .zip(&checked)
                .map(|(job_id, (_, payload))| PayloadRow {
                    job_id: *job_id,
                    payload,
                })
                .collect();
            inserts::insert(conn, &payloads, |_, _| Ok(())).map_err(|(_, error)| error)?;
            let mut deltas = Deltas::default();
            for (job, row) in jobs.iter().zip(&rows) {
                let state = State::from_code(row.state).unwrap_or(State::Pending);
                deltas.came(job.queue.as_str(), state, 1);
            }
            deltas.store(conn)?;
            Ok(numbers)
        })?;
        self.beside.wake_all();
        Ok(ids.into_iter().map(JobId).collect())
    }
}

fn row(job: &NewJob, now: Timestamp) -> JobRow<'_> {
    let due_at = job.run_at.filter(|due| *due > now);
    let state = if due_at.is_some() {
        State::Scheduled
    } else {
        State::Pending
    };
    JobRow {
        name: job.name.as_ref().map(|name| name.as_str()),
        queue: job.queue.as_str(),
        state: state.code(),
        priority: job.priority,
        // `NewJob::check` keeps these far below the limits of the columns.
        max_retries: job.max_retries.map(|n| i32::try_from(n).unwrap_or(i32::MAX)),
        backoff_base: job.backoff_base,
        timeout_ms: job.timeout_ms.map(|ms| i64::try_from(ms).unwrap_or(i64::MAX)),
        executor: job.executor.as_str(),
        due_at: due_at.map(|due| due.0),
        created_at: now.0,
        updated_at: now.0,
        attempts: 0,
        fence: 0,
        system_failures: 0,
        cancel_requested: 0,
    }
}

/// Stores the rows and returns their numbers, or says which has a name that is taken.
fn insert_jobs(conn: &mut SqliteConnection, rows: &[JobRow<'_>]) -> Result<Vec<i64>, StoreError> {
    let mut numbers = Vec::with_capacity(rows.len());
    let inserted = inserts::insert(conn, rows, |conn, count| {
        // The rows of a statement are numbered one after the other: nobody else writes meanwhile.
        let (last,) = LastNumber {}.get_result::<(i64,)>(conn)?;
        numbers.extend(last - count as i64 + 1..=last);
        Ok(())
    });
    let Err((from, error)) = inserted else {
        return Ok(numbers);
    };
    if matches!(
        error,
        DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _)
    ) {
        // One of a statement's rows; which one, only each by itself can tell. All is undone with the transaction.
        for (index, row) in rows.iter().enumerate().skip(from) {
            if let (Err(_), Some(name)) = (inserts::insert_one(conn, row), row.name) {
                let name = name.to_owned();
                return Err(StoreError::NameTaken { name, index });
            }
        }
    }
    Err(error.into())
}
