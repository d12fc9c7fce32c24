//! Counting jobs, and whether there are any.

use queuectl_core::{QueueName, State, Timestamp};

use super::cycle::Queues;
use crate::{Store, StoreError, counts, listing};

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
        // One moment for all of them.
        self.conn()?.snapshot(|conn| counts::read(conn, queue))
    }

    /// Whether any job of these queues has not ended: ready, running, scheduled or waiting for its retry.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn any_unfinished(&mut self, queues: &Queues) -> Result<bool, StoreError> {
        if self.has_ready(queues)? {
            return Ok(true);
        }
        match queues {
            Queues::All => Ok(self.next_due()?.is_some() || listing::any_running(self.conn()?, None)?),
            Queues::Only(names) => {
                for name in names {
                    if listing::any_waiting(self.conn()?, name)?
                        || listing::any_running(self.conn()?, Some(name))?
                    {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }

    /// Whether any job of these queues ended dead or cancelled since then.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn any_ended_badly(&mut self, queues: &Queues, since: Timestamp) -> Result<bool, StoreError> {
        let names = match queues {
            Queues::All => listing::queues(self.conn()?, None)?,
            Queues::Only(names) => names.iter().map(ToString::to_string).collect(),
        };
        for name in names {
            for state in [State::Dead, State::Cancelled] {
                if listing::any_ended_since(self.conn()?, &name, state, since)? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}
