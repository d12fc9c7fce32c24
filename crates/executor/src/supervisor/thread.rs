//! The supervisor's loop: messages, timers, endings, wait.
//!
//! It never blocks except in the reactor and in the plugins' own functions, which must return promptly.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Instant;

use queuectl_core::settings::Leftovers;
use queuectl_core::{Clock, Outcome, OutcomeKind, SystemClock};

use super::active::Active;
use super::keep::Keep;
use super::{Message, Shared};
use crate::os::{self, Birthmark, Marks, Orphans, Process, RUN_MOST, Reactor};
use crate::outcome::{Exit, Stopped, after_stop, clip, of_exit, with_hit};
use crate::plugin::{Exited, Loader, Started};
use crate::spawn::{Builder, SpawnError, SpawnRequest, cannot_start, folder_problem, machine_problem};
use crate::{Finished, HostConfig, Report, Run, StopReason};

/// The status with which a worker process ends because of a plugin that does not end a run.
const STUCK_STATUS: u8 = 73;
/// Times that the inbox is emptied before the world outside is looked at.
const ROUNDS: u32 = 8;

/// Everything the supervisor's thread owns.
pub(crate) struct Supervisor {
    shared: Arc<Shared>,
    reactor: Reactor,
    loader: Loader,
    builder: Builder,
    orphans: Orphans,
    birthmark: Birthmark,
    /// The newest number of a run in birthmarks.
    born: u32,
    cookie: String,
    keep: Keep,
    runs: Vec<Active>,
    next_handle: u64,
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
                Arc::clone(&shared),
            ),
            builder: Builder::new(config.cookie.clone()),
            orphans: Orphans::new(birthmark),
            birthmark,
            born: 0,
            cookie: config.cookie,
            keep: Keep::new(config.mark),
            shared,
            reactor,
            runs: Vec::new(),
            next_handle: 1,
            shutting_down: false,
            left_some: false,
        }
    }

    /// Runs until it is told to shut down and nothing is left.
    pub(crate) fn run(mut self) {
        let mut batch = Vec::new();
        self.reactor.move_in();
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
                    self.handle(message);
                }
            }
            for run in &mut self.runs {
                run.timers(now);
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

    fn by_handle(&mut self, handle: u64) -> Option<&mut Active> {
        self.runs.iter_mut().find(|run| run.handle == handle)
    }

    fn handle(&mut self, message: Message) {
        let now = Instant::now();
        match message {
            Message::Start(run) => self.start(*run, None, now),
            Message::Stop { key, reason, kill } => {
                if let Some(run) = self.runs.iter_mut().find(|run| run.run.key == key) {
                    run.stop(Stopped::ByRequest(reason), kill, now);
                }
            }
            Message::Adopt(run, handle) => self.start(*run, Some(&handle), now),
            Message::Signal(key, signal) => {
                if let Some(run) = self.runs.iter_mut().find(|run| run.run.key == key) {
                    run.signal(signal);
                }
            }
            Message::Settings(settings) => self.loader.set_settings(settings),
            Message::Recorded(keys) => self.keep.recorded(&keys),
            Message::Discard(executor, handles) => {
                // One that cannot be loaded leaves it to the next node that looks.
                if let Ok(instance) = self.loader.get(&executor, |made| self.keep.reap(made)) {
                    handles.iter().for_each(|handle| instance.discard(handle));
                }
            }
            Message::Alive(marks) => {
                self.keep.set_alive(marks);
                self.loader.each(|instance| self.keep.reap(instance));
            }
            Message::Reap(executors) => {
                for executor in executors {
                    // Those that are loaded were told with the marks. One that cannot be loaded has nothing to end.
                    drop(self.loader.get(&executor, |made| self.keep.reap(made)));
                }
            }
            Message::Spawn(handle, request) => self.spawn(handle, &request),
            Message::Finished(handle, outcome, advice) => {
                if let Some(run) = self.by_handle(handle) {
                    if run.outcome.is_none() {
                        (run.outcome, run.advice) = (Some(outcome), advice);
                    }
                    if run.process.as_ref().is_some_and(Process::is_running) {
                        run.terminate(now);
                    }
                }
            }
            Message::ShutDown => {
                self.shutting_down = true;
                for run in &mut self.runs {
                    run.stop(Stopped::ByRequest(StopReason::Returned), true, now);
                    // Nobody can end a run inside a plugin but the plugin; the process is about to go anyway.
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
        let handle = self.next_handle;
        self.next_handle += 1;
        let mut active = Active::new(handle, run, now, SystemClock.now());
        active.born = self.next_born(&active.run);
        active.adopted = adopt.is_some();
        self.shared
            .begin(handle, &active.run, Arc::clone(&active.capture));
        if self.shutting_down {
            // Whoever asked for the end does not wait for what begins after it.
            active.stop(Stopped::ByRequest(StopReason::Returned), true, now);
            active.outcome = Some(Outcome::new(OutcomeKind::Failed, "shut down"));
            self.runs.push(active);
            return;
        }
        let run = &active.run;
        let keep = &self.keep;
        self.loader.on_behalf_of(handle);
        active.outcome = match self.loader.get(&run.executor, |made| keep.reap(made)) {
            Err(error) => Some(Outcome::new(OutcomeKind::SystemFailure, clip(error.to_string()))),
            Ok(instance) => {
                let outcome = match instance.start(handle, run, &self.keep.mark, adopt) {
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
        self.loader.on_behalf_of(0);
        self.runs.push(active);
    }

    /// A number for a run's birthmarks that no other run has. What a run may leave behind carries none, so that it is
    /// never taken for what a later run with the same number left.
    fn next_born(&mut self, run: &Run) -> u32 {
        if run.leftovers == Leftovers::Leave {
            return 0;
        }
        loop {
            self.born = self.born % RUN_MOST + 1;
            if self.runs.iter().all(|other| other.born != self.born) {
                return self.born;
            }
        }
    }

    fn spawn(&mut self, handle: u64, request: &SpawnRequest) {
        let Self {
            runs,
            builder,
            reactor,
            birthmark,
            loader,
            ..
        } = self;
        let Some(run) = runs.iter_mut().find(|run| run.handle == handle) else {
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
        let attempt = |builder: &mut Builder| -> Result<Process, SpawnError> {
            let (command, confinement) = builder.command(&run.run, request)?;
            let capture = Arc::clone(&run.capture);
            birthmark.during(run.born, || {
                reactor.spawn(command, confinement, capture, run.run.leftovers)
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

    /// Ends this process if a plugin does not end a run: nobody else can, and the run would hold its slot for ever. The
    /// runs of others are given back; what they left is for the dispatcher to find.
    fn give_up_stuck(&mut self, now: Instant) {
        // Every run is asked, so that each has its time.
        let stuck = |run: &mut Active| run.is_stuck(now).then(|| run.complaint());
        let complaints: Vec<String> = self.runs.iter_mut().filter_map(stuck).collect();
        let Some(reason) = complaints.into_iter().next() else {
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
            outcome.message = clip(format!("{}; {}", outcome.message, run.complaint()));
            run.outcome = Some(outcome);
            self.conclude(i);
        }
        os::exit_at_once(STUCK_STATUS);
    }

    /// Brings a run as far as it can go. Says whether it is over.
    fn advance(&mut self, i: usize, now: Instant) -> bool {
        if self.runs[i].process.is_some() && !self.process_is_over(i, now) {
            return false;
        }
        let run = &mut self.runs[i];
        if let Some(exit) = run.exit.take()
            && run.outcome.is_none()
        {
            let told = run
                .instance
                .as_ref()
                .map(|plugin| plugin.exited(run.handle, &exit, run.hit.as_deref(), run.stopped.is_some()));
            run.outcome = match told {
                Some(Exited::ByPlugin) => None,
                Some(Exited::ByHost) | None => Some(with_hit(of_exit(&exit), run.hit.take())),
                Some(Exited::Broken) => {
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
            self.runs[i].look_again_soon(now);
            return false;
        }
        let run = &mut self.runs[i];
        if let Some(mut process) = run.process.take() {
            process.close(&mut self.reactor);
            run.hit = process.hit();
            run.exit = process.ended().cloned();
        }
        self.left_some |= run.run.leftovers == Leftovers::Leave;
        true
    }

    /// Kills what a run left behind. Says whether nothing is left.
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
        let marks = Marks {
            cookie,
            job: &run.public_id,
            fence: run.key.fence,
            born: runs[i].born,
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
        let orphans_gone = orphans.sweep(marks, alone && !*left_some, &is_main);
        group_gone && orphans_gone
    }

    fn conclude(&mut self, i: usize) {
        let run = self.runs.swap_remove(i);
        self.shared.end(run.handle);
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
            .is_some_and(|instance| self.keep.await_recorded(run.run.key, run.handle, instance));
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
