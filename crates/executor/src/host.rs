//! The host, by which the rest of a worker process starts and stops runs.
//!
//! Every method returns at once; what becomes of a run is told through the callback.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;

use crate::process::Reactor;
use crate::shared::{Message, Shared};
use crate::supervisor::Supervisor;
use crate::{HostConfig, HostError, PluginSettings, Report, Run, RunKey, StopReason};
use queuectl_core::ExecutorName;

/// Whether this process has a host: it waits for any child of the process, so there is room for one only.
static EXISTS: AtomicBool = AtomicBool::new(false);

/// Runs jobs in this process. At most one per process. Dropping it is the same as [`Host::shut_down`].
pub struct Host {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Host {
    /// Starts the supervisor thread. `report` is called with [`Report::Finished`] on that thread, once per started run,
    /// and with [`Report::Handle`] on any thread; it must not block.
    ///
    /// Call [`become_subreaper`](crate::processes::become_subreaper) before, or processes that leave their job's
    /// process group cannot be found when the job ends.
    ///
    /// # Errors
    /// [`HostError`], when there is a host already or the operating system lacks something.
    pub fn new(
        config: HostConfig,
        report: impl Fn(Report) + Send + Sync + 'static,
    ) -> Result<Host, HostError> {
        if EXISTS.swap(true, Ordering::SeqCst) {
            return Err(HostError::Exists);
        }
        Host::start_thread(config, Box::new(report)).inspect_err(|_| EXISTS.store(false, Ordering::SeqCst))
    }

    fn start_thread(
        config: HostConfig,
        report: Box<dyn Fn(Report) + Send + Sync>,
    ) -> Result<Host, HostError> {
        let io = |what| move |source| HostError::Io { what, source };
        let (reactor, waker) = Reactor::new().map_err(io("watch for the end of processes"))?;
        let shared = Arc::new(Shared::new(waker, report));
        let supervisor = Supervisor::new(config, Arc::clone(&shared), reactor);
        let thread = std::thread::Builder::new().name("supervisor".to_owned());
        let thread = thread
            .spawn(move || supervisor.run())
            .map_err(io("start the supervisor thread"))?;
        Ok(Host {
            shared,
            thread: Some(thread),
        })
    }

    /// Starts a run. Whatever is wrong with it is reported as its outcome.
    pub fn start(&self, run: Run) {
        self.shared.post(Message::Start(Box::new(run)));
    }

    /// The means to start runs from elsewhere.
    pub fn starter(&self) -> Starter {
        Starter(Arc::downgrade(&self.shared))
    }

    /// Stops a run: SIGTERM, its grace period, SIGKILL. Unknown runs and repetitions are ignored.
    pub fn stop(&self, key: RunKey, reason: StopReason) {
        self.shared.post(Message::Stop {
            key,
            reason,
            kill: false,
        });
    }

    /// Stops a run without grace.
    pub fn kill(&self, key: RunKey, reason: StopReason) {
        self.shared.post(Message::Stop {
            key,
            reason,
            kill: true,
        });
    }

    /// Takes over a run whose worker process died, by the handle that its executor had saved. Reported like a run that
    /// was started.
    pub fn adopt(&self, run: Run, handle: Vec<u8>) {
        self.shared.post(Message::Adopt(Box::new(run), handle));
    }

    /// Passes a signal on to a run.
    pub fn signal(&self, key: RunKey, signal: i32) {
        self.shared.post(Message::Signal(key, signal));
    }

    /// Suspends all processes of a run; the time does not count for its timeout. Reported, unless the run has ended.
    pub fn suspend(&self, key: RunKey) {
        self.shared.post(Message::Suspend(key));
    }

    /// Has the processes of a run continue. Reported likewise.
    pub fn resume(&self, key: RunKey) {
        self.shared.post(Message::Resume(key));
    }

    /// Runs started from now on see these settings.
    pub fn set_settings(&self, settings: PluginSettings) {
        self.shared.post(Message::Settings(settings));
    }

    /// The outcomes of these runs are durable, or no longer wanted.
    pub fn recorded(&self, keys: Vec<RunKey>) {
        self.shared.post(Message::Recorded(keys));
    }

    /// The runs of dead worker processes that an executor saved these handles for are no longer wanted.
    pub fn discard(&self, executor: ExecutorName, handles: Vec<Vec<u8>>) {
        self.shared.post(Message::Discard(executor, handles));
    }

    /// These are the marks of the nodes of this store that live; executors end what others of them left behind.
    pub fn alive(&self, marks: Vec<String>) {
        self.shared.post(Message::Alive(marks));
    }

    /// Dead nodes had runs of these executors: loads those that are not, so that they see to what was left behind.
    pub fn reap(&self, executors: Vec<ExecutorName>) {
        self.shared.post(Message::Reap(executors));
    }

    /// Kills everything that is left, reports it as given back, and ends the supervisor thread.
    pub fn shut_down(self) {
        drop(self);
    }
}

/// Starts runs on a host, and stops them, from places that cannot own it, such as its own reports.
#[derive(Debug, Clone)]
pub struct Starter(Weak<Shared>);

impl Starter {
    /// Starts a run, unless the host is gone.
    pub fn start(&self, run: Run) {
        if let Some(shared) = self.0.upgrade() {
            shared.post(Message::Start(Box::new(run)));
        }
    }

    /// Stops a run that was started before, at once if `kill`.
    pub fn stop(&self, key: RunKey, reason: StopReason, kill: bool) {
        if let Some(shared) = self.0.upgrade() {
            shared.post(Message::Stop { key, reason, kill });
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.shared.post(Message::ShutDown);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the supervisor thread ended in a panic");
        }
        EXISTS.store(false, Ordering::SeqCst);
    }
}
