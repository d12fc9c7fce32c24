//! Storing new jobs.

use queuectl_core::{JobId, NewJob, State, Timestamp};

use crate::connection::Db;
use crate::sums::OfJob;
use crate::{Store, StoreError, postgres, sqlite};

/// A job that was checked, with its payload as it is stored.
pub(crate) struct Checked<'a> {
    pub job: &'a NewJob,
    pub payload: String,
}

impl Checked<'_> {
    // `NewJob::check` keeps these far below the limits of the columns.
    pub fn max_retries(&self) -> Option<i32> {
        self.job.max_retries.map(|n| i32::try_from(n).unwrap_or(i32::MAX))
    }

    pub fn timeout_ms(&self) -> Option<i64> {
        self.job
            .timeout_ms
            .map(|ms| i64::try_from(ms).unwrap_or(i64::MAX))
    }

    /// The checksum over all of it that never changes.
    pub fn sum(&self) -> i32 {
        let of = OfJob {
            name: self.job.name.as_ref().map(|name| name.as_str()),
            queue: self.job.queue.as_str(),
            priority: self.job.priority,
            max_retries: self.max_retries(),
            backoff_base: self.job.backoff_base,
            timeout_ms: self.timeout_ms(),
            executor: self.job.executor.as_str(),
            payload: &self.payload,
        };
        of.sum()
    }
}

impl Store {
    /// Stores jobs in one transaction, all or none, and wakes the nodes. When this returns, the jobs survive a
    /// process kill, and with `durability = full` a power cut. The numbers are in the order of the jobs.
    ///
    /// # Errors
    /// [`StoreError::BadJob`] and [`StoreError::NameTaken`] say which job is to blame; nothing was stored then.
    pub fn enqueue(&mut self, jobs: &[NewJob], now: Timestamp) -> Result<Vec<JobId>, StoreError> {
        let checked = check(jobs)?;
        let ids = self.write(|conn| match conn {
            Db::Sqlite(conn) => sqlite::enqueue::insert_all(conn, checked, now),
            Db::Postgres(conn) => postgres::enqueue::insert_all(conn, checked, now),
        })?;
        self.wake_all();
        Ok(ids)
    }
}

/// Checks jobs before anything is stored.
pub(crate) fn check(jobs: &[NewJob]) -> Result<Vec<Checked<'_>>, StoreError> {
    let mut checked = Vec::with_capacity(jobs.len());
    for (index, job) in jobs.iter().enumerate() {
        let bad = |error| StoreError::BadJob { error, index };
        job.check().map_err(bad)?;
        let payload = job.payload.to_stored().map_err(bad)?;
        checked.push(Checked { job, payload });
    }
    Ok(checked)
}

/// The state in which a new job is stored, and when it is due if it has to wait.
pub(crate) fn first_state(job: &NewJob, now: Timestamp) -> (State, Option<Timestamp>) {
    match job.run_at.filter(|due| *due > now) {
        Some(due) => (State::Scheduled, Some(due)),
        None => (State::Pending, None),
    }
}
