//! Rows as they are stored, and how they become the types of the core.
//!
//! A value that this version cannot read is an error that names the job, never a panic and never a guess.

use diesel::prelude::*;
use queuectl_core::{Attempt, Job, JobId, NodeId, Outcome, OutcomeKind, Output, Payload, State, Timestamp};

use crate::StoreError;
use crate::schema::{attempts, jobs};

/// A row of `jobs`.
#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = jobs, treat_none_as_default_value = false)]
pub struct JobRow {
    pub id: i64,
    pub name: Option<String>,
    pub queue: String,
    pub state: i16,
    pub priority: i32,
    pub attempts: i32,
    pub fence: i64,
    pub system_failures: i32,
    pub max_retries: Option<i32>,
    pub backoff_base: Option<f64>,
    pub timeout_ms: Option<i64>,
    pub executor: String,
    pub due_at: Option<i64>,
    pub node_id: Option<i64>,
    pub cancel_requested: bool,
    pub created_at: i64,
    pub updated_at: i64,
    pub started_at: Option<i64>,
    pub finished_at: Option<i64>,
    pub sum: Option<i32>,
}

/// Counts are stored as SQL integers and are never negative (the schema checks it).
pub fn count(value: i32) -> u32 {
    u32::try_from(value).unwrap_or(0)
}

impl JobRow {
    /// The job, together with its stored payload.
    pub fn into_job(self, payload: &str) -> Result<Job, StoreError> {
        let id = self.id;
        let unreadable = |what| StoreError::Unreadable { job: id, what };
        let payload: Payload = serde_json::from_str(payload).map_err(|_| unreadable("payload"))?;
        Ok(Job {
            id: JobId(id),
            name: self
                .name
                .map(TryInto::try_into)
                .transpose()
                .map_err(|_| unreadable("name"))?,
            queue: self.queue.try_into().map_err(|_| unreadable("queue"))?,
            state: State::from_code(self.state).ok_or_else(|| unreadable("state"))?,
            priority: self.priority,
            attempts: count(self.attempts),
            fence: self.fence,
            system_failures: count(self.system_failures),
            max_retries: self.max_retries.map(count),
            backoff_base: self.backoff_base,
            timeout_ms: self.timeout_ms.map(|ms| u64::try_from(ms).unwrap_or(0)),
            executor: self.executor.try_into().map_err(|_| unreadable("executor"))?,
            due_at: self.due_at.map(Timestamp),
            node: self.node_id.map(NodeId),
            cancel_requested: self.cancel_requested,
            created_at: Timestamp(self.created_at),
            updated_at: Timestamp(self.updated_at),
            started_at: self.started_at.map(Timestamp),
            finished_at: self.finished_at.map(Timestamp),
            payload,
        })
    }
}

/// A row of `attempts`.
#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = attempts, treat_none_as_default_value = false)]
pub struct AttemptRow {
    pub job_id: i64,
    pub fence: i64,
    pub attempt: i32,
    pub node_id: i64,
    pub worker: i32,
    pub outcome: i16,
    pub exit_code: Option<i32>,
    pub signal: Option<i32>,
    pub message: String,
    pub started_at: i64,
    pub finished_at: i64,
    pub output_bytes: i64,
    pub sum: Option<i32>,
}

impl AttemptRow {
    /// The attempt, with the output that was kept of it.
    pub fn into_attempt(self, head: Vec<u8>, tail: Vec<u8>) -> Result<Attempt, StoreError> {
        let kind = OutcomeKind::from_code(self.outcome).ok_or(StoreError::Unreadable {
            job: self.job_id,
            what: "outcome",
        })?;
        Ok(Attempt {
            job: JobId(self.job_id),
            fence: self.fence,
            attempt: count(self.attempt),
            node: NodeId(self.node_id),
            worker: count(self.worker),
            started_at: Timestamp(self.started_at),
            finished_at: Timestamp(self.finished_at),
            outcome: Outcome {
                kind,
                exit_code: self.exit_code,
                signal: self.signal,
                message: self.message,
            },
            output: Output {
                head,
                tail,
                total_bytes: u64::try_from(self.output_bytes).unwrap_or(0),
            },
        })
    }
}
