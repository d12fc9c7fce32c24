//! A worker process without a node: to run single jobs with no store behind them, as `plugin:run` and the conformance
//! kit do. It is the same process as a node's, over the same protocol.

use std::ffi::OsString;
use std::io::{self, BufReader, Write};
use std::process::{Child, ChildStdin, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use queuectl_executor::{PluginSettings, Report, Run, RunKey, StopReason, processes};

use crate::os;
use crate::process::COOKIE;
use crate::protocol::{self, FromWorker, ToWorker};

/// A worker process.
pub struct Bench {
    child: Child,
    input: Option<ChildStdin>,
    reports: Receiver<Report>,
    cookie: String,
}

/// Why nothing was reported.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// It took too long.
    #[error("nothing was reported within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// The process ended.
    #[error("the worker process died: {0}")]
    Died(String),
    /// It could not be talked to.
    #[error("cannot talk to the worker process: {0}")]
    Io(#[from] io::Error),
}

impl Bench {
    /// Starts a worker process: this program with these arguments.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(args: &[OsString], settings: PluginSettings) -> Result<Bench, BenchError> {
        // A store of its own: several at a time must not take each other's containers for left behind.
        let cookie = format!("bench{:016x}.{:016x}.1.", fastrand::u64(..), fastrand::u64(..));
        let mut command = os::own_program()?;
        command
            .args(args)
            .env(COOKIE, &cookie)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        os::own_group(&mut command);
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
                        // Only where slots are bounded, which they are not here.
                        FromWorker::NotStarted(_) => continue,
                    };
                    if sender.send(report).is_err() {
                        return;
                    }
                }
            })?;
        let mut bench = Bench {
            child,
            input: Some(input),
            reports,
            cookie,
        };
        let mark = bench.cookie.splitn(3, '.').take(2).collect::<Vec<_>>().join(".");
        bench.send(&ToWorker::Settings(settings))?;
        bench.send(&ToWorker::Alive(vec![mark]))?;
        Ok(bench)
    }

    fn send(&mut self, message: &ToWorker) -> Result<(), BenchError> {
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
    pub fn run(&mut self, run: Run) -> Result<(), BenchError> {
        self.send(&ToWorker::Start(run))
    }

    /// Takes a run over by its handle.
    ///
    /// # Errors
    /// The process is gone.
    pub fn adopt(&mut self, run: Run, handle: Vec<u8>) -> Result<(), BenchError> {
        self.send(&ToWorker::Adopt(run, handle))
    }

    /// Stops a run, at once if `kill`.
    ///
    /// # Errors
    /// The process is gone.
    pub fn stop(&mut self, key: RunKey, kill: bool) -> Result<(), BenchError> {
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
    pub fn recorded(&mut self, key: RunKey) -> Result<(), BenchError> {
        self.send(&ToWorker::Recorded(vec![key]))
    }

    /// The next report.
    ///
    /// # Errors
    /// None came in time, or the process died.
    pub fn next(&mut self, patience: Duration) -> Result<Report, BenchError> {
        match self.reports.recv_timeout(patience) {
            Ok(report) => Ok(report),
            Err(RecvTimeoutError::Timeout) => Err(BenchError::TimedOut(patience)),
            Err(RecvTimeoutError::Disconnected) => Err(BenchError::Died(os::describe(self.child.wait()?))),
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
    pub fn kill(&mut self) -> Result<(), BenchError> {
        os::kill_child_group(self.child.id());
        let _ = self.child.kill();
        self.child.wait()?;
        processes::kill_marked(&self.cookie);
        Ok(())
    }

    /// Ends the process as a node does, and says how it ended.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub fn leave(mut self) -> Result<ExitStatus, BenchError> {
        self.input = None;
        Ok(self.child.wait()?)
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.kill();
        }
    }
}
