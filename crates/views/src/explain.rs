//! Why a job does not run.

use queuectl_core::explain::{Code, Reason};
use queuectl_core::{JobId, QueueName, State, Timestamp};
use serde::Serialize;

/// Why a job does not run, and where its time went.
#[derive(Debug, Serialize)]
pub struct ExplainView {
    /// The id the user chose, else the number as text.
    pub id: String,
    /// The number that the queue gave.
    pub number: JobId,
    /// Its queue.
    pub queue: QueueName,
    /// Its state.
    pub state: State,
    /// Every reason, in the order in which they would have to go; or what it does instead of waiting.
    pub reasons: Vec<ReasonView>,
    /// When it can start at the earliest, if it waits and that is known.
    pub earliest_start: Option<Timestamp>,
    /// How long it has waited since it was enqueued, in ms.
    pub waited_ms: u64,
    /// How long its attempts have run, in ms.
    pub ran_ms: u64,
    /// Its attempts, with the one that runs.
    pub attempts: u64,
}

/// A reason.
#[derive(Debug, Serialize)]
pub struct ReasonView {
    /// Which.
    pub code: Code,
    /// In words.
    pub text: String,
    /// Since when, if that is known.
    pub since: Option<Timestamp>,
    /// When it goes by itself, if that is known.
    pub until: Option<Timestamp>,
    /// The command that changes it, if there is one.
    pub command: Option<String>,
}

impl From<Reason> for ReasonView {
    fn from(reason: Reason) -> ReasonView {
        ReasonView {
            code: reason.code,
            text: reason.text,
            since: reason.since,
            until: reason.until,
            command: reason.command,
        }
    }
}
