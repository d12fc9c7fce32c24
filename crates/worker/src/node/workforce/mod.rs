//! The jobs of a node from their claim to their end: the claims ledger, and who gets which job.
//!
//! The processes that run them are [`Workers`]; here is decided what they are told about jobs. What comes back is a value for the dispatcher, which has it recorded. Nothing here touches the store: what is assigned
//! was claimed and committed before.

mod assigner;
mod claims;
mod exit_notices;
mod job_run;
pub mod machine;
mod pings;
pub mod real_machine;
mod shortage;
mod worker_log;
mod worker_pool;
mod workers;

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::process::ExitStatus;

use queuectl_core::{Clock, JobId, OutcomeKind};
use queuectl_executor::{Finished, PluginSettings, RunKey, StopReason, Suspension};
use queuectl_storage::{Claimed, RESUME, SUSPEND, Suspended, SuspensionNow};

use self::assigner::{Assigner, Assignment};
use self::claims::{Claims, Running};
use self::job_run::{Refused, check, run_of};
use self::shortage::{Shortage, Verdict};
pub use self::worker_pool::{Greeting, WorkerPool};
use self::workers::Workers;
use super::context::Context;
use super::decide::{self, Ending, key};
use super::events::{Events, NodeEvent};
use super::partial_output;
use super::shutdown::Phase;
use crate::env::Instant;
use crate::os;
use crate::protocol::{FromWorker, ToWorker};

/// See the module.
pub struct Workforce {
    pub workers: Workers,
    claims: Claims,
    assigner: Assigner,
    shortage: Shortage,
    events: Events,
    /// What came back and was not taken yet.
    back: Vec<Back>,
    /// From where jobs go on that an earlier attempt has begun. They are given with every start, until the job comes back.
    checkpoints: HashMap<JobId, String>,
    /// What is to be stored about jobs that were suspended or resumed.
    pub suspensions: Vec<Suspended>,
}

/// A job that came back.
pub struct Back {
    pub job: Claimed,
    /// How its attempt ended; none if it was not started, and is given back to the store.
    pub ending: Option<Ending>,
    /// Whether its executor may still keep something of the run.
    pub ack: Option<Ack>,
}

/// What an executor keeps of a run until its outcome is recorded.
pub struct Ack {
    /// The worker that is to tell the executor; none if it died.
    pub worker: Option<usize>,
    /// What the executor saved for the run.
    pub handle: Option<Vec<u8>>,
}

impl Workforce {
    /// For workers that each run `slots` jobs at a time.
    pub fn new(pool: WorkerPool, slots: u32, events: Events) -> Workforce {
        Workforce {
            workers: Workers::new(pool, events.clone()),
            claims: Claims::new(slots as usize),
            assigner: Assigner::new(),
            shortage: Shortage::default(),
            events,
            back: Vec::new(),
            checkpoints: HashMap::new(),
            suspensions: Vec::new(),
        }
    }

    /// Jobs were claimed, and that is committed. Some of them have checkpoints.
    pub fn add(&mut self, claimed: Vec<Claimed>, checkpoints: Vec<(JobId, String)>) {
        self.checkpoints.extend(checkpoints);
        let bytes = claimed.iter().map(|job| job.payload.len()).sum();
        self.assigner.claimed(claimed.len(), bytes);
        self.claims.add(claimed);
    }

    /// How many jobs it would have claimed now.
    pub fn wants(&self) -> u32 {
        let workers = self.workers.present().count();
        self.assigner.wants(&self.claims, workers, self.shortage.most())
    }

    /// Whether the workers have enough to do for a while.
    pub fn is_stocked(&self) -> bool {
        self.assigner
            .is_stocked(&self.claims, self.workers.present().count())
    }

    /// How many jobs are at workers.
    pub fn running(&self) -> usize {
        self.claims.running()
    }

    /// How many jobs it has that were not taken back yet.
    pub fn jobs(&self) -> usize {
        self.claims.len() + self.back.len()
    }

    /// Whether it has that job.
    pub fn has(&self, key: RunKey) -> bool {
        self.claims.has(key)
    }

    /// Whether the machine lacks what jobs need to start.
    pub fn is_short(&self) -> bool {
        self.shortage.is_known()
    }

    /// Takes the jobs that came back.
    pub fn take_back(&mut self) -> Vec<Back> {
        std::mem::take(&mut self.back)
    }

    /// Keeps the room of what [`Self::take_back`] gave, for the next time.
    pub fn reuse(&mut self, mut taken: Vec<Back>) {
        taken.clear();
        if self.back.is_empty() {
            self.back = taken;
        }
    }
}

/// Jobs out.
impl Workforce {
    /// Sends jobs to workers, as long as there is one that takes another.
    pub fn assign(&mut self, context: &Context) {
        while let Some(assignment) = self.assigner.next(&self.claims, self.workers.present()) {
            match assignment {
                Assignment::Adopt(worker) => self.adopt(context, worker),
                Assignment::Start(worker) => {
                    if let Some(job) = self.claims.pop_unassigned() {
                        self.give(context, worker, job);
                    }
                }
            }
        }
    }

    fn give(&mut self, context: &Context, worker: usize, job: Claimed) {
        let run = check(&job).and_then(|()| run_of(&job, &context.settings, &context.outputs));
        match run {
            Ok(mut run) => {
                run.checkpoint = self.checkpoints.get(&JobId(job.id)).cloned();
                if self.claims.at_worker(worker).len() < self.claims.slots() {
                    self.events.emit(&NodeEvent::JobStarted { job: &job, worker });
                    self.assigner.moved(worker);
                }
                self.workers.send(worker, &ToWorker::Start(run));
                self.claims.start(worker, job, context.clock.now());
            }
            Err(refused) => self.refuse(context, job, refused),
        }
    }

    /// Ends a job without running it.
    fn refuse(&mut self, context: &Context, job: Claimed, refused: Refused) {
        let now = context.clock.now();
        let mut ending = decide::died(refused.kind, refused.message, context.node, 0, now, now);
        ending.advice.is_final = refused.is_final;
        self.ended(job, ending, None);
    }

    fn adopt(&mut self, context: &Context, worker: usize) {
        let Some(running) = self.claims.adopt(worker) else {
            return;
        };
        let (key, stopping) = (key(&running.job), running.stopping);
        let handle = running.handle.clone().unwrap_or_default();
        let Ok(mut run) = run_of(&running.job, &context.settings, &context.outputs) else {
            return;
        };
        // Its time goes on running.
        run.used = context.clock.now().since(running.sent_at);
        let job = &running.job;
        self.events.emit(&NodeEvent::JobAdopted { job, worker });
        self.workers.send(worker, &ToWorker::Adopt(run, handle));
        // What it was told meanwhile was lost.
        if let Some(reason) = stopping {
            let message = match context.phase {
                Phase::Killing { .. } => ToWorker::Kill(key, reason),
                _ => ToWorker::Stop(key, reason),
            };
            self.workers.send(worker, &message);
        }
    }

    /// From now on executors are told these settings. What was missing may be there now.
    pub fn set_settings(&mut self, settings: PluginSettings) {
        self.workers.set_settings(settings);
        self.shortage.try_now(Instant::now());
    }
}

/// Jobs back.
impl Workforce {
    /// Takes what a worker says.
    pub fn take_messages(&mut self, context: &Context, worker: usize, messages: Vec<FromWorker>) {
        self.workers.heard(worker);
        for message in messages {
            match message {
                FromWorker::Finished(finished) => self.finished(context, worker, finished),
                FromWorker::NotStarted(key) => self.not_started(context, worker, key),
                FromWorker::Handle(key, handle) => self.claims.save(key, handle),
                FromWorker::Suspension(key, suspension) => self.suspended(context, key, suspension),
                FromWorker::Pong => {}
                FromWorker::Ending(reason, culprit) => self.workers.ending(worker, reason, culprit),
            }
        }
    }

    fn finished(&mut self, context: &Context, worker: usize, finished: Finished) {
        let Finished {
            key,
            outcome,
            output,
            started_at,
            finished_at,
            advice,
            confirm,
            shortage,
        } = finished;
        let Some(Running {
            job, sent_at, handle, ..
        }) = self.claims.finish(worker, key)
        else {
            return;
        };
        if shortage && self.could_not_start(&job, &outcome.message) {
            self.give_back_one(job);
            self.give_back();
            self.slot_freed(context, worker);
            return;
        }
        let age = context.clock.now().since(sent_at);
        if !shortage && self.shortage.started(key.job, age, Instant::now()) {
            self.events.emit(&NodeEvent::ShortageEnded);
        }
        self.assigner.finished(finished_at.since(started_at));
        self.slot_freed(context, worker);
        let ending = Ending {
            node: context.node,
            worker: worker as u32 + 1,
            started_at: context.clock.of_local(started_at),
            finished_at: context.clock.of_local(finished_at),
            outcome,
            output,
            advice,
        };
        let worker = Some(worker);
        self.ended(job, ending, confirm.then_some(Ack { worker, handle }));
    }

    fn ended(&mut self, job: Claimed, ending: Ending, ack: Option<Ack>) {
        self.checkpoints.remove(&JobId(job.id));
        let ending = Some(ending);
        self.back.push(Back { job, ending, ack });
    }

    /// A job left its slot.
    fn slot_freed(&mut self, context: &Context, worker: usize) {
        if let Some(next) = self.claims.slot_freed(worker, context.clock.now()) {
            let job = &next.job;
            self.events.emit(&NodeEvent::JobStarted { job, worker });
        }
        self.assigner.moved(worker);
    }

    /// A job comes back that was stopped or recalled before it had started.
    fn not_started(&mut self, context: &Context, worker: usize, key: RunKey) {
        let Some(Running { job, stopping, .. }) = self.claims.finish(worker, key) else {
            return;
        };
        if stopping == Some(StopReason::Cancelled) {
            self.cancelled_before_start(context, job);
        } else {
            self.put_back(context, job);
        }
    }

    /// Has a job assigned before all others, or gives it back when nothing is to start any more.
    fn put_back(&mut self, context: &Context, job: Claimed) {
        self.claims.put_back(job);
        if !context.phase.is_working() || self.shortage.is_known() {
            self.give_back_unassigned();
        }
    }

    fn cancelled_before_start(&mut self, context: &Context, job: Claimed) {
        let now = context.clock.now();
        let message = "cancelled before it started".to_owned();
        let ending = decide::died(OutcomeKind::Cancelled, message, context.node, 0, now, now);
        self.ended(job, ending, None);
    }

    fn give_back_unassigned(&mut self) {
        for job in self.claims.take_unassigned() {
            self.give_back_one(job);
        }
    }

    fn give_back_one(&mut self, job: Claimed) {
        self.checkpoints.remove(&JobId(job.id));
        let (ending, ack) = (None, None);
        self.back.push(Back { job, ending, ack });
    }

    /// A worker's process ended. One that was killed with the whole node, or for its lease, as `killed` says of the moment
    /// when it was started, is not to blame.
    pub fn worker_gone(
        &mut self,
        context: &Context,
        worker: usize,
        status: io::Result<ExitStatus>,
        call: Option<String>,
        killed: impl Fn(Instant) -> bool,
    ) {
        let gone = self.workers.gone(worker, status, call);
        let killing = matches!(context.phase, Phase::Killing { .. });
        let returned = killing || killed(gone.started_at);
        let now = context.clock.now();
        let (started, waiting) = self.claims.take_from(worker);
        for Running { job, .. } in waiting.into_iter().rev() {
            self.put_back(context, job);
        }
        for Running {
            job, sent_at, handle, ..
        } in started
        {
            let (mut kind, message) = gone.notice.outcome_of(key(&job));
            if returned {
                kind = OutcomeKind::Returned;
            }
            let mut ending = decide::died(kind, message, context.node, worker as u32 + 1, sent_at, now);
            let file = context.outputs.file(job.id, job.fence);
            ending.output = partial_output::read(&file, &context.settings);
            let worker = None;
            self.ended(job, ending, Some(Ack { worker, handle }));
        }
    }

    /// A job could not be started and does not run. Says whether the machine is to blame.
    fn could_not_start(&mut self, job: &Claimed, cause: &str) -> bool {
        let (running, id) = (self.claims.running(), JobId(job.id));
        match self.shortage.failed(id, running, Instant::now()) {
            Verdict::Job => return false,
            Verdict::Begun => self.events.emit(&NodeEvent::ShortageBegan { running, cause }),
            Verdict::Known => self.events.emit(&NodeEvent::ShortageLasts { job: id, cause }),
        }
        true
    }
}

/// Jobs that are to stop, or wait too long.
impl Workforce {
    /// Gives back everything that has not started.
    pub fn give_back(&mut self) {
        self.give_back_unassigned();
        for (worker, waiting) in self.claims.waiting() {
            self.workers.send(worker, &ToWorker::Recall(waiting));
        }
    }

    /// Asks the running jobs to stop that were not asked before.
    pub fn stop_all(&mut self, reason: StopReason) {
        for (worker, key) in self.claims.stop_all(reason) {
            self.workers.send(worker, &ToWorker::Stop(key, reason));
        }
    }

    /// Kills all running jobs.
    pub fn kill_all(&mut self, reason: StopReason) {
        for (worker, key) in self.claims.all() {
            self.workers.send(worker, &ToWorker::Kill(key, reason));
        }
    }

    /// Kills the worker processes that still have jobs.
    pub fn kill_workers(&mut self) {
        let silent: BTreeSet<usize> = self.claims.all().into_iter().map(|(worker, _)| worker).collect();
        for worker in silent {
            self.workers.kill(worker, None);
        }
    }

    /// Cancels a job, wherever it is.
    pub fn cancel(&mut self, context: &Context, key: RunKey) {
        if let Some(job) = self.claims.take_one_unassigned(key) {
            self.cancelled_before_start(context, job);
        } else if let Some(worker) = self.claims.stop(key, StopReason::Cancelled) {
            self.workers
                .send(worker, &ToWorker::Stop(key, StopReason::Cancelled));
        }
    }

    /// Whether a job gets signals: one that may have started, and was not told to stop.
    pub fn takes_signals(&self, key: RunKey) -> bool {
        self.claims.started_at(key).is_some()
    }

    /// Sends a signal to a job that gets signals, or suspends or resumes it.
    pub fn signal(&mut self, key: RunKey, name: &str) {
        let Some(worker) = self.claims.started_at(key) else {
            return;
        };
        match name {
            SUSPEND => return self.workers.send(worker, &ToWorker::Suspend(key)),
            RESUME => return self.workers.send(worker, &ToWorker::Resume(key)),
            _ => {}
        }
        match os::signal_number(name) {
            Some(number) => self.workers.send(worker, &ToWorker::Signal(key, number)),
            None => tracing::warn!(
                job = key.job.0,
                signal = name,
                "this system has no such signal; not sent"
            ),
        }
    }

    /// A worker says how it stands with the suspension of a job.
    fn suspended(&mut self, context: &Context, key: RunKey, suspension: Suspension) {
        // The end of the job may have been on its way.
        if !self.claims.has(key) {
            return;
        }
        let now = match suspension {
            Suspension::Since(since) => SuspensionNow::Since(context.clock.of_local(since)),
            Suspension::Resumed => SuspensionNow::Resumed,
            Suspension::Refused(why) => SuspensionNow::Refused(why),
        };
        self.note_suspension(key, now);
    }

    fn note_suspension(&mut self, key: RunKey, now: SuspensionNow) {
        let RunKey { job, fence } = key;
        self.suspensions.push(Suspended { job, fence, now });
    }

    /// Time has passed: takes back what has waited too long, and looks whether jobs can be started again.
    pub fn on_time(&mut self) {
        let stalled = self.assigner.stalled(&self.claims);
        for (worker, waiting) in stalled.recall {
            self.workers.send(worker, &ToWorker::Recall(waiting));
        }
        if stalled.give_back {
            let jobs = self.claims.unassigned();
            self.events.emit(&NodeEvent::ClaimedAheadReturned { jobs });
            self.give_back_unassigned();
        }
        if self.shortage.on_time(self.claims.running(), Instant::now()) {
            self.events.emit(&NodeEvent::ShortageEnded);
        }
    }
}

/// The worker processes.
impl Workforce {
    /// Replaces those that died, and kills those that do not answer, if it is time.
    pub fn tend_processes(&mut self) {
        self.workers.replace();
        if self.claims.running() > 0 {
            let claims = &self.claims;
            self.workers.ping(|worker| !claims.at_worker(worker).is_empty());
        }
    }

    /// Workers that have enough to do for a while are listened to only now and then.
    pub fn set_pauses(&self, context: &Context) {
        for worker in self.workers.present() {
            let pause = if context.phase.is_working() {
                self.assigner.pause(&self.claims, worker)
            } else {
                std::time::Duration::ZERO
            };
            self.workers.set_pause(worker, pause);
        }
    }

    /// When time alone changes something.
    pub fn next(&self) -> Option<Instant> {
        let ping = (self.claims.running() > 0).then(|| self.workers.next_ping());
        let times = [
            self.workers.next_restart(),
            self.assigner.stalls_at(&self.claims),
            self.shortage.next(),
            ping,
        ];
        times.into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests;
