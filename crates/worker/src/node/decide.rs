//! From the end of an attempt to the record that the store applies.

use queuectl_core::transition::Standing;
use queuectl_core::{
    Advice, Attempt, Event, JobId, NodeId, Outcome, OutcomeKind, Output, Settings, State, Timestamp,
    transition,
};
use queuectl_executor::RunKey;
use queuectl_scheduler::{RetryPolicy, after};
use queuectl_storage::{Claimed, MaybeBusy, Record, RunningJob};

use crate::failpoints;

/// The number under which a claim is known to the workers.
pub fn key(job: &Claimed) -> RunKey {
    RunKey {
        job: JobId(job.id),
        fence: job.fence,
    }
}

/// The part of a running job that decides what becomes of it.
pub struct Subject<'a> {
    pub id: JobId,
    pub queue: &'a str,
    pub fence: i64,
    pub attempt: u32,
    pub system_failures: u32,
    pub max_retries: Option<u32>,
    pub backoff_base: Option<f64>,
    /// Whether it is known to name limits.
    pub is_limited: bool,
}

impl Subject<'_> {
    /// The number under which it is known to the workers.
    pub fn key(&self) -> RunKey {
        RunKey {
            job: self.id,
            fence: self.fence,
        }
    }
}

impl<'a> From<&'a Claimed> for Subject<'a> {
    fn from(job: &'a Claimed) -> Subject<'a> {
        Subject {
            id: JobId(job.id),
            queue: &job.queue,
            fence: job.fence,
            attempt: job.attempt,
            system_failures: job.system_failures,
            max_retries: job.max_retries.map(|n| u32::try_from(n).unwrap_or(0)),
            backoff_base: job.backoff_base,
            is_limited: job.limits.is_some(),
        }
    }
}

impl<'a> From<&'a RunningJob> for Subject<'a> {
    fn from(job: &'a RunningJob) -> Subject<'a> {
        Subject {
            id: job.id,
            queue: &job.queue,
            fence: job.fence,
            attempt: job.attempts,
            system_failures: job.system_failures,
            max_retries: job.max_retries,
            backoff_base: job.backoff_base,
            // Not known; its node died, which no limit makes busy.
            is_limited: false,
        }
    }
}

/// How an attempt ended, and where and when.
pub struct Ending {
    pub node: NodeId,
    /// From 1; 0 if it is not known.
    pub worker: u32,
    pub started_at: Timestamp,
    pub finished_at: Timestamp,
    pub outcome: Outcome,
    pub output: Output,
    /// What the executor says about further attempts.
    pub advice: Advice,
}

/// The record for an attempt that ended. Its retry is due a fixed time after its end, whenever the end is dealt with.
pub fn ended(job: &Subject<'_>, ending: Ending, settings: &Settings) -> Record {
    let mut policy = RetryPolicy::new(settings.of(job.queue), job.max_retries, job.backoff_base);
    if failpoints::is_disabled("attempts") {
        policy.max_retries = u32::MAX;
    }
    let kind = ending.outcome.kind;
    let event = after(
        kind,
        &policy,
        job.attempt,
        job.system_failures,
        ending.finished_at,
        ending.advice,
        fastrand::f64(),
    );
    let busy = match ending.advice.wait {
        _ if kind != OutcomeKind::Failed => MaybeBusy::No,
        Some(wait) if ending.advice.is_busy => MaybeBusy::Until(wait),
        _ if job.is_limited && ending.outcome.exit_code.is_some() => MaybeBusy::ByStatus,
        _ => MaybeBusy::No,
    };
    let attempt = Attempt {
        job: job.id,
        fence: job.fence,
        attempt: job.attempt,
        number: 0,
        node: ending.node,
        worker: ending.worker,
        started_at: ending.started_at,
        finished_at: ending.finished_at,
        outcome: ending.outcome,
        output: ending.output,
    };
    Record {
        busy,
        ..record(job, ending.node, event, Some(attempt))
    }
}

/// The record for a job that is given back before it started.
pub fn given_back(job: &Subject<'_>, node: NodeId) -> Record {
    record(job, node, Event::Return, None)
}

/// The ending of a job whose worker process or node died under it.
pub fn died(
    kind: OutcomeKind,
    message: String,
    node: NodeId,
    worker: u32,
    started_at: Timestamp,
    now: Timestamp,
) -> Ending {
    Ending {
        node,
        worker,
        started_at: started_at.min(now),
        finished_at: now,
        outcome: Outcome::new(kind, message),
        output: Output::default(),
        advice: Advice::default(),
    }
}

fn record(job: &Subject<'_>, node: NodeId, event: Event, attempt: Option<Attempt>) -> Record {
    let standing = Standing {
        state: State::Processing,
        attempts: job.attempt,
        system_failures: job.system_failures,
    };
    let change = match transition(standing, event) {
        Ok(change) => change,
        // Every event that `after` yields is one that a running job takes; the tests of both go through all of them.
        Err(refused) => unreachable!("{refused}"),
    };
    Record {
        job: job.id,
        fence: job.fence,
        node,
        change,
        attempt,
        busy: MaybeBusy::No,
        is_limited: job.is_limited,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::testing::claimed;

    const NODE: NodeId = NodeId(7);

    #[test]
    fn an_attempt_that_failed_is_retried_and_the_last_one_is_not() {
        let ended_as = |kind, attempt| {
            let mut job = claimed(1);
            (job.attempt, job.max_retries) = (attempt, Some(1));
            let ending = died(kind, "so".to_owned(), NODE, 2, Timestamp(5), Timestamp(9));
            ended(&Subject::from(&job), ending, &Settings::default())
        };
        let first = ended_as(OutcomeKind::Crashed, 1);
        assert_eq!(first.change.to(), State::Failed);
        assert!(first.change.due_at().is_some_and(|due| due > Timestamp(9)));
        let attempt = first.attempt.expect("it is one");
        assert_eq!((attempt.node, attempt.worker, attempt.attempt), (NODE, 2, 1));
        assert_eq!(ended_as(OutcomeKind::Crashed, 2).change.to(), State::Dead);
        assert_eq!(ended_as(OutcomeKind::Returned, 2).change.to(), State::Pending);
    }

    #[test]
    fn the_queue_comes_before_the_setting_and_the_job_before_the_queue() {
        let stored = [("max_retries", "0"), ("queue:mail.max_retries", "1")];
        let settings = Settings::from_stored(stored);
        let state = |queue: &str, own| {
            let mut job = claimed(1);
            (job.attempt, job.max_retries, job.queue) = (1, own, queue.to_owned());
            let ending = died(
                OutcomeKind::Failed,
                String::new(),
                NODE,
                1,
                Timestamp(5),
                Timestamp(9),
            );
            ended(&Subject::from(&job), ending, &settings).change.to()
        };
        assert_eq!(state("mail", None), State::Failed);
        assert_eq!(state("mail", Some(0)), State::Dead);
        assert_eq!(state("other", None), State::Dead);
    }

    #[test]
    fn a_job_that_is_given_back_has_no_attempt() {
        let record = given_back(&Subject::from(&claimed(1)), NODE);
        assert!(record.attempt.is_none());
        assert_eq!((record.change.to(), record.node), (State::Pending, NODE));
    }

    #[test]
    fn an_attempt_never_starts_after_its_end() {
        let ending = died(
            OutcomeKind::Lost,
            String::new(),
            NODE,
            0,
            Timestamp(9),
            Timestamp(5),
        );
        assert_eq!(
            (ending.started_at, ending.finished_at),
            (Timestamp(5), Timestamp(5))
        );
    }
}
