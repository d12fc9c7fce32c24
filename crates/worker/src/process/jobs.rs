//! The jobs of a worker process: those that run, and those that wait for a slot in the order in which they came.
//!
//! A few jobs wait here rather than at the dispatcher, so that a slot is filled again without asking anybody.
//!
//! Two threads use this: the host's starts the next job when one has ended, and the one that listens to the dispatcher
//! stops jobs. A job that has left the line and is not yet with the host takes the stop with it: see [`Jobs::stop`].

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use queuectl_executor::{Run, RunKey, StopReason};

/// See the module.
#[derive(Default)]
pub struct Jobs {
    state: Mutex<State>,
    changed: Condvar,
}

/// How a job is to be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop {
    pub reason: StopReason,
    /// Without its grace.
    pub kill: bool,
}

impl Stop {
    /// What the host would make of both, one after the other.
    fn and(self, later: Stop) -> Stop {
        let cancelled = self.reason == StopReason::Cancelled || later.reason == StopReason::Cancelled;
        Stop {
            reason: if cancelled {
                StopReason::Cancelled
            } else {
                StopReason::Returned
            },
            kill: self.kill || later.kill,
        }
    }
}

/// Where a job was that is to be stopped.
#[derive(Debug, PartialEq, Eq)]
pub enum Stopping {
    /// It waited, and will not start.
    TakenBack,
    /// It is on its way to the host; the stop follows it.
    Follows,
    /// The host has it or had it, and is to be told.
    AtHost,
}

/// A job in a slot.
struct Slot {
    key: RunKey,
    /// What it has when it is stopped.
    grace: Duration,
    /// The host has it.
    begun: bool,
    /// What came before the host had it.
    stop: Option<Stop>,
}

impl Slot {
    fn new(run: &Run, begun: bool) -> Slot {
        Slot {
            key: run.key,
            grace: run.kill_grace,
            begun,
            stop: None,
        }
    }

    /// Leaves the stop to the thread that brings the job to the host.
    fn follow(&mut self, stop: Stop) {
        self.stop = Some(self.stop.map_or(stop, |earlier| earlier.and(stop)));
    }
}

#[derive(Default)]
struct State {
    running: Vec<Slot>,
    waiting: VecDeque<Run>,
    /// None: as many as come.
    slots: Option<usize>,
    /// Somebody waits for the end, or is about to.
    closed: bool,
}

impl State {
    fn next(&mut self) -> Option<Run> {
        if self.slots.is_some_and(|slots| self.running.len() >= slots) {
            return None;
        }
        let run = self.waiting.pop_front()?;
        self.running.push(Slot::new(&run, false));
        Some(run)
    }
}

impl State {
    fn take_waiting(&mut self, key: RunKey) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|run| run.key != key);
        self.waiting.len() != before
    }
}

impl Jobs {
    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves the state as usable as they were.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets how many run at a time from now on.
    pub fn set_slots(&self, slots: u32) {
        self.state().slots = Some(slots as usize);
    }

    /// How many run at a time.
    pub fn slots(&self) -> u32 {
        let slots = self.state().slots.unwrap_or_default();
        u32::try_from(slots).unwrap_or(u32::MAX)
    }

    /// A job came. Returns the one to start now, if one is; [`Jobs::begun`] follows.
    pub fn add(&self, run: Run) -> Option<Run> {
        let mut state = self.state();
        state.waiting.push_back(run);
        state.next()
    }

    /// A job goes to the host without waiting for a slot.
    pub fn started(&self, run: &Run) {
        self.state().running.push(Slot::new(run, true));
    }

    /// The host has been given that job. Returns how it is to be stopped, if that was said before.
    pub fn begun(&self, key: RunKey) -> Option<Stop> {
        let mut state = self.state();
        let slot = state.running.iter_mut().find(|slot| slot.key == key)?;
        slot.begun = true;
        slot.stop.take()
    }

    /// A job is to stop. Says what is left to do about it.
    pub fn stop(&self, key: RunKey, stop: Stop) -> Stopping {
        let mut state = self.state();
        if state.take_waiting(key) {
            return Stopping::TakenBack;
        }
        match state.running.iter_mut().find(|slot| slot.key == key) {
            Some(slot) if !slot.begun => {
                slot.follow(stop);
                Stopping::Follows
            }
            _ => Stopping::AtHost,
        }
    }

    /// A job ended. Returns the one to start now, if one is; [`Jobs::begun`] follows.
    pub fn ended(&self, key: RunKey) -> Option<Run> {
        let mut state = self.state();
        state.running.retain(|slot| slot.key != key);
        if state.closed {
            self.changed.notify_all();
        }
        state.next()
    }

    /// Takes a job out if it has not started. Says whether it did.
    pub fn take_waiting(&self, key: RunKey) -> bool {
        self.state().take_waiting(key)
    }

    /// Whether any job runs.
    pub fn any(&self) -> bool {
        !self.state().running.is_empty()
    }

    /// Drops what has not started; returns what the host has, for it to be stopped, with the longest grace of all. What is
    /// on its way to the host is stopped there.
    pub fn close(&self) -> (Vec<RunKey>, Duration) {
        let mut state = self.state();
        state.waiting.clear();
        state.closed = true;
        let returned = Stop {
            reason: StopReason::Returned,
            kill: false,
        };
        let mut at_host = Vec::new();
        for slot in &mut state.running {
            if slot.begun {
                at_host.push(slot.key);
            } else {
                slot.follow(returned);
            }
        }
        let grace = state.running.iter().map(|slot| slot.grace).max();
        (at_host, grace.unwrap_or_default())
    }

    /// Waits until nothing runs, at most until `deadline`. After [`Jobs::close`].
    pub fn wait_until_idle(&self, deadline: Instant) {
        let mut state = self.state();
        while !state.running.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use queuectl_core::JobId;
    use queuectl_core::settings::Leftovers;

    fn run(job: i64) -> Run {
        Run {
            key: RunKey {
                job: JobId(job),
                fence: 1,
            },
            public_id: job.to_string(),
            attempt: 1,
            queue: "q".into(),
            executor: "shell".parse().unwrap(),
            payload: "{}".into(),
            terminal: None,
            parents: None,
            groups: None,
            checkpoint: None,
            timeout: None,
            kill_grace: Duration::from_secs(job.unsigned_abs()),
            leftovers: Leftovers::Kill,
            output_limit: 0,
            output_file_limit: 0,
            output_file: "x".into(),
            used: Duration::ZERO,
        }
    }

    fn number(run: Option<Run>) -> Option<i64> {
        run.map(|run| run.key.job.0)
    }

    #[test]
    fn slots_are_filled_in_order() {
        let jobs = Jobs::default();
        jobs.set_slots(2);
        let started: Vec<_> = (1..=5).map(|n| number(jobs.add(run(n)))).collect();
        assert_eq!(started, [Some(1), Some(2), None, None, None]);
        assert!(jobs.take_waiting(run(4).key));
        assert!(!jobs.take_waiting(run(4).key) && !jobs.take_waiting(run(1).key));
        assert_eq!(number(jobs.ended(run(2).key)), Some(3));
        assert_eq!(number(jobs.ended(run(9).key)), None, "nobody left");
        assert_eq!(number(jobs.ended(run(1).key)), Some(5));
        assert_eq!(jobs.begun(run(3).key), None);
        assert_eq!(jobs.begun(run(5).key), None);
        assert_eq!(
            jobs.close(),
            (vec![run(3).key, run(5).key], Duration::from_secs(5))
        );
    }

    #[test]
    fn a_stop_finds_a_job_wherever_it_is() {
        let stop = |reason, kill| Stop { reason, kill };
        let gently = stop(StopReason::Returned, false);
        let jobs = Jobs::default();
        jobs.set_slots(2);
        (1..=4).for_each(|n| drop(jobs.add(run(n))));
        assert_eq!(jobs.begun(run(1).key), None);
        assert_eq!(jobs.stop(run(1).key, gently), Stopping::AtHost);
        assert_eq!(jobs.stop(run(4).key, gently), Stopping::TakenBack);
        assert_eq!(
            jobs.stop(run(9).key, gently),
            Stopping::AtHost,
            "it has ended, say"
        );
        // On its way: whatever comes is kept, the more urgent, and cancelling wins.
        assert_eq!(
            jobs.stop(run(2).key, stop(StopReason::Cancelled, false)),
            Stopping::Follows
        );
        assert_eq!(
            jobs.stop(run(2).key, stop(StopReason::Returned, true)),
            Stopping::Follows
        );
        assert_eq!(jobs.begun(run(2).key), Some(stop(StopReason::Cancelled, true)));
        assert_eq!(jobs.stop(run(2).key, gently), Stopping::AtHost);
        assert_eq!(jobs.begun(run(2).key), None, "once");
        // So does the end of everything.
        assert_eq!(number(jobs.ended(run(1).key)), Some(3));
        assert_eq!(jobs.close(), (vec![run(2).key], Duration::from_secs(3)));
        assert_eq!(jobs.begun(run(3).key), Some(gently));
    }

    #[test]
    fn closing_drops_what_waits() {
        let jobs = Jobs::default();
        jobs.set_slots(1);
        jobs.add(run(1));
        jobs.add(run(2));
        jobs.close();
        assert_eq!(number(jobs.ended(run(1).key)), None);
        jobs.wait_until_idle(Instant::now());
    }

    #[test]
    fn without_slots_everything_starts() {
        let jobs = Jobs::default();
        assert!((1..=100).all(|n| jobs.add(run(n)).is_some()));
    }
}
