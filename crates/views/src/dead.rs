//! Why jobs are dead.

use queuectl_core::{OutcomeKind, QueueName, Timestamp};
use serde::Serialize;

use crate::{AttemptView, JobView};

/// A dead job with its last attempt.
#[derive(Debug, Serialize)]
pub struct DeadLetterView {
    /// The job.
    #[serde(flatten)]
    pub job: JobView,
    /// The last line that it printed.
    pub last_line: Option<String>,
    /// Its newest ended attempt.
    pub last_attempt: Option<AttemptView>,
    /// The key of what it died of.
    pub cause: String,
}

/// What jobs died of, and how many. Of those that are not told apart, only their number.
#[derive(Debug, Default, Serialize)]
pub struct CauseView {
    /// The place in the list, from 1; null for the jobs that are not told apart.
    pub number: Option<usize>,
    /// Names the cause at any time; null for those.
    pub cause: Option<String>,
    /// The error without what differs from job to job.
    pub error: Option<String>,
    /// How the last attempts ended.
    pub outcome: Option<OutcomeKind>,
    /// Their exit status.
    pub exit_code: Option<i32>,
    /// The signal that ended them.
    pub signal: Option<i32>,
    /// The program of the commands, or the executor of jobs without a command.
    pub program: Option<String>,
    /// How many jobs died of it.
    pub jobs: u64,
    /// Queues of these jobs, by name, up to 10.
    pub queues: Vec<QueueName>,
    /// When the first of them died.
    pub first_died_at: Option<Timestamp>,
    /// When the last of them died.
    pub last_died_at: Option<Timestamp>,
    /// The id of the one that died last.
    pub example: Option<String>,
}
