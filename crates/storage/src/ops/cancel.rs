//! Giving a job up.

use diesel::prelude::*;
use queuectl_core::{Event, JobRef, State, Timestamp, transition};

use super::change::change;
use super::show::find;
use crate::backend::Db;
use crate::outcome::standing;
use crate::schema::jobs;
use crate::types::nodes::Wake;
use crate::{Store, StoreError};

/// What became of a request to cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancelled {
    /// The job is cancelled.
    Now,
    /// The job runs; its node was asked to stop it and records the rest.
    Requested,
}

impl Store {
    /// Cancels a job that waits, or asks the node that runs it to stop it.
    ///
    /// # Errors
    /// [`StoreError::NoSuchJob`]; [`StoreError::Refused`] if the job has ended already.
    pub fn cancel(&mut self, job: &JobRef, now: Timestamp) -> Result<Cancelled, StoreError> {
        let done = self.write(|conn| cancel(conn, job, now))?;
        self.wake_all(Wake::Control);
        Ok(done)
    }
}

/// The same in a transaction that is the caller's.
pub(crate) fn cancel(conn: &mut Db, job: &JobRef, now: Timestamp) -> Result<Cancelled, StoreError> {
    let row = find(conn, job)?;
    let decided = transition(standing(&row)?, Event::Cancel).map_err(|refused| StoreError::Refused {
        job: job.to_string(),
        refused,
    })?;
    if decided.from() == State::Processing {
        diesel::update(jobs::table.find(row.id))
            .set((jobs::cancel_requested.eq(true), jobs::updated_at.eq(now.0)))
            .execute(conn)?;
        return Ok(Cancelled::Requested);
    }
    change(conn, &row, &decided, now)?;
    Ok(Cancelled::Now)
}
