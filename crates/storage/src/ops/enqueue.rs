//! Storing new jobs.

use std::thread::sleep;
use std::time::{Duration, Instant};

use queuectl_core::{JobId, NewJob, State, Timestamp};

use super::nodes::Wake;
use crate::checksum::JobContent;
use crate::connection::Db;
use crate::postgres::commit::{Fate, Transaction, fate};
use crate::{Store, StoreError, postgres, sqlite};

/// How long a server that went away in the middle of a commit is asked again what became of it, and the first and the
/// longest pause between two questions.
const ASK_MOST: Duration = Duration::from_secs(60);
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_MOST: Duration = Duration::from_secs(1);

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
        let of = JobContent {
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
    /// A server that goes away before it has answered the commit is asked again, for up to 60 s, what became of it: so
    /// either this returns the numbers, or nothing was stored and the caller may try again.
    ///
    /// # Errors
    /// [`StoreError::BadJob`] and [`StoreError::NameTaken`] say which job is to blame. Nothing was stored then, nor with
    /// any other error but [`StoreError::MaybeStored`].
    pub fn enqueue(&mut self, jobs: &[NewJob], now: Timestamp) -> Result<Vec<JobId>, StoreError> {
        let checked = check(jobs)?;
        // What the transaction is about to commit.
        let mut asked = None;
        let stored = self.write(|conn| match conn {
            Db::Sqlite(conn) => sqlite::enqueue::insert_all(conn, checked, now),
            Db::Postgres(conn) => {
                let (ids, transaction) = postgres::enqueue::insert_all(conn, checked, now)?;
                asked = transaction.map(|transaction| (ids.clone(), transaction));
                Ok(ids)
            }
        });
        let ids = match (stored, asked) {
            (Err(error), Some((ids, transaction))) if error.is_outage() => {
                self.find_out(transaction, error)?;
                ids
            }
            (stored, _) => stored?,
        };
        self.wake_all(Wake::Jobs);
        Ok(ids)
    }

    /// Finds out whether a transaction was stored whose commit was not answered; `error` is what came instead.
    fn find_out(&mut self, transaction: Transaction, error: StoreError) -> Result<(), StoreError> {
        let until = Instant::now() + ASK_MOST;
        let mut pause = PAUSE_FIRST;
        loop {
            let found = self.conn().and_then(|conn| match conn {
                Db::Postgres(conn) => fate(conn, transaction),
                Db::Sqlite(_) => Ok(Fate::Aborted),
            });
            let why = match found {
                Ok(Fate::Committed) => return Ok(()),
                Ok(Fate::Aborted) => return Err(error),
                // A connection that the server does not know yet to be lost.
                Ok(Fate::Open) if Instant::now() < until => None,
                Err(error) if error.is_outage() && Instant::now() < until => None,
                Ok(_) => Some(error.to_string()),
                Err(later) => Some(later.to_string()),
            };
            if let Some(detail) = why {
                return Err(StoreError::MaybeStored { detail });
            }
            sleep(pause);
            pause = (pause * 2).min(PAUSE_MOST);
        }
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
