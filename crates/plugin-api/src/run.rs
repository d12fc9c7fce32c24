//! One attempt of a job, with typed access to its request.
//!
//! [`Run`] is the permission to end the run once; [`RunHandle`] is what remains of it in callbacks. Neither outlives
//! the instance in any useful way: after the run's end the host ignores what they do.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::abi::{QC_STDERR, QC_STDOUT};
use crate::{Error, Host, Outcome, Spawn};

/// What a job wants to run.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Command {
    /// One line, for a shell.
    Line(String),
    /// A program and its exact arguments.
    Argv(Vec<String>),
}

/// The request of a job, as JSON. Members this version does not know are ignored.
#[derive(Debug, Default, Clone, Deserialize)]
pub struct Request {
    #[serde(default)]
    command: Option<Command>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    #[serde(default)]
    cwd: Option<String>,
    #[serde(default)]
    stdin: Option<String>,
    #[serde(default)]
    payload: Option<Box<RawValue>>,
}

impl Request {
    /// The command, if the job has one.
    pub fn command(&self) -> Option<&Command> {
        self.command.as_ref()
    }
    /// Environment variables to set for the job.
    pub fn env(&self) -> &BTreeMap<String, String> {
        &self.env
    }
    /// The working directory, if the job asks for one.
    pub fn cwd(&self) -> Option<&str> {
        self.cwd.as_deref()
    }
    /// Text for standard input, if the job has some.
    pub fn stdin(&self) -> Option<&str> {
        self.stdin.as_deref()
    }

    /// The executor's own part of the request, read as `T`. Where the job has none, `T` is read from `{}`. What is to be
    /// passed on unchanged is read as a `Box<serde_json::value::RawValue>`: it is the text that the job's author wrote.
    ///
    /// # Errors
    /// What does not fit `T`, in words.
    pub fn payload<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let text = self.payload.as_ref().map_or("{}", |own| own.get());
        serde_json::from_str(text).map_err(|error| {
            let words = error.to_string();
            // Where in the text means nothing to who wrote the job.
            let place = format!(" at line {} column {}", error.line(), error.column());
            Error::new(format!(
                "payload: {}",
                words.strip_suffix(&place).unwrap_or(&words)
            ))
        })
    }
}

/// Where a run stands between `start` and its end, as the plugin's side sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// `start` has not returned.
    Starting,
    /// `start` has not returned, and the plugin let go of the run.
    Dropped,
    /// `start` returned, the plugin holds the run.
    Held,
    /// A process was spawned, the end was reported, or `start` failed: nothing is owed any more.
    Settled,
}

/// Shared by [`Run`] and the code around `start`, to notice a run that was forgotten.
#[derive(Debug, Clone)]
pub(crate) struct Tracker(Arc<Mutex<Stage>>);

impl Tracker {
    pub(crate) fn new() -> Self {
        Tracker(Arc::new(Mutex::new(Stage::Starting)))
    }

    fn swap(&self, next: impl FnOnce(Stage) -> Stage) -> Stage {
        let mut stage = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = *stage;
        *stage = next(before);
        before
    }

    fn settle(&self) {
        self.swap(|_| Stage::Settled);
    }

    /// `start` returned an error, which ends the run.
    pub(crate) fn start_failed(&self) {
        self.settle();
    }

    /// `start` returned well. Returns whether the plugin forgot the run.
    pub(crate) fn started(&self) -> bool {
        let next = |stage| {
            if stage == Stage::Starting {
                Stage::Held
            } else {
                stage
            }
        };
        self.swap(next) == Stage::Dropped
    }
}

pub(crate) const FORGOTTEN: &str = "the executor neither spawned a process nor finished the run";

/// The part of a run that every callback gets: enough to add output and to end it.
#[derive(Debug, Clone)]
pub struct RunHandle {
    host: Host,
    id: u64,
}

impl RunHandle {
    pub(crate) fn new(host: Host, id: u64) -> Self {
        Self { host, id }
    }

    /// The number by which host and plugin know the run: unique within the process.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Appends to the job's captured output, as standard output.
    pub fn output(&self, bytes: &[u8]) {
        self.host.output(self.id, QC_STDOUT, bytes);
    }

    /// Appends to the job's captured output, as standard error.
    pub fn error_output(&self, bytes: &[u8]) {
        self.host.output(self.id, QC_STDERR, bytes);
    }

    /// Tells of something that happened in the run, for the worker's log. `name` is one word.
    pub fn event(&self, name: &str, detail: &str) {
        self.host.event(self.id, name, detail);
    }

    /// Saves what [`crate::Executor::reattach`] needs to find the run's work again after this process has died; a later
    /// call replaces it. At most 4096 bytes.
    ///
    /// # Errors
    /// It is too long, or the run is over.
    pub fn save_handle(&self, handle: &[u8]) -> Result<(), Error> {
        self.host.save_handle(self.id, handle)
    }

    /// Reports how the run ended. A process that still runs is stopped first. A second report is ignored.
    pub fn finish(&self, outcome: Outcome) {
        self.host.finished(self.id, &outcome.as_abi());
    }
}

/// One attempt of a job, to be spawned or finished.
#[derive(Debug)]
pub struct Run {
    handle: RunHandle,
    tracker: Tracker,
    pub(crate) job_id: String,
    pub(crate) job_number: i64,
    pub(crate) attempt: u32,
    pub(crate) fence: i64,
    pub(crate) timeout_ms: u64,
    pub(crate) queue: String,
    pub(crate) mark: String,
    pub(crate) request: Request,
}

impl Run {
    pub(crate) fn new(handle: RunHandle, tracker: Tracker, request: Request) -> Self {
        Run {
            handle,
            tracker,
            job_id: String::new(),
            job_number: 0,
            attempt: 0,
            fence: 0,
            timeout_ms: 0,
            queue: String::new(),
            mark: String::new(),
            request,
        }
    }

    /// The job's id as users see it.
    pub fn job_id(&self) -> &str {
        &self.job_id
    }
    /// The job's number.
    pub fn job_number(&self) -> i64 {
        self.job_number
    }
    /// The attempt's number, from 1.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }
    /// A number that grows with every attempt of the job.
    pub fn fence(&self) -> i64 {
        self.fence
    }
    /// The job's queue.
    pub fn queue(&self) -> &str {
        &self.queue
    }
    /// Longest the run may last. The host enforces it.
    pub fn timeout(&self) -> Option<std::time::Duration> {
        (self.timeout_ms > 0).then(|| std::time::Duration::from_millis(self.timeout_ms))
    }
    /// The mark of the node that runs this: `STORE.NODE`. What is started outside of the worker process should carry
    /// it; see [`crate::Executor::reap`]. Empty if the host has none.
    pub fn mark(&self) -> &str {
        &self.mark
    }

    /// What the job wants to run.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// What callbacks get of this run: for output and a report from other places. A run without a process must be kept
    /// itself until it ends; the handle does not keep it.
    pub fn handle(&self) -> RunHandle {
        self.handle.clone()
    }

    /// Appends to the job's captured output, as standard output.
    pub fn output(&self, bytes: &[u8]) {
        self.handle.output(bytes);
    }

    /// Has the host start a process for this run. Its end is the run's end, unless the plugin's
    /// [`exited`](crate::Executor::exited) says otherwise. At most one process per run.
    ///
    /// # Errors
    /// An empty or unusable description. A program that cannot be started is not an error here: it becomes the run's
    /// outcome.
    pub fn spawn(&self, spawn: &Spawn) -> Result<(), Error> {
        spawn.send(&self.handle.host, self.handle.id)?;
        self.tracker.settle();
        Ok(())
    }

    /// Ends the run.
    pub fn finish(self, outcome: Outcome) {
        self.tracker.settle();
        self.handle.finish(outcome);
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let next = |stage| match stage {
            Stage::Starting => Stage::Dropped,
            _ => Stage::Settled,
        };
        if self.tracker.swap(next) == Stage::Held {
            self.handle.finish(Outcome::system_failure(FORGOTTEN));
        }
    }
}
