//! Removing ended jobs for good, in small steps.

use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;
use queuectl_core::{JobRef, QueueName, State, Timestamp};

use super::cancel::standing;
use super::show::find;
use crate::rows::JobRow;
use crate::sqlite::counts::{self, Deltas};
use crate::sqlite::pages;
use crate::sqlite::statements::{QueueOf, RemoveJob};
use crate::{Store, StoreError};

/// No step goes on for longer: others want to write, too, and a job's output can be large.
const STEP_MOST: Duration = Duration::from_millis(10);

/// Which ended jobs to remove.
#[derive(Debug, Clone)]
pub struct PurgeFilter {
    /// Their state; only final states have jobs to remove.
    pub state: State,
    /// Only in this queue.
    pub queue: Option<QueueName>,
    /// Only those that ended before.
    pub ended_before: Option<Timestamp>,
    /// At most so many in this step.
    pub limit: u32,
}

/// What a step of a purge did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Purged {
    /// Jobs removed.
    pub jobs: u64,
    /// Whether there may be more; if not, there was none left.
    pub more: bool,
}

impl Store {
    /// Removes up to `limit` ended jobs with their attempts and outputs, queue by queue, those that ended first first.
    /// Ends early when it has taken long enough.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn purge(&mut self, filter: &PurgeFilter) -> Result<Purged, StoreError> {
        let (ids, more) = self.write_busily(|conn| {
            let until = Instant::now() + STEP_MOST;
            let queue = filter.queue.as_ref();
            let mut ids = pages::ended(conn, filter.state, queue, filter.ended_before, filter.limit)?;
            let mut more = ids.len() as u64 == u64::from(filter.limit);
            let mut deltas = Deltas::default();
            let mut done = 0;
            for id in &ids {
                let (queue,) = QueueOf { id: *id }.get_result::<(String,)>(conn)?;
                remove(conn, *id, &queue, filter.state, &mut deltas)?;
                done += 1;
                if Instant::now() >= until {
                    break;
                }
            }
            deltas.store(conn)?;
            if done > 0 {
                counts::forget_empty(conn)?;
            }
            more |= done < ids.len();
            ids.truncate(done);
            Ok((ids, more))
        })?;
        for id in &ids {
            self.beside.remove_outputs(*id);
        }
        let jobs = ids.len() as u64;
        Ok(Purged { jobs, more })
    }

    /// Removes all ended jobs that fit, whatever the filter's limit says, step by step and with a pause as long as the
    /// step after each, so that others get their turns. Returns how many.
    ///
    /// # Errors
    /// [`StoreError::Database`]; earlier steps stay done.
    pub fn purge_all(&mut self, filter: &PurgeFilter) -> Result<u64, StoreError> {
        let mut sum = 0;
        loop {
            let start = Instant::now();
            let step = self.purge(filter)?;
            sum += step.jobs;
            if !step.more {
                return Ok(sum);
            }
            std::thread::sleep(start.elapsed());
        }
    }

    /// How many ended jobs fit: what steps of [`Store::purge`] would remove. Reads an index over all of them.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn count_purgeable(&mut self, filter: &PurgeFilter) -> Result<u64, StoreError> {
        pages::count_ended(
            &mut self.conn,
            filter.state,
            filter.queue.as_ref(),
            filter.ended_before,
        )
    }

    /// Removes one job that must be in state `only`.
    ///
    /// # Errors
    /// [`StoreError::NoSuchJob`]; [`StoreError::Refused`] if it is in another state.
    pub fn purge_one(&mut self, job: &JobRef, only: State) -> Result<(), StoreError> {
        let id = self.write(|conn| {
            let row: JobRow = find(conn, job)?;
            let at = standing(&row)?;
            if at.state != only {
                let refused = queuectl_core::Refused {
                    state: at.state,
                    event: "purge",
                };
                return Err(StoreError::Refused {
                    job: job.to_string(),
                    refused,
                });
            }
            let mut deltas = Deltas::default();
            remove(conn, row.id, &row.queue, only, &mut deltas)?;
            deltas.store(conn)?;
            counts::forget_empty(conn)?;
            Ok(row.id)
        })?;
        self.beside.remove_outputs(id);
        Ok(())
    }
}

fn remove(
    conn: &mut SqliteConnection,
    id: i64,
    queue: &str,
    state: State,
    deltas: &mut Deltas,
) -> Result<(), StoreError> {
    RemoveJob { id }.execute(conn)?;
    deltas.came(queue, state, -1);
    Ok(())
}
