//! Storing new jobs.

use queuectl_core::{JobId, Timestamp, ValidJob};

use crate::types::nodes::Wake;
use crate::{Store, StoreError};

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
