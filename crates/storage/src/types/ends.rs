//! How a job ended, and how jobs did that are counted together.

use std::collections::BTreeMap;

use queuectl_core::{Command, ExecutorName, JobId, OutcomeKind, QueueName, State, Timestamp};

use super::sketch::Sketch;

/// How many kinds of failures there are.
pub const KINDS: usize = 6;

/// The outcomes that are failures of an attempt.
pub const FAILURES: [OutcomeKind; KINDS] = [
    OutcomeKind::Failed,
    OutcomeKind::TimedOut,
    OutcomeKind::Crashed,
    OutcomeKind::Lost,
    OutcomeKind::SystemFailure,
    OutcomeKind::Busy,
];

/// An ended job, as far as it says how it fared.
#[derive(Debug, Clone, PartialEq)]
pub struct EndedJob {
    /// Its number.
    pub id: JobId,
    /// Its queue.
    pub queue: QueueName,
    /// Its executor.
    pub executor: ExecutorName,
    /// How it ended.
    pub state: State,
    /// Attempts that counted.
    pub attempts: u32,
    /// When it was stored.
    pub created_at: Timestamp,
    /// When its first attempt that is known began; none if it never ran.
    pub first_started_at: Option<Timestamp>,
    /// When its last attempt began and ended.
    pub last_attempt: Option<(Timestamp, Timestamp)>,
    /// When it ended.
    pub ended_at: Timestamp,
    /// Its attempts that failed, by the kinds of [`FAILURES`].
    pub failures: [u32; KINDS],
    /// Its command, if commands were asked for; none if its executor has an object instead, or if the payload has more than
    /// 16 KiB.
    pub command: Option<Command>,
    /// Its labels, if labels were asked for.
    pub labels: BTreeMap<String, String>,
}

/// How jobs ended.
#[derive(Debug, Clone, Default)]
pub struct Ends {
    /// How many completed.
    pub completed: u64,
    /// How many died.
    pub dead: u64,
    /// How many were cancelled.
    pub cancelled: u64,
    /// Attempts that these jobs took beyond the first.
    pub retries: u64,
    /// Their attempts that failed, by the kinds of [`FAILURES`].
    pub failures: [u64; KINDS],
    /// From when they were stored to when their first attempts began, in ms.
    pub waited: Sketch,
    /// How long their last attempts took, in ms.
    pub ran: Sketch,
}

impl Ends {
    /// Returns how many jobs these are.
    pub fn jobs(&self) -> u64 {
        self.completed
            .saturating_add(self.dead)
            .saturating_add(self.cancelled)
    }

    /// Adds a job.
    pub fn add(&mut self, job: &EndedJob) {
        match job.state {
            State::Completed => self.completed += 1,
            State::Dead => self.dead += 1,
            _ => self.cancelled += 1,
        }
        self.retries += u64::from(job.attempts.saturating_sub(1));
        for (sum, count) in self.failures.iter_mut().zip(job.failures) {
            *sum += u64::from(count);
        }
        let ms = |from, to: Timestamp| u64::try_from(to.since(from).as_millis()).unwrap_or(u64::MAX);
        if let Some(started) = job.first_started_at {
            self.waited.add(ms(job.created_at, started));
        }
        if let Some((began, ended)) = job.last_attempt {
            self.ran.add(ms(began, ended));
        }
    }

    /// Adds those that were counted elsewhere.
    pub fn merge(&mut self, other: &Ends) {
        for (sum, more) in [
            (&mut self.completed, other.completed),
            (&mut self.dead, other.dead),
            (&mut self.cancelled, other.cancelled),
            (&mut self.retries, other.retries),
        ]
        .into_iter()
        .chain(self.failures.iter_mut().zip(other.failures))
        {
            *sum = sum.saturating_add(more);
        }
        self.waited.merge(&other.waited);
        self.ran.merge(&other.ran);
    }
}
