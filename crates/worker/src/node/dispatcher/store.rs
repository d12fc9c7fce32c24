//! What the dispatcher does with the store: requests, rescue, housekeeping and the cycle, and what follows if it fails.

use std::collections::BTreeSet;
use std::time::Duration;

use queuectl_core::{Clock, JobId, ScheduleName, Timestamp};
use queuectl_executor::RunKey;
use queuectl_storage::{Cycle, CycleResult, Queues, SignalRequest, StopRequest, StoreError};

use super::{Dispatcher, SILENCE_MOST, plugin_settings};
use crate::node::NodeError;
use crate::node::context::Context;
use crate::node::control::Requests;
use crate::node::decide::{self, Subject};
use crate::node::events::NodeEvent;
use crate::node::lease::longest_silence;
use crate::node::recorder::{Recorded, Reply};
use crate::node::shutdown::{Phase, Step};

/// How long schedules that this machine cannot make ticks of are left alone.
const UNABLE_PAUSE: Duration = Duration::from_secs(5);

impl Dispatcher {
    /// Does everything that needs the store, unless it failed a moment ago.
    pub(super) fn tend_store(&mut self) -> Result<(), NodeError> {
        if self.recorder.is_busy() {
            // What of that batch is stored is to be known before a failed store is looked at again.
            self.outage.postpone();
        }
        if !self.outage.may_try() {
            return Ok(());
        }
        match self.use_store() {
            Ok(()) => self.store_came_back(),
            Err(NodeError::Store(error)) => self.store_failed(error)?,
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn use_store(&mut self) -> Result<(), NodeError> {
        if self.lease.is_lost() {
            return Err(NodeError::Fenced(self.context.node));
        }
        if let Some(error) = self.recorder.take_error() {
            return Err(error.into());
        }
        if self.outage.is_known() {
            self.reconcile()?;
        }
        let now = self.context.clock.now();
        if let Some(requests) = self.control.look(&mut self.store, &self.context, now)? {
            self.take_requests(requests)?;
        }
        self.store_suspensions()?;
        let scan = self
            .rescue
            .run(&mut self.store, &*self.machine, &self.context, now)?;
        if let Some(scan) = scan {
            // Before any rescued job can go to a worker.
            self.workforce.workers.set_alive(scan.alive, scan.executors);
            // The net for lost wake-ups.
            self.maybe_work =
                self.maybe_work || scan.rescued > 0 || self.store.has_work(&self.options.queues, now)?;
        }
        // Before anything that may take long.
        self.make_ticks(now)?;
        if self.context.phase.is_working() {
            self.housekeeping.run(&mut self.store, &self.context, now)?;
        }
        self.cycle(now)?;
        Ok(())
    }

    /// Makes the ticks of schedules that have come, unless another node did.
    fn make_ticks(&mut self, now: Timestamp) -> Result<(), StoreError> {
        if !self.context.phase.is_working() || self.next_tick.is_none_or(|tick| tick > now) {
            return Ok(());
        }
        // What they lack may have been installed since.
        let again = self.unable_until.is_none_or(|until| until <= now);
        let left: &[ScheduleName] = if again { &[] } else { &self.unable };
        let mut ticked = self.store.tick_without(left, now)?;
        self.maybe_work |= ticked.jobs > 0;
        // Those stay due; another node may know their time zones.
        let unable: Vec<ScheduleName> = ticked.unable.iter().map(|(name, _)| name.clone()).collect();
        // It has been said.
        ticked.unable.retain(|(name, _)| !self.unable.contains(name));
        self.context.events.emit(&NodeEvent::Ticked { ticked: &ticked });
        match again {
            true => self.unable = unable,
            false => self.unable.extend(unable),
        }
        if again {
            self.unable_until = (!self.unable.is_empty()).then(|| now.after(UNABLE_PAUSE));
        }
        self.set_next_tick(ticked.next);
        Ok(())
    }

    /// Sets when a tick is to be made next, of other schedules than those that this machine cannot make ticks of.
    fn set_next_tick(&mut self, next: Option<Timestamp>) {
        self.next_tick = next.into_iter().chain(self.unable_until).min();
    }

    /// One cycle, if there is reason for one.
    fn cycle(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let due = self.next_due.is_some_and(|due| due <= now);
        let claim = if self.maybe_work || due { self.wants() } else { 0 };
        let is_due = self.recorder.is_due(claim > 0, self.may_linger());
        if is_due {
            let durability = self.context.settings.durability;
            self.recorder.record_apart(self.context.node, durability, now);
        }
        let record = is_due && !self.recorder.is_busy();
        if !record && claim == 0 {
            return Ok(());
        }
        let cycle = Cycle {
            node: self.context.node,
            records: if record { self.recorder.records() } else { &[] },
            claim,
            queues: &self.options.queues,
            now,
        };
        let result = self.store.cycle(&cycle);
        self.context.events.emit(&NodeEvent::CycleEnded {
            cycle: &cycle,
            result: result.as_ref(),
        });
        let CycleResult {
            stale,
            claimed,
            checkpoints,
            next_due,
            ..
        } = result?;
        self.tell_refused(&stale);
        if record {
            let recorded = self.recorder.recorded();
            self.recorded(recorded);
        }
        if claim > 0 {
            self.maybe_work = claimed.len() as u32 == claim;
        }
        self.next_due = next_due;
        self.workforce.add(claimed, checkpoints);
        Ok(())
    }

    /// How many jobs the node would claim now.
    pub(super) fn wants(&self) -> u32 {
        if self.context.phase.is_working() && !self.outage.is_known() && self.lease.is_held() {
            self.workforce.wants()
        } else {
            0
        }
    }

    /// Whether outcomes can wait a little for others: only while the workers have enough to do.
    pub(super) fn may_linger(&self) -> bool {
        self.context.phase.is_working() && self.workforce.is_stocked()
    }

    /// A batch that was recorded beside the cycles came back.
    pub(super) fn recorded_apart(&mut self, reply: Reply) {
        self.context.events.emit(&NodeEvent::CycleEnded {
            cycle: &Cycle {
                node: self.context.node,
                records: &reply.records,
                claim: 0,
                queues: &Queues::All,
                now: self.context.clock.now(),
            },
            result: reply.result.as_ref(),
        });
        if let Some((stored, recorded)) = self.recorder.returned(reply) {
            self.tell_refused(&stored.stale);
            self.recorded(recorded);
            self.next_due = [self.next_due, stored.next_due].into_iter().flatten().min();
        }
    }

    /// Outcomes are recorded: tells the executors that want to know.
    fn recorded(&mut self, recorded: Recorded) {
        self.maybe_work |= recorded.any_runnable;
        for (worker, runs) in recorded.acks {
            self.workforce.workers.acknowledge(worker, runs);
        }
        self.discard();
    }

    /// Has some worker let go of what those kept that died.
    pub(super) fn discard(&mut self) {
        let worker = self.workforce.workers.any();
        for (executor, handles) in self.recorder.discards(worker) {
            if let Some(worker) = worker {
                self.workforce.workers.discard(worker, executor, handles);
            }
        }
    }

    fn tell_refused(&self, stale: &[(JobId, i64)]) {
        for (job, fence) in stale.iter().copied() {
            let event = NodeEvent::OutcomeRefused { job, fence };
            self.context.events.emit(&event);
        }
    }

    /// After the store failed: compares the ledgers.
    ///
    /// A cycle whose commit was asked for and not answered may be in the store or not. Its outcomes are then recorded, and
    /// a second time they would be refused; and its claims are jobs that the node has without knowing, which no node
    /// would run as long as it lives. These are given back: they cost no attempt.
    pub(super) fn reconcile(&mut self) -> Result<(), StoreError> {
        let Some(held) = self.store.settle(self.context.node)? else {
            // Another node has the jobs now, and the lease will say so.
            return Ok(());
        };
        let held: Vec<Subject> = held.iter().map(Subject::from).collect();
        let keys: BTreeSet<RunKey> = held.iter().map(Subject::key).collect();
        let recorded = self.recorder.forget_recorded(&keys);
        let is_unknown = |job: &&Subject| !self.workforce.has(job.key()) && !self.recorder.has(job.key());
        let unknown: Vec<&Subject> = held.iter().filter(is_unknown).collect();
        let claimed = unknown.len();
        for job in unknown {
            self.recorder.add(decide::given_back(job, self.context.node));
        }
        if recorded > 0 || claimed > 0 {
            let event = NodeEvent::Reconciled { recorded, claimed };
            self.context.events.emit(&event);
        }
        Ok(())
    }

    fn take_requests(&mut self, requests: Requests) -> Result<(), NodeError> {
        self.context.clock = requests.clock;
        let next_tick = match self.unable.is_empty() {
            true => requests.next_tick,
            false => self.store.next_tick_without(&self.unable)?,
        };
        self.set_next_tick(next_tick);
        if requests.fenced {
            return Err(NodeError::Fenced(self.context.node));
        }
        if let Some(settings) = requests.settings {
            self.context.events.emit(&NodeEvent::SettingsChanged);
            self.store.set_durability(settings.durability)?;
            self.store
                .end_when_idle(longest_silence(settings.lease).min(SILENCE_MOST))?;
            self.lease.set_length(settings.lease);
            self.workforce.set_settings(plugin_settings(&settings));
            self.context.settings = settings;
        }
        let Context { phase, settings, .. } = &mut self.context;
        let step = match requests.stop {
            StopRequest::None => Step::None,
            StopRequest::Gracefully => phase.finish(settings.shutdown_grace),
            StopRequest::Now => phase.stop(settings.kill_grace),
        };
        self.take_step(step);
        for (job, fence) in requests.cancel {
            self.workforce.cancel(&self.context, RunKey { job, fence });
        }
        self.send_signals(requests.signals)?;
        self.take_back();
        Ok(())
    }

    /// Sends the signals to jobs that have started. Requests for others stay until those start or are given back.
    fn send_signals(&mut self, mut requests: Vec<SignalRequest>) -> Result<(), StoreError> {
        let run = |request: &SignalRequest| RunKey {
            job: request.job,
            fence: request.fence,
        };
        requests.retain(|request| self.workforce.takes_signals(run(request)));
        for request in self.store.take_signals(requests)? {
            self.workforce.signal(run(&request), &request.signal);
        }
        Ok(())
    }

    /// Stores which jobs were suspended or resumed. What cannot be stored now is stored later.
    fn store_suspensions(&mut self) -> Result<(), StoreError> {
        let suspended = &mut self.workforce.suspensions;
        if !suspended.is_empty() {
            self.store
                .record_suspensions(suspended, self.context.clock.now())?;
            suspended.clear();
        }
        Ok(())
    }

    pub(super) fn store_came_back(&mut self) {
        if self.outage.end() {
            self.context.events.emit(&NodeEvent::StoreRecovered);
            self.maybe_work = true;
        }
    }

    pub(super) fn store_failed(&mut self, error: StoreError) -> Result<(), NodeError> {
        // Anything but the database's surroundings is not going to pass.
        if error.problem().is_none() {
            return Err(error.into());
        }
        if self.outage.failed() {
            self.context.events.emit(&NodeEvent::StoreFailed {
                waiting: self.recorder.waiting(),
                store: &self.options.location,
                error: &error,
            });
        }
        // A second request to stop means: do not wait for a disk that may never come back.
        let stopped = matches!(self.context.phase, Phase::Stopping { .. } | Phase::Killing { .. });
        if stopped && self.workforce.running() == 0 {
            return Err(NodeError::Unrecorded {
                count: self.recorder.len(),
                source: error,
            });
        }
        Ok(())
    }
}
