//! A worker process without a node: to run single jobs with no store behind them, as `plugin:run` and the conformance
//! kit do. It is the same process as a node's, over the same protocol.

use std::ffi::OsString;
use std::io::{self, BufReader, Write};
use std::process::{Child, ChildStdin, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use queuectl_core::show_short;
use queuectl_executor::{PluginSettings, Report, Run, RunKey, StopReason, inherit, processes};

use crate::node::unique_number;
use crate::os;
use crate::process::COOKIE;
use crate::protocol::{self, FromWorker, ToWorker};

/// How worker processes are started.
#[derive(Debug, Clone)]
pub struct StandaloneOptions {
    /// The arguments to this program that make it one.
    pub args: Vec<OsString>,
    /// What plugins are told of the settings.
    pub settings: PluginSettings,
    /// The store that they believe to belong to. What is of it may be taken for left behind by the next of its worker
    /// processes; see [`new_store`].
    pub store: String,
    /// Whether to discard what they log and what plugins print.
    pub silent: bool,
}

/// A store of its own: several at a time must not take each other's containers for left behind.
pub fn new_store() -> String {
    format!("standalone-{:016x}{:016x}", unique_number(), unique_number())
}

/// A worker process.
pub struct StandaloneWorker {
    options: StandaloneOptions,
    /// The mark of the node that it believes to belong to.
    mark: String,
    child: Child,
    input: Option<ChildStdin>,
    reports: Receiver<Report>,
    cookie: String,
}

/// Why nothing was reported.
#[derive(Debug, thiserror::Error)]
pub enum StandaloneError {
    /// It took too long.
    #[error("no report within {}", show_short(*.0))]
    TimedOut(Duration),
    /// It was told to leave and did not.
    #[error("the worker process did not exit within {} after it was asked to", show_short(*.0))]
    Stays(Duration),
    /// The process ended.
    #[error("the worker process died: {0}")]
    Died(String),
    /// It could not be talked to.
    #[error("cannot talk to the worker process: {0}")]
    Io(#[from] io::Error),
}

impl StandaloneWorker {
    /// Starts a worker process.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(options: StandaloneOptions) -> Result<StandaloneWorker, StandaloneError> {
        let mark = format!("{}.{:016x}", options.store, unique_number());
        StandaloneWorker::start_as(options, mark, 1)
    }

    /// Kills the process, as a crash would, and starts another of the same node.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn replace(mut self) -> Result<StandaloneWorker, StandaloneError> {
        self.kill()?;
        StandaloneWorker::start_as(self.options.clone(), self.mark.clone(), 2)
    }

    fn start_as(
        options: StandaloneOptions,
        mark: String,
        number: u32,
    ) -> Result<StandaloneWorker, StandaloneError> {
        let cookie = format!("{mark}.{number}.");
        let mut command = os::own_program()?;
        command
            .args(&options.args)
            .env(COOKIE, &cookie)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        if options.silent {
            command.stderr(Stdio::null());
        }
        inherit::isolate(&mut command);
        let mut child = command.spawn()?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("the worker process has no streams").into());
        };
        let (sender, reports) = channel();
        std::thread::Builder::new()
            .name("from worker".into())
            .spawn(move || {
                let mut output = BufReader::new(output);
                while let Ok(Some(message)) = protocol::read(&mut output) {
                    let report = match message {
                        FromWorker::Finished(finished) => Report::Finished(finished),
                        FromWorker::Handle(key, handle) => Report::Handle { key, handle },
                        FromWorker::Ending(reason, culprit) => Report::Ending { reason, culprit },
                        // Only where slots are bounded, which they are not here.
                        FromWorker::NotStarted(_) | FromWorker::Suspension(..) | FromWorker::Pong => continue,
                    };
                    if sender.send(report).is_err() {
                        return;
                    }
                }
            })?;
        let settings = options.settings.clone();
        let mut worker = StandaloneWorker {
            options,
            mark,
            child,
            input: Some(input),
            reports,
            cookie,
        };
        let mark = worker.mark.clone();
        worker.send(&ToWorker::Settings(settings))?;
        worker.send(&ToWorker::Alive(vec![mark]))?;
        Ok(worker)
    }

    fn send(&mut self, message: &ToWorker) -> Result<(), StandaloneError> {
        let Some(input) = &mut self.input else {
            return Err(io::Error::from(io::ErrorKind::BrokenPipe).into());
        };
        let mut frame = Vec::new();
        protocol::encode(message, &mut frame)?;
        Ok(input.write_all(&frame)?)
    }

    /// Starts a run.
    ///
    /// # Errors
    /// The process is gone.
    pub fn run(&mut self, run: Run) -> Result<(), StandaloneError> {
        self.send(&ToWorker::Start(run))
    }

    /// Takes a run over by its handle.
    ///
    /// # Errors
    /// The process is gone.
    pub fn adopt(&mut self, run: Run, handle: Vec<u8>) -> Result<(), StandaloneError> {
        self.send(&ToWorker::Adopt(run, handle))
    }

    /// Stops a run, at once if `kill`.
    ///
    /// # Errors
    /// The process is gone.
    pub fn stop(&mut self, key: RunKey, kill: bool) -> Result<(), StandaloneError> {
        let reason = StopReason::Cancelled;
        self.send(&if kill {
            ToWorker::Kill(key, reason)
        } else {
            ToWorker::Stop(key, reason)
        })
    }

    /// Says that the outcome of a run is durable.
    ///
    /// # Errors
    /// The process is gone.
    pub fn recorded(&mut self, key: RunKey) -> Result<(), StandaloneError> {
        self.send(&ToWorker::Recorded(vec![key]))
    }

    /// The next report.
    ///
    /// # Errors
    /// None came in time, or the process died.
    pub fn next(&mut self, timeout: Duration) -> Result<Report, StandaloneError> {
        match self.reports.recv_timeout(timeout) {
            Ok(report) => Ok(report),
            Err(RecvTimeoutError::Timeout) => Err(StandaloneError::TimedOut(timeout)),
            Err(RecvTimeoutError::Disconnected) => {
                Err(StandaloneError::Died(os::describe(self.child.wait()?)))
            }
        }
    }

    /// The number of the process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills the process, as a crash would.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub fn kill(&mut self) -> Result<(), StandaloneError> {
        os::kill_child_group(self.child.id());
        let _ = self.child.kill();
        self.child.wait()?;
        processes::kill_marked(&self.cookie);
        Ok(())
    }

    /// Ends the process as a node does, and says how it ended. What it still reports is dropped.
    ///
    /// # Errors
    /// It does not end in time, or cannot be waited for.
    pub fn leave(mut self, timeout: Duration) -> Result<ExitStatus, StandaloneError> {
        self.input = None;
        let deadline = Instant::now() + timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.reports.recv_timeout(left) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(self.child.wait()?),
                Err(RecvTimeoutError::Timeout) => return Err(StandaloneError::Stays(timeout)),
            }
        }
    }
}

impl Drop for StandaloneWorker {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.kill();
        }
    }
}
