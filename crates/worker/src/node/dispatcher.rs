//! The dispatcher's loop: events in, one store transaction per cycle, jobs out to the workers.
//!
//! A cycle records what ended, makes due what is due and claims for the free slots. A claimed job goes to a worker
//! only after the commit has returned. If the store cannot be written, outcomes stay in hand and are tried again;
//! nothing new is claimed meanwhile. What an outcome means is decided in `decide`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use queuectl_core::{Clock, JobId, NodeId, OutcomeKind, Settings, Timestamp};
use queuectl_executor::{PluginSettings, RunKey, StopReason};
use queuectl_scheduler::Pace;
use queuectl_storage::{Claimed, Location, Record, StopRequest, Store, StoreClock, StoreError, Wake};

use super::claims::{self, Claims, Running};
use super::control::{Control, Requests};
use super::decide::{self, Ending, Subject};
use super::exit_notices::{self, ExitNotices};
use super::inputs::Input;
use super::lease::{Lease, Stage};
use super::machine::Machine;
use super::pending_acks::PendingAcks;
use super::pings::Pings;
use super::recorder::Recorder;
use super::shortage::Shortage;
use super::shutdown::{Phase, Step};
use super::worker_pool::{Greeting, WorkerPool};

use super::{NodeEnd, NodeError, NodeOptions, cycle, housekeeping, report, rescue};
use crate::env::Instant;
use crate::protocol::{FromWorker, ToWorker};

/// How long to wait before a store that failed is tried again.
const STORE_RETRY: Duration = Duration::from_secs(1);
/// How often dead nodes are looked for.
const RESCUE_EVERY: Duration = Duration::from_secs(1);
/// How often expired jobs are removed.
const PURGE_EVERY: Duration = Duration::from_secs(60);
/// While more of them are left, how long the pause after a step is, in steps: clean-up takes half of the time at most, and
/// keeps pace with a busy node, for removing a job costs less than running it.
const PURGE_PAUSE: u32 = 1;
/// How long worker processes without jobs may take to leave.
const DISMISS: Duration = Duration::from_secs(5);

/// A node that has entered the store.
pub struct Setup {
    pub store: Store,
    pub node: NodeId,
    /// Marks everything that the node starts.
    pub mark: String,
    pub options: NodeOptions,
    pub lease: Lease,
    /// The file in which worker processes read until when the lease is held.
    pub lease_file: Option<PathBuf>,
    pub machine: Rc<dyn Machine>,
}

pub struct Dispatcher {
    pub(super) store: Store,
    pub(super) node: NodeId,
    pub(super) options: NodeOptions,
    pub(super) settings: Settings,
    pub(super) clock: StoreClock,
    pub(super) outputs: queuectl_storage::Outputs,
    /// Only where the store is on a server.
    pub(super) recorder: Option<Recorder>,
    machine: Rc<dyn Machine>,
    started_at: Timestamp,
    inbox: Rc<Receiver<Input>>,
    pub lease: Lease,
    pub(super) worker_pool: WorkerPool,
    pub claims: Claims,
    pub(super) pace: Pace,
    control: Control,
    pub(super) phase: Phase,
    pub(super) pings: Pings,
    /// Whether the store may have jobs to claim.
    pub(super) maybe_work: bool,
    pub(super) next_due: Option<Timestamp>,
    /// When a slot was last filled or became free, on any worker and on each.
    pub(super) moved_at: Instant,
    pub(super) workers_moved_at: Vec<Instant>,
    /// Since when outcomes wait to be recorded.
    pub(super) ended_since: Option<Instant>,
    /// When a failed store is tried again, and whether that failure was reported.
    pub(super) store_retry: Option<Instant>,
    next_rescue: Instant,
    next_purge: Instant,
    /// Ended runs of which executors still keep something.
    pub(super) pending_acks: PendingAcks,
    pub(super) shortage: Shortage,
    exit_notices: ExitNotices,
}

impl Dispatcher {
    /// Starts the worker processes.
    pub fn new(
        setup: Setup,
        inputs: Sender<Input>,
        inbox: Rc<Receiver<Input>>,
    ) -> Result<Dispatcher, NodeError> {
        let Setup {
            mut store,
            node,
            mark,
            options,
            lease,
            lease_file,
            machine,
        } = setup;
        let settings = store.settings()?;
        store.set_durability(settings.durability)?;
        let clock = store.clock()?;
        let outputs = store.own_outputs()?;
        let is_on_server = matches!(options.location, Location::Postgres(_));
        let recorder = is_on_server.then(|| Recorder::new(&options.location, inputs.clone()));
        let greeting = Greeting {
            slots: options.concurrency,
            settings: plugin_settings(&settings),
            alive: vec![mark.clone()],
            lease: lease_file,
            lock: options.location.workers_lock(node),
        };
        let worker_pool = WorkerPool::start(options.workers, Rc::clone(&machine), mark, greeting, inputs)
            .map_err(NodeError::setup("start worker processes"))?;
        let now = Instant::now();
        Ok(Dispatcher {
            store,
            node,
            options,
            settings,
            machine,
            started_at: clock.now(),
            clock,
            outputs,
            recorder,
            inbox,
            lease,
            worker_pool,
            claims: Claims::default(),
            pace: Pace::default(),
            control: Control::new(node),
            phase: Phase::Working,
            pings: Pings::new(),
            maybe_work: true,
            next_due: None,
            moved_at: now,
            workers_moved_at: Vec::new(),
            ended_since: None,
            store_retry: None,
            next_rescue: now,
            // At once: nodes that live for less than a minute must clean up, too.
            next_purge: now,
            pending_acks: PendingAcks::default(),
            shortage: Shortage::default(),
            exit_notices: ExitNotices::default(),
        })
    }

    /// Runs until the node is stopped or drained.
    pub fn run(&mut self, on_ready: impl FnOnce()) -> Result<NodeEnd, NodeError> {
        tracing::info!(
            node = self.node.0,
            workers = self.options.workers,
            concurrency = self.options.concurrency,
            store = %self.options.location,
            "node started"
        );
        on_ready();
        let result = loop {
            self.take_events(true);
            match self.round() {
                Ok(None) => {}
                Ok(Some(end)) => break Ok(end),
                Err(error) => break Err(error),
            }
        };
        self.end(result)
    }

    /// Leaves, for that reason.
    pub fn end(&mut self, result: Result<NodeEnd, NodeError>) -> Result<NodeEnd, NodeError> {
        let late = self.claims.unrecorded.len();
        if matches!(result, Err(NodeError::Fenced(_))) && late > 0 {
            tracing::warn!(late, "outcomes came too late: another node has the jobs");
        }
        // Whatever the reason to end: nothing that this node started stays behind.
        let deadline = Instant::now()
            + DISMISS
            + if result.is_err() {
                self.settings.kill_grace
            } else {
                Duration::ZERO
            };
        self.worker_pool.dismiss(&self.inbox, deadline);
        if result.is_ok() {
            if !self.store.leave_node(self.node)? {
                tracing::error!(
                    node = self.node.0,
                    "the node still had jobs; another will rescue them"
                );
            }
            tracing::info!(node = self.node.0, "node stopped");
        }
        result
    }

    /// One round of the loop: what follows from the events, from the time and from the store. Says when it is over.
    pub fn round(&mut self) -> Result<Option<NodeEnd>, NodeError> {
        self.worker_pool.flush();
        let step = self.phase.on_time(self.settings.kill_grace);
        self.take_step(step);
        self.give_back_stalled();
        self.mind_shortage();
        if self.claims.recording > 0 {
            // What of that batch is stored is to be known before a failed store is looked at again.
            self.store_retry = self.store_retry.map(|_| Instant::now() + STORE_RETRY);
        }
        if self.store_retry.is_none_or(|at| at <= Instant::now()) {
            match self.tend_store() {
                Ok(()) => self.store_came_back(),
                Err(NodeError::Store(error)) => self.store_failed(error)?,
                Err(error) => return Err(error),
            }
        }
        self.worker_pool.replace();
        self.ping_workers();
        self.assign();
        self.worker_pool.flush();
        self.lease.set_running(self.claims.running() > 0);
        if !self.phase.is_working() && self.claims.is_empty() {
            // What of a cycle that failed was stored all the same?
            if self.store_retry.is_some() {
                self.reconcile()?;
                self.store_came_back();
            }
            if self.claims.is_empty() {
                return Ok(Some(NodeEnd::Stopped));
            }
        }
        if self.options.drain && self.phase.is_working() && self.is_drained() {
            match self.drained() {
                Ok(Some(end)) => return Ok(Some(end)),
                Ok(None) => {}
                Err(error) => self.store_failed(error)?,
            }
        }
        self.set_pauses();
        Ok(None)
    }

    /// Takes all events that are there. Before that it may wait for the next one or the next thing to do.
    pub fn take_events(&mut self, wait: bool) {
        if wait {
            let most = self.next_wake_up().saturating_duration_since(Instant::now());
            match self.inbox.recv_timeout(most) {
                Ok(event) => self.take_event(event),
                // This side holds a sender, so the channel never closes.
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
        }
        while let Ok(event) = self.inbox.try_recv() {
            self.take_event(event);
        }
    }

    /// When there is something to do, if no event comes before.
    pub fn next_wake_up(&self) -> Instant {
        let now = Instant::now();
        let mut at = self
            .control
            .next(self.settings.poll_interval)
            .min(self.next_rescue);
        let mut sooner = |other: Option<Instant>| at = at.min(other.unwrap_or(at));
        sooner(self.worker_pool.next_restart());
        sooner(self.phase.deadline());
        sooner(self.stalls_at());
        sooner(self.shortage.next());
        sooner((self.claims.running() > 0).then(|| self.pings.next()));
        sooner(self.phase.is_working().then_some(self.next_purge));
        if let Some(retry) = self.store_retry {
            // Nothing else that needs the store can happen before.
            return retry
                .min(self.worker_pool.next_restart().unwrap_or(retry))
                .min(self.phase.deadline().unwrap_or(retry));
        }
        // While a batch is being recorded the rest waits for that.
        let waiting = self.ended_since.filter(|_| self.claims.recording == 0);
        sooner(waiting.map(|since| {
            if self.may_linger() {
                since + cycle::LINGER
            } else {
                since
            }
        }));
        if self.wants() > 0 {
            sooner(self.maybe_work.then_some(now));
            sooner(self.next_due.map(|due| now + due.since(self.clock.now())));
        }
        at
    }

    fn take_event(&mut self, input: Input) {
        match input {
            Input::Wake(wake) => {
                self.maybe_work = true;
                if wake == Wake::Control {
                    self.control.ask();
                }
            }
            Input::Lease => self.lease_changed(),
            Input::Recorded(batch) => self.recorded(batch),
            Input::StopSignal => {
                let step = self
                    .phase
                    .on_signal(self.settings.shutdown_grace, self.settings.kill_grace);
                self.take_step(step);
            }
            Input::Told { worker, messages } => {
                self.pings.end(worker);
                for message in messages {
                    match message {
                        FromWorker::Finished(finished) => self.job_finished(worker, finished),
                        FromWorker::NotStarted(key) => self.not_started(worker, key),
                        FromWorker::Handle(key, handle) => self.claims.save(key, handle),
                        FromWorker::Pong => {}
                        FromWorker::Ending(reason, culprit) => {
                            self.exit_notices.said(worker, reason, culprit)
                        }
                    }
                }
                // Keep the worker busy across the commit.
                self.assign();
            }
            Input::WorkerGone { worker, status } => {
                let how = self.pings.how_ended(worker, status);
                self.worker_gone(worker, &how);
            }
        }
    }

    fn worker_gone(&mut self, worker: usize, how: &str) {
        let notice = self.exit_notices.gone(worker, how);
        // The lease's doing is no fault of the jobs, nor is it theirs that the node kills everything in the end.
        let killing = matches!(self.phase, Phase::Killing { .. });
        let returned = killing || self.lease.has_killed(self.worker_pool.started_at(worker));
        self.worker_pool.gone(worker);
        let now = self.clock.now();
        let (started, waiting) = self.claims.take_from(worker, self.slots());
        for Running { job, .. } in waiting.into_iter().rev() {
            self.put_back(job);
        }
        self.pending_acks.worker_gone(worker);
        for Running {
            job, sent_at, handle, ..
        } in started
        {
            let (mut kind, message) = notice.outcome_of(claims::key(&job));
            if returned {
                kind = OutcomeKind::Returned;
            }
            let mut ending = decide::died(kind, message, self.node, worker as u32 + 1, sent_at, now);
            ending.output = exit_notices::output_left(&self.outputs.file(job.id, job.fence), &self.settings);
            self.ended(&job, ending);
            self.pending_acks.ended(None, &job, handle);
        }
    }

    pub(super) fn ended(&mut self, job: &Claimed, ending: Ending) {
        report::ended(job, &ending);
        let is_final = ending.advice.is_final;
        let record = decide::ended(&Subject::from(job), ending, &self.settings);
        report::next(job, &record, is_final);
        self.note_ended(record);
    }

    /// It is recorded with the next cycle.
    pub(super) fn note_ended(&mut self, record: Record) {
        self.claims.unrecorded.push(record);
        self.ended_since.get_or_insert_with(Instant::now);
    }

    pub(super) fn give_back_unassigned(&mut self) {
        for job in std::mem::take(&mut self.claims.unassigned) {
            self.give_back(&Subject::from(&job));
        }
    }

    fn take_step(&mut self, step: Step) {
        if matches!(step, Step::GiveBack | Step::Stop) {
            self.give_back_unassigned();
            self.recall_all();
        }
        match step {
            Step::None => {}
            Step::GiveBack => {
                let running = self.claims.running();
                tracing::info!(
                    running,
                    "stopping: no more claims, running jobs may finish; once more stops them"
                );
            }
            Step::Stop => {
                tracing::info!(
                    running = self.claims.running(),
                    "stopping running jobs; once more kills them"
                );
                for (worker, key) in self.claims.stop_all(StopReason::Returned) {
                    self.worker_pool
                        .send(worker, &ToWorker::Stop(key, StopReason::Returned));
                }
            }
            Step::Kill => {
                tracing::info!(running = self.claims.running(), "killing running jobs");
                for (worker, key) in self.claims.all() {
                    self.worker_pool
                        .send(worker, &ToWorker::Kill(key, StopReason::Returned));
                }
            }
            Step::KillWorkers => {
                let silent: BTreeSet<usize> =
                    self.claims.all().into_iter().map(|(worker, _)| worker).collect();
                for worker in silent {
                    tracing::error!(
                        worker = worker + 1,
                        "the worker process does not answer; killing it"
                    );
                    self.worker_pool.kill(worker);
                }
            }
        }
    }

    /// Everything that needs the store.
    fn tend_store(&mut self) -> Result<(), NodeError> {
        if self.lease.is_lost() {
            return Err(NodeError::Fenced(self.node));
        }
        if let Some(error) = self.record_error() {
            return Err(error.into());
        }
        if self.store_retry.is_some() {
            self.reconcile()?;
        }
        let now = self.clock.now();
        if let Some(requests) = self.control.look(&mut self.store, &self.settings, now)? {
            self.clock = requests.clock;
            self.take_requests(requests)?;
        }
        if Instant::now() >= self.next_rescue {
            self.next_rescue = Instant::now() + RESCUE_EVERY;
            let found = rescue::rescue(&mut self.store, &*self.machine, self.node, &self.settings, now)?;
            self.maybe_work |= found.rescued > 0;
            // Before any rescued job can go to a worker.
            self.worker_pool.set_alive(found.alive);
            self.worker_pool.reap(found.executors);
            // The net for lost wake-ups.
            self.maybe_work = self.maybe_work || self.store.has_work(&self.options.queues, now)?;
        }
        if Instant::now() >= self.next_purge && self.phase.is_working() {
            let start = Instant::now();
            let more = housekeeping::purge_expired(&mut self.store, &self.settings, now)?;
            let pause = if more {
                start.elapsed() * PURGE_PAUSE
            } else {
                PURGE_EVERY
            };
            self.next_purge = Instant::now() + pause;
        }
        self.cycle(now)?;
        Ok(())
    }

    fn take_requests(&mut self, requests: Requests) -> Result<(), NodeError> {
        if requests.fenced {
            return Err(NodeError::Fenced(self.node));
        }
        if let Some(settings) = requests.settings {
            tracing::info!("settings changed");
            self.store.set_durability(settings.durability)?;
            self.lease.set_length(settings.lease);
            self.worker_pool.set_settings(plugin_settings(&settings));
            self.shortage.try_now(Instant::now());
            self.settings = settings;
        }
        let step = match requests.stop {
            StopRequest::None => Step::None,
            StopRequest::Gracefully => self.phase.finish(self.settings.shutdown_grace),
            StopRequest::Now => self.phase.stop(self.settings.kill_grace),
        };
        self.take_step(step);
        for (job, fence) in requests.cancel {
            self.cancel(job, fence);
        }
        Ok(())
    }

    fn cancel(&mut self, job: JobId, fence: i64) {
        let key = RunKey { job, fence };
        if let Some(place) = self
            .claims
            .unassigned
            .iter()
            .position(|claimed| claims::key(claimed) == key)
        {
            if let Some(claimed) = self.claims.unassigned.remove(place) {
                self.cancelled_before_start(&claimed);
            }
        } else if let Some((worker, key)) = self.claims.stop(job, fence, StopReason::Cancelled) {
            self.worker_pool
                .send(worker, &ToWorker::Stop(key, StopReason::Cancelled));
        }
    }

    /// The lease came to another stage. An input may be late, so what counts is how it stands now.
    fn lease_changed(&mut self) {
        let kill = match self.lease.stage() {
            Stage::Held => {
                tracing::info!("the lease could be renewed again; going on");
                return;
            }
            Stage::Stop => false,
            Stage::Kill | Stage::Sweep => true,
        };
        self.give_back_unassigned();
        self.recall_all();
        let running = self.claims.running();
        let reason = StopReason::Returned;
        if kill {
            tracing::error!(running, "the lease is nearly over; killing running jobs");
            for (worker, key) in self.claims.all() {
                self.worker_pool.send(worker, &ToWorker::Kill(key, reason));
            }
        } else {
            tracing::error!(
                running,
                "the lease could not be renewed for long; stopping running jobs"
            );
            for (worker, key) in self.claims.stop_all(reason) {
                self.worker_pool.send(worker, &ToWorker::Stop(key, reason));
            }
        }
    }

    fn store_came_back(&mut self) {
        if self.store_retry.take().is_some() {
            tracing::info!("the store can be used again; going on");
            self.maybe_work = true;
        }
    }

    fn store_failed(&mut self, error: StoreError) -> Result<(), NodeError> {
        // Anything but the database's surroundings is not going to pass.
        if error.problem().is_none() {
            return Err(error.into());
        }
        if self.store_retry.is_none() {
            let waiting = self.claims.unrecorded.len();
            tracing::error!(waiting, store = %self.options.location, "cannot use the store, trying again: {error}");
        }
        self.store_retry = Some(Instant::now() + STORE_RETRY);
        // Whoever asks a second time does not want to wait for a disk that may never come back.
        let stopped = matches!(self.phase, Phase::Stopping { .. } | Phase::Killing { .. });
        if stopped && self.claims.running() == 0 {
            return Err(NodeError::Unrecorded {
                count: self.claims.unrecorded.len() + self.claims.recording,
                source: error,
            });
        }
        Ok(())
    }

    /// Whether this node itself has nothing left to do.
    fn is_drained(&self) -> bool {
        self.claims.is_empty() && !self.maybe_work && self.store_retry.is_none()
    }

    fn drained(&mut self) -> Result<Option<NodeEnd>, StoreError> {
        if self.store.any_unfinished(&self.options.queues)? {
            return Ok(None);
        }
        let all_completed = !self
            .store
            .any_ended_badly(&self.options.queues, self.started_at)?;
        Ok(Some(NodeEnd::Drained { all_completed }))
    }
}

/// The part of the settings that executors are told.
fn plugin_settings(settings: &Settings) -> PluginSettings {
    PluginSettings {
        shell: settings.shell.clone(),
        executors: settings.executors.clone(),
    }
}
