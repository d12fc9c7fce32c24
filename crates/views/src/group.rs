//! A group of jobs and its members.

use queuectl_core::group::{Group, Progress};
use queuectl_core::{GroupName, JobId, State, Timestamp};
use serde::Serialize;

/// A group.
#[derive(Debug, Clone, Serialize)]
pub struct GroupView {
    /// Its name.
    pub name: GroupName,
    /// `open` while it takes further jobs, `closed`, or `complete` once it was closed and the last job had ended.
    pub state: &'static str,
    /// Its jobs.
    pub jobs: u64,
    /// Jobs that have not ended.
    pub open: u64,
    /// Jobs that are completed.
    pub completed: u64,
    /// Jobs that are dead.
    pub dead: u64,
    /// Jobs that are cancelled.
    pub cancelled: u64,
    /// Dead jobs after which those that have not begun are cancelled; null for any number.
    pub max_fails: Option<u32>,
    /// What runs when all jobs are completed.
    pub then: Option<String>,
    /// What runs when all jobs have ended and one is dead or cancelled.
    pub then_failed: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Since when it takes no further jobs.
    pub closed_at: Option<Timestamp>,
    /// When `max_fails` jobs were dead and the others were cancelled.
    pub stopped_at: Option<Timestamp>,
    /// When it was complete for the first time.
    pub completed_at: Option<Timestamp>,
    /// The number of the job that was stored then.
    pub callback: Option<JobId>,
    /// Why that job could not be stored.
    pub problem: Option<String>,
}

impl GroupView {
    /// Returns the view of a group. Without `secrets`, what may be one is hidden in its callbacks.
    pub fn new(group: &Group, progress: &Progress, secrets: bool) -> GroupView {
        let command = |job: &queuectl_core::JobSpec| match secrets {
            true => job.payload.display_all(),
            false => job.payload.display(),
        };
        GroupView {
            name: group.name.clone(),
            state: group.state().name(),
            jobs: progress.total(),
            open: progress.open,
            completed: progress.completed,
            dead: progress.dead,
            cancelled: progress.cancelled,
            max_fails: group.max_fails,
            then: group.then.as_ref().map(command),
            then_failed: group.then_failed.as_ref().map(command),
            created_at: group.created_at,
            closed_at: group.closed_at,
            stopped_at: group.stopped_at,
            completed_at: group.completed_at,
            callback: group.callback,
            problem: group.problem.clone(),
        }
    }

    /// Returns its state for people, who also want to know how it ended.
    pub fn in_words(&self) -> &'static str {
        match self.state {
            "complete" if self.open > 0 => "retrying",
            "complete" if self.dead + self.cancelled > 0 => "failed",
            _ if self.stopped_at.is_some() => "stopped",
            state => state,
        }
    }

    /// Returns how much of it has ended, in percent; `-` if it has no jobs.
    pub fn percent(&self) -> String {
        match self.jobs {
            0 => "-".to_owned(),
            jobs => format!("{} %", (jobs - self.open) * 100 / jobs),
        }
    }

    /// Returns how many of its jobs have ended.
    pub fn ended(&self) -> String {
        match (self.jobs, self.jobs - self.open) {
            (0, _) => "it has no jobs".to_owned(),
            (1, ended) => format!("{ended} of 1 job has ended"),
            (jobs, ended) => format!("{ended} of {jobs} jobs have ended"),
        }
    }
}

/// A member of a group.
#[derive(Debug, Clone, Serialize)]
pub struct MemberView {
    /// The id the user chose, else the number as text.
    pub id: String,
    /// The number that the queue gave.
    pub number: JobId,
    /// Its queue; null if the job was removed.
    pub queue: Option<String>,
    /// Its state; of a job that was removed, the one in which it ended.
    pub state: Option<State>,
    /// When it ended, else when it started, else when it was enqueued; null if the job was removed.
    pub since: Option<Timestamp>,
}

/// A group with its members.
#[derive(Debug, Clone, Serialize)]
pub struct GroupDetailView {
    /// The group.
    #[serde(flatten)]
    pub group: GroupView,
    /// Its members: dead and cancelled ones first, then those that have not ended, then the others.
    pub members: Vec<MemberView>,
}

/// What became of the jobs of a group that was cancelled.
#[derive(Debug, Clone, Serialize)]
pub struct GroupCancelledView {
    /// The group.
    pub group: String,
    /// Jobs that are cancelled now.
    pub cancelled: u64,
    /// Running jobs that are being stopped.
    pub stopping: u64,
}

/// What became of the jobs of a group that was retried.
#[derive(Debug, Clone, Serialize)]
pub struct GroupRetriedView {
    /// The group.
    pub group: String,
    /// Jobs that will run again.
    pub jobs: u64,
    /// Jobs that stay as they are because other jobs have their unique keys.
    pub skipped: u64,
    /// Jobs that were removed and cannot run again.
    pub removed: u64,
}
