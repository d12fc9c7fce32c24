//! Which running jobs are suspended: their nodes say so, and what reads jobs shows it.
//!
//! A row is of one attempt, and counts for nothing once that has ended. Who wants a job suspended asks its node as for a signal
//! (`signals.rs`). The state of a job does not change.

use diesel::prelude::*;
use queuectl_core::{JobId, Timestamp};

use super::events::note;
use crate::backend::statements::{
    CountSuspensions, DropSuspension, ForgetSuspensions, IsRunning, StoreSuspension, SuspensionOf,
};
use crate::types::nodes::{Suspended, SuspensionNow};
use crate::{Store, StoreError};

impl Store {
    /// Stores how it stands with the suspension of running jobs. What is said of attempts that have ended is left out.
    ///
    /// # Errors
    /// [`StoreError::Database`]; nothing is stored then.
    pub fn record_suspensions(&mut self, said: &[Suspended], now: Timestamp) -> Result<(), StoreError> {
        self.write(|conn| {
            for Suspended { job, fence, now: how } in said {
                let (job_id, fence) = (job.0, *fence);
                let runs: Option<(i64,)> = IsRunning { job_id, fence }.get_result(conn).optional()?;
                if runs.is_none() {
                    continue;
                }
                let (since, refused, event) = match how {
                    SuspensionNow::Since(since) => (Some(since.0), None, Some("suspended")),
                    SuspensionNow::Refused(why) => (None, Some(why.clone()), None),
                    SuspensionNow::Resumed => {
                        if (DropSuspension { job_id, fence }).execute(conn)? > 0 {
                            note(conn, *job, "resumed", "{}".to_owned(), now)?;
                        }
                        continue;
                    }
                };
                StoreSuspension {
                    job_id,
                    fence,
                    since,
                    refused,
                }
                .execute(conn)?;
                if let Some(event) = event {
                    note(conn, *job, event, "{}".to_owned(), now)?;
                }
            }
            Ok(())
        })
    }

    /// How it stands with the suspension of a job, if it runs and that was asked for.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn suspension(&mut self, job: JobId) -> Result<Option<SuspensionNow>, StoreError> {
        let found: Option<(Option<i64>, Option<String>)> = SuspensionOf { job_id: job.0 }
            .get_result(self.conn()?)
            .optional()?;
        Ok(found.and_then(|(since, refused)| {
            let since = since.map(|since| SuspensionNow::Since(Timestamp(since)));
            since.or_else(|| refused.map(SuspensionNow::Refused))
        }))
    }

    /// Removes rows of attempts that have ended.
    pub(super) fn forget_suspensions(&mut self) -> Result<(), StoreError> {
        let (rows,): (i64,) = CountSuspensions {}.get_result(self.conn()?)?;
        if rows > 0 {
            self.write(|conn| Ok(ForgetSuspensions {}.execute(conn)?))?;
        }
        Ok(())
    }
}
