//! An ended attempt, and its output.

use std::path::PathBuf;

use queuectl_core::{Attempt, NodeId, OutcomeKind, OutputIndex, OutputMark, OutputStream, Timestamp};
use serde::Serialize;

/// An ended attempt.
#[derive(Debug, Clone, Serialize)]
pub struct AttemptView {
    /// Its number over the job's whole life, from 1.
    pub attempt: u32,
    /// The fencing token of its claim; grows over the whole life of the job.
    pub fence: i64,
    /// The node that ran it.
    pub node: NodeId,
    /// The worker process within the node, from 1; 0 if it reached none, or if that is not known.
    pub worker: u32,
    /// How it ended.
    pub outcome: OutcomeKind,
    /// The exit status, if a process ended by exiting.
    pub exit_code: Option<i32>,
    /// The signal's number, if a signal ended the process.
    pub signal: Option<i32>,
    /// Why, for anything but success.
    pub error: Option<String>,
    /// When it started.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
    /// The time between the two, in ms.
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

/// The output of an ended attempt. Bytes that are not UTF-8 are replaced by U+FFFD.
#[derive(Debug, Serialize)]
pub struct LogView {
    /// The job's id.
    pub id: String,
    /// The attempt.
    #[serde(flatten)]
    pub attempt: AttemptView,
    /// The first bytes that were kept.
    pub head: String,
    /// The last bytes that were kept, if some between were left out.
    pub tail: String,
    /// Bytes between head and tail.
    pub omitted_bytes: u64,
    /// Which stream the parts of the output came from, and when, in their order; those of head and tail. Empty if that was not
    /// recorded.
    pub parts: Vec<OutputPartView>,
    /// The file with a longer part of the output, if there is one.
    pub file: Option<PathBuf>,
}

/// A part of an output, which goes on to the next one.
#[derive(Debug, Clone, Serialize)]
pub struct OutputPartView {
    /// Bytes of the output before it.
    pub offset: u64,
    /// Where it came from.
    pub stream: OutputStream,
    /// When its first byte was read, by the clock of the machine that ran the job.
    pub at: Timestamp,
}

impl LogView {
    /// Returns the view of an attempt's output. The file is the one with a longer part of it, if there is one.
    pub fn new(id: String, attempt: &Attempt, file: Option<PathBuf>) -> LogView {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let index = OutputIndex::read(&attempt.output.index);
        let part = |mark: &OutputMark| OutputPartView {
            offset: mark.offset,
            stream: mark.stream,
            at: index.time(mark),
        };
        LogView {
            id,
            head: text(&attempt.output.head),
            tail: text(&attempt.output.tail),
            omitted_bytes: attempt.output.omitted_bytes(),
            parts: index.marks().iter().map(part).collect(),
            file,
            attempt: AttemptView::from(attempt),
        }
    }
}
