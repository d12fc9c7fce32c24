//! Rows as they are stored, and how they become the types of the core.
//!
//! A value that this version cannot read is said of its job, which is listed with the others and not run.

use std::collections::BTreeMap;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use queuectl_core::limits::PAYLOAD_BYTES;
use queuectl_core::{
    Attempt, EnqueuedBy, Gates, GroupName, HookOn, Job, JobHooks, JobId, NodeId, Outcome, OutcomeKind,
    Output, Settings, State, Timestamp, UnmetParent, Waits,
};
use serde::{Deserialize, Serialize};

use crate::StoreError;
use crate::backend::Db;
use crate::columns::given;
use crate::hooks::JobHooksRow;
use crate::labels::{self, JobLabels};
use crate::schema::{
    NUMBER_KEY, attempts, edges, group_members, job_groups, jobs, nodes, outputs, payloads, settings,
};
use crate::types::nodes::{Node, stop_request};
use crate::types::readable::{count, fault};
use crate::types::text::{MaybeWords, Words};

macro_rules! job_row {
    ($($(#[$doc:meta])* $name:ident: $type:ty, $sql:ty, ($($read:meta)?), $since:literal, $core:tt;)*) => {
        /// A row of `jobs`.
        #[derive(Debug, Queryable, Selectable, Insertable, Serialize, Deserialize)]
        #[diesel(table_name = jobs, treat_none_as_default_value = false)]
        pub struct JobRow {
            pub id: i64,
            $($(#[$read])? pub $name: $type,)*
            pub state: i16,
            pub attempts: i32,
            pub fence: i64,
            pub system_failures: i32,
            pub due_at: Option<i64>,
            pub node_id: Option<i64>,
            pub cancel_requested: bool,
            pub created_at: i64,
            pub updated_at: i64,
            pub started_at: Option<i64>,
            pub finished_at: Option<i64>,
            pub sum: Option<i32>,
            pub gates: i32,
            pub waits: i32,
            pub resume_at: Option<i64>,
            pub follows: Option<i64>,
            pub unmet: Option<i64>,
            pub enqueued_by: Option<i64>,
            pub hook: Option<i16>,
            pub hook_depth: i16,
        }
    };
}
given!(job_row);

/// Payloads of up to this many bytes are read together with the rows of their jobs, larger ones each by itself.
const SMALL: i64 = 64 * 1024;

/// A job's row, with its payload if that is small.
pub struct FoundJob {
    pub row: JobRow,
    payload: Option<Words>,
    /// The payload's size; none if there is no payload.
    bytes: Option<i64>,
    /// Its labels and its comment, if they were read for many jobs at once.
    labels: Option<JobLabels>,
}

/// Reads the labels and comments of jobs that have any, by one question.
pub fn read_labels(conn: &mut Db, found: &mut [FoundJob]) -> Result<(), StoreError> {
    let with = |job: &&mut FoundJob| Gates::from_code(job.row.gates).has(Gates::LABELS);
    let jobs: Vec<i64> = found.iter_mut().filter(with).map(|job| job.row.id).collect();
    let mut labels = labels::of_jobs(conn, &jobs)?;
    for job in found.iter_mut().filter(with) {
        job.labels = Some(labels.remove(&job.row.id).unwrap_or_default());
    }
    Ok(())
}

impl FoundJob {
    /// How much of the payload is read.
    pub fn bytes(&self) -> i64 {
        self.bytes
            .filter(|bytes| *bytes <= PAYLOAD_BYTES as i64)
            .unwrap_or(0)
    }

    /// The job, with its payload.
    pub fn read(self, conn: &mut Db) -> Result<Job, StoreError> {
        let payload = match self.payload {
            None if self.bytes() > 0 => payloads::table
                .filter(payloads::job_id.eq(self.row.id))
                .select(payloads::payload)
                .get_result(conn)
                .optional()?,
            payload => payload,
        };
        let unmet = self.row.unmet.map(|parent| (self.row.id, parent));
        let is_member = Gates::from_code(self.row.gates).has(Gates::MEMBER);
        let has_hooks = Gates::from_code(self.row.gates).has(Gates::HOOKS);
        let has_labels = Gates::from_code(self.row.gates).has(Gates::LABELS);
        let labels = self.labels;
        let mut job = self.row.into_job(payload);
        if has_hooks {
            job.hooks = JobHooksRow::of(conn, job.id.0)?;
        }
        if has_labels {
            let read = match labels {
                Some(read) => read,
                None => labels::of_jobs(conn, &[job.id.0])?
                    .remove(&job.id.0)
                    .unwrap_or_default(),
            };
            (job.labels, job.comment) = (read.labels, read.comment);
        }
        if let Some(edge) = unmet {
            job.unmet = unmet_parent(conn, edge)?;
        }
        if is_member {
            job.groups = groups_of(conn, job.id)?;
        }
        Ok(job)
    }
}

/// The groups that a job is a member of.
pub fn groups_of(conn: &mut Db, job: JobId) -> Result<Vec<GroupName>, StoreError> {
    let names: Vec<Words> = job_groups::table
        .filter(
            job_groups::id.eq_any(
                group_members::table
                    .filter(group_members::job_id.eq(job.0))
                    .select(group_members::group_id),
            ),
        )
        .order(job_groups::name)
        .select(job_groups::name)
        .load(conn)?;
    let names = names.into_iter();
    Ok(names.map(|name| GroupName::as_stored(name.text)).collect())
}

/// The job for which another was cancelled or held.
fn unmet_parent(conn: &mut Db, (child, parent): (i64, i64)) -> Result<Option<UnmetParent>, StoreError> {
    let ended: Option<Option<i16>> = edges::table
        .find((child, parent))
        .select(edges::outcome)
        .first(conn)
        .optional()?;
    let state = ended.flatten().and_then(State::from_code);
    Ok(state.map(|state| UnmetParent {
        id: JobId(parent),
        state,
    }))
}

/// Finds jobs by a condition.
macro_rules! found_jobs {
    ($conn:expr, $condition:expr) => {
        crate::rows::into_found(
            crate::schema::jobs::table
                .left_join(crate::schema::payloads::table)
                .filter($condition)
                .select((
                    <crate::rows::JobRow as diesel::SelectableHelper<_>>::as_select(),
                    crate::rows::small_payload(),
                    crate::rows::payload_bytes(),
                ))
                .load($conn)?,
        )
    };
}
pub(crate) use found_jobs;

pub fn small_payload() -> diesel::expression::SqlLiteral<Nullable<Text>> {
    sql(&format!(
        "CASE WHEN octet_length(payload) <= {SMALL} THEN payload END"
    ))
}

pub fn payload_bytes() -> diesel::expression::SqlLiteral<Nullable<BigInt>> {
    sql("CAST(octet_length(payload) AS BIGINT)")
}

pub fn into_found(rows: Vec<(JobRow, Option<Words>, Option<i64>)>) -> Vec<FoundJob> {
    let found = rows.into_iter();
    found
        .map(|(row, payload, bytes)| FoundJob {
            row,
            payload,
            bytes,
            labels: None,
        })
        .collect()
}

/// A job with the parts that are given with it, from its row, and with the others.
macro_rules! job_of {
    ($row:ident { $($others:tt)* }
     $($(#[$doc:meta])* $name:ident: $type:ty, $sql:ty, ($($read:meta)?), $since:literal,
       { |$job:ident| $take:expr, $part:ident = |$stored:ident| $give:expr };)*) => {
        Job {
            $($part: {
                let $stored = $row.$name;
                $give
            },)*
            $($others)*
        }
    };
}

impl JobRow {
    /// The job, together with its stored payload.
    fn into_job(self, payload: Option<Words>) -> Job {
        let name = self.name.as_deref();
        let read = match &payload {
            Some(words) if words.is_damaged => Err("its payload is not UTF-8".to_owned()),
            words => {
                let payload = words.as_ref().map(|words| words.text.as_str());
                fault(name, &self.queue, &self.executor, payload)
            }
        };
        let state = State::from_code(self.state).ok_or_else(|| format!("its state: {}", self.state));
        let unreadable = state.as_ref().err().or(read.as_ref().err()).cloned();
        let row = self;
        given!(job_of, row, {
            id: JobId(row.id),
            // Of no state that there is, so that somebody has to look at it.
            state: state.unwrap_or(State::Dead),
            attempts: count(row.attempts),
            fence: row.fence,
            system_failures: count(row.system_failures),
            // A blocked job has a time only once nothing blocks it.
            due_at: row.due_at.or(row.resume_at).map(Timestamp),
            node: row.node_id.map(NodeId),
            cancel_requested: row.cancel_requested,
            suspended_since: None,
            progress: None,
            created_at: Timestamp(row.created_at),
            updated_at: Timestamp(row.updated_at),
            started_at: row.started_at.map(Timestamp),
            finished_at: row.finished_at.map(Timestamp),
            waits: Waits::from_code(row.waits),
            gates: Gates::from_code(row.gates),
            unmet: None,
            groups: Vec::new(),
            labels: BTreeMap::new(),
            comment: None,
            hooks: JobHooks::default(),
            enqueued_by: row.enqueued_by.map(|job| EnqueuedBy {
                job: JobId(job),
                hook: row.hook.and_then(HookOn::from_code),
                depth: u16::try_from(row.hook_depth).unwrap_or(0),
            }),
            payload: read.unwrap_or_default(),
            unreadable,
        })
    }
}

/// A row of `attempts`.
#[derive(Debug, Queryable, Selectable, Insertable, Serialize, Deserialize)]
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
    #[diesel(deserialize_as = Words)]
    pub message: String,
    pub started_at: i64,
    pub finished_at: i64,
    pub output_bytes: i64,
    pub sum: Option<i32>,
}

impl AttemptRow {
    /// The attempt, which is that one of its job, without its output.
    pub fn into_attempt(self, number: u32) -> Attempt {
        let (kind, message) = match OutcomeKind::from_code(self.outcome) {
            Some(kind) => (kind, self.message),
            // Whatever became of it, that is not known any more.
            None => (
                OutcomeKind::Lost,
                format!("(unreadable: its outcome: {}) {}", self.outcome, self.message),
            ),
        };
        Attempt {
            job: JobId(self.job_id),
            fence: self.fence,
            attempt: count(self.attempt),
            number,
            node: NodeId(self.node_id),
            worker: count(self.worker),
            started_at: Timestamp(self.started_at),
            finished_at: Timestamp(self.finished_at),
            outcome: Outcome {
                kind,
                exit_code: self.exit_code,
                signal: self.signal,
                message,
            },
            output: Output {
                total_bytes: u64::try_from(self.output_bytes).unwrap_or(0),
                ..Output::default()
            },
        }
    }
}

/// A row of `payloads`.
#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = payloads, treat_none_as_default_value = false)]
pub struct PayloadRow {
    pub job_id: i64,
    #[diesel(deserialize_as = Words)]
    pub payload: String,
}

/// A row of `outputs`.
#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = outputs, treat_none_as_default_value = false)]
pub struct OutputRow {
    pub job_id: i64,
    pub fence: i64,
    pub head: Vec<u8>,
    pub tail: Vec<u8>,
    pub marks: Option<Vec<u8>>,
}

/// A row of `nodes`.
#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = nodes, treat_none_as_default_value = false)]
pub struct NodeRow {
    pub id: i64,
    #[diesel(deserialize_as = Words)]
    pub cookie: String,
    #[diesel(deserialize_as = Words)]
    pub host: String,
    pid: i64,
    #[diesel(deserialize_as = Words)]
    version: String,
    workers: i32,
    concurrency: i32,
    #[diesel(deserialize_as = Words)]
    queues: String,
    started_at: i64,
    heartbeat_at: i64,
    stop_requested: i16,
}

impl From<NodeRow> for Node {
    fn from(row: NodeRow) -> Node {
        Node {
            id: NodeId(row.id),
            cookie: row.cookie,
            host: row.host,
            pid: row.pid,
            version: row.version,
            workers: count(row.workers),
            concurrency: count(row.concurrency),
            queues: serde_json::from_str(&row.queues).unwrap_or_default(),
            started_at: Timestamp(row.started_at),
            heartbeat_at: Timestamp(row.heartbeat_at),
            stop: stop_request(row.stop_requested),
        }
    }
}

/// The settings that were set, as stored, by their names.
pub fn stored_settings(conn: &mut Db) -> Result<Vec<(String, String)>, StoreError> {
    let stored: Vec<(Words, Words)> = settings::table
        .filter(settings::key.ne(NUMBER_KEY))
        .select((settings::key, settings::value))
        .order(settings::key)
        .load(conn)?;
    let stored = stored.into_iter();
    Ok(stored.map(|(key, value)| (key.text, value.text)).collect())
}

/// All settings, typed.
pub fn settings(conn: &mut Db) -> Result<Settings, StoreError> {
    let stored = stored_settings(conn)?;
    Ok(Settings::from_stored(
        stored.iter().map(|(key, value)| (key.as_str(), value.as_str())),
    ))
}
