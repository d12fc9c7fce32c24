//! Why a job is refused before it is stored.

use super::hook::HookOn;
use crate::id::ExecutorName;
use crate::json::JsonError;
use crate::limits::{
    COMMENT_BYTES, HOOK_BYTES, JOB_LIMITS, LABELS, PARENTS, PAYLOAD_BYTES, PAYLOAD_DEPTH, PAYLOAD_ITEMS,
    SCHEDULE_DAYS,
};
use crate::redact::HIDDEN;

/// Why a job was refused before it was stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JobError {
    /// There is nothing to run.
    #[error("the command is empty; give a command line or a program with arguments")]
    EmptyCommand,
    /// A terminal for what has no process.
    #[error(
        "the executor {0} starts no process on this machine, which could have a terminal; leave out --pty (\"pty\")"
    )]
    NoTerminal(ExecutorName),
    /// Neither command nor payload.
    #[error("a job needs a \"command\" (or a \"payload\" for its executor)")]
    NothingToRun,
    /// A NUL byte, which no operating system accepts there.
    #[error("the {0} contains a NUL byte, which cannot be passed to a process")]
    Nul(&'static str),
    /// A NUL character in a text that is not passed to a process.
    #[error("the {0} contains a NUL character, which cannot be stored")]
    NulText(&'static str),
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
    /// A relative folder, which every process would take for another one.
    #[error("the working directory '{0}' is not an absolute path")]
    RelativeFolder(String),
    /// A number or a time outside its range.
    #[error("invalid value '{value}' for {field}: expected {allowed}")]
    OutOfRange {
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
        /// The range, in words.
        allowed: String,
    },
    /// It says how a key is meant, and there is no key.
    #[error("{}", no_key(.0))]
    NoKey(&'static str),
    /// It says for how long calls can put it off, and they cannot.
    #[error("max_wait is about debounce, and the job has none; give it one (--debounce 30s)")]
    NoDebounce,
    /// A hook that cannot run.
    #[error("on_{hook}: {why}")]
    Hook {
        /// Which one.
        hook: HookOn,
        /// What is wrong with it.
        why: Box<JobError>,
    },
    /// Over [`HOOK_BYTES`].
    #[error("the command is {0} bytes; at most {HOOK_BYTES} are allowed, put a longer one into a file")]
    HookTooLong(usize),
    /// It says where its hooks run, and has none.
    #[error("hook_queue is about hooks, and the job has none; give it one (--on-death COMMAND)")]
    NoHook,
    /// Two parts that contradict each other.
    #[error("{0} and {1} exclude each other; leave one of them out")]
    Together(&'static str, &'static str),
    /// Over [`JOB_LIMITS`].
    #[error("the job names {0} limits; at most {JOB_LIMITS} are allowed")]
    TooManyLimits(usize),
    /// Over [`LABELS`].
    #[error("the job has {0} labels; at most {LABELS} are allowed")]
    TooManyLabels(usize),
    /// Over [`COMMENT_BYTES`].
    #[error("the comment is {0} bytes; at most {COMMENT_BYTES} are allowed")]
    LongComment(usize),
    /// It closes a group, and is in none.
    #[error("close_group is about a group, and the job is in none; give it one (--group NAME)")]
    NoGroup,
    /// Over [`SCHEDULE_DAYS`].
    #[error("jobs can be scheduled at most {} years ahead", SCHEDULE_DAYS / 365)]
    TooFar,
    /// Over [`PARENTS`].
    #[error("a job can wait for at most {PARENTS} others, not for {0}")]
    TooManyParents(usize),
    /// The same job twice, with different conditions.
    #[error("the job waits for '{0}' twice, on different conditions")]
    TwoConditions(String),
    /// The mark that people are shown in place of a secret.
    #[error(
        "{0} is \"{HIDDEN}\", which stands for a secret that was not printed; print the job with --secrets"
    )]
    Hidden(String),
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

/// What needs a unique key, and how to give one.
fn no_key(field: &str) -> String {
    let what = match field {
        "debounce" => {
            "debounce gathers calls that have a unique key in common into one job, and this one has none"
        }
        field => {
            return format!(
                "{field} is about a unique key, and the job has none; give it one (--unique KEY, \"unique\" in JSON)"
            );
        }
    };
    format!("{what}; give all of them the same, such as --unique reindex (\"unique\" in JSON)")
}
