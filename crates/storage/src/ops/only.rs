//! Which of the jobs that somebody names are meant: filters beside names narrow them.

use queuectl_core::{JobRef, QueueName, Refused, State, Timestamp};

use crate::StoreError;
use crate::rows::JobRow;

/// What a named job must be for something to happen to it; by default anything. It is looked at in the transaction that
/// changes the job.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Only {
    /// In this state.
    pub state: Option<State>,
    /// In this queue.
    pub queue: Option<QueueName>,
    /// Ended before.
    pub ended_before: Option<Timestamp>,
}

impl From<State> for Only {
    fn from(state: State) -> Only {
        Only {
            state: Some(state),
            ..Only::default()
        }
    }
}

impl Only {
    /// Whether the job fits.
    pub(crate) fn check(
        &self,
        job: &JobRef,
        row: &JobRow,
        state: State,
        event: &'static str,
    ) -> Result<(), StoreError> {
        if self.state.is_some_and(|only| only != state) {
            return Err(StoreError::Refused {
                job: job.to_string(),
                refused: Refused { state, event },
            });
        }
        let left_alone = |why| StoreError::LeftAlone {
            job: job.to_string(),
            why,
        };
        if let Some(queue) = self.queue.as_ref().filter(|queue| queue.as_str() != row.queue) {
            return Err(left_alone(format!(
                "is in queue '{}', not in '{queue}'",
                row.queue
            )));
        }
        match (self.ended_before, row.finished_at) {
            (Some(before), Some(ended)) if ended >= before.0 => Err(left_alone(format!(
                "ended later than is meant, at {}",
                Timestamp(ended)
            ))),
            (Some(_), None) => Err(left_alone("has not ended".to_owned())),
            _ => Ok(()),
        }
    }
}
