//! Reading many jobs.

use std::collections::HashMap;

use diesel::prelude::*;
use queuectl_core::{Job, QueueName, State};

use crate::rows::JobRow;
use crate::schema::{jobs, payloads};
use crate::{Store, StoreError, pages};

/// Jobs read by one statement.
const CHUNK: usize = 100;

/// A place in a list. Ended jobs are listed in the order in which they ended if a state is asked for, all others by
/// their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub(crate) ended: i64,
    pub(crate) id: i64,
}

impl Position {
    pub(crate) const FIRST: Position = Position {
        ended: i64::MIN,
        id: i64::MIN,
    };
    pub(crate) const LAST: Position = Position {
        ended: i64::MAX,
        id: i64::MAX,
    };

    /// The place just before this one: what is above it begins here.
    #[must_use]
    pub fn before(self) -> Position {
        Position {
            id: self.id.saturating_sub(1),
            ..self
        }
    }
}

/// Which jobs to list.
#[derive(Debug, Clone, Default)]
pub struct ListFilter {
    /// Only in this state.
    pub state: Option<State>,
    /// Only in this queue.
    pub queue: Option<QueueName>,
    /// Only those before this place; to page through a long list, newest first.
    pub below: Option<Position>,
    /// Only those after this place; to page through a long list, oldest first.
    pub above: Option<Position>,
    /// Oldest first instead of newest first.
    pub oldest_first: bool,
    /// At most so many.
    pub limit: u32,
}

impl ListFilter {
    /// The place of a job in this list.
    pub fn position(&self, job: &Job) -> Position {
        let ended = match (self.state, job.finished_at) {
            (Some(state), Some(at)) if state.is_final() => at.0,
            _ => 0,
        };
        Position { ended, id: job.id.0 }
    }
}

impl Store {
    /// The jobs that fit, newest first unless asked otherwise: by number, or, in the list of a final state, by when
    /// they ended.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn list(&mut self, filter: &ListFilter) -> Result<Vec<Job>, StoreError> {
        // One moment: a job must not change between being found and being read.
        self.conn()?.snapshot(|conn| {
            let places = pages::positions(conn, filter)?;
            let mut list = Vec::with_capacity(places.len());
            for chunk in places.chunks(CHUNK) {
                let ids: Vec<i64> = chunk.iter().map(|place| place.id).collect();
                let rows: Vec<(JobRow, String)> = jobs::table
                    .inner_join(payloads::table)
                    .filter(jobs::id.eq_any(&ids))
                    .select((JobRow::as_select(), payloads::payload))
                    .load(conn)?;
                let mut rows: HashMap<i64, _> = rows.into_iter().map(|row| (row.0.id, row)).collect();
                for id in ids {
                    if let Some((row, payload)) = rows.remove(&id) {
                        list.push(row.into_job(&payload)?);
                    }
                }
            }
            Ok(list)
        })
    }

    /// The place of the oldest among the newest `limit` jobs that fit: where to start so that a list, oldest
    /// first, ends with the newest. None if no more than `limit` jobs fit, so that the list has them all.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn newest_from(&mut self, filter: &ListFilter) -> Result<Option<Position>, StoreError> {
        let and_one = ListFilter {
            oldest_first: false,
            limit: filter.limit.saturating_add(1),
            ..filter.clone()
        };
        let places = pages::positions(self.conn()?, &and_one)?;
        Ok(match places.as_slice() {
            [.., first, _] if places.len() > filter.limit as usize => Some(*first),
            _ => None,
        })
    }
}
