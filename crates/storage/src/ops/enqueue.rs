//! Storing new jobs.

use queuectl_core::{JobId, Timestamp, ValidJob};

use crate::backend::Db;
use crate::types::nodes::Wake;
use crate::{Store, StoreError, postgres, sqlite};

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
        let ids = self.backend.insert(jobs, now)?;
        self.wake_all(Wake::Jobs);
        Ok(ids)
    }
}

/// Stores jobs in a transaction that is the caller's; their numbers, in their order.
pub(crate) fn insert(conn: &mut Db, jobs: &[ValidJob], now: Timestamp) -> Result<Vec<JobId>, StoreError> {
    match conn {
        Db::Sqlite(conn) => sqlite::enqueue::insert_all(conn, jobs, now),
        Db::Postgres(conn) => Ok(postgres::enqueue::insert_all(conn, jobs, now)?.0),
    }
}
