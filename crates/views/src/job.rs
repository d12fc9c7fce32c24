//! A job, alone and with its attempts.

use std::collections::BTreeMap;

use queuectl_core::explain::Code;
use queuectl_core::json::JsonObject;
use queuectl_core::{
    Attempt, BlockedBy, Command, ExecutorName, GroupName, HookOn, Job, JobId, JobProgress, LimitKey, NodeId,
    Origin, QueueName, Settings, State, TerminalSize, Timestamp, UniqueKey, UnmetParent,
};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{AttemptView, EventView};

/// A job. Every field is always there; what does not apply is null. Times are RFC 3339 in UTC.
#[derive(Debug, Clone, Serialize)]
pub struct JobView {
    /// The id the user chose, else the number as text.
    pub id: String,
    /// The number that the queue gave.
    pub number: JobId,
    /// The command as one line, for people.
    pub command: String,
    /// The exact program and arguments, for a command without a shell.
    pub argv: Option<Vec<String>>,
    /// The queue it belongs to.
    pub queue: QueueName,
    /// Its state.
    pub state: State,
    /// What a blocked job waits for first.
    pub blocked_by: Option<BlockedBy>,
    /// The job for which it was cancelled or held, because that did not end as it needs it.
    pub unmet_by: Option<UnmetView>,
    /// Higher runs first.
    pub priority: i32,
    /// Attempts since it was enqueued or last retried by hand.
    pub attempts: u32,
    /// Retries after the first attempt: the job's own number, else the queue's, else the setting's.
    pub max_retries: u32,
    /// The n-th retry waits this number of seconds to the power of n: the job's own number, else the queue's, else the setting's.
    pub backoff_base: f64,
    /// Longest run of an attempt, in ms: the job's own, else the queue's, else the setting's; null for no limit.
    pub timeout_ms: Option<u64>,
    /// The executor plugin that runs it.
    pub executor: ExecutorName,
    /// The limits that it counts for, with their keys.
    pub limit: Vec<LimitKey>,
    /// Its labels: values by their keys.
    pub labels: BTreeMap<String, String>,
    /// What people should know about it.
    pub comment: Option<String>,
    /// The groups that it is a member of.
    pub groups: Vec<GroupName>,
    /// What runs when it is completed: a command line, or a program with its arguments.
    pub on_success: Option<Command>,
    /// What runs after each attempt that failed.
    pub on_failure: Option<Command>,
    /// What runs when it is dead.
    pub on_death: Option<Command>,
    /// The queue that these go to; null for its own.
    pub hook_queue: Option<QueueName>,
    /// The job whose command enqueued it.
    pub enqueued_by: Option<JobId>,
    /// What it is a hook for, if it is one.
    pub hook: Option<HookOn>,
    /// The job that it is a hook of.
    pub hook_of: Option<JobId>,
    /// Environment variables set for it. Null for a value that is hidden.
    pub env: BTreeMap<String, Option<String>>,
    /// The folder it runs in.
    pub cwd: Option<String>,
    /// Text for standard input; hidden as well.
    pub stdin: Option<String>,
    /// Whether it has a terminal.
    pub pty: bool,
    /// How large that is; null for 80x24.
    pub pty_size: Option<TerminalSize>,
    /// The executor's own object, of which what may be a secret is hidden as well.
    pub payload: Option<JsonObject>,
    /// JSON pointers to what is hidden and therefore null.
    pub hidden: Vec<String>,
    /// The key that no other job may have which has not ended.
    pub unique: Option<UniqueKey>,
    /// For how long it keeps the key after it was enqueued, even if it has ended.
    pub unique_for_ms: Option<u64>,
    /// When it is due, while it waits for that.
    pub run_at: Option<Timestamp>,
    /// The node that runs it, while one does.
    pub node: Option<NodeId>,
    /// Whether its cancellation was asked for, and its node has not stopped it yet.
    pub cancel_requested: bool,
    /// Since when its processes are suspended, while they are.
    pub suspended_since: Option<Timestamp>,
    /// How far it is, while it runs and as far as it says so.
    pub progress: Option<ProgressView>,
    /// When it was enqueued.
    pub created_at: Timestamp,
    /// When its row last changed.
    pub updated_at: Timestamp,
    /// When its newest attempt started.
    pub started_at: Option<Timestamp>,
    /// When it reached its final state.
    pub finished_at: Option<Timestamp>,
    /// Why its newest attempt failed.
    pub error: Option<String>,
    /// What of its row in the store cannot be read.
    pub unreadable: Option<String>,
    /// The first reason why it does not run, as `explain` has it, if that was looked up.
    pub reason: Option<Code>,
}

impl JobView {
    /// Returns the view of a job under these settings, with the error of its newest attempt. Without `secrets`, what may be
    /// one is hidden.
    pub fn new(job: Job, error: Option<String>, settings: &Settings, secrets: bool) -> JobView {
        let command = job.display(secrets);
        let shown = if secrets {
            job.payload.with_secrets()
        } else {
            job.payload.without_secrets()
        };
        let argv = match &job.payload.command {
            Some(Command::Argv(argv)) => Some(argv.clone()),
            _ => None,
        };
        let settings = settings.of(job.queue.as_str());
        let default_timeout = settings
            .job_timeout
            .and_then(|time| u64::try_from(time.as_millis()).ok());
        let by = job.enqueued_by;
        JobView {
            id: job.public_id(),
            number: job.id,
            command,
            argv,
            queue: job.queue,
            state: job.state,
            blocked_by: job.waits.first(),
            unmet_by: job.unmet.map(UnmetView::from),
            priority: job.priority,
            attempts: job.attempts,
            max_retries: job.max_retries.unwrap_or(settings.max_retries),
            backoff_base: job.backoff_base.unwrap_or(settings.backoff_base),
            timeout_ms: job.timeout_ms.or(default_timeout),
            executor: job.executor,
            limit: job.limit,
            labels: job.labels,
            comment: job.comment,
            groups: job.groups,
            on_success: job.hooks.on_success,
            on_failure: job.hooks.on_failure,
            on_death: job.hooks.on_death,
            hook_queue: job.hooks.to_queue,
            enqueued_by: by.filter(|by| by.hook.is_none()).map(|by| by.job),
            hook: by.and_then(|by| by.hook),
            hook_of: by.filter(|by| by.hook.is_some()).map(|by| by.job),
            env: shown.env,
            cwd: job.payload.cwd,
            stdin: shown.stdin,
            pty: job.payload.pty,
            pty_size: job.payload.pty_size,
            payload: shown.payload,
            hidden: shown.hidden,
            unique: job.unique,
            unique_for_ms: job.unique_for_ms,
            run_at: job.due_at,
            node: job.node,
            cancel_requested: job.cancel_requested,
            suspended_since: job.suspended_since,
            progress: job.progress.map(ProgressView::from),
            created_at: job.created_at,
            updated_at: job.updated_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
            // A job that completed may have failed before.
            error: error.filter(|_| job.state != State::Completed),
            unreadable: job.unreadable,
            reason: None,
        }
    }
}

/// A job with what some columns of a list show besides it.
#[derive(Debug, Clone, Serialize)]
pub struct ListedView {
    /// The job.
    #[serde(flatten)]
    pub job: JobView,
    /// The exit status of its newest ended attempt, if that ended by exiting.
    pub exit_code: Option<i32>,
    /// How long its newest attempt took, in ms; while it runs, how long so far.
    pub duration_ms: Option<u64>,
    /// How long it waited from when it was enqueued until its newest attempt started, in ms; before the first, how long so far.
    pub waited_ms: Option<u64>,
}

impl ListedView {
    /// Returns the view at that moment, of a job and its newest ended attempt, if that was looked up.
    pub fn new(job: JobView, last: Option<&Attempt>, now: Timestamp) -> ListedView {
        let ms = |from: Timestamp, to: Timestamp| u64::try_from(to.since(from).as_millis()).ok();
        let so_far = job
            .started_at
            .filter(|_| job.state == State::Processing)
            .and_then(|started| ms(started, now));
        let waited_until = job.started_at.or(job.finished_at).unwrap_or(now);
        ListedView {
            exit_code: last.and_then(|attempt| attempt.outcome.exit_code),
            duration_ms: so_far.or_else(|| last.and_then(|last| ms(last.started_at, last.finished_at))),
            waited_ms: ms(job.created_at, waited_until),
            job,
        }
    }
}

/// How far a running job is, in its own words.
#[derive(Debug, Clone, Serialize)]
pub struct ProgressView {
    /// Hundredths of the work.
    pub percent: Option<u8>,
    /// What it is doing.
    pub message: Option<String>,
    /// When it said so.
    pub at: Timestamp,
    /// For people.
    #[serde(skip)]
    pub words: String,
}

impl From<JobProgress> for ProgressView {
    fn from(progress: JobProgress) -> ProgressView {
        ProgressView {
            words: progress.in_words(),
            percent: progress.percent,
            message: progress.message,
            at: progress.at,
        }
    }
}

/// The job for which another was cancelled or held.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct UnmetView {
    /// Its number.
    pub number: JobId,
    /// The state in which it ended.
    pub state: State,
}

impl From<UnmetParent> for UnmetView {
    fn from(parent: UnmetParent) -> UnmetView {
        UnmetView {
            number: parent.id,
            state: parent.state,
        }
    }
}

/// A job that another waits for, or that waits for another.
#[derive(Debug, Clone, Serialize)]
pub struct RelativeView {
    /// The id the user chose, else the number as text.
    pub id: String,
    /// The number that the queue gave.
    pub number: JobId,
    /// How the parent has to end: `ok`, `failed` or `any`.
    pub condition: &'static str,
    /// Its state; of a parent that was removed, the one in which it ended.
    pub state: Option<State>,
    /// Whether the parent ended so; null while it has not ended.
    pub met: Option<bool>,
}

/// A job that is a hook of another.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct HookJobView {
    /// Its number.
    pub number: JobId,
    /// What it is a hook for.
    pub on: Option<HookOn>,
    /// Its state.
    pub state: Option<State>,
}

/// A job with its ended attempts.
#[derive(Debug, Serialize)]
pub struct JobDetailView {
    /// The job.
    #[serde(flatten)]
    pub job: JobView,
    /// The schedule that made it, if one did.
    pub schedule: Option<String>,
    /// The tick of that schedule.
    pub scheduled_at: Option<Timestamp>,
    /// The last line that its newest ended attempt printed.
    pub last_line: Option<String>,
    /// Where `max_retries`, `backoff_base` and `timeout_ms` come from.
    pub sources: SourcesView,
    /// A job that has not ended: if it ends as needed, this one, which was cancelled or held for it, goes on after all.
    pub revived_by: Option<JobId>,
    /// The jobs that it waits for, or waited.
    pub parents: Vec<RelativeView>,
    /// The jobs that wait for it, or waited.
    pub dependants: Vec<RelativeView>,
    /// The jobs that ran its hooks, oldest first; the newest 100.
    pub hooks: Vec<HookJobView>,
    /// Its ended attempts, oldest first.
    pub attempt_history: Vec<AttemptView>,
    /// What its newest attempt has found, as it said.
    pub result: Option<Box<RawValue>>,
    /// From where its next attempt goes on.
    pub checkpoint: Option<String>,
    /// What happened to it, oldest first, as far as that was recorded.
    pub events: Vec<EventView>,
}

/// Where values come from that a job can have of its own.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct SourcesView {
    /// Of the job's `max_retries`.
    pub max_retries: Origin,
    /// Of its `backoff_base`.
    pub backoff_base: Origin,
    /// Of its `timeout_ms`.
    pub timeout_ms: Origin,
}

#[cfg(test)]
mod tests {
    use super::*;
    use queuectl_core::Payload;

    fn job() -> Job {
        Job {
            id: JobId(7),
            name: None,
            queue: QueueName::default(),
            state: State::Failed,
            priority: 0,
            attempts: 1,
            fence: 1,
            system_failures: 0,
            max_retries: None,
            backoff_base: None,
            timeout_ms: None,
            executor: ExecutorName::default(),
            unique: None,
            unique_for_ms: None,
            limit: Vec::new(),
            labels: BTreeMap::new(),
            comment: None,
            due_at: Some(Timestamp(1_700_000_000_000)),
            node: None,
            cancel_requested: false,
            suspended_since: None,
            progress: None,
            created_at: Timestamp(0),
            updated_at: Timestamp(0),
            started_at: None,
            finished_at: None,
            waits: queuectl_core::Waits::NONE,
            gates: queuectl_core::Gates::NONE,
            unmet: None,
            groups: Vec::new(),
            hooks: queuectl_core::JobHooks::default(),
            enqueued_by: None,
            payload: Payload {
                command: Some(Command::Argv(vec!["echo".into(), "a b".into()])),
                ..Payload::default()
            },
            unreadable: None,
        }
    }

    /// Others parse this. A key may be added here; none may go or be renamed without a new major version.
    #[test]
    fn the_schema_does_not_change_silently() {
        let view = JobView::new(job(), Some("exit status 1".into()), &Settings::default(), false);
        let json = serde_json::to_string(&view).unwrap();
        assert_eq!(
            json,
            concat!(
                r#"{"id":"7","number":7,"command":"echo 'a b'","argv":["echo","a b"],"queue":"default","#,
                r#""state":"failed","blocked_by":null,"unmet_by":null,"priority":0,"attempts":1,"max_retries":4,"backoff_base":2.0,"#,
                r#""timeout_ms":604800000,"executor":"shell","limit":[],"labels":{},"comment":null,"groups":[],"on_success":null,"on_failure":null,"on_death":null,"hook_queue":null,"enqueued_by":null,"hook":null,"hook_of":null,"#,
                r#""env":{},"cwd":null,"stdin":null,"pty":false,"pty_size":null,"payload":null,"hidden":[],"#,
                r#""unique":null,"unique_for_ms":null,"#,
                r#""run_at":"2023-11-14T22:13:20.000Z","node":null,"cancel_requested":false,"suspended_since":null,"progress":null,"#,
                r#""created_at":"1970-01-01T00:00:00.000Z","updated_at":"1970-01-01T00:00:00.000Z","#,
                r#""started_at":null,"finished_at":null,"error":"exit status 1","unreadable":null,"reason":null}"#
            )
        );
    }
}
