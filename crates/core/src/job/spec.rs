//! A job as a user describes it. Every part is optional and may still be wrong; [`super::valid`] checks it.

use std::collections::BTreeSet;
use std::time::Duration;

use super::payload::{Command, Payload};
use crate::id::{ExecutorName, JobName, QueueName};
use crate::time::Timestamp;

/// When a job may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// This long after it was enqueued, by the queue's clock.
    After(Duration),
    /// At this time; at once if it is past.
    At(Timestamp),
}

impl Start {
    /// Returns the time, for a job enqueued at `now`.
    pub fn at(self, now: Timestamp) -> Timestamp {
        match self {
            Start::After(delay) => now.after(delay),
            Start::At(time) => time,
        }
    }
}

/// What was said about a job. What was not said stays open.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct JobSpec {
    /// The id the user chose.
    pub id: Option<JobName>,
    /// The queue it goes to; `default` if absent.
    pub queue: Option<QueueName>,
    /// Higher runs first; within a priority, first in first out. 0 if absent.
    pub priority: Option<i32>,
    /// When it may start; at once if absent.
    pub start: Option<Start>,
    /// Longest an attempt may run, in ms; the setting `job_timeout` if absent.
    pub timeout_ms: Option<u64>,
    /// Retries after the first attempt; the setting `max_retries` if absent.
    pub max_retries: Option<u32>,
    /// Base of the back-off in seconds; the setting `backoff_base` if absent.
    pub backoff_base: Option<f64>,
    /// The executor that runs it; `shell` if absent.
    pub executor: Option<ExecutorName>,
    /// What it runs.
    pub payload: Payload,
    /// Fields that were given and count for nothing: they say how an earlier job fared.
    pub ignored: BTreeSet<&'static str>,
}

impl JobSpec {
    /// Describes a shell command line.
    pub fn line(line: impl Into<String>) -> JobSpec {
        JobSpec {
            payload: Payload {
                command: Some(Command::Line(line.into())),
                ..Payload::default()
            },
            ..JobSpec::default()
        }
    }

    /// Returns what this says, and where it says nothing, what `other` says. Environments are joined by name.
    #[must_use]
    pub fn or(self, other: JobSpec) -> JobSpec {
        let mut ignored = other.ignored;
        ignored.extend(self.ignored);
        JobSpec {
            id: self.id.or(other.id),
            queue: self.queue.or(other.queue),
            priority: self.priority.or(other.priority),
            start: self.start.or(other.start),
            timeout_ms: self.timeout_ms.or(other.timeout_ms),
            max_retries: self.max_retries.or(other.max_retries),
            backoff_base: self.backoff_base.or(other.backoff_base),
            executor: self.executor.or(other.executor),
            payload: self.payload.or(other.payload),
            ignored,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_first_wins() {
        let env = |pairs: &[(&str, &str)]| {
            let owned = |(k, v): &(&str, &str)| ((*k).to_owned(), (*v).to_owned());
            pairs.iter().map(owned).collect()
        };
        let options = JobSpec {
            priority: Some(5),
            payload: Payload {
                env: env(&[("A", "1")]),
                ..Payload::default()
            },
            ..JobSpec::default()
        };
        let mut json = JobSpec {
            priority: Some(1),
            max_retries: Some(0),
            ..JobSpec::line("true")
        };
        json.payload.env = env(&[("A", "0"), ("B", "2")]);
        let both = options.or(json);
        assert_eq!((both.priority, both.max_retries), (Some(5), Some(0)));
        assert_eq!(both.payload.env, env(&[("A", "1"), ("B", "2")]));
        assert_eq!(both.payload.command, Some(Command::Line("true".into())));
    }

    #[test]
    fn a_delay_counts_from_now() {
        assert_eq!(
            Start::After(Duration::from_secs(5)).at(Timestamp(7)),
            Timestamp(5007)
        );
        assert_eq!(Start::At(Timestamp(-5)).at(Timestamp(7)), Timestamp(-5));
    }
}
