//! The worker process: runs what the dispatcher sends, reports how it ended.
//!
//! It holds no connection to the store, and decides nothing: neither what runs next nor what an outcome means. When
//! its input ends, the dispatcher is gone; it then stops its jobs and leaves.

mod jobs;
#[cfg(all(test, unix))]
mod stop_between_jobs;

use std::fs::File;
use std::io::{self, BufReader};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use queuectl_executor::descriptors;
use queuectl_executor::final_message::{FinalMessage, start_thread};
use queuectl_executor::{
    CallRecord, FINAL_MESSAGE, Host, HostConfig, HostError, PluginSettings, Report, Run, RunKey, SearchPath,
    Starter, StopReason, processes,
};
use queuectl_storage::open_workers_lock;

pub(crate) use self::jobs::{Jobs, Stop, Stopping};
use crate::deadline::{self, SharedDeadline};
use crate::protocol::{self, FromWorker, ToWorker};
use crate::{failpoints, os};

/// The environment variable that marks everything a node started; each worker process has one of its own.
pub const COOKIE: &str = "QUEUECTL_COOKIE";

/// How long an orphaned worker waits for its jobs beyond their own grace.
const ORPHAN_MARGIN: Duration = Duration::from_secs(5);

/// How a worker process runs jobs.
pub struct WorkerOptions {
    /// Where it finds executors.
    pub search: SearchPath,
    /// How long a call into an executor may take.
    pub call_limit: Duration,
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

/// The stream to the dispatcher.
struct Link(Mutex<File>);

impl Link {
    fn tell(&self, message: &FromWorker) {
        let to = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // If the dispatcher is gone, the end of the input says so; what is lost here is rescued.
        let _ = protocol::write(&*to, message);
    }
}

/// Runs a worker process until its dispatcher is gone.
///
/// # Errors
/// [`WorkerError`]; the dispatcher sees the process end and starts another.
pub fn run_worker(options: WorkerOptions) -> Result<(), WorkerError> {
    let cookie = std::env::var(COOKIE).map_err(|_| WorkerError::NotAWorker)?;
    os::outlive_stop_signals()?;
    processes::leave_children_to_host()?;
    os::name_process();
    let (input, output) = os::take_standard_streams()?;
    // Orphans of a job become children of this process, where they are found at the job's end.
    processes::become_subreaper()?;
    let worker = Worker::start(options, cookie, output)?;
    let mut input = BufReader::with_capacity(64 * 1024, input);
    let end = loop {
        match protocol::read(&mut input) {
            Ok(Some(message)) => worker.handle(message),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    worker.shut_down();
    end.map_err(WorkerError::from)
}

/// What decides whether a job may begin.
struct Gate {
    jobs: Jobs,
    link: Link,
    /// When the node's lease is over, if it has one.
    lease: OnceLock<SharedDeadline>,
}

impl Gate {
    /// Begins a job; none when the node's lease is over. A process that was held until then may find jobs that another node has by
    /// now: those are given back, and so are all that wait for them.
    fn begin(&self, run: Run, host: &Starter) {
        let mut next = Some(run);
        while let Some(run) = next {
            if !self.lease.get().is_some_and(SharedDeadline::has_come) {
                let key = run.key;
                host.start(run);
                // Told while the job was on its way: only now does the host know which one is meant.
                if let Some(Stop { reason, kill }) = self.jobs.begun(key) {
                    host.stop(key, reason, kill);
                }
                return;
            }
            self.link.tell(&FromWorker::NotStarted(run.key));
            next = self.jobs.ended(run.key);
        }
    }
}

struct Worker {
    cookie: String,
    /// Held until the process ends.
    lock: OnceLock<File>,
    host: Host,
    gate: Arc<Gate>,
}

impl Worker {
    fn start(options: WorkerOptions, cookie: String, output: File) -> Result<Worker, HostError> {
        // The cookie is the node's mark, which has two parts, and the process's own number.
        let own_cookie = cookie.clone();
        let mark = cookie.splitn(3, '.').take(2).collect::<Vec<_>>().join(".");
        let config = HostConfig {
            call_record: CallRecord::inherited(),
            search: options.search,
            settings: PluginSettings::default(),
            call_limit: options.call_limit,
            cookie,
            mark,
        };
        let gate = Arc::new(Gate {
            jobs: Jobs::default(),
            link: Link(Mutex::new(output)),
            lease: OnceLock::new(),
        });
        // Known only once there is a host; no run ends before that.
        let starter: Arc<OnceLock<Starter>> = Arc::default();
        let host = {
            let (gate, starter) = (Arc::clone(&gate), Arc::clone(&starter));
            Host::new(config, move |report| match report {
                Report::Finished(finished) => {
                    let key = finished.key;
                    // Told before the next one starts; see the protocol.
                    gate.link.tell(&FromWorker::Finished(finished));
                    if let (Some(run), Some(starter)) = (gate.jobs.ended(key), starter.get()) {
                        gate.begin(run, starter);
                    }
                }
                Report::Handle { key, handle } => gate.link.tell(&FromWorker::Handle(key, handle)),
                Report::Suspension { key, suspension } => {
                    gate.link.tell(&FromWorker::Suspension(key, suspension))
                }
                Report::Ending { reason, culprit } => gate.link.tell(&FromWorker::Ending(reason, culprit)),
            })?
        };
        let _ = starter.set(host.starter());
        Ok(Worker {
            cookie: own_cookie,
            lock: OnceLock::new(),
            host,
            gate,
        })
    }

    fn handle(&self, message: ToWorker) {
        let host = &self.host;
        match message {
            ToWorker::Slots(slots) => self.gate.jobs.set_slots(slots),
            ToWorker::OpenFiles(0) => {}
            ToWorker::OpenFiles(given) => descriptors::lower_limit(given, self.gate.jobs.slots()),
            ToWorker::Start(run) => {
                if let Some(run) = self.gate.jobs.add(run) {
                    self.gate.begin(run, &host.starter());
                }
            }
            ToWorker::Adopt(run, handle) => {
                self.gate.jobs.started(&run);
                host.adopt(run, handle);
            }
            ToWorker::Recall(keys) => {
                for key in keys {
                    if self.gate.jobs.take_waiting(key) {
                        self.gate.link.tell(&FromWorker::NotStarted(key));
                    }
                }
            }
            ToWorker::Stop(key, reason) => self.stop(key, Stop { reason, kill: false }),
            ToWorker::Kill(key, reason) => self.stop(key, Stop { reason, kill: true }),
            ToWorker::Signal(key, signal) => host.signal(key, signal),
            ToWorker::Suspend(key) => host.suspend(key),
            ToWorker::Resume(key) => host.resume(key),
            ToWorker::Settings(settings) => host.set_settings(settings),
            ToWorker::Recorded(keys) => host.recorded(keys),
            ToWorker::Discard(executor, handles) => host.discard(executor, handles),
            ToWorker::Alive(marks) => host.alive(marks),
            ToWorker::Reap(executors) => host.reap(executors),
            ToWorker::LeaseFile(path) => self.mind_lease(path.into()),
            ToWorker::LockFile(path) => self.hold_lock(path.into()),
            ToWorker::Ping => self.gate.link.tell(&FromWorker::Pong),
        }
    }

    /// Stops a job, wherever it is.
    fn stop(&self, key: RunKey, stop: Stop) {
        match self.gate.jobs.stop(key, stop) {
            Stopping::TakenBack => self.gate.link.tell(&FromWorker::NotStarted(key)),
            Stopping::Follows => {}
            Stopping::AtHost if stop.kill => self.host.kill(key, stop.reason),
            Stopping::AtHost => self.host.stop(key, stop.reason),
        }
    }

    /// Holds a lock as long as this process lives. Nodes that cannot see it wait for that before they take its jobs over.
    fn hold_lock(&self, file: PathBuf) {
        let locked = open_workers_lock(&file).and_then(|lock| lock.lock_shared().map(|()| lock));
        match locked {
            Ok(lock) => drop(self.lock.set(lock)),
            Err(error) => tracing::error!(%error, file = %file.display(), "cannot lock the node's file"),
        }
    }

    /// Begins nothing when the node's lease is over; kills what runs then, and ends, if the dispatcher has not done so.
    fn mind_lease(&self, file: PathBuf) {
        if failpoints::is_disabled("deadline") {
            return;
        }
        let (gate, cookie) = (Arc::clone(&self.gate), self.cookie.clone());
        let over = move |end: FinalMessage<usize>| end.send_and_exit(processes::kill_marked(&cookie));
        let say = |killed| {
            tracing::error!(
                name: FINAL_MESSAGE,
                processes = killed,
                "the node's lease is over and its dispatcher does nothing about it; killed what was running"
            );
        };
        // From the next message on.
        self.gate.lease.get_or_init(|| SharedDeadline::of(file));
        // Nothing that a plugin may do, not even in its library's constructors, keeps these threads from the end.
        let started = FinalMessage::prepare(deadline::STATUS, say).and_then(|end| {
            let mind = move || {
                if let Some(moment) = gate.lease.get() {
                    moment.watch(|| gate.jobs.any(), || over(end));
                }
            };
            start_thread("lease", mind)
        });
        if let Err(error) = started {
            tracing::error!(%error, "cannot watch the lease in this worker process");
        }
    }

    /// Stops what runs, and leaves.
    fn shut_down(self) {
        let (keys, grace) = self.gate.jobs.close();
        for key in keys {
            self.host.stop(key, StopReason::Returned);
        }
        self.gate
            .jobs
            .wait_until_idle(Instant::now() + grace + ORPHAN_MARGIN);
        self.host.shut_down();
    }
}
