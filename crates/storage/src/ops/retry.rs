//! Sending jobs round again by hand, with fresh attempts.

use diesel::prelude::*;
use queuectl_core::{Event, JobId, JobRef, QueueName, State, Timestamp, transition};

use super::change::change;
use super::listing;
use super::only::Only;
use super::show::find;
use crate::outcome::standing;
use crate::rows::JobRow;
use crate::schema::jobs;
use crate::types::nodes::Wake;
use crate::{Store, StoreError};

impl Store {
    /// Makes one job ready again at once, with fresh attempts; its history stays. The job must fit `only`.
    ///
    /// # Errors
    /// [`StoreError::NoSuchJob`]; [`StoreError::Refused`] if the job's state does not allow it;
    /// [`StoreError::LeftAlone`] if it is not one of those that are meant.
    pub fn retry(&mut self, job: &JobRef, only: &Only, now: Timestamp) -> Result<JobId, StoreError> {
        let id = self.write(|conn| {
            let row = find(conn, job)?;
            let at = standing(&row)?;
            only.check(job, &row, at.state, "retry")?;
            let refuse = |refused| StoreError::Refused {
                job: job.to_string(),
                refused,
            };
            let decided = transition(at, Event::Retry).map_err(refuse)?;
            change(conn, &row, &decided, now)?;
            Ok(JobId(row.id))
        })?;
        self.wake_all(Wake::Jobs);
        Ok(id)
    }

    /// Makes up to `limit` dead jobs ready again, of one queue or all, those that died first first, and those of
    /// the queue `default` before all others. Returns how many. Jobs that died after `now` are left alone: repeated with the
    /// same `now`, it ends even if the jobs die again at once.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn retry_dead(
        &mut self,
        queue: Option<&QueueName>,
        limit: u32,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let retried = self.write_busily(|conn| {
            let ids = listing::ended(
                conn,
                State::Dead,
                queue,
                Some(Timestamp(now.0.saturating_add(1))),
                limit,
            )?;
            let rows: Vec<JobRow> = jobs::table
                .filter(jobs::id.eq_any(ids))
                .select(JobRow::as_select())
                .load(conn)?;
            let mut retried = 0;
            for row in rows {
                let decided =
                    transition(standing(&row)?, Event::Retry).map_err(|refused| StoreError::Refused {
                        job: row.id.to_string(),
                        refused,
                    })?;
                retried += u64::from(change(conn, &row, &decided, now)?);
            }
            Ok(retried)
        })?;
        self.wake_all(Wake::Jobs);
        Ok(retried)
    }
}
