//! Reading many jobs.

use diesel::prelude::*;
use queuectl_core::{Job, QueueName, State};

use crate::rows::JobRow;
use crate::schema::{jobs, payloads};
use crate::{Store, StoreError};

/// Which jobs to list.
#[derive(Debug, Clone, Default)]
pub struct ListFilter {
    /// Only in this state.
    pub state: Option<State>,
    /// Only in this queue.
    pub queue: Option<QueueName>,
    /// Only those with smaller numbers than this; to page through a long list, newest first.
    pub below: Option<i64>,
    /// Only those with greater numbers than this; to page through a long list, oldest first.
    pub above: Option<i64>,
    /// Oldest first instead of newest first.
    pub oldest_first: bool,
    /// At most so many.
    pub limit: u32,
}

impl Store {
    /// The jobs that fit, newest first unless asked otherwise.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn list(&mut self, filter: &ListFilter) -> Result<Vec<Job>, StoreError> {
        let mut query = jobs::table.inner_join(payloads::table).into_boxed();
        if let Some(state) = filter.state {
            query = query.filter(jobs::state.eq(state.code()));
        }
        if let Some(queue) = &filter.queue {
            query = query.filter(jobs::queue.eq(queue.as_str()));
        }
        if let Some(below) = filter.below {
            query = query.filter(jobs::id.lt(below));
        }
        if let Some(above) = filter.above {
            query = query.filter(jobs::id.gt(above));
        }
        query = if filter.oldest_first {
            query.order(jobs::id.asc())
        } else {
            query.order(jobs::id.desc())
        };
        let rows: Vec<(JobRow, String)> = query
            .limit(i64::from(filter.limit))
            .select((JobRow::as_select(), payloads::payload))
            .load(self.conn()?)?;
        rows.into_iter()
            .map(|(row, payload)| row.into_job(&payload))
            .collect()
    }

    /// The number of the oldest among the newest `limit` jobs that fit: where to start so that a list, oldest
    /// first, ends with the newest. None if no more than `limit` jobs fit, so that the list has them all.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn newest_from(&mut self, filter: &ListFilter) -> Result<Option<i64>, StoreError> {
        let mut query = jobs::table.select(jobs::id).into_boxed();
        if let Some(state) = filter.state {
            query = query.filter(jobs::state.eq(state.code()));
        }
        if let Some(queue) = &filter.queue {
            query = query.filter(jobs::queue.eq(queue.as_str()));
        }
        let last_two: Vec<i64> = query
            .order(jobs::id.desc())
            .offset(i64::from(filter.limit).saturating_sub(1))
            .limit(2)
            .load(self.conn()?)?;
        Ok(match last_two.as_slice() {
            [first, _] => Some(*first),
            _ => None,
        })
    }
}
