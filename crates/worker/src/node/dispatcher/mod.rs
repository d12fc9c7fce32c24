//! The dispatcher's loop: inputs in, one store transaction a cycle, jobs out to the workers.
//!
//! A cycle records what ended, makes due what is due and claims for the free slots. A claimed job goes to a worker only
//! after the commit has returned. If the store cannot be written, outcomes stay with the recorder and are tried again;
//! nothing new is claimed meanwhile.
//!
//! What is decided is decided in the parts, each of which has fields and tests of its own; here values go from one to the
//! other. What an outcome means is decided in `decide`.

mod store;

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use queuectl_core::{Clock, NodeId, ScheduleName, Settings, Timestamp};
use queuectl_executor::{PluginSettings, StopReason};
use queuectl_storage::{Location, Store, StoreError, Wake};

use super::context::Context;
use super::control::Control;
use super::decide::{self, Subject};
use super::events::{Events, NodeEvent};
use super::housekeeping::Housekeeping;
use super::inputs::Input;
use super::lease::{Lease, Stage, longest_silence};
use super::outage::Outage;
use super::recorder::{OwnConnection, Recorder};
use super::rescue::Rescue;
use super::shutdown::{Phase, Step};
use super::workforce::machine::Machine;
use super::workforce::{Back, Greeting, WorkerPool, Workforce};
use super::{NodeEnd, NodeError, NodeOptions};
use crate::env::Instant;

/// How long worker processes without jobs may take to leave.
const DISMISS: Duration = Duration::from_secs(5);

/// How long the server keeps the dispatcher's connection if it asks nothing, however long the lease is. While a rescue stops
/// processes of a dead node, it asks nothing.
const SILENCE_MOST: Duration = Duration::from_secs(60);

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
    /// Those who subscribe to what the node does.
    pub events: Events,
}

/// See the module.
pub struct Dispatcher {
    store: Store,
    options: NodeOptions,
    machine: Rc<dyn Machine>,
    inbox: Rc<Receiver<Input>>,
    started_at: Timestamp,
    pub context: Context,
    pub lease: Lease,
    pub workforce: Workforce,
    pub recorder: Recorder,
    control: Control,
    rescue: Rescue,
    housekeeping: Housekeeping,
    outage: Outage,
    /// Whether the store may have jobs to claim.
    maybe_work: bool,
    /// When it will have, as far as that is known.
    next_due: Option<Timestamp>,
    /// When the next tick of a schedule comes, as far as that is known.
    next_tick: Option<Timestamp>,
    /// Schedules whose ticks are left to other nodes, because this machine cannot make them.
    unable: Vec<ScheduleName>,
    /// Until when.
    unable_until: Option<Timestamp>,
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
            events,
        } = setup;
        let settings = store.settings()?;
        store.set_durability(settings.durability)?;
        store.end_when_idle(longest_silence(settings.lease).min(SILENCE_MOST))?;
        let clock = store.clock()?;
        let outputs = store.own_outputs()?;
        let to_dispatcher = inputs.clone();
        let reply = move |reply| to_dispatcher.send(Input::Recorded(reply)).is_ok();
        let is_on_server = matches!(options.location, Location::Postgres(_));
        let apart = is_on_server.then(|| OwnConnection::new(&options.location, reply));
        let greeting = Greeting {
            slots: options.concurrency,
            settings: plugin_settings(&settings),
            alive: vec![mark.clone()],
            lease: lease_file,
            lock: options.location.workers_lock(node),
        };
        let pool = WorkerPool::start(options.workers, Rc::clone(&machine), mark, greeting, inputs)
            .map_err(NodeError::setup("start worker processes"))?;
        Ok(Dispatcher {
            store,
            machine,
            inbox,
            started_at: clock.now(),
            lease,
            workforce: Workforce::new(pool, options.concurrency, events.clone()),
            options,
            recorder: Recorder::new(apart),
            control: Control::new(node),
            rescue: Rescue::new(),
            housekeeping: Housekeeping::new(),
            outage: Outage::default(),
            maybe_work: true,
            next_due: None,
            next_tick: None,
            unable: Vec::new(),
            unable_until: None,
            context: Context {
                node,
                settings,
                clock,
                outputs,
                phase: Phase::Working,
                events,
            },
        })
    }

    /// Runs until the node is stopped or drained.
    pub fn run(&mut self, on_ready: impl FnOnce()) -> Result<NodeEnd, NodeError> {
        self.context.events.emit(&NodeEvent::Started {
            node: self.context.node,
            workers: self.options.workers,
            concurrency: self.options.concurrency,
            store: &self.options.location,
        });
        on_ready();
        let result = loop {
            self.take_inputs(true);
            match self.round() {
                Ok(None) => {}
                Ok(Some(end)) => break Ok(end),
                Err(error) => break Err(error),
            }
        };
        self.end(result)
    }

    /// One round of the loop: what follows from the inputs, from the time and from the store. Says when it is over.
    pub fn round(&mut self) -> Result<Option<NodeEnd>, NodeError> {
        self.workforce.workers.flush();
        self.on_time();
        self.tend_store()?;
        self.workforce.tend_processes();
        self.assign();
        self.workforce.workers.flush();
        self.lease.set_running(self.workforce.running() > 0);
        let end = if self.context.phase.is_working() {
            self.drained()?
        } else {
            self.stopped()?
        };
        self.workforce.set_pauses(&self.context);
        Ok(end)
    }

    /// Leaves, for that reason.
    pub fn end(&mut self, result: Result<NodeEnd, NodeError>) -> Result<NodeEnd, NodeError> {
        let (node, events) = (self.context.node, self.context.events.clone());
        let outcomes = self.recorder.waiting();
        if matches!(result, Err(NodeError::Fenced(_))) && outcomes > 0 {
            events.emit(&NodeEvent::TooLate { outcomes });
        }
        // Whatever the reason to end: nothing that this node started stays behind.
        let grace = match result {
            Ok(_) => Duration::ZERO,
            Err(_) => self.context.settings.kill_grace,
        };
        self.workforce
            .workers
            .dismiss(&self.inbox, Instant::now() + DISMISS + grace);
        if result.is_ok() {
            let owed_jobs = !self.store.leave_node(node)?;
            events.emit(&NodeEvent::Stopped { node, owed_jobs });
        }
        result
    }
}

/// Inputs, and what time alone does.
impl Dispatcher {
    /// Takes all inputs that are there. Before that it may wait for the next one or the next thing to do.
    pub fn take_inputs(&mut self, wait: bool) {
        if wait {
            let most = self.next_wake_up().saturating_duration_since(Instant::now());
            match self.inbox.recv_timeout(most) {
                Ok(input) => self.take_input(input),
                // This side holds a sender, so the channel never closes.
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
        }
        while let Ok(input) = self.inbox.try_recv() {
            self.take_input(input);
        }
    }

    /// When there is something to do, if no input comes before.
    pub fn next_wake_up(&self) -> Instant {
        let context = &self.context;
        let restart = self.workforce.workers.next_restart();
        let deadline = context.phase.deadline();
        if let Some(retry) = self.outage.retry_at() {
            // Nothing else that needs the store can happen before.
            return retry.min(restart.unwrap_or(retry)).min(deadline.unwrap_or(retry));
        }
        let now = Instant::now();
        let purge = context.phase.is_working().then(|| self.housekeeping.next());
        let mut times = [
            self.workforce.next(),
            deadline,
            purge,
            self.recorder.next(self.may_linger()),
            None,
            None,
            // Also with all slots taken: whether a run overlaps depends on when its tick is made.
            self.next_tick
                .filter(|_| context.phase.is_working())
                .map(|tick| now + tick.since(context.clock.now())),
        ];
        if self.wants() > 0 {
            times[4] = self.maybe_work.then_some(now);
            times[5] = self.next_due.map(|due| now + due.since(context.clock.now()));
        }
        let control = self.control.next(context.settings.poll_interval);
        let first = control.min(self.rescue.next());
        times.into_iter().flatten().fold(first, Instant::min)
    }

    fn take_input(&mut self, input: Input) {
        match input {
            Input::Wake(wake) => {
                self.maybe_work = true;
                if wake == Wake::Control {
                    self.control.ask();
                }
            }
            Input::Lease => self.lease_changed(),
            Input::Recorded(reply) => self.recorded_apart(reply),
            Input::StopSignal => {
                let settings = &self.context.settings;
                let step = self
                    .context
                    .phase
                    .on_signal(settings.shutdown_grace, settings.kill_grace);
                self.take_step(step);
            }
            Input::Told { worker, messages } => {
                self.maybe_work |= self.workforce.is_short();
                self.workforce.take_messages(&self.context, worker, messages);
                self.take_back();
                // Keep the worker busy across the commit.
                self.assign();
            }
            Input::WorkerGone { worker, status, call } => {
                let lease = &self.lease;
                self.workforce
                    .worker_gone(&self.context, worker, status, call, |started| {
                        lease.has_killed(started)
                    });
                self.recorder.worker_gone(worker);
                self.take_back();
            }
        }
    }

    /// Has everything recorded that came back from the workers.
    fn take_back(&mut self) {
        let mut back = self.workforce.take_back();
        for Back { job, ending, ack } in back.drain(..) {
            let subject = Subject::from(&job);
            let Some(ending) = ending else {
                self.recorder.add(decide::given_back(&subject, self.context.node));
                continue;
            };
            let is_final = ending.advice.is_final;
            let record = decide::ended(&subject, ending, &self.context.settings);
            self.context.events.emit(&NodeEvent::AttemptEnded {
                job: &job,
                record: &record,
                is_final,
            });
            self.recorder.add(record);
            if let Some(ack) = ack {
                self.recorder.await_ack(ack.worker, &job, ack.handle);
            }
        }
        self.workforce.reuse(back);
    }

    /// Sends jobs to workers, if the lease allows it.
    fn assign(&mut self) {
        self.discard();
        if self.lease.is_held() {
            self.workforce.assign(&self.context);
            self.take_back();
        }
    }

    fn on_time(&mut self) {
        let step = self.context.phase.on_time(self.context.settings.kill_grace);
        self.take_step(step);
        // Also if the shortage ends now.
        self.maybe_work |= self.workforce.is_short();
        self.workforce.on_time();
        self.take_back();
    }

    fn take_step(&mut self, step: Step) {
        let running = self.workforce.running();
        if step != Step::None {
            self.context.events.emit(&NodeEvent::Stopping { step, running });
        }
        if matches!(step, Step::GiveBack | Step::Stop) {
            self.workforce.give_back();
        }
        match step {
            Step::None | Step::GiveBack => {}
            Step::Stop => self.workforce.stop_all(StopReason::Returned),
            Step::Kill => self.workforce.kill_all(StopReason::Returned),
            Step::KillWorkers => self.workforce.kill_workers(),
        }
        self.take_back();
    }

    /// The lease came to another stage. An input may be late, so what counts is how it stands now.
    fn lease_changed(&mut self) {
        let (stage, running) = (self.lease.stage(), self.workforce.running());
        self.context
            .events
            .emit(&NodeEvent::LeaseChanged { stage, running });
        if stage == Stage::Held {
            return;
        }
        self.workforce.give_back();
        match stage {
            Stage::Held => {}
            Stage::Stop => self.workforce.stop_all(StopReason::Returned),
            Stage::Kill | Stage::Sweep => self.workforce.kill_all(StopReason::Returned),
        }
        self.take_back();
    }
}

/// The end.
impl Dispatcher {
    /// Whether the node owes the store nothing.
    fn is_empty(&self) -> bool {
        self.workforce.jobs() == 0 && self.recorder.len() == 0
    }

    /// Whether a node that is stopping is done.
    fn stopped(&mut self) -> Result<Option<NodeEnd>, NodeError> {
        if self.is_empty() && self.outage.is_known() {
            // What of a cycle that failed was stored all the same?
            self.reconcile()?;
            self.store_came_back();
        }
        Ok(self.is_empty().then_some(NodeEnd::Stopped))
    }

    /// Whether a node that works until nothing is left is done, itself and all others.
    fn drained(&mut self) -> Result<Option<NodeEnd>, NodeError> {
        let idle = self.is_empty() && !self.maybe_work && !self.outage.is_known();
        if !self.options.drain || !idle {
            return Ok(None);
        }
        match self.all_ended() {
            Ok(end) => Ok(end),
            Err(error) => self.store_failed(error).map(|()| None),
        }
    }

    /// How the node ends, if no job of its queues is left to wait for.
    fn all_ended(&mut self) -> Result<Option<NodeEnd>, StoreError> {
        let queues = &self.options.queues;
        let now = self.store.now()?;
        if self.store.any_unfinished(queues, now)? {
            return Ok(None);
        }
        let all_completed = !self.store.any_ended_badly(queues, self.started_at)?;
        let counts = self.store.counts(None)?.into_iter();
        let left = counts.filter(|count| queues.include(&count.queue) && !count.state.is_final());
        Ok(Some(NodeEnd::Drained {
            all_completed,
            left: left.map(|count| count.jobs).sum(),
        }))
    }
}

/// The part of the settings that executors are told.
fn plugin_settings(settings: &Settings) -> PluginSettings {
    PluginSettings {
        shell: settings.shell.clone(),
        executors: settings.executors.clone(),
    }
}
