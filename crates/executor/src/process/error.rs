//! Why a process could not be started, and what that means for its job.

use std::io;

use queuectl_core::{Outcome, OutcomeKind};

use crate::os::error_text;
use crate::outcome::clip;

/// Why a process was not started.
pub(crate) enum SpawnError {
    /// What that means for the attempt is clear.
    Outcome(Outcome),
    /// The operating system refused it.
    Os(io::Error),
    /// The machine lacks something, whatever the job; this is what.
    Machine(String),
}

impl From<Outcome> for SpawnError {
    fn from(outcome: Outcome) -> Self {
        SpawnError::Outcome(outcome)
    }
}

impl From<io::Error> for SpawnError {
    fn from(error: io::Error) -> Self {
        SpawnError::Os(error)
    }
}

/// The outcome of a process whose limits could not be put on: it does not run without them.
pub(crate) fn cannot_confine(why: &str) -> Outcome {
    Outcome::new(
        OutcomeKind::SystemFailure,
        clip(format!("the job was not started: {why}")),
    )
}

/// The outcome of a process that could not be started, where that is the job's fault.
pub(crate) fn cannot_start(program: &str, error: &io::Error) -> Outcome {
    // What a shell says of it.
    let status = match error.kind() {
        io::ErrorKind::NotFound => 127,
        _ => 126,
    };
    Outcome {
        exit_code: Some(status),
        ..Outcome::new(
            OutcomeKind::Failed,
            clip(format!("cannot start '{program}': {}", error_text(error))),
        )
    }
}
