//! Counting jobs.

use diesel::dsl::count_star;
use diesel::prelude::*;
use queuectl_core::{QueueName, State, Timestamp};

use super::turn::Queues;
use crate::connection::{Backend, Db};
use crate::schema::jobs;
use crate::{Store, StoreError};

/// How many jobs a queue has in a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueCount {
    /// The queue.
    pub queue: String,
    /// The state.
    pub state: State,
    /// How many.
    pub jobs: u64,
}

impl Store {
    /// How many jobs each queue has in each state; pairs without jobs are left out.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn counts(&mut self, queue: Option<&QueueName>) -> Result<Vec<QueueCount>, StoreError> {
        let mut query = jobs::table
            .group_by((jobs::queue, jobs::state))
            .select((jobs::queue, jobs::state, count_star()))
            .order((jobs::queue, jobs::state))
            .into_boxed();
        if let Some(queue) = queue {
            query = query.filter(jobs::queue.eq(queue.as_str()));
        }
        let rows: Vec<(String, i16, i64)> = query.load(self.conn()?)?;
        let counts = rows.into_iter().filter_map(|(queue, state, jobs)| {
            Some(QueueCount {
                queue,
                state: State::from_code(state)?,
                jobs: u64::try_from(jobs).ok()?,
            })
        });
        Ok(counts.collect())
    }

    /// Whether any job of these queues has not ended: ready, running, scheduled or waiting for its retry.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn any_unfinished(&mut self, queues: &Queues) -> Result<bool, StoreError> {
        // One question per partial index, so that none walks over ended jobs.
        let waiting = served(queues).filter(jobs::due_at.is_not_null());
        let running = served(queues).filter(jobs::node_id.is_not_null());
        Ok(self.has_ready(queues)? || any(self.conn()?, waiting)? || any(self.conn()?, running)?)
    }

    /// Whether any job of these queues ended dead or cancelled since then.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn any_ended_badly(&mut self, queues: &Queues, since: Timestamp) -> Result<bool, StoreError> {
        for state in [State::Dead, State::Cancelled] {
            let bad = served(queues)
                .filter(jobs::state.eq(state.code()))
                .filter(jobs::finished_at.ge(since.0))
                .filter(jobs::finished_at.is_not_null());
            if any(self.conn()?, bad)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Whether a query finds anything.
fn any(conn: &mut Db, query: jobs::BoxedQuery<'_, Backend>) -> Result<bool, StoreError> {
    let first: Option<i64> = query.select(jobs::id).limit(1).get_result(conn).optional()?;
    Ok(first.is_some())
}

fn served(queues: &Queues) -> jobs::BoxedQuery<'static, Backend> {
    match queues {
        Queues::All => jobs::table.into_boxed(),
        Queues::Only(names) => {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            jobs::table.filter(jobs::queue.eq_any(names)).into_boxed()
        }
    }
}
