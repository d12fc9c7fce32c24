//! Why a job does not run.

use queuectl_core::explain::{Code, Reason};
use queuectl_core::group::{Group, Progress};
use queuectl_core::{GroupName, JobId, QueueName, State, Timestamp};
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
    /// The first groups that it is a member of, and what each waits for.
    pub groups: Vec<ExplainGroupView>,
    /// Further groups that it is a member of.
    pub more_groups: usize,
    /// When it can start at the earliest, if it waits and that is known.
    pub earliest_start: Option<Timestamp>,
    /// The command that starts it past all the reasons, if one does.
    pub start_command: Option<String>,
    /// How long it has waited since it was enqueued, in ms.
    pub waited_ms: u64,
    /// How long its attempts have run, in ms.
    pub ran_ms: u64,
    /// Its attempts, with the one that runs.
    pub attempts: u64,
}

/// A group of a job that is explained.
#[derive(Debug, Serialize)]
pub struct ExplainGroupView {
    /// Its name.
    pub name: GroupName,
    /// `open`, `closed` or `complete`.
    pub state: &'static str,
    /// Its jobs.
    pub jobs: u64,
    /// Jobs that have not ended.
    pub open: u64,
    /// The number of its callback, once that is stored.
    pub callback: Option<JobId>,
    /// What its callback waits for, in words.
    pub text: String,
    /// The command that closes it, if it is open.
    pub command: Option<String>,
}

impl ExplainGroupView {
    /// Returns the view of a group.
    pub fn new(group: &Group, progress: &Progress) -> ExplainGroupView {
        let outlook = group.outlook(progress);
        ExplainGroupView {
            name: group.name.clone(),
            state: group.state().name(),
            jobs: progress.total(),
            open: progress.open,
            callback: group.callback,
            text: outlook.text,
            command: outlook.command,
        }
    }
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
