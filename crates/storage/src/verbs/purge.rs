//! Removing ended jobs for good, in small steps.

use diesel::prelude::*;
use queuectl_core::{JobRef, QueueName, State, Timestamp};

use super::cancel::standing;
use super::show::find;
use crate::connection::Db;
use crate::postgres::statements::RemoveJobs;
use crate::schema::jobs;
use crate::{Store, StoreError};

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

impl Store {
    /// Removes up to `limit` ended jobs with their attempts and outputs, those that ended first first. Returns how
    /// many; fewer than the limit means that none are left.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn purge(&mut self, filter: &PurgeFilter) -> Result<u64, StoreError> {
        let ids: Vec<i64> = self.write(|conn| {
            let mut query = jobs::table
                .filter(jobs::state.eq(filter.state.code()))
                .filter(jobs::finished_at.is_not_null())
                .into_boxed();
            if let Some(queue) = &filter.queue {
                query = query.filter(jobs::queue.eq(queue.as_str()));
            }
            if let Some(before) = filter.ended_before {
                query = query.filter(jobs::finished_at.lt(before.0));
            }
            let ids: Vec<i64> = query
                .order(jobs::finished_at)
                .limit(i64::from(filter.limit))
                .select(jobs::id)
                .load(conn)?;
            remove(conn, &ids)?;
            Ok(ids)
        })?;
        for id in &ids {
            self.beside.remove_outputs(*id);
        }
        Ok(ids.len() as u64)
    }

    /// Removes one job that must be in state `only`.
    ///
    /// # Errors
    /// [`StoreError::NoSuchJob`]; [`StoreError::Refused`] if it is in another state.
    pub fn purge_one(&mut self, job: &JobRef, only: State) -> Result<(), StoreError> {
        let id = self.write(|conn| {
            let row = find(conn, job)?;
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
            remove(conn, &[row.id])?;
            Ok(row.id)
        })?;
        self.beside.remove_outputs(id);
        Ok(())
    }
}

/// Removes jobs with all that belongs to them.
fn remove(conn: &mut Db, ids: &[i64]) -> Result<(), StoreError> {
    match conn {
        // The rest goes with them, by the foreign keys.
        Db::Sqlite(conn) => diesel::delete(jobs::table.filter(jobs::id.eq_any(ids))).execute(conn)?,
        Db::Postgres(conn) => RemoveJobs { id: ids.to_vec() }.execute(conn)?,
    };
    Ok(())
}
