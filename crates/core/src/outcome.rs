//! How an attempt ended, and what it printed.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::{JobId, NodeId};
use crate::time::Timestamp;

/// The kinds of ending. The numbers are what the store keeps; they never change meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(i16)]
pub enum OutcomeKind {
    /// The job did what it should (for a command: exit status 0).
    Succeeded = 1,
    /// The job ran and failed.
    Failed = 2,
    /// The job ran longer than its timeout and was stopped.
    TimedOut = 3,
    /// The worker process died under the job.
    Crashed = 4,
    /// The node died under the job.
    Lost = 5,
    /// The executor could not run the job; not the job's own failure.
    SystemFailure = 6,
    /// The user cancelled the job while it ran.
    Cancelled = 7,
    /// The job was cut off by a shutdown and went back to the queue; the attempt does not count.
    Returned = 8,
    /// What the job needs was busy, as its executor or its exit status said; the attempt does not count.
    Busy = 9,
}

impl OutcomeKind {
    /// Every kind.
    pub const ALL: [OutcomeKind; 9] = [
        OutcomeKind::Succeeded,
        OutcomeKind::Failed,
        OutcomeKind::TimedOut,
        OutcomeKind::Crashed,
        OutcomeKind::Lost,
        OutcomeKind::SystemFailure,
        OutcomeKind::Cancelled,
        OutcomeKind::Returned,
        OutcomeKind::Busy,
    ];

    /// The kind's name in text and JSON.
    pub fn name(self) -> &'static str {
        match self {
            OutcomeKind::Succeeded => "succeeded",
            OutcomeKind::Failed => "failed",
            OutcomeKind::TimedOut => "timed_out",
            OutcomeKind::Crashed => "crashed",
            OutcomeKind::Lost => "lost",
            OutcomeKind::SystemFailure => "system_failure",
            OutcomeKind::Cancelled => "cancelled",
            OutcomeKind::Returned => "returned",
            OutcomeKind::Busy => "busy",
        }
    }

    /// The number that the store keeps.
    pub fn code(self) -> i16 {
        self as i16
    }

    /// The kind that a stored number stands for.
    pub fn from_code(code: i16) -> Option<OutcomeKind> {
        OutcomeKind::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

impl fmt::Display for OutcomeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for OutcomeKind {
    type Err = String;
    fn from_str(name: &str) -> Result<Self, String> {
        OutcomeKind::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| format!("'{name}' is not an outcome"))
    }
}

/// How one attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The kind of ending.
    pub kind: OutcomeKind,
    /// The exit status, if a process ended by exiting.
    pub exit_code: Option<i32>,
    /// The signal's number, if a process was ended by a signal.
    pub signal: Option<i32>,
    /// The reason, in words; empty for success.
    pub message: String,
}

impl Outcome {
    /// An outcome without exit status or signal.
    pub fn new(kind: OutcomeKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            exit_code: None,
            signal: None,
            message: message.into(),
        }
    }

    /// The status a shell would report: the exit status, 128 + signal, 0 for success, else 1.
    pub fn shell_status(&self) -> u8 {
        let status = match (self.kind, self.exit_code, self.signal) {
            (OutcomeKind::Succeeded, code, _) => code.unwrap_or(0),
            (_, Some(0), _) => 1,
            (_, Some(code), _) => code,
            (_, None, Some(signal)) => 128 + signal,
            (_, None, None) => 1,
        };
        // Exit statuses above 255 exist on Windows only; what is not zero must stay not zero.
        u8::try_from(status).unwrap_or(u8::MAX)
    }
}

/// What an executor says about further attempts when one has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Advice {
    /// The shortest wait before the next one, if it asks for one.
    pub wait: Option<Duration>,
    /// Another attempt cannot succeed. Only with [`OutcomeKind::Failed`].
    pub is_final: bool,
    /// What it needs is busy for that long, so the attempt need not count. Only with [`OutcomeKind::Failed`] and a wait.
    pub is_busy: bool,
}

/// What an attempt printed: standard output and standard error as they arrived, bounded.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Output {
    /// The first bytes; all of them if nothing was left out.
    pub head: Vec<u8>,
    /// The last bytes, if some between head and tail were left out.
    pub tail: Vec<u8>,
    /// How many bytes were printed in all.
    pub total_bytes: u64,
    /// Which stream its parts came from, and when, as written by [`OutputIndex`](crate::OutputIndex). Empty if nothing says so.
    pub index: Vec<u8>,
}

impl Output {
    /// Bytes printed that are in neither head nor tail.
    pub fn omitted_bytes(&self) -> u64 {
        self.total_bytes
            .saturating_sub((self.head.len() + self.tail.len()) as u64)
    }
}

/// One finished attempt, as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The job.
    pub job: JobId,
    /// The fencing token of the claim: grows with every claim of the job, never repeats.
    pub fence: i64,
    /// The attempt's number since the job was enqueued or last retried by hand, from 1. The number of an attempt that did not
    /// count goes to the next.
    pub attempt: u32,
    /// The attempt's number over the job's whole life, from 1, as people see it; the store counts its attempts. 0 before it is
    /// stored.
    pub number: u32,
    /// The node that ran it.
    pub node: NodeId,
    /// The worker process within the node, from 1; 0 if it never reached one.
    pub worker: u32,
    /// When it started.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
    /// How it ended.
    pub outcome: Outcome,
    /// What it printed.
    pub output: Output,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_never_reads_as_success() {
        let outcome = |kind, exit_code, signal| Outcome {
            kind,
            exit_code,
            signal,
            message: String::new(),
        };
        assert_eq!(outcome(OutcomeKind::Succeeded, Some(0), None).shell_status(), 0);
        assert_eq!(outcome(OutcomeKind::Failed, Some(3), None).shell_status(), 3);
        assert_eq!(outcome(OutcomeKind::Failed, None, Some(9)).shell_status(), 137);
        assert_eq!(outcome(OutcomeKind::TimedOut, Some(0), None).shell_status(), 1);
        assert_eq!(
            outcome(OutcomeKind::Failed, Some(-1_073_741_819), None).shell_status(),
            255
        );
        assert_eq!(outcome(OutcomeKind::Lost, None, None).shell_status(), 1);
    }

    #[test]
    fn codes_round_trip() {
        for kind in OutcomeKind::ALL {
            assert_eq!(OutcomeKind::from_code(kind.code()), Some(kind));
            assert_eq!(kind.name().parse(), Ok(kind));
        }
        assert_eq!(OutcomeKind::from_code(0), None);
    }
}
