//! Whether a job that was cancelled, or held, for another one may still go on by itself: because that one was retried, and has not ended. What revives it
//! is the transaction that ends the other one (`outcome/dependencies.rs`); nothing is changed here.

use std::collections::HashSet;

use diesel::prelude::*;
use queuectl_core::{JobId, State};

use crate::backend::Db;
use crate::backend::statements::Unmet;
use crate::schema::jobs;
use crate::{Store, StoreError};

/// Cancelled jobs that are looked at for one question. Of a longer chain it is said that it stays cancelled.
const LOOKED: usize = 1000;

impl Store {
    /// A job that runs again or waits, for which this one was cancelled or held, if it goes on once all those have ended as it needs.
    /// None if it was not cancelled or held for another job, or one of these has ended for good.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn revived_by(&mut self, job: JobId) -> Result<Option<JobId>, StoreError> {
        self.conn()?.snapshot(|conn| revived_by(conn, job))
    }
}

/// Looks that up in the caller's transaction.
pub fn revived_by(conn: &mut Db, job: JobId) -> Result<Option<JobId>, StoreError> {
    let mut open: Option<i64> = None;
    let (mut left, mut seen) = (vec![job.0], HashSet::from([job.0]));
    while let Some(job) = left.pop() {
        let row: Option<(i16, Option<i64>)> = jobs::table
            .find(job)
            .select((jobs::state, jobs::unmet))
            .first(conn)
            .optional()?;
        let Some((state, Some(_))) = row else {
            return Ok(None);
        };
        let unmet: Vec<(i64,)> = Unmet { child: job }.load(conn)?;
        let is_given_up = state == State::Cancelled.code() || state == State::Blocked.code();
        if !is_given_up || unmet.is_empty() {
            return Ok(None);
        }
        for (parent,) in unmet {
            let state: Option<i16> = jobs::table
                .find(parent)
                .select(jobs::state)
                .first(conn)
                .optional()?;
            match state.and_then(State::from_code) {
                Some(State::Cancelled) if seen.len() < LOOKED => {
                    if seen.insert(parent) {
                        left.push(parent);
                    }
                }
                Some(state) if !state.is_final() => open = open.max(Some(parent)),
                _ => return Ok(None),
            }
        }
    }
    Ok(open.map(JobId))
}
