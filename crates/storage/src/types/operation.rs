//! Operations: what operators did, as an entry each, and what is still to be done of it.

use queuectl_core::Timestamp;

/// What became of many jobs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MassDone {
    /// Jobs that are changed.
    pub changed: u64,
    /// Jobs that run; their nodes were asked to stop them.
    pub requested: u64,
    /// Jobs whose unique keys other jobs have; they stay as they are.
    pub held_back: u64,
    /// Jobs that were as they were to become; not stored with an operation.
    pub alike: u64,
}

impl MassDone {
    /// All jobs to which something was done.
    pub fn jobs(&self) -> u64 {
        self.changed + self.requested
    }

    /// Adds what a step did.
    pub(crate) fn add(&mut self, step: MassDone) {
        self.changed += step.changed;
        self.requested += step.requested;
        self.held_back += step.held_back;
        self.alike += step.alike;
    }
}

/// An operation that begins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewOperation {
    /// What is done: `cancel`, `edit`, `setting`.
    pub kind: String,
    /// Which jobs, in the words of the command, or what else is changed.
    pub what: String,
    /// How it goes on if it is cut off, as JSON.
    pub request: Option<String>,
    /// Jobs that are meant, if they were counted.
    pub total: Option<u64>,
}

/// The operation that the changes of a store count as.
#[derive(Debug, Clone)]
pub(crate) struct Current {
    pub new: NewOperation,
    pub by: Option<String>,
    /// Whether it is kept how jobs were.
    pub keeps: bool,
    /// Its number, once it is stored.
    pub id: Option<i64>,
    /// Whether it is stored and has not ended.
    pub is_open: bool,
}

impl Current {
    pub fn new(new: NewOperation, by: Option<String>, keeps: bool) -> Current {
        Current {
            new,
            by,
            keeps,
            id: None,
            is_open: false,
        }
    }

    /// The same, which is stored and has not ended.
    pub fn open(self, id: i64) -> Current {
        Current {
            id: Some(id),
            is_open: true,
            ..self
        }
    }
}

/// How far an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperationState {
    /// It goes on, or was cut off.
    Open,
    /// It has ended.
    Done,
}

impl OperationState {
    /// The number that is stored.
    pub(crate) fn code(self) -> i16 {
        match self {
            OperationState::Open => 1,
            OperationState::Done => 2,
        }
    }
}

/// What operators can do to an operation that was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Undo {
    /// It can be undone, at least for some of its jobs.
    Possible,
    /// It cannot, because of this.
    Impossible(String),
    /// It was, or is being, undone by that operation.
    Undone(i64),
}

/// An operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Its number.
    pub id: i64,
    /// What was done.
    pub kind: String,
    /// When it began.
    pub at: Timestamp,
    /// Who did it, as `user@machine`.
    pub by: Option<String>,
    /// Which jobs, in the words of the command, or what else was changed.
    pub what: String,
    /// How far it is.
    pub state: OperationState,
    /// Jobs that were meant when it began, if they were counted.
    pub total: Option<u64>,
    /// What became of the jobs. Of an undo: those that are as before, none, and those that were left alone.
    pub done: MassDone,
    /// Jobs of which it is known how they were.
    pub kept: u64,
    /// How much that takes.
    pub kept_bytes: u64,
    /// When something was last done.
    pub updated_at: Timestamp,
    /// The operation that this one undoes.
    pub undo_of: Option<i64>,
    /// Whether it can be undone.
    pub undo: Undo,
    /// How it goes on, as JSON.
    pub request: Option<String>,
}

/// What became of an undo.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Undone {
    /// The number of the undo, which is an operation itself.
    pub operation: i64,
    /// Jobs, or settings, that are as they were before.
    pub restored: u64,
    /// Those that were left alone.
    pub left: u64,
    /// Some of them, each with why.
    pub reasons: Vec<String>,
}
