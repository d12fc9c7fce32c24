//! A job as the store knows it, and as the description of a new one that is the same.

use std::collections::BTreeMap;

use super::hook::{EnqueuedBy, JobHooks};
use super::payload::Payload;
use super::spec::JobSpec;
use crate::gates::{Gates, Waits};
use crate::id::{ExecutorName, GroupName, JobId, JobName, NodeId, QueueName};
use crate::limit::LimitKey;
use crate::report::JobProgress;
use crate::state::State;
use crate::time::Timestamp;
use crate::unique::UniqueKey;

/// The job for which another was cancelled or held: it did not end as the other needed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnmetParent {
    /// Its number.
    pub id: JobId,
    /// The state in which it ended.
    pub state: State,
}

/// A job as the store knows it. Fields that follow a setting while they are absent stay absent here.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// The number that the queue gave.
    pub id: JobId,
    /// The id the user chose, if any.
    pub name: Option<JobName>,
    /// Its queue.
    pub queue: QueueName,
    /// Its state.
    pub state: State,
    /// Its priority.
    pub priority: i32,
    /// Attempts since it was enqueued or last retried by hand.
    pub attempts: u32,
    /// The fencing token of its newest claim; 0 before the first.
    pub fence: i64,
    /// Times in a row that the executor could not run it.
    pub system_failures: u32,
    /// Its own number of retries, if it has one.
    pub max_retries: Option<u32>,
    /// Its own back-off base in seconds, if it has one.
    pub backoff_base: Option<f64>,
    /// Its own timeout in ms, if it has one.
    pub timeout_ms: Option<u64>,
    /// Its executor.
    pub executor: ExecutorName,
    /// The key that no other job may have which has not ended.
    pub unique: Option<UniqueKey>,
    /// For how long it keeps the key after it was stored, even if it has ended, in ms.
    pub unique_for_ms: Option<u64>,
    /// The limits that it counts for, with their keys.
    pub limit: Vec<LimitKey>,
    /// Its labels: values by their keys.
    pub labels: BTreeMap<String, String>,
    /// What people should know about it.
    pub comment: Option<String>,
    /// When it is due, while it waits; while it is blocked, when it is due after that.
    pub due_at: Option<Timestamp>,
    /// The node that runs it, while one does.
    pub node: Option<NodeId>,
    /// Whether the user asked for its cancellation while it ran.
    pub cancel_requested: bool,
    /// Since when its processes are suspended, while it runs and they are.
    pub suspended_since: Option<Timestamp>,
    /// How far it is, while it runs and as far as it says so.
    pub progress: Option<JobProgress>,
    /// When it was enqueued.
    pub created_at: Timestamp,
    /// When its state last changed.
    pub updated_at: Timestamp,
    /// When its newest attempt started, if it had one.
    pub started_at: Option<Timestamp>,
    /// When it reached its final state.
    pub finished_at: Option<Timestamp>,
    /// What blocks it.
    pub waits: Waits,
    /// What has to be looked at when it ends or starts.
    pub gates: Gates,
    /// The job for which it was cancelled or held.
    pub unmet: Option<UnmetParent>,
    /// The groups that it is a member of, by name.
    pub groups: Vec<GroupName>,
    /// What runs when its attempts have ended.
    pub hooks: JobHooks,
    /// The job that had it stored, if one did.
    pub enqueued_by: Option<EnqueuedBy>,
    /// What it runs.
    pub payload: Payload,
    /// Which part of it cannot be read, and why; what depends on that part is empty here. Such a job does not run.
    pub unreadable: Option<String>,
}

impl Job {
    /// Returns what lists show for the job, with or without secrets.
    pub fn display(&self, secrets: bool) -> String {
        match &self.unreadable {
            Some(what) => format!("(unreadable: {what})"),
            None if secrets => self.payload.display_all(),
            None => self.payload.display(),
        }
    }

    /// Returns the id that users see: the name they chose, else the number.
    pub fn public_id(&self) -> String {
        match &self.name {
            Some(name) => name.to_string(),
            None => self.id.to_string(),
        }
    }
}

impl JobSpec {
    /// Describes a new job with everything that was given with this one. Not taken over: its id, which is unique, when it
    /// was to start, whether it was held, which jobs it waited for, which groups it is in, and everything that has
    /// happened to it.
    pub fn again(job: Job) -> JobSpec {
        // Each field is named, so that a new one is decided upon.
        let Job {
            queue,
            priority,
            max_retries,
            backoff_base,
            timeout_ms,
            executor,
            unique,
            unique_for_ms,
            limit,
            labels,
            comment,
            hooks,
            payload,
            id: _,
            name: _,
            state: _,
            attempts: _,
            fence: _,
            system_failures: _,
            due_at: _,
            node: _,
            cancel_requested: _,
            suspended_since: _,
            progress: _,
            created_at: _,
            updated_at: _,
            started_at: _,
            finished_at: _,
            waits: _,
            gates: _,
            unmet: _,
            groups: _,
            enqueued_by: _,
            unreadable: _,
        } = job;
        JobSpec {
            queue: Some(queue),
            priority: Some(priority),
            max_retries,
            backoff_base,
            timeout_ms,
            executor: Some(executor),
            unique,
            unique_for_ms,
            limit,
            labels,
            comment,
            hooks,
            payload,
            ..JobSpec::default()
        }
    }
}
