//! The trait that a plugin implements, and the small types it answers with.
//!
//! Nothing here crosses the boundary itself; [`crate::glue`] does that.

use crate::{Exit, Host, Run, RunHandle};

/// What a plugin says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Description {
    /// The executor's name, as jobs name it.
    pub name: &'static str,
    /// The plugin's own version.
    pub version: &'static str,
    /// What it does, in one line.
    pub about: &'static str,
    /// Words for what it can do, for people to read.
    pub capabilities: &'static [&'static str],
}

/// Why an instance could not be made, or a process could not be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(String);

impl Error {
    /// An error with its text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self(error.to_string())
    }
}

/// Why a run could not be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartError {
    /// The request makes no sense to this executor. The job's own failure, counted as an attempt.
    Invalid(String),
    /// The executor cannot run jobs at the moment. Not the job's failure; it is tried again later.
    System(String),
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StartError::Invalid(text) | StartError::System(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for StartError {}

impl From<Error> for StartError {
    /// What a process could not be asked for with is the request's fault.
    fn from(error: Error) -> Self {
        StartError::Invalid(error.0)
    }
}

/// Who deals with an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handled {
    /// The plugin does, and reports the run's end.
    ByPlugin,
    /// The host does what it does by itself.
    ByHost,
}

/// How a run shall stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopMode {
    /// Its grace period runs from now.
    Graceful,
    /// At once.
    Kill,
}

/// An executor: what a plugin implements.
///
/// Methods may be called from any thread, for different runs at the same time. They must return promptly: long work
/// belongs in a process ([`Run::spawn`]) or on a thread of the plugin's own. A panic is caught and becomes a system
/// failure of the run.
pub trait Executor: Send + Sync + Sized + 'static {
    /// What the plugin says about itself.
    const DESCRIPTION: Description;

    /// Makes an instance. `settings` is a JSON object; unknown members are to be ignored.
    ///
    /// # Errors
    /// Whatever keeps the executor from working at all; every job that names it is then a system failure.
    fn create(host: Host, settings: &str) -> Result<Self, Error>;

    /// Starts a run and returns at once. `Ok` means that it is under way: a process was spawned, the run was finished,
    /// or `run` was kept to be finished later. Dropping `run` without any of these is a system failure.
    ///
    /// # Errors
    /// [`StartError`] ends the run.
    fn start(&self, run: Run) -> Result<(), StartError>;

    /// The process spawned for `run` ended. [`Handled::ByHost`], the default, turns exit status 0 into success and all
    /// else into failure; [`Handled::ByPlugin`] promises that [`RunHandle::finish`] is called, now or later.
    fn exited(&self, run: RunHandle, exit: Exit) -> Handled {
        let _ = (run, exit);
        Handled::ByHost
    }

    /// `run` shall stop. May come repeatedly. [`Handled::ByHost`], the default, has the host stop the process it
    /// spawned. A run without a process ends only when the plugin finishes it.
    fn stop(&self, run: RunHandle, mode: StopMode) -> Handled {
        let _ = (run, mode);
        Handled::ByHost
    }
}
