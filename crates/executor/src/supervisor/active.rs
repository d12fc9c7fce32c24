//! One run while it is alive: its process, its timers, and how far its end has come.
//!
//! This is bookkeeping only; what other runs have to do with it (whose orphan is whose) is the supervisor's business.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use queuectl_core::{Advice, Clock, Outcome, OutcomeKind, SystemClock, Timestamp, show_short};

use crate::capture::Capture;
use crate::outcome::{Exit, Stopped, clip};
use crate::plugin::Instance;
use crate::process::{Birthmark, Process, RunOrigin};
use crate::{Run, StopReason, Suspension};

/// Age at which a run's output goes to its file, so that it can be followed.
const LIVE_AFTER: Duration = Duration::from_millis(300);
/// Longest pause between two looks at what a run left behind.
const RECHECK_MAX: Duration = Duration::from_millis(50);

/// How long a plugin may take to end a run that it was told to kill, where there is no process that the host could kill.
pub(super) const END_LIMIT: Duration = Duration::from_secs(5);

/// A run that is not reported yet.
pub(super) struct Active {
    pub(super) run_id: u64,
    pub(super) run: Run,
    pub(super) capture: Arc<Mutex<Capture>>,
    /// None only while the plugin is being loaded, or if it could not be.
    pub(super) instance: Option<Arc<Instance>>,
    pub(super) process: Option<Process>,
    /// How the process ended, once everything it left is dealt with and until the plugin was told.
    pub(super) exit: Option<Exit>,
    /// Which limit the process hit, in words.
    pub(super) limit_hit: Option<String>,
    /// What to report, as soon as no process is left.
    pub(super) outcome: Option<Outcome>,
    /// What the plugin says about further attempts.
    pub(super) advice: Advice,
    pub(super) stopped: Option<Stopped>,
    /// It was taken over, so it has begun.
    pub(super) adopted: bool,
    /// It could not be started, for a reason that is not its own.
    pub(super) shortage: bool,
    pub(super) started_at: Timestamp,
    /// Its number in birthmarks.
    pub(super) birth_number: u32,
    /// The stop has gone as far as it can.
    killed: bool,
    /// Since when the plugin alone can end the run, and was told to kill it.
    end_owed_since: Option<Instant>,
    /// Since when its processes are suspended.
    suspended_since: Option<Timestamp>,
    /// How much of its timeout was left then.
    time_left: Option<Duration>,
    /// It was resumed by a stop, which is to be reported.
    resumed: bool,
    flush_at: Option<Instant>,
    timeout_at: Option<Instant>,
    kill_at: Option<Instant>,
    recheck_at: Option<Instant>,
    recheck_after: Duration,
}

impl Active {
    /// Its process could not be started, for a reason that is not its own.
    pub(super) fn cannot_be_started(&mut self, why: &str) {
        self.shortage = true;
        let outcome = Outcome::new(OutcomeKind::SystemFailure, clip(why.to_owned()));
        self.exit = Some(Exit::NotStarted(outcome));
    }

    pub(super) fn new(run_id: u64, run: Run, now: Instant, started_at: Timestamp) -> Active {
        let capture = Capture::new(run.output_limit, run.output_file.clone(), run.output_file_limit);
        Active {
            run_id,
            capture: Arc::new(Mutex::new(capture)),
            instance: None,
            process: None,
            exit: None,
            limit_hit: None,
            outcome: None,
            advice: Advice::default(),
            stopped: None,
            started_at: Timestamp(
                started_at
                    .0
                    .saturating_sub_unsigned(u64::try_from(run.used.as_millis()).unwrap_or(u64::MAX)),
            ),
            birth_number: 0,
            adopted: false,
            shortage: false,
            killed: false,
            end_owed_since: None,
            suspended_since: None,
            time_left: None,
            resumed: false,
            flush_at: now.checked_add(LIVE_AFTER),
            // A limit beyond the clock's range limits nothing.
            timeout_at: run.time_left().and_then(|limit| now.checked_add(limit)),
            kill_at: None,
            recheck_at: None,
            recheck_after: Duration::ZERO,
            run,
        }
    }

    pub(super) fn capture(&self) -> MutexGuard<'_, Capture> {
        self.capture.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the process, if there is one, has still to end.
    pub(super) fn has_main(&self) -> bool {
        self.process.as_ref().is_some_and(Process::is_child)
    }

    /// Begins or hastens the end of the run. Repeating it changes nothing.
    pub(super) fn stop(&mut self, why: Stopped, kill: bool, now: Instant) {
        // Cancelling wins over giving back; else the first reason counts.
        let cancelled = Stopped::ByRequest(StopReason::Cancelled);
        let returned = Stopped::ByRequest(StopReason::Returned);
        if self.stopped.is_none() || (self.stopped == Some(returned) && why == cancelled) {
            self.stopped = Some(why);
        }
        if kill {
            self.kill()
        } else {
            self.terminate(now)
        }
        if self.suspended_since.is_some() {
            self.resume(now);
            self.resumed = true;
        }
    }

    /// Suspends the processes. Meanwhile the timeout does not run.
    pub(super) fn suspend(&mut self, origin: RunOrigin, birthmark: Birthmark, now: Instant) -> Suspension {
        if let Some(since) = self.suspended_since {
            return Suspension::Since(since);
        }
        if self.stopped.is_some() || self.outcome.is_some() || self.exit.is_some() {
            return Suspension::Refused("it is about to end".to_owned());
        }
        let suspended = match &mut self.process {
            Some(process) => process.suspend(origin, birthmark),
            None => Err("it has no process that its node could suspend"),
        };
        if let Err(why) = suspended {
            return Suspension::Refused(why.to_owned());
        }
        self.time_left = self.timeout_at.take().map(|at| at.saturating_duration_since(now));
        let since = SystemClock.now();
        self.suspended_since = Some(since);
        Suspension::Since(since)
    }

    /// Has the processes continue, and the timeout run on.
    pub(super) fn resume(&mut self, now: Instant) -> Suspension {
        if self.suspended_since.take().is_some() {
            if let Some(process) = &mut self.process {
                process.resume();
            }
            self.timeout_at = self.time_left.take().and_then(|left| now.checked_add(left));
        }
        Suspension::Resumed
    }

    pub(super) fn is_suspended(&self) -> bool {
        self.suspended_since.is_some()
    }

    /// Whether a stop has resumed it since the last question.
    pub(super) fn was_resumed(&mut self) -> bool {
        std::mem::take(&mut self.resumed)
    }

    /// Passes a signal on, to the plugin or else to the process.
    pub(super) fn signal(&mut self, signal: i32) {
        let over = self.outcome.is_some() || self.exit.is_some();
        let by_plugin = !over
            && self
                .instance
                .as_ref()
                .is_some_and(|i| i.signal(self.run_id, signal));
        match &self.process {
            _ if by_plugin || over => {}
            Some(process) => process.signal(signal),
            None => tracing::warn!(
                job = self.run.public_id,
                executor = %self.run.executor,
                signal,
                "the executor takes no signals, and the job has no process; not sent"
            ),
        }
    }

    /// Asks the run to end, once; its grace period begins.
    pub(super) fn terminate(&mut self, now: Instant) {
        if self.killed || self.kill_at.is_some() {
            return;
        }
        self.kill_at = Some(now.checked_add(self.run.kill_grace).unwrap_or(now));
        let by_plugin =
            self.outcome.is_none() && self.instance.as_ref().is_some_and(|i| i.stop(self.run_id, false));
        if let Some(process) = self.process.as_mut().filter(|_| !by_plugin) {
            process.terminate();
        }
    }

    /// Ends the run's process now, and tells the plugin.
    pub(super) fn kill(&mut self) {
        let first = !std::mem::replace(&mut self.killed, true);
        self.kill_at = None;
        if let Some(process) = &mut self.process {
            process.kill();
        }
        if first
            && self.outcome.is_none()
            && let Some(instance) = &self.instance
        {
            instance.stop(self.run_id, true);
        }
    }

    /// Whether the plugin owes the end of the run for too long.
    pub(super) fn is_stuck(&mut self, now: Instant) -> bool {
        let owed = self.killed && self.outcome.is_none() && self.process.is_none() && self.exit.is_none();
        self.end_owed_since = owed.then(|| self.end_owed_since.unwrap_or(now));
        self.end_owed_since.is_some_and(|since| now >= since + END_LIMIT)
    }

    /// What to say of a run that is stuck.
    pub(super) fn stuck_reason(&self) -> String {
        let (job, limit) = (&self.run.public_id, show_short(END_LIMIT));
        let file = self.instance.as_ref().map_or("", |instance| instance.file());
        format!(
            "the plugin {file} did not end the run of job {job} within {limit} after it was told to kill it"
        )
    }

    /// Does what is due.
    pub(super) fn timers(&mut self, now: Instant) {
        let due = |at: &mut Option<Instant>| at.take_if(|at| *at <= now).is_some();
        if due(&mut self.flush_at) {
            self.capture().go_live();
        }
        if due(&mut self.timeout_at) && self.outcome.is_none() && self.exit.is_none() {
            let over = self.process.as_ref().is_some_and(|process| !process.is_running());
            if let Some(limit) = self.run.timeout.filter(|_| !over) {
                self.stop(Stopped::TimedOut(limit), false, now);
            }
        }
        if due(&mut self.kill_at) {
            self.kill();
        }
        if due(&mut self.recheck_at)
            && let Some(process) = &mut self.process
        {
            process.recheck();
        }
    }

    /// Has the supervisor look again soon, less and less often.
    pub(super) fn recheck_soon(&mut self, now: Instant) {
        if self.recheck_at.is_none() {
            self.recheck_after = (self.recheck_after * 2).clamp(Duration::from_millis(1), RECHECK_MAX);
            self.recheck_at = Some(now + self.recheck_after);
        }
    }

    /// When something is due next.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let given_up_at = self.end_owed_since.map(|since| since + END_LIMIT);
        [
            self.flush_at,
            self.timeout_at,
            self.kill_at,
            self.recheck_at,
            given_up_at,
        ]
        .into_iter()
        .flatten()
        .min()
    }
}
