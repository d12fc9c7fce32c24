//! Exit statuses and error messages. Only this module maps errors to statuses.

use std::io;
use std::process::ExitCode;

use anyhow::Error;
use queuectl_core::settings::SettingError;
use queuectl_core::{ExecutorSettingError, IdError, JobError};
use queuectl_frontend::kind::{Kind, kind};
use queuectl_storage::{Location, StoreError};
use queuectl_worker::{NodeError, ProbeError, WorkerError};

use crate::output::diagnostics;
use crate::output::format::fields;

/// Exit status of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit(pub u8);

impl Exit {
    /// Success.
    pub const OK: Exit = Exit(0);
    /// The command ran, with a negative result.
    pub const NEGATIVE: Exit = Exit(1);
    /// A mistake in the command line, a job or a setting.
    pub const USAGE: Exit = Exit(2);
    /// No such job or node.
    pub const NOT_FOUND: Exit = Exit(3);
    /// The id exists already, or the job's state does not allow it.
    pub const CONFLICT: Exit = Exit(4);
    /// The queue cannot be used.
    pub const STORE_UNUSABLE: Exit = Exit(5);
    /// The queue cannot be used right now.
    pub const STORE_UNAVAILABLE: Exit = Exit(6);
    /// An executor plugin was not found or did not load.
    pub const EXECUTOR: Exit = Exit(7);
    /// A job may or may not be stored.
    pub const UNSURE: Exit = Exit(8);
    /// A bug in queuectl.
    pub const INTERNAL: Exit = Exit(70);
    /// `wait` or `worker:stop --wait` timed out, as with timeout(1).
    pub const TIMEOUT: Exit = Exit(124);
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.0)
    }
}

/// A mistake of the user.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Usage {
    message: String,
    hint: Option<String>,
}

impl Usage {
    pub fn new(message: impl Into<String>) -> Usage {
        Usage {
            message: message.into(),
            hint: None,
        }
    }

    /// Adds a hint about what to do instead.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Usage {
        self.hint = Some(hint.into());
        self
    }
}

/// A plugin that cannot be used or misbehaved.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Failed(String);

impl Failed {
    /// Returns the error of a plugin. The text names the plugin and the cause.
    pub fn executor(error: impl std::fmt::Display) -> Failed {
        Failed(error.to_string())
    }
}

/// An error with its own exit status.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Ended {
    /// The message to the user.
    pub message: String,
    /// The status.
    pub exit: Exit,
}

/// Prints an error on standard error and returns its exit status. Errors about the queue as a whole name its location.
pub fn report(error: &Error, location: Option<&Location>) -> ExitCode {
    if let Some(error) = of_output(error) {
        if let Some(unknown) = fields::unknown(error) {
            diagnostics::error(&unknown.to_string());
            return Exit::USAGE.into();
        }
        return report_unprinted(error);
    }
    let exit = classify(error);
    let about_store = [Exit::STORE_UNUSABLE, Exit::STORE_UNAVAILABLE, Exit::UNSURE].contains(&exit);
    match location.filter(|_| about_store) {
        Some(location) => diagnostics::error(&format!("{location}: {}", in_words(error))),
        None => diagnostics::error(&in_words(error)),
    }
    let hint = error
        .chain()
        .find_map(|cause| cause.downcast_ref::<Usage>()?.hint.as_deref());
    if let Some(hint) = hint {
        diagnostics::hint(hint);
    }
    exit.into()
}

/// Prints that standard output cannot be written and returns the exit status.
pub fn report_unprinted(error: &io::Error) -> ExitCode {
    if error.kind() == io::ErrorKind::BrokenPipe {
        // The reader has seen enough, as in `queuectl list | head`.
        return Exit::OK.into();
    }
    diagnostics::error(&format!("cannot write to standard output: {error}"));
    Exit::NEGATIVE.into()
}

/// Returns the error and its causes in one line. A cause that its error already quotes is not repeated.
pub fn in_words(error: &Error) -> String {
    let mut words = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if words.is_empty() {
            words = cause;
        } else if !words.contains(&cause) {
            words = format!("{words}: {cause}");
        }
    }
    words
}

/// Returns the exit status for an error.
pub fn classify(error: &Error) -> Exit {
    error.chain().find_map(classify_cause).unwrap_or(Exit::INTERNAL)
}

fn classify_cause(cause: &(dyn std::error::Error + 'static)) -> Option<Exit> {
    if let Some(error) = cause.downcast_ref::<StoreError>() {
        return Some(classify_store(error));
    }
    if let Some(error) = cause.downcast_ref::<NodeError>() {
        return Some(match error {
            NodeError::Store(error) | NodeError::Unrecorded { source: error, .. } => classify_store(error),
            NodeError::Fenced(_) => Exit::STORE_UNAVAILABLE,
            NodeError::Setup { .. } => Exit::INTERNAL,
        });
    }
    if let Some(ended) = cause.downcast_ref::<Ended>() {
        return Some(ended.exit);
    }
    if cause.is::<Failed>() || cause.is::<ProbeError>() {
        return Some(Exit::EXECUTOR);
    }
    if cause.is::<WorkerError>() {
        return Some(Exit::EXECUTOR);
    }
    let usage = cause.is::<Usage>()
        || cause.is::<SettingError>()
        || cause.is::<ExecutorSettingError>()
        || cause.is::<JobError>()
        || cause.is::<IdError>();
    if usage {
        return Some(Exit::USAGE);
    }
    // I/O of the command itself, such as a full disk under a redirected standard output.
    cause.is::<io::Error>().then_some(Exit::NEGATIVE)
}

fn classify_store(error: &StoreError) -> Exit {
    match kind(error) {
        Kind::Usage => Exit::USAGE,
        Kind::NotFound => Exit::NOT_FOUND,
        Kind::Conflict => Exit::CONFLICT,
        Kind::Unusable => Exit::STORE_UNUSABLE,
        Kind::Unavailable => Exit::STORE_UNAVAILABLE,
        Kind::Unsure => Exit::UNSURE,
        Kind::Internal => Exit::INTERNAL,
    }
}

/// Returns the error if it comes from writing our own output. Other I/O errors carry context on top of the cause.
fn of_output(error: &Error) -> Option<&io::Error> {
    error.downcast_ref().filter(|_| error.chain().len() == 1)
}

#[cfg(test)]
mod tests {
    use queuectl_storage::Problem;

    use super::*;

    fn status(error: impl Into<Error>) -> u8 {
        classify(&error.into()).0
    }

    #[test]
    fn every_kind_of_error_has_its_status() {
        let database = |problem| StoreError::Database {
            problem,
            detail: String::new(),
        };
        assert_eq!(status(Usage::new("x")), 2);
        assert_eq!(status(JobError::EmptyCommand), 2);
        assert_eq!(status(StoreError::NoSuchJob("x".into())), 3);
        assert_eq!(status(StoreError::NoSuchNode(1)), 3);
        let taken = StoreError::NameTaken {
            name: "x".into(),
            index: 0,
        };
        assert_eq!(status(Error::from(taken).context("line 3")), 4);
        assert_eq!(status(StoreError::Missing), 5);
        assert_eq!(status(StoreError::Foreign), 5);
        assert_eq!(status(database(Problem::Corrupt)), 5);
        assert_eq!(status(database(Problem::DiskFull)), 6);
        assert_eq!(status(NodeError::Store(database(Problem::Busy))), 6);
        assert_eq!(status(io::Error::from(io::ErrorKind::StorageFull)), 1);
        assert_eq!(status(anyhow::anyhow!("surprise")), 70);
    }
}
