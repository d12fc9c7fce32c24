//! Storing new jobs.

use std::thread::sleep;
use std::time::{Duration, Instant};

use queuectl_core::{JobId, State, Timestamp, ValidJob};

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

// A valid job keeps these far below the limits of the columns.
pub(crate) fn max_retries(job: &ValidJob) -> Option<i32> {
    job.max_retries.map(|n| i32::try_from(n).unwrap_or(i32::MAX))
}

pub(crate) fn timeout_ms(job: &ValidJob) -> Option<i64> {
    job.timeout_ms.map(|ms| i64::try_from(ms).unwrap_or(i64::MAX))
}

/// The checksum over all of a job that never changes.
pub(crate) fn sum(job: &ValidJob) -> i32 {
    let of = JobContent {
        name: job.id.as_ref().map(|name| name.as_str()),
        queue: job.queue(),
        priority: job.priority(),
        max_retries: max_retries(job),
        backoff_base: job.backoff_base,
        timeout_ms: timeout_ms(job),
        executor: job.executor(),
        payload: job.stored_payload(),
    };
    of.sum()
}

impl Store {
    /// Stores jobs in one transaction, all or none, and wakes the nodes. When this returns, the jobs survive a
    /// process kill, and with `durability = full` a power cut. The numbers are in the order of the jobs.
    ///
    /// A server that goes away before it has answered the commit is asked again, for up to 60 s, what became of it: so
    /// either this returns the numbers, or nothing was stored and the caller may try again.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`] says which job is to blame. Nothing was stored then, nor with
    /// any other error but [`StoreError::MaybeStored`].
    pub fn enqueue(&mut self, jobs: &[ValidJob], now: Timestamp) -> Result<Vec<JobId>, StoreError> {
        // What the transaction is about to commit.
        let mut asked = None;
        let stored = self.write(|conn| match conn {
            Db::Sqlite(conn) => sqlite::enqueue::insert_all(conn, jobs, now),
            Db::Postgres(conn) => {
                let (ids, transaction) = postgres::enqueue::insert_all(conn, jobs, now)?;
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

/// The state in which a new job is stored, and when it is due if it has to wait.
pub(crate) fn first_state(job: &ValidJob, now: Timestamp) -> (State, Option<Timestamp>) {
    match job.start.map(|start| start.at(now)).filter(|due| *due > now) {
        Some(due) => (State::Scheduled, Some(due)),
        None => (State::Pending, None),
    }
}
