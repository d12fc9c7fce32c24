//! An attempt as JSON and in words.

use queuectl_core::{Attempt, NodeId, Outcome, OutcomeKind, Timestamp};
use serde::Serialize;

/// An ended attempt as `show --json` prints it.
#[derive(Debug, Serialize)]
pub struct AttemptView {
    /// Its number over the job's whole life, from 1.
    pub attempt: u32,
    /// The fencing token of its claim; grows over the whole life of the job.
    pub fence: i64,
    pub node: NodeId,
    pub worker: u32,
    pub outcome: OutcomeKind,
    pub exit_code: Option<i32>,
    pub signal: Option<i32>,
    /// Why, for anything but success.
    pub error: Option<String>,
    pub started_at: Timestamp,
    pub finished_at: Timestamp,
    pub duration_ms: u64,
    /// Bytes printed in all, kept or not.
    pub output_bytes: u64,
}

impl From<&Attempt> for AttemptView {
    fn from(attempt: &Attempt) -> AttemptView {
        let duration = attempt.finished_at.since(attempt.started_at);
        let outcome = &attempt.outcome;
        AttemptView {
            attempt: attempt.number,
            fence: attempt.fence,
            node: attempt.node,
            worker: attempt.worker,
            outcome: outcome.kind,
            exit_code: outcome.exit_code,
            signal: outcome.signal,
            error: (outcome.kind != OutcomeKind::Succeeded && !outcome.message.is_empty())
                .then(|| outcome.message.clone()),
            started_at: attempt.started_at,
            finished_at: attempt.finished_at,
            duration_ms: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
            output_bytes: attempt.output.total_bytes,
        }
    }
}

/// The exit status or signal, for a narrow column.
pub fn ending(outcome: &Outcome) -> String {
    match (outcome.exit_code, outcome.signal) {
        (_, Some(signal)) => format!("signal {signal}"),
        (Some(code), None) => format!("exit {code}"),
        (None, None) => "-".to_owned(),
    }
}
