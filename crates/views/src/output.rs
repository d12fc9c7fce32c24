//! The output of an attempt in chunks, as programs read it while the job runs.

use queuectl_core::{JobId, OutputStream, Timestamp};
use serde::Serialize;

/// Some of the output of one attempt.
#[derive(Debug, Clone, Serialize)]
pub struct OutputView {
    /// The job's id.
    pub id: String,
    /// Its number.
    pub number: JobId,
    /// The number of the attempt; 0 if the job has none yet.
    pub attempt: u32,
    /// What it printed.
    pub chunks: Vec<ChunkView>,
    /// What names the place where this ends.
    pub next: String,
    /// Whether there is more already.
    pub more: bool,
    /// Whether nothing more will come, unless the job is retried.
    pub ended: bool,
}

/// A part of an output.
#[derive(Debug, Clone, Serialize)]
pub struct ChunkView {
    /// Bytes of the output before it.
    pub offset: u64,
    /// Where it came from.
    pub stream: OutputStream,
    /// When its first byte was read, by the clock of the machine that ran the job; null if that was not recorded.
    pub at: Option<Timestamp>,
    /// What was printed. Bytes that are not UTF-8 are replaced by U+FFFD.
    pub text: String,
    /// Bytes before it that were not kept.
    pub omitted_bytes: u64,
}
