//! Worker processes that do not answer any more, because they were stopped or because they hang. Such a process neither
//! minds the timeouts of its jobs, nor hears that one is cancelled, nor reports that one has ended, so it is killed, and
//! replaced like all that die.
//!
//! A worker process that has jobs is asked now and then whether it is there. What counts is how often it was asked in
//! vain, not how much time has passed: a node that was held itself finds all answers late.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use crate::env::Instant;
use crate::os;

/// How often a worker process that has jobs is asked.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// How often it is asked in vain before it is killed: 30 s.
const ASK_MOST: u32 = 6;
/// How long a worker process that is killed has not answered.
pub const SILENCE: Duration = Duration::from_secs(ASK_EVERY.as_secs() * ASK_MOST as u64);

/// Which worker processes owe an answer.
pub struct Pings {
    next: Instant,
    /// How often each was asked since it said anything.
    asked: Vec<u32>,
}

/// What to do about a worker process.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask whether it is there.
    Ask,
    /// Kill it: it has not answered for [`SILENCE`].
    Kill,
}

impl Pings {
    pub fn new() -> Pings {
        Pings {
            next: Instant::now(),
            asked: Vec::new(),
        }
    }

    /// A worker process said something, or has nothing to say, or is gone.
    pub fn end(&mut self, worker: usize) {
        if let Some(asked) = self.asked.get_mut(worker) {
            *asked = 0;
        }
    }

    /// In words, how a worker process ended that is gone now.
    pub fn how_ended(&mut self, worker: usize, status: io::Result<ExitStatus>) -> String {
        let how = match self.is_given_up(worker) {
            true => "it did not answer and was killed".to_owned(),
            false => status.map_or_else(|error| error.to_string(), os::describe),
        };
        self.end(worker);
        how
    }

    /// Whether a worker process was killed for its pings.
    fn is_given_up(&self, worker: usize) -> bool {
        self.asked.get(worker).is_some_and(|asked| *asked > ASK_MOST)
    }

    /// When to ask next.
    pub fn next(&self) -> Instant {
        self.next
    }

    /// What is due for the worker processes that are `present`, each with whether it has jobs.
    pub fn due(&mut self, present: impl Iterator<Item = (usize, bool)>) -> Vec<(usize, Step)> {
        let now = Instant::now();
        if now < self.next {
            return Vec::new();
        }
        self.next = now + ASK_EVERY;
        let mut due = Vec::new();
        for (worker, has_jobs) in present {
            if has_jobs {
                due.push((worker, self.step(worker)));
            } else {
                self.end(worker);
            }
        }
        due
    }

    fn step(&mut self, worker: usize) -> Step {
        if self.asked.len() <= worker {
            self.asked.resize(worker + 1, 0);
        }
        self.asked[worker] += 1;
        if self.is_given_up(worker) {
            Step::Kill
        } else {
            Step::Ask
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_asked_in_vain_too_often_is_killed_and_nobody_else() {
        let mut pings = Pings::new();
        for _ in 0..ASK_MOST {
            assert_eq!((pings.step(1), pings.step(0)), (Step::Ask, Step::Ask));
        }
        assert!(!pings.is_given_up(1));
        pings.end(0);
        assert_eq!((pings.step(1), pings.step(0)), (Step::Kill, Step::Ask));
        assert!(pings.is_given_up(1) && !pings.is_given_up(0));
        // The next process in its place begins afresh.
        let gone = || Err(io::Error::other("gone"));
        assert!(pings.how_ended(1, gone()).contains("did not answer"));
        assert_eq!(pings.step(1), Step::Ask);
        assert_eq!(pings.how_ended(1, gone()), "gone");
    }

    #[test]
    fn a_worker_process_without_jobs_owes_no_answer() {
        let mut pings = Pings::new();
        for _ in 0..=ASK_MOST {
            pings.next = Instant::now();
            let due = pings.due([(0, true), (1, false)].into_iter());
            assert_eq!(due.len(), 1, "{due:?}");
            assert!(
                pings.due([(0, true)].into_iter()).is_empty(),
                "not before the next time"
            );
        }
        assert!(pings.is_given_up(0) && !pings.is_given_up(1));
    }
}
