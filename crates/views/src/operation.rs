//! What an operator did, and what became of its undo.

use queuectl_core::Timestamp;
use serde::Serialize;

/// An operation.
#[derive(Debug, Clone, Serialize)]
pub struct OperationView {
    /// Its number.
    pub id: i64,
    /// What was done: the command, or what an event of it is called.
    pub kind: String,
    /// Which jobs, in the words of the command, or what else was changed.
    pub what: String,
    /// Who did it, as `user@machine`.
    pub by: Option<String>,
    /// When it began.
    pub at: Timestamp,
    /// When something was last done.
    pub updated_at: Timestamp,
    /// Whether it has ended; if not, it goes on, or was cut off.
    pub ended: bool,
    /// Jobs that were meant when it began; null if they were not counted.
    pub total: Option<u64>,
    /// Jobs that were changed; of an undo, those that are as before.
    pub jobs: u64,
    /// Running jobs that were asked to stop.
    pub stopping: u64,
    /// Jobs that were left alone.
    pub left: u64,
    /// Jobs of which it is known how they were.
    pub kept: u64,
    /// How much that takes.
    pub kept_bytes: u64,
    /// Whether it can be undone.
    pub undoable: bool,
    /// Why it cannot be undone.
    pub not_undoable: Option<String>,
    /// The operation that this one undoes.
    pub undo_of: Option<i64>,
    /// The operation that undid this one.
    pub undone_by: Option<i64>,
}

/// What became of an undo.
#[derive(Debug, Serialize)]
pub struct UndoneView {
    /// The number of the undo, which is an operation itself.
    pub operation: i64,
    /// Jobs, or settings, that are as they were before.
    pub restored: u64,
    /// Those that were left alone.
    pub left: u64,
    /// Some of those, each with why.
    pub reasons: Vec<String>,
}
