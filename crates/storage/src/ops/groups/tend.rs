//! What nodes do about groups now and then, each time one small step.

use diesel::prelude::*;
use queuectl_core::Timestamp;

use super::edit::remove_some;
use crate::backend::{Db, GroupNeed};
use crate::counts::Deltas;
use crate::outcome::{self, progress};
use crate::schema::job_groups;
use crate::{Store, StoreError};

/// Groups that one step looks at.
const STEP: i64 = 100;

impl Store {
    /// Cancels further members of groups that were stopped. Returns whether there may be more.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn stop_groups(&mut self, now: Timestamp) -> Result<bool, StoreError> {
        let stopped: Vec<i64> = job_groups::table
            .filter(job_groups::stopped_at.is_not_null())
            .filter(job_groups::completed_at.is_null())
            .order(job_groups::id)
            .limit(STEP)
            .select(job_groups::id)
            .load(self.conn()?)?;
        let mut more = false;
        for group in stopped {
            more |= self.write_busily(|db| {
                let mut deltas = Deltas::default();
                let cancelled = outcome::stop_further(db, group, now, &mut deltas)?;
                outcome::finish(db, deltas, now)?;
                Ok(cancelled > 0)
            })?;
        }
        Ok(more)
    }

    /// Removes some members of a group that was complete before that time, and has no member that was retried and has not
    /// ended. Returns whether there may be more.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn purge_groups(&mut self, before: Timestamp) -> Result<bool, StoreError> {
        let old: Vec<i64> = job_groups::table
            .filter(job_groups::completed_at.lt(before.0))
            .order(job_groups::completed_at)
            .limit(STEP)
            .select(job_groups::id)
            .load(self.conn()?)?;
        let is_full = old.len() as i64 == STEP;
        for group in old {
            let more = self.write_busily(|db| purge(db, group))?;
            if more {
                return Ok(true);
            }
        }
        Ok(is_full)
    }
}

fn purge(db: &mut Db, group: i64) -> Result<bool, StoreError> {
    db.dialect().lock_group(group, GroupNeed::All)?;
    match progress(db, group)?.open {
        0 => remove_some(db, group),
        _ => Ok(false),
    }
}
