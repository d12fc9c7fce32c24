//! Worker processes that do not answer any more, because somebody stopped them or because they hang. Nobody in there
//! minds the timeouts of their jobs, hears that one is cancelled or tells that one has ended, so they are killed, and
//! replaced like all that die.
//!
//! A worker process that has jobs is asked now and then whether it is there. What counts is how often it was asked in
//! vain, not how much time has passed: a node that was held itself finds all answers late.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use super::dispatcher::Dispatcher;
use crate::env::Instant;
use crate::os;
use crate::protocol::ToWorker;

/// How often a worker process that has jobs is asked.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// How often it is asked in vain before it is killed: 30 s.
const ASK_MOST: u32 = 6;

/// Which worker processes owe an answer.
pub struct Pings {
    next: Instant,
    /// How often each was asked since it said anything.
    asked: Vec<u32>,
}

/// What to do about a worker process.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Ask,
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

impl Dispatcher {
    /// Asks the worker processes that have jobs whether they are there, if it is time, and kills those that are not.
    pub(super) fn ping_workers(&mut self) {
        let now = Instant::now();
        if self.claims.running() == 0 || now < self.pings.next {
            return;
        }
        self.pings.next = now + ASK_EVERY;
        for worker in self.worker_pool.present().collect::<Vec<_>>() {
            if self.claims.at_worker(worker).is_empty() {
                self.pings.end(worker);
                continue;
            }
            match self.pings.step(worker) {
                Step::Ask => self.worker_pool.send(worker, &ToWorker::Ping),
                Step::Kill => {
                    let silent = (ASK_EVERY * ASK_MOST).as_secs();
                    tracing::error!(
                        worker = worker + 1,
                        "the worker process has not answered for {silent} s; killing it"
                    );
                    self.worker_pool.kill(worker);
                }
            }
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
}
