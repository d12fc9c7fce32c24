//! A job: as it is asked for ([`NewJob`]), what it runs ([`Payload`]), and as the store knows it ([`Job`]).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::json::{JsonError, JsonObject};
use crate::limits::{PAYLOAD_BYTES, PAYLOAD_DEPTH, PAYLOAD_ITEMS, PRIORITY, RETRIES};
use crate::{ExecutorName, JobId, JobName, NodeId, QueueName, State, Timestamp, excerpt, quote_argv};

/// What the user asked to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Command {
    /// One line, given to a shell.
    Line(String),
    /// A program and its exact arguments, no shell.
    Argv(Vec<String>),
}

impl Command {
    /// The command as one line, for people to read.
    pub fn display(&self) -> String {
        match self {
            Command::Line(line) => line.clone(),
            Command::Argv(argv) => quote_argv(argv),
        }
    }
}

/// What a job runs: everything its executor gets to see.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payload {
    /// The command. Optional only where `payload` says what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Command>,
    /// Environment variables set for the job, on top of the worker's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Working directory; the worker's own if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Text for standard input; empty if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdin: Option<String>,
    /// An object whose meaning is the executor's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<JsonObject>,
}

/// Why a job was refused before it was stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    /// There is nothing to run.
    #[error("the command is empty; give a command line or a program with arguments")]
    EmptyCommand,
    /// Neither command nor payload.
    #[error("a job needs a \"command\" (or a \"payload\" for its executor)")]
    NothingToRun,
    /// A NUL byte, which no operating system accepts there.
    #[error("the {0} contains a NUL byte, which cannot be passed to a process")]
    Nul(&'static str),
    /// An environment name that cannot be set.
    #[error("'{0}' is not an environment variable name; use NAME=VALUE")]
    EnvName(String),
    /// Over [`PAYLOAD_BYTES`].
    #[error(
        "the job's payload is {0} bytes; at most {PAYLOAD_BYTES} are allowed, put larger input into a file"
    )]
    TooLarge(usize),
    /// Over [`PAYLOAD_ITEMS`].
    #[error("the {0} has more than {PAYLOAD_ITEMS} entries")]
    TooMany(&'static str),
    /// Over [`PAYLOAD_DEPTH`].
    #[error("the payload is nested more than {PAYLOAD_DEPTH} levels deep")]
    TooDeep,
    /// A number that no program could read as one.
    #[error("the number {0} in the payload is too large for any program to read; give it as a text")]
    Number(String),
    /// A member that is given twice, or another fault in the executor's own object.
    #[error("payload: {0}")]
    Json(JsonError),
    /// A folder that is another one on every machine and in every process.
    #[error("the working directory '{0}' is not an absolute path")]
    RelativeFolder(String),
    /// Outside the range of priorities.
    #[error("priority {0} is out of range; use {min} to {max}", min = -PRIORITY, max = PRIORITY)]
    Priority(i64),
    /// Back-off base outside its range.
    #[error("backoff_base {0} is out of range; use 1 to 3600 (seconds)")]
    BackoffBase(String),
    /// More retries than a job may have.
    #[error("max_retries {0} is out of range; use 0 to {RETRIES}")]
    MaxRetries(u32),
    /// Timeout outside its range.
    #[error("a timeout of {0} ms is out of range; use 1 ms to 365 days")]
    Timeout(u64),
}

impl From<JsonError> for JobError {
    fn from(error: JsonError) -> JobError {
        match error {
            JsonError::Deep(_) => JobError::TooDeep,
            JsonError::Number(number) => JobError::Number(number),
            other => JobError::Json(other),
        }
    }
}

impl Payload {
    /// Checks what can be checked without the executor, and returns the JSON that is stored.
    ///
    /// # Errors
    /// [`JobError`] names the part that is wrong.
    pub fn to_stored(&self) -> Result<String, JobError> {
        match &self.command {
            Some(Command::Line(line)) if line.trim().is_empty() => return Err(JobError::EmptyCommand),
            Some(Command::Line(line)) if line.contains('\0') => return Err(JobError::Nul("command")),
            Some(Command::Argv(argv)) => {
                if argv.first().is_none_or(String::is_empty) {
                    return Err(JobError::EmptyCommand);
                }
                if argv.len() > PAYLOAD_ITEMS {
                    return Err(JobError::TooMany("command"));
                }
                if argv.iter().any(|word| word.contains('\0')) {
                    return Err(JobError::Nul("command"));
                }
            }
            None if self.payload.is_none() => return Err(JobError::NothingToRun),
            _ => {}
        }
        if self.env.len() > PAYLOAD_ITEMS {
            return Err(JobError::TooMany("environment"));
        }
        for (name, value) in &self.env {
            if name.is_empty() || name.contains(['=', '\0']) {
                return Err(JobError::EnvName(excerpt(name)));
            }
            if value.contains('\0') {
                return Err(JobError::Nul("environment"));
            }
        }
        if let Some(cwd) = &self.cwd {
            if cwd.contains('\0') {
                return Err(JobError::Nul("working directory"));
            }
            if !is_absolute(cwd) {
                return Err(JobError::RelativeFolder(excerpt(cwd)));
            }
        }
        if let Some(own) = &self.payload {
            // The object around it is a level, too.
            own.check(PAYLOAD_DEPTH - 1)?;
        }
        // Maps with text keys and plain values always serialise.
        let json = serde_json::to_string(self).unwrap_or_default();
        if json.len() > PAYLOAD_BYTES {
            return Err(JobError::TooLarge(json.len()));
        }
        Ok(json)
    }

    /// What lists show for the job with what may be a secret.
    pub fn display_all(&self) -> String {
        match (&self.command, self.with_secrets().payload) {
            (None, Some(payload)) => payload.as_str().to_owned(),
            _ => self.display(),
        }
    }

    /// What lists and logs show for the job. Of a payload without a command, what may be a secret is hidden.
    pub fn display(&self) -> String {
        match (&self.command, &self.payload) {
            (Some(command), _) => command.display(),
            (None, Some(payload)) => payload.marked(),
            (None, None) => String::new(),
        }
    }
}

/// Whether a path is absolute on any system: a job may be stored on one and run on another.
fn is_absolute(path: &str) -> bool {
    let drive = |rest: &str| rest.starts_with([':']) && rest[1..].starts_with(['/', '\\']);
    path.starts_with('/')
        || path.starts_with("\\\\")
        || path
            .strip_prefix(|c: char| c.is_ascii_alphabetic())
            .is_some_and(drive)
}

/// A job to be stored.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NewJob {
    /// The id the user chose, if any.
    pub name: Option<JobName>,
    /// The queue it goes to.
    pub queue: QueueName,
    /// Higher runs first; within a priority, first in first out.
    pub priority: i32,
    /// When it may start; at once if absent or past.
    pub run_at: Option<Timestamp>,
    /// Retries after the first attempt; the `max_retries` setting if absent.
    pub max_retries: Option<u32>,
    /// Base of the back-off in seconds; the `backoff_base` setting if absent.
    pub backoff_base: Option<f64>,
    /// Longest an attempt may run, in ms; the `job_timeout` setting if absent.
    pub timeout_ms: Option<u64>,
    /// The executor that runs it.
    pub executor: ExecutorName,
    /// What it runs.
    pub payload: Payload,
}

impl NewJob {
    /// Checks the job's own numbers; the payload is checked by [`Payload::to_stored`].
    ///
    /// # Errors
    /// [`JobError`] names the value that is out of range.
    pub fn check(&self) -> Result<(), JobError> {
        if !(-PRIORITY..=PRIORITY).contains(&self.priority) {
            return Err(JobError::Priority(self.priority.into()));
        }
        if let Some(retries) = self.max_retries.filter(|retries| *retries > RETRIES) {
            return Err(JobError::MaxRetries(retries));
        }
        if let Some(base) = self.backoff_base.filter(|base| !(1.0..=3600.0).contains(base)) {
            return Err(JobError::BackoffBase(base.to_string()));
        }
        let year_ms = 365 * 24 * 3600 * 1000;
        if let Some(timeout) = self.timeout_ms.filter(|ms| *ms == 0 || *ms > year_ms) {
            return Err(JobError::Timeout(timeout));
        }
        Ok(())
    }
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
    /// When it is due, while it waits.
    pub due_at: Option<Timestamp>,
    /// The node that runs it, while one does.
    pub node: Option<NodeId>,
    /// Whether the user asked for its cancellation while it ran.
    pub cancel_requested: bool,
    /// When it was enqueued.
    pub created_at: Timestamp,
    /// When its state last changed.
    pub updated_at: Timestamp,
    /// When its newest attempt started, if it had one.
    pub started_at: Option<Timestamp>,
    /// When it reached its final state.
    pub finished_at: Option<Timestamp>,
    /// What it runs.
    pub payload: Payload,
    /// What of it cannot be read, if anything, and why; what depends on that is empty here. Such a job is not run.
    pub unreadable: Option<String>,
}

impl Job {
    /// What lists show for the job, with or without what may be a secret.
    pub fn display(&self, secrets: bool) -> String {
        match &self.unreadable {
            Some(what) => format!("(unreadable: {what})"),
            None if secrets => self.payload.display_all(),
            None => self.payload.display(),
        }
    }

    /// The id that users see: the name they chose, else the number.
    pub fn public_id(&self) -> String {
        match &self.name {
            Some(name) => name.to_string(),
            None => self.id.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Payload {
        Payload {
            command: Some(Command::Line(text.into())),
            ..Payload::default()
        }
    }

    #[test]
    fn payloads_round_trip() {
        let mut payload = line("exit 1");
        payload.env.insert("A".into(), "b=c".into());
        let stored = payload.to_stored().unwrap();
        assert_eq!(serde_json::from_str::<Payload>(&stored).unwrap(), payload);
        let argv = Payload {
            command: Some(Command::Argv(vec!["a".into(), "b c".into()])),
            ..line("")
        };
        assert_eq!(argv.to_stored().unwrap(), r#"{"command":["a","b c"]}"#);
        assert_eq!(argv.display(), "a 'b c'");
    }

    #[test]
    fn bad_payloads_are_named() {
        assert_eq!(line("  ").to_stored(), Err(JobError::EmptyCommand));
        assert_eq!(line("a\0b").to_stored(), Err(JobError::Nul("command")));
        assert_eq!(Payload::default().to_stored(), Err(JobError::NothingToRun));
        let mut env = line("x");
        env.env.insert("A=B".into(), String::new());
        assert_eq!(env.to_stored(), Err(JobError::EnvName("A=B".into())));
        assert!(matches!(
            line(&"x".repeat(PAYLOAD_BYTES)).to_stored(),
            Err(JobError::TooLarge(_))
        ));
        let folder = |cwd: &str| {
            let cwd = Some(cwd.to_owned());
            Payload { cwd, ..line("x") }.to_stored()
        };
        for absolute in ["/", "/tmp", "C:\\x", "c:/x", "\\\\host\\share"] {
            assert!(folder(absolute).is_ok(), "{absolute}");
        }
        for relative in ["", "x", "C:", "C:x", "\\x", "ü:/x"] {
            assert!(
                matches!(folder(relative), Err(JobError::RelativeFolder(_))),
                "{relative}"
            );
        }
        let nested = |levels: usize| {
            let text = format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
            let payload = Some(serde_json::from_str(&text).unwrap());
            Payload { payload, ..line("x") }.to_stored()
        };
        // The object that is stored and the executor's own in it are levels, too.
        let deepest = nested(PAYLOAD_DEPTH - 2).unwrap();
        assert!(serde_json::from_str::<Payload>(&deepest).is_ok());
        assert_eq!(nested(PAYLOAD_DEPTH - 1), Err(JobError::TooDeep));
        let empty = Payload {
            command: Some(Command::Argv(vec![])),
            ..Payload::default()
        };
        assert_eq!(empty.to_stored(), Err(JobError::EmptyCommand));
    }

    #[test]
    fn numbers_have_ranges() {
        let job = NewJob {
            payload: line("true"),
            ..NewJob::default()
        };
        assert_eq!(job.check(), Ok(()));
        // Also at the ends of the type, where a sign cannot be changed.
        for priority in [i32::MIN, i32::MIN + 1, -1_000_001, 1_000_001, i32::MAX] {
            let job = NewJob {
                priority,
                ..job.clone()
            };
            assert_eq!(job.check(), Err(JobError::Priority(priority.into())));
        }
        for priority in [-PRIORITY, 0, PRIORITY] {
            let job = NewJob {
                priority,
                ..job.clone()
            };
            assert_eq!(job.check(), Ok(()));
        }
        assert!(
            NewJob {
                max_retries: Some(1001),
                ..job.clone()
            }
            .check()
            .is_err()
        );
        assert!(
            NewJob {
                backoff_base: Some(f64::NAN),
                ..job.clone()
            }
            .check()
            .is_err()
        );
        assert!(
            NewJob {
                timeout_ms: Some(0),
                ..job
            }
            .check()
            .is_err()
        );
    }
}
