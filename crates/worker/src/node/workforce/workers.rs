//! The worker processes as the node talks to them and watches them: messages, pings, ends and replacements.
//!
//! Which worker has which job is not known here. [`super::Workforce`] knows, and decides what becomes of the jobs of a process
//! that ended.

use std::io;
use std::process::ExitStatus;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use queuectl_core::ExecutorName;
use queuectl_executor::{PluginSettings, RunKey};

use super::exit_notices::{ExitNotice, ExitNotices};
use super::pings::{Pings, SILENCE, Step};
use super::worker_pool::WorkerPool;
use crate::env::Instant;
use crate::node::events::{Events, NodeEvent};
use crate::node::inputs::Input;
use crate::protocol::ToWorker;

/// See the module.
pub struct Workers {
    pool: WorkerPool,
    pings: Pings,
    notices: ExitNotices,
    events: Events,
}

/// The end of a worker process.
pub struct Gone {
    /// Why it ended, and which of its jobs is to blame.
    pub notice: ExitNotice,
    /// When it was started.
    pub started_at: Instant,
}

impl Workers {
    pub fn new(pool: WorkerPool, events: Events) -> Workers {
        Workers {
            pool,
            pings: Pings::new(),
            notices: ExitNotices::default(),
            events,
        }
    }

    /// Returns the workers that have a process.
    pub fn present(&self) -> impl Iterator<Item = usize> + '_ {
        self.pool.present()
    }

    /// Returns a worker for what any of them can do.
    pub fn any(&self) -> Option<usize> {
        self.present().next()
    }

    /// Sends a message, with the next [`Self::flush`].
    pub fn send(&mut self, worker: usize, message: &ToWorker) {
        if let Err(error) = self.pool.send(worker, message) {
            let error = &error;
            self.events.emit(&NodeEvent::MessageNotSent { worker, error });
        }
    }

    /// Lets go what was sent.
    pub fn flush(&mut self) {
        self.pool.flush();
    }

    /// Tells a worker of which runs the outcomes are recorded.
    pub fn acknowledge(&mut self, worker: usize, runs: Vec<RunKey>) {
        self.send(worker, &ToWorker::Recorded(runs));
    }

    /// Has a worker let go of what those keep that died, by their handles.
    pub fn discard(&mut self, worker: usize, executor: ExecutorName, handles: Vec<Vec<u8>>) {
        self.send(worker, &ToWorker::Discard(executor, handles));
    }

    /// From now on executors are told these settings.
    pub fn set_settings(&mut self, settings: PluginSettings) {
        self.pool.set_settings(settings);
    }

    /// These are the marks of the nodes that live, and dead ones had jobs of these executors.
    pub fn set_alive(&mut self, alive: Vec<String>, executors: Vec<ExecutorName>) {
        self.pool.set_alive(alive);
        self.pool.reap(executors);
    }

    /// Sets for how long a worker is not listened to after it said something.
    pub fn set_pause(&self, worker: usize, pause: Duration) {
        self.pool.set_pause(worker, pause);
    }

    /// A worker said something, so it answers.
    pub fn heard(&mut self, worker: usize) {
        self.pings.end(worker);
    }

    /// A worker says that its process is about to end, and which run is to blame.
    pub fn ending(&mut self, worker: usize, reason: String, culprit: Option<RunKey>) {
        let event = NodeEvent::WorkerEnding {
            worker,
            reason: &reason,
        };
        self.events.emit(&event);
        self.notices.announced(worker, reason, culprit);
    }

    /// A worker's process ended, in that call of a plugin. Kills what it left behind.
    pub fn gone(&mut self, worker: usize, status: io::Result<ExitStatus>, call: Option<String>) -> Gone {
        let how = self.pings.how_ended(worker, status);
        let how = &call.map_or(how.clone(), |call| format!("{how} {call}"));
        self.events.emit(&NodeEvent::WorkerDied { worker, how });
        let gone = Gone {
            notice: self.notices.gone(worker, how),
            started_at: self.pool.started_at(worker),
        };
        let processes = self.pool.gone(worker);
        if processes > 0 {
            self.events
                .emit(&NodeEvent::LeftoversKilled { worker, processes });
        }
        gone
    }

    /// Replaces the processes that ended, if it is time.
    pub fn replace(&mut self) {
        for (worker, started) in self.pool.replace() {
            match &started {
                Ok(pid) => self.events.emit(&NodeEvent::WorkerStarted { worker, pid: *pid }),
                Err(error) => self.events.emit(&NodeEvent::WorkerNotStarted { worker, error }),
            }
        }
    }

    /// Asks the workers that have jobs whether they are there, if it is time, and kills those that were asked in vain too often.
    pub fn ping(&mut self, has_jobs: impl Fn(usize) -> bool) {
        let present = self.pool.present();
        let due = self.pings.due(present.map(|worker| (worker, has_jobs(worker))));
        for (worker, step) in due {
            match step {
                Step::Ask => self.send(worker, &ToWorker::Ping),
                Step::Kill => self.kill(worker, Some(SILENCE)),
            }
        }
    }

    /// Kills the process of a worker that has been silent for that time, or too long for a shutdown.
    pub fn kill(&mut self, worker: usize, silent: Option<Duration>) {
        let seconds = silent.map(|silent| silent.as_secs());
        self.events.emit(&NodeEvent::WorkerSilent { worker, seconds });
        self.pool.kill(worker);
    }

    /// Returns when workers that have jobs are asked next.
    pub fn next_ping(&self) -> Instant {
        self.pings.next()
    }

    /// Returns when the next process is to be started.
    pub fn next_restart(&self) -> Option<Instant> {
        self.pool.next_restart()
    }

    /// Ends all processes, at the latest at the deadline.
    pub fn dismiss(&mut self, inbox: &Receiver<Input>, deadline: Instant) {
        self.pool.dismiss(inbox, deadline);
    }
}
