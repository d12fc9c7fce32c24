//! The jobs of a worker process: those that run, and those that wait for a slot in the order in which they came.
//!
//! A few jobs wait here rather than at the dispatcher, so that a slot is filled again without asking anybody.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use queuectl_executor::{Run, RunKey};

/// See the module.
#[derive(Default)]
pub struct Jobs {
    books: Mutex<Books>,
    changed: Condvar,
}

#[derive(Default)]
struct Books {
    /// With the grace that each has when it is stopped.
    running: Vec<(RunKey, Duration)>,
    waiting: VecDeque<Run>,
    /// None: as many as come.
    slots: Option<usize>,
    /// Somebody waits for the end, or is about to.
    closed: bool,
}

impl Books {
    fn next(&mut self) -> Option<Run> {
        if self.slots.is_some_and(|slots| self.running.len() >= slots) {
            return None;
        }
        let run = self.waiting.pop_front()?;
        self.running.push((run.key, run.kill_grace));
        Some(run)
    }
}

impl Jobs {
    fn books(&self) -> MutexGuard<'_, Books> {
        // A panic elsewhere leaves the books as usable as they were.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on so many run at a time.
    pub fn set_slots(&self, slots: u32) {
        self.books().slots = Some(slots as usize);
    }

    /// A job came. Returns the one to start now, if one is.
    pub fn add(&self, run: Run) -> Option<Run> {
        let mut books = self.books();
        books.waiting.push_back(run);
        books.next()
    }

    /// A job was started without waiting for a slot.
    pub fn started(&self, run: &Run) {
        self.books().running.push((run.key, run.kill_grace));
    }

    /// A job ended. Returns the one to start now, if one is.
    pub fn ended(&self, key: RunKey) -> Option<Run> {
        let mut books = self.books();
        books.running.retain(|(running, _)| *running != key);
        if books.closed {
            self.changed.notify_all();
        }
        books.next()
    }

    /// Takes a job out if it has not started. Says whether it did.
    pub fn take_waiting(&self, key: RunKey) -> bool {
        let mut books = self.books();
        let before = books.waiting.len();
        books.waiting.retain(|run| run.key != key);
        books.waiting.len() != before
    }

    /// Whether any job runs.
    pub fn any(&self) -> bool {
        !self.books().running.is_empty()
    }

    /// Drops what has not started; returns what runs, with the longest grace among them.
    pub fn close(&self) -> (Vec<RunKey>, Duration) {
        let mut books = self.books();
        books.waiting.clear();
        books.closed = true;
        let grace = books.running.iter().map(|(_, grace)| *grace).max();
        (
            books.running.iter().map(|(key, _)| *key).collect(),
            grace.unwrap_or_default(),
        )
    }

    /// Waits until nothing runs, at most until `deadline`. After [`Jobs::close`].
    pub fn wait_until_idle(&self, deadline: Instant) {
        let mut books = self.books();
        while !books.running.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            books = self
                .changed
                .wait_timeout(books, left)
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
            timeout: None,
            kill_grace: Duration::from_secs(job.unsigned_abs()),
            leftovers: Leftovers::Kill,
            output_limit: 0,
            output_file_limit: 0,
            output_file: "x".into(),
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
        assert_eq!(
            jobs.close(),
            (vec![run(3).key, run(5).key], Duration::from_secs(5))
        );
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
