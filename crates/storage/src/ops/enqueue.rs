//! Storing new jobs.

use queuectl_core::{JobId, Timestamp, ValidJob};

use super::unique;
use crate::backend::{After, Db};
use crate::types::jobs::has_keys;
use crate::types::nodes::Wake;
use crate::types::placed::Placed;
use crate::{Store, StoreError, outcome};

/// How often a batch is begun again because two transactions waited for each other.
const TRIES: u32 = 5;

impl Store {
    /// Does as [`Store::place`], and returns only the numbers.
    ///
    /// # Errors
    /// As [`Store::place`].
    pub fn enqueue(&mut self, jobs: &[ValidJob], now: Timestamp) -> Result<Vec<JobId>, StoreError> {
        let placed = self.place(jobs, now)?;
        Ok(placed.into_iter().map(|job| job.id).collect())
    }

    /// Stores jobs in one transaction, all or none, and wakes the nodes; a job whose key another has is treated as it says
    /// itself. When this returns, the jobs survive a process kill, and with `durability = full` a power cut. What became of
    /// each is in the order of the jobs, and so are the numbers of those that were stored.
    ///
    /// A server that goes away before it has answered the commit is asked again, for up to 60 s, what became of it: so
    /// either this returns the numbers, or nothing was stored and the caller may try again.
    ///
    /// # Errors
    /// [`StoreError::NameTaken`] and [`StoreError::KeyTaken`] say which job is to blame. Nothing was stored then, nor with
    /// any other error but [`StoreError::MaybeStored`].
    pub fn place(&mut self, jobs: &[ValidJob], now: Timestamp) -> Result<Vec<Placed>, StoreError> {
        self.place_with(jobs, now, &mut |_, _| Ok(()))
    }

    /// The same, with more in the transaction, which may be begun several times.
    pub(super) fn place_with(
        &mut self,
        jobs: &[ValidJob],
        now: Timestamp,
        after: &mut After<'_>,
    ) -> Result<Vec<Placed>, StoreError> {
        let mut tries = 0;
        let placed = loop {
            match self.backend.insert(jobs, now, unique::place, after) {
                Err(error) if error.is_deadlock() && tries < TRIES => tries += 1,
                done => break done?,
            }
        };
        self.wake_all(Wake::Jobs);
        Ok(placed)
    }
}

/// Does as [`Store::place`], in a transaction that is the caller's.
pub(crate) fn insert(conn: &mut Db, jobs: &[ValidJob], now: Timestamp) -> Result<Vec<Placed>, StoreError> {
    if has_keys(jobs) {
        return unique::place(conn, jobs, now);
    }
    let ids = outcome::insert(conn, jobs, now)?;
    Ok(ids.into_iter().map(Placed::new).collect())
}
