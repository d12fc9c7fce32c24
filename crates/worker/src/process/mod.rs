//! The worker process: runs what the dispatcher sends, reports how it ended.
//!
//! It holds no connection to the store, and decides nothing: neither what runs next nor what an outcome means. When
//! its input ends, the dispatcher is gone; it then stops its jobs and leaves.

use std::fs::File;
use std::io::{self, BufReader};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use queuectl_executor::{
    Host, HostConfig, HostError, PluginSettings, Report, RunKey, SearchPath, StopReason, processes,
};

use crate::os;
use crate::protocol::{self, FromWorker, ToWorker};

/// The environment variable that marks everything a node started; each worker process has one of its own.
pub const COOKIE: &str = "QUEUECTL_COOKIE";

/// How long an orphaned worker waits for its jobs beyond their own grace.
const ORPHAN_MARGIN: Duration = Duration::from_secs(5);

/// How a worker process runs jobs.
pub struct WorkerOptions {
    /// Where it finds executors.
    pub search: SearchPath,
}

/// Why a worker process ended early.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// It was not started by a dispatcher.
    #[error(
        "`worker:run` is how a node starts its worker processes; start a node with `queuectl worker:start`"
    )]
    NotAWorker,
    /// The streams to the dispatcher broke.
    #[error("lost the dispatcher: {0}")]
    Stream(#[from] io::Error),
    /// The executor host could not start.
    #[error(transparent)]
    Host(#[from] HostError),
}

/// The jobs that this process runs, and the longest grace among them.
#[derive(Default)]
struct Running {
    keys: Mutex<Vec<(RunKey, Duration)>>,
    changed: Condvar,
}

impl Running {
    fn keys(&self) -> MutexGuard<'_, Vec<(RunKey, Duration)>> {
        // A panic elsewhere leaves the list as usable as it was.
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, key: RunKey, grace: Duration) {
        self.keys().push((key, grace));
    }

    fn remove(&self, key: RunKey) {
        self.keys().retain(|(running, _)| *running != key);
        self.changed.notify_all();
    }

    /// Waits until nothing runs, at most until `deadline`.
    fn wait_until_idle(&self, deadline: Instant) {
        let mut keys = self.keys();
        while !keys.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            keys = self
                .changed
                .wait_timeout(keys, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

/// Runs a worker process until its dispatcher is gone.
///
/// # Errors
/// [`WorkerError`]; the dispatcher sees the process end and starts another.
pub fn run_worker(options: WorkerOptions) -> Result<(), WorkerError> {
    let cookie = std::env::var(COOKIE).map_err(|_| WorkerError::NotAWorker)?;
    os::outlive_stop_signals()?;
    os::name_process();
    let (input, output) = os::take_standard_streams()?;
    // Orphans of a job become children of this process, where they are found at the job's end.
    processes::become_subreaper()?;
    let running = Arc::new(Running::default());
    let host = start_host(options, cookie, output, Arc::clone(&running))?;
    let mut input = BufReader::with_capacity(64 * 1024, input);
    let end = loop {
        match protocol::read(&mut input) {
            Ok(Some(message)) => handle(&host, &running, message),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    stop_all(&host, &running);
    host.shut_down();
    end.map_err(WorkerError::from)
}

fn start_host(
    options: WorkerOptions,
    cookie: String,
    output: File,
    running: Arc<Running>,
) -> Result<Host, HostError> {
    // The cookie is the node's mark, which has two parts, and the process's own number.
    let mark = cookie.splitn(3, '.').take(2).collect::<Vec<_>>().join(".");
    let config = HostConfig {
        search: options.search,
        settings: PluginSettings::default(),
        cookie,
        mark,
    };
    let output = Mutex::new(output);
    Host::new(config, move |report| {
        let (message, over) = match report {
            Report::Finished(finished) => {
                let key = finished.key;
                (FromWorker::Finished(finished), Some(key))
            }
            Report::Handle { key, handle } => (FromWorker::Handle(key, handle), None),
        };
        let to = output.lock().unwrap_or_else(PoisonError::into_inner);
        // If the dispatcher is gone, the end of the input says so; the outcome is lost and the job is rescued.
        let _ = protocol::write(&*to, &message);
        drop(to);
        if let Some(key) = over {
            running.remove(key);
        }
    })
}

fn handle(host: &Host, running: &Running, message: ToWorker) {
    match message {
        ToWorker::Start(run) => {
            running.add(run.key, run.kill_grace);
            host.start(run);
        }
        ToWorker::Adopt(run, handle) => {
            running.add(run.key, run.kill_grace);
            host.adopt(run, handle);
        }
        ToWorker::Settings(settings) => host.set_settings(settings),
        ToWorker::Recorded(keys) => host.recorded(keys),
        ToWorker::Alive(marks) => host.alive(marks),
        ToWorker::Stop(key, reason) => host.stop(key, reason),
        ToWorker::Kill(key, reason) => host.kill(key, reason),
    }
}

fn stop_all(host: &Host, running: &Running) {
    let keys = running.keys().clone();
    let grace = keys.iter().map(|(_, grace)| *grace).max().unwrap_or_default();
    for (key, _) in keys {
        host.stop(key, StopReason::Returned);
    }
    running.wait_until_idle(Instant::now() + grace + ORPHAN_MARGIN);
}
