//! The supervisor's loop: messages, timers, endings, wait.
//!
//! It never blocks except in the reactor and in the plugins' own functions, which must return promptly.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Instant;

use queuectl_core::settings::Leftovers;
use queuectl_core::{Advice, Clock, Outcome, OutcomeKind, SystemClock};

use super::active::Active;
use super::live_nodes::LiveNodes;
use super::pending_acks::PendingAcks;
use crate::os;
use crate::outcome::{Exit, Stopped, after_stop, clip, of_exit, with_limit_hit};
use crate::plugin::{Exited, Loader, Started};
use crate::process::{Birthmark, Orphans, Process, RUN_MOST, Reactor, RunOrigin, SpawnError, cannot_start};
use crate::shared::{Message, Shared};
use crate::spawn::{CommandBuilder, SpawnRequest, folder_problem, machine_problem};
use crate::{Finished, HostConfig, Report, Run, RunKey, StopReason, Suspension};

/// The status with which a worker process ends because of a plugin that does not end a run.
const STUCK_STATUS: u8 = 73;
/// Times that the inbox is emptied before the world outside is looked at.
const ROUNDS: u32 = 8;

/// Everything the supervisor's thread owns.
pub(crate) struct Supervisor {
    shared: Arc<Shared>,
    reactor: Reactor,
    loader: Loader,
    builder: CommandBuilder,
    orphans: Orphans,
    birthmark: Birthmark,
    /// The newest number of a run in birthmarks.
    birth_number: u32,
    cookie: String,
    pending_acks: PendingAcks,
    live_nodes: LiveNodes,
    runs: Vec<Active>,
    next_run_id: u64,
    shutting_down: bool,
    /// Some run was allowed to leave processes behind: an orphan without marks may be one of those.
    left_some: bool,
}

impl Supervisor {
    pub(crate) fn new(config: HostConfig, shared: Arc<Shared>, reactor: Reactor) -> Supervisor {
        let birthmark = Birthmark::put_on(&config.cookie);
        Supervisor {
            loader: Loader::new(
                config.search,
                config.settings,
                config.call_limit,
                config.call_record,
                Arc::clone(&shared),
            ),
            builder: CommandBuilder::new(config.cookie.clone()),
            orphans: Orphans::new(birthmark),
            birthmark,
            birth_number: 0,
            cookie: config.cookie,
            pending_acks: PendingAcks::default(),
            live_nodes: LiveNodes::new(config.mark),
            shared,
            reactor,
            runs: Vec::new(),
            next_run_id: 1,
            shutting_down: false,
            left_some: false,
        }
    }

    /// Runs until it is told to shut down and nothing is left.
    pub(crate) fn run(mut self) {
        let mut batch = Vec::new();
        self.reactor.bind_to_thread();
        let mut skipped = false;
        loop {
            let now = Instant::now();
            // A message may bring another: a start, the wish for a process.
            for _ in 0..ROUNDS {
                self.shared.take(&mut batch);
                if batch.is_empty() {
                    break;
                }
                for message in batch.drain(..) {
                    self.on_message(message);
                }
            }
            for run in &mut self.runs {
                run.timers(now);
                if run.was_resumed() {
                    let (key, suspension) = (run.run.key, Suspension::Resumed);
                    self.shared.report(Report::Suspension { key, suspension });
                }
            }
            self.advance_all(now);
            self.give_up_stuck(now);
            if self.shutting_down && self.runs.is_empty() && self.shared.may_sleep() {
                return;
            }
            let deadline = self.runs.iter().filter_map(Active::deadline).min();
            let may_sleep = self.shared.may_sleep();
            // The end of a run brings the next: the world can wait for that, once.
            skipped = !may_sleep && !skipped;
            if skipped {
                continue;
            }
            let timeout = match deadline {
                _ if !may_sleep => Some(std::time::Duration::ZERO),
                deadline => deadline.map(|at| at.saturating_duration_since(now)),
            };
            self.reactor.wait(
                self.runs.iter_mut().filter_map(|run| run.process.as_mut()),
                timeout,
            );
            self.shared.awake();
        }
    }

    fn by_id(&mut self, run_id: u64) -> Option<&mut Active> {
        self.runs.iter_mut().find(|run| run.run_id == run_id)
    }

    fn on_message(&mut self, message: Message) {
        let now = Instant::now();
        match message {
            Message::Start(run) => self.start(*run, None, now),
            Message::Stop { key, reason, kill } => {
                if let Some(run) = self.runs.iter_mut().find(|run| run.run.key == key) {
                    run.stop(Stopped::ByRequest(reason), kill, now);
                }
            }
            Message::Adopt(run, handle) => self.start(*run, Some(&handle), now),
            Message::Signal(key, signal) => self.signal(key, signal, now),
            Message::Suspend(key) => self.suspend(key, now),
            Message::Resume(key) => {
                if let Some(run) = self.runs.iter_mut().find(|run| run.run.key == key) {
                    let suspension = run.resume(now);
                    self.shared.report(Report::Suspension { key, suspension });
                }
            }
            Message::Settings(settings) => self.loader.set_settings(settings),
            Message::Recorded(keys) => self.pending_acks.recorded(&keys),
            Message::Discard(executor, handles) => {
                // One that cannot be loaded leaves it to the next node that looks.
                if let Ok(instance) = self.loader.get(&executor, |made| self.live_nodes.reap(made)) {
                    handles.iter().for_each(|handle| instance.discard(handle));
                }
            }
            Message::Alive(marks) => {
                self.live_nodes.set_alive(marks);
                self.loader.each(|instance| self.live_nodes.reap(instance));
            }
            Message::Reap(executors) => {
                for executor in executors {
                    // Those that are loaded were told with the marks. One that cannot be loaded has nothing to end.
                    drop(self.loader.get(&executor, |made| self.live_nodes.reap(made)));
                }
            }
            Message::Spawn(run_id, request) => self.spawn(run_id, &request),
            Message::Finished(run_id, outcome, advice) => self.finished(run_id, outcome, advice, now),
            Message::ShutDown => {
                self.shutting_down = true;
                for run in &mut self.runs {
                    run.stop(Stopped::ByRequest(StopReason::Returned), true, now);
                    // Only the plugin can end a run inside it; the process is about to end anyway.
                    if run.process.is_none() && run.exit.is_none() {
                        run.outcome
                            .get_or_insert_with(|| Outcome::new(OutcomeKind::Failed, "shut down"));
                    }
                }
            }
        }
    }

    /// Starts a run, or takes it over by its handle.
    fn start(&mut self, run: Run, adopt: Option<&[u8]>, now: Instant) {
        if self.runs.iter().any(|other| other.run.key == run.key) {
            tracing::error!(
                job = run.public_id,
                "this attempt runs already; the second start is ignored"
            );
            return;
        }
        let run_id = self.next_run_id;
        self.next_run_id += 1;
        let mut active = Active::new(run_id, run, now, SystemClock.now());
        active.birth_number = self.next_birth_number(&active.run);
        active.adopted = adopt.is_some();
        self.shared
            .begin(run_id, &active.run, Arc::clone(&active.capture));
        if self.shutting_down {
            // A run that comes after the shutdown began does not delay it.
            active.stop(Stopped::ByRequest(StopReason::Returned), true, now);
            active.outcome = Some(Outcome::new(OutcomeKind::Failed, "shut down"));
            self.runs.push(active);
            return;
        }
        let run = &active.run;
        let live_nodes = &self.live_nodes;
        self.loader.set_current_run(run_id);
        active.outcome = match self.loader.get(&run.executor, |made| live_nodes.reap(made)) {
            Err(error) => Some(Outcome::new(OutcomeKind::SystemFailure, clip(error.to_string()))),
            Ok(instance) => {
                let outcome = match instance.start(run_id, run, &self.live_nodes.own_mark, adopt) {
                    Started::Running => None,
                    Started::Invalid(text) => Some(Outcome::new(OutcomeKind::Failed, text)),
                    Started::SystemFailure(text) => {
                        let text = format!("the executor '{}' could not run the job: {text}", run.executor);
                        Some(Outcome::new(OutcomeKind::SystemFailure, clip(text)))
                    }
                };
                active.instance = Some(instance);
                outcome
            }
        };
        self.loader.set_current_run(0);
        self.runs.push(active);
        let wishes = self.shared.call_ended(run_id);
        if let Some(request) = wishes.spawn {
            self.spawn(run_id, &request);
        }
        if let Some((outcome, advice)) = wishes.finished {
            self.finished(run_id, outcome, advice, now);
        }
    }

    fn signal(&mut self, key: RunKey, signal: i32, now: Instant) {
        let Some(run) = self.runs.iter_mut().find(|run| run.run.key == key) else {
            return;
        };
        // Else it would run on and count as suspended.
        if run.is_suspended() && os::continues(signal) {
            let suspension = run.resume(now);
            self.shared.report(Report::Suspension { key, suspension });
        } else {
            run.signal(signal);
        }
    }

    fn suspend(&mut self, key: RunKey, now: Instant) {
        let (birthmark, cookie) = (self.birthmark, &self.cookie);
        let Some(run) = self.runs.iter_mut().find(|run| run.run.key == key) else {
            // It waits for a slot of this process; of one that has ended, its node knows that.
            let suspension = Suspension::Refused("it has not started yet".to_owned());
            return self.shared.report(Report::Suspension { key, suspension });
        };
        let job = run.run.public_id.clone();
        let origin = RunOrigin {
            cookie,
            job: &job,
            fence: key.fence,
            birth_number: run.birth_number,
        };
        let suspension = run.suspend(origin, birthmark, now);
        self.shared.report(Report::Suspension { key, suspension });
    }

    /// A plugin reports the end of its run.
    fn finished(&mut self, run_id: u64, outcome: Outcome, advice: Advice, now: Instant) {
        if let Some(run) = self.by_id(run_id) {
            if run.outcome.is_none() {
                (run.outcome, run.advice) = (Some(outcome), advice);
            }
            if run.process.as_ref().is_some_and(Process::is_running) {
                run.terminate(now);
            }
        }
    }

    /// A number for a run's birthmarks that no other run has. What a run may leave behind carries none, so that it is
    /// never taken for what a later run with the same number left.
    fn next_birth_number(&mut self, run: &Run) -> u32 {
        if run.leftovers == Leftovers::Leave {
            return 0;
        }
        loop {
            self.birth_number = self.birth_number % RUN_MOST + 1;
            if self
                .runs
                .iter()
                .all(|other| other.birth_number != self.birth_number)
            {
                return self.birth_number;
            }
        }
    }

    fn spawn(&mut self, run_id: u64, request: &SpawnRequest) {
        let Self {
            runs,
            builder,
            reactor,
            birthmark,
            loader,
            ..
        } = self;
        let Some(run) = runs.iter_mut().find(|run| run.run_id == run_id) else {
            return;
        };
        if run.outcome.is_some() {
            return;
        }
        if run.stopped.is_some() {
            let outcome = Outcome::new(OutcomeKind::Failed, "stopped before it started");
            run.exit = Some(Exit::NotStarted(outcome));
            return;
        }
        let attempt = |builder: &mut CommandBuilder| -> Result<Process, SpawnError> {
            let (command, confinement) = builder.command(&run.run, request)?;
            let capture = Arc::clone(&run.capture);
            birthmark.during(run.birth_number, || {
                reactor.spawn(command, confinement, capture, run.run.leftovers, run.run.terminal)
            })
        };
        let mut started = attempt(builder);
        // A program that was remembered may have moved since.
        if matches!(&started, Err(SpawnError::Os(error)) if error.kind() == ErrorKind::NotFound) {
            builder.forget(request);
            started = attempt(builder);
        }
        match started {
            Ok(process) => run.process = Some(process),
            Err(SpawnError::Outcome(outcome)) => run.exit = Some(Exit::NotStarted(outcome)),
            Err(SpawnError::Machine(why)) => run.cannot_be_started(&why),
            Err(SpawnError::Os(error)) => match machine_problem(request, &error, &loader.settings().shell) {
                Some(why) => run.cannot_be_started(&why),
                None => {
                    let outcome =
                        folder_problem(request).unwrap_or_else(|| cannot_start(&request.argv[0], &error));
                    run.exit = Some(Exit::NotStarted(outcome));
                }
            },
        }
    }

    /// Brings every run as far as it can go, and reports those that are over.
    fn advance_all(&mut self, now: Instant) {
        let mut i = 0;
        while i < self.runs.len() {
            if self.advance(i, now) {
                self.conclude(i)
            } else {
                i += 1
            }
        }
    }

    /// Ends this process if a plugin does not end a run: only the plugin can, and the run would hold its slot for ever. The
    /// runs of others are given back; what they left is for the dispatcher to find.
    fn give_up_stuck(&mut self, now: Instant) {
        // Every run is asked, so that each has its time.
        let stuck = |run: &mut Active| run.is_stuck(now).then(|| run.stuck_reason());
        let stuck_reasons: Vec<String> = self.runs.iter_mut().filter_map(stuck).collect();
        let Some(reason) = stuck_reasons.into_iter().next() else {
            return;
        };
        self.shared.report(Report::Ending {
            reason,
            culprit: None,
        });
        while let Some(i) = self.runs.iter_mut().position(|run| run.is_stuck(now)) {
            let run = &mut self.runs[i];
            let stopped = Outcome::new(OutcomeKind::SystemFailure, "stopped");
            let mut outcome = after_stop(stopped, run.stopped.take());
            outcome.message = clip(format!("{}; {}", outcome.message, run.stuck_reason()));
            run.outcome = Some(outcome);
            self.conclude(i);
        }
        os::exit_at_once(STUCK_STATUS);
    }

    /// Brings a run as far as it can go. Returns whether it is over.
    fn advance(&mut self, i: usize, now: Instant) -> bool {
        if self.runs[i].process.is_some() && !self.process_is_over(i, now) {
            return false;
        }
        let run = &mut self.runs[i];
        if let Some(exit) = run.exit.take()
            && run.outcome.is_none()
        {
            let shared = &self.shared;
            let told = run.instance.as_ref().map(|plugin| {
                shared.call_begins(run.run_id);
                let told = plugin.exited(run.run_id, &exit, run.limit_hit.as_deref(), run.stopped.is_some());
                (told, shared.call_ended(run.run_id).finished)
            });
            run.outcome = match told {
                Some((Exited::ByPlugin, finished)) => finished.map(|(outcome, advice)| {
                    run.advice = advice;
                    outcome
                }),
                Some((Exited::ByHost, _)) | None => {
                    Some(with_limit_hit(of_exit(&exit), run.limit_hit.take()))
                }
                Some((Exited::Broken, _)) => {
                    let text = format!(
                        "the executor '{}' failed when its process had ended",
                        run.run.executor
                    );
                    Some(Outcome::new(OutcomeKind::SystemFailure, text))
                }
            };
        }
        run.outcome.is_some()
    }

    /// Whether the process of a run ended and everything it left is dealt with.
    fn process_is_over(&mut self, i: usize, now: Instant) -> bool {
        let Some(process) = &self.runs[i].process else {
            return true;
        };
        if process.is_running() {
            return false;
        }
        let done = process.ended().is_some()
            && (self.runs[i].run.leftovers == Leftovers::Leave || self.leftovers_are_gone(i));
        if !done {
            self.runs[i].recheck_soon(now);
            return false;
        }
        let run = &mut self.runs[i];
        if let Some(mut process) = run.process.take() {
            process.close(&mut self.reactor);
            run.limit_hit = process.limit_hit();
            run.exit = process.ended().cloned();
        }
        self.left_some |= run.run.leftovers == Leftovers::Leave;
        true
    }

    /// Kills what a run left behind. Returns whether nothing is left.
    fn leftovers_are_gone(&mut self, i: usize) -> bool {
        let Self {
            runs,
            orphans,
            cookie,
            left_some,
            ..
        } = self;
        let Some(process) = &runs[i].process else {
            return true;
        };
        let run = &runs[i].run;
        let origin = RunOrigin {
            cookie,
            job: &run.public_id,
            fence: run.key.fence,
            birth_number: runs[i].birth_number,
        };
        // While others run, an orphan without marks could be theirs. It waits until it can only be ours.
        let alone = !runs.iter().any(Active::has_main);
        let is_main = |pid| {
            runs.iter().any(|run| {
                run.process
                    .as_ref()
                    .is_some_and(|p| p.is_child() && p.pid() == pid)
            })
        };
        // In this order: what a member of the group had started is ours only once that member is gone.
        let group_gone = process.group_is_gone();
        let orphans_gone = orphans.sweep(origin, alone && !*left_some, &is_main);
        group_gone && orphans_gone
    }

    fn conclude(&mut self, i: usize) {
        let run = self.runs.swap_remove(i);
        self.shared.end(run.run_id);
        let outcome = run
            .outcome
            .unwrap_or_else(|| Outcome::new(OutcomeKind::SystemFailure, "no outcome"));
        let output = run
            .capture
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .finish();
        let confirm = run
            .instance
            .is_some_and(|instance| self.pending_acks.add(run.run.key, run.run_id, instance));
        let not_run = outcome.kind == OutcomeKind::SystemFailure && run.stopped.is_none() && !run.adopted;
        let shortage = not_run && (run.shortage || os::lacks_descriptors());
        self.shared.report(Report::Finished(Finished {
            key: run.run.key,
            shortage,
            outcome: after_stop(outcome, run.stopped),
            output,
            started_at: run.started_at,
            finished_at: SystemClock.now(),
            advice: run.advice,
            confirm,
        }));
    }
}
