//! The states of a job. What moves a job from one to the next is in [`crate::transition`].

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::quote::excerpt;

/// Where a job stands. The numbers are what the store keeps; they never change meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(i16)]
pub enum State {
    /// Waiting for something other than time; [`crate::Waits`] says for what.
    Blocked = 0,
    /// Ready to run.
    Pending = 1,
    /// Waiting for its first start time.
    Scheduled = 2,
    /// Claimed by a node; running, or about to.
    Processing = 3,
    /// Waiting for its retry after a failed attempt.
    Failed = 4,
    /// Finished well. Final.
    Completed = 5,
    /// Out of attempts: in the dead letter queue until an operator retries or purges it.
    Dead = 6,
    /// Given up by the user. Final.
    Cancelled = 7,
}

impl State {
    /// Every state, in the order in which lists and counts show them.
    pub const ALL: [State; 8] = [
        State::Pending,
        State::Scheduled,
        State::Blocked,
        State::Processing,
        State::Failed,
        State::Completed,
        State::Dead,
        State::Cancelled,
    ];

    /// The state's name in text and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            State::Blocked => "blocked",
            State::Pending => "pending",
            State::Scheduled => "scheduled",
            State::Processing => "processing",
            State::Failed => "failed",
            State::Completed => "completed",
            State::Dead => "dead",
            State::Cancelled => "cancelled",
        }
    }

    /// The number that the store keeps.
    pub const fn code(self) -> i16 {
        self as i16
    }

    /// The state that a stored number stands for.
    pub fn from_code(code: i16) -> Option<State> {
        State::ALL.into_iter().find(|state| state.code() == code)
    }

    /// Whether nothing more happens to such a job by itself.
    pub fn is_final(self) -> bool {
        matches!(self, State::Completed | State::Dead | State::Cancelled)
    }

    /// Whether the job waits for its due time.
    pub fn waits(self) -> bool {
        matches!(self, State::Scheduled | State::Failed)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A state name that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is not a job state; the states are pending, scheduled, blocked, processing, failed, completed, dead, cancelled"
)]
pub struct UnknownState(pub String);

impl FromStr for State {
    type Err = UnknownState;
    fn from_str(name: &str) -> Result<Self, UnknownState> {
        let wanted = name.to_ascii_lowercase();
        let wanted = if wanted == "canceled" {
            "cancelled"
        } else {
            wanted.as_str()
        };
        State::ALL
            .into_iter()
            .find(|state| state.name() == wanted)
            .ok_or_else(|| UnknownState(excerpt(name)))
    }
}
