//! A handmade history for each verdict, and good ones.

mod callbacks;
mod mechanisms;

use queuectl_core::transition::{Standing, transition};
use queuectl_core::{
    Attempt, Event, Job, JobId, NodeId, Outcome, OutcomeKind, Output, Payload, State, Timestamp, Transition,
};

use super::{Call, History, Reply, StoredJob, Verdict, check};

const ONE: JobId = JobId(1);
const BYSTANDER: JobId = JobId(2);
const A: NodeId = NodeId(1);
const B: NodeId = NodeId(2);

fn found(id: JobId, state: State, attempts: u32, fence: i64) -> StoredJob {
    let time = Timestamp(0);
    let job = Job {
        id,
        name: Some(format!("job-{id}").parse().expect("a name")),
        queue: "q".parse().expect("a queue"),
        state,
        priority: 0,
        attempts,
        fence,
        system_failures: 0,
        max_retries: Some(1),
        backoff_base: None,
        timeout_ms: None,
        limit: Vec::new(),
        executor: "shell".parse().expect("an executor"),
        unique: None,
        unique_for_ms: None,
        due_at: None,
        node: None,
        cancel_requested: false,
        suspended_since: None,
        progress: None,
        created_at: time,
        updated_at: time,
        started_at: None,
        finished_at: None,
        waits: queuectl_core::Waits::NONE,
        gates: queuectl_core::Gates::NONE,
        unmet: None,
        groups: Vec::new(),
        labels: std::collections::BTreeMap::new(),
        comment: None,
        hooks: queuectl_core::JobHooks::default(),
        enqueued_by: None,
        payload: Payload::default(),
        unreadable: None,
    };
    StoredJob::new(job, Vec::new())
}

fn with_attempt(mut found: StoredJob, fence: i64, kind: OutcomeKind) -> StoredJob {
    found.attempts.push(Attempt {
        job: found.job.id,
        fence,
        attempt: 1,
        number: 0,
        node: A,
        worker: 1,
        started_at: Timestamp(0),
        finished_at: Timestamp(0),
        outcome: Outcome::new(kind, ""),
        output: Output::default(),
    });
    found
}

fn change(attempts: u32, event: Event) -> Transition {
    let standing = Standing {
        state: State::Processing,
        attempts,
        system_failures: 0,
    };
    transition(standing, event).expect("an event of a running job")
}

const LATER: Event = Event::Fail {
    retry_at: Some(Timestamp(9)),
};

/// Two jobs are stored; the second is a bystander that completes as it should.
fn begun() -> (History, StoredJob) {
    let mut history = History::default();
    let names = vec!["job-1".to_owned(), "job-2".to_owned()];
    history.called(1, Call::Enqueue(names), Reply::Enqueued(vec![ONE, BYSTANDER]));
    claimed(&mut history, BYSTANDER, B, 1, 1);
    history.began(1, BYSTANDER, 1, 1, 7);
    history.over(1, BYSTANDER, 1, 7);
    ended(
        &mut history,
        BYSTANDER,
        B,
        1,
        change(1, Event::Complete),
        Reply::Done,
    );
    let stored = found(BYSTANDER, State::Completed, 1, 1);
    (history, with_attempt(stored, 1, OutcomeKind::Succeeded))
}

fn claimed(history: &mut History, job: JobId, node: NodeId, fence: i64, attempt: u32) {
    let reply = Reply::Claimed(vec![(job, fence, attempt)]);
    history.called(2, Call::Claim(node, Timestamp(0)), reply);
}

fn ended(history: &mut History, job: JobId, node: NodeId, fence: i64, change: Transition, reply: Reply) {
    let call = Call::Outcome {
        job,
        fence,
        node,
        change,
        kept: true,
    };
    history.called(3, call, reply);
}

/// The verdicts on the first job; the bystander must not have any.
fn verdicts(history: &History, found: &[StoredJob], drained: bool) -> Vec<Verdict> {
    let violations = check(history, found, drained);
    for one in &violations {
        assert_ne!(one.job, Some(BYSTANDER), "{one}");
        assert!(one.history.contains("job-1"), "it shows what happened: {one}");
    }
    violations.iter().map(|one| one.verdict).collect()
}

#[test]
fn a_good_history_passes() {
    let (mut history, bystander) = begun();
    claimed(&mut history, ONE, A, 1, 1);
    history.began(2, ONE, 1, 1, 7);
    history.over(3, ONE, 1, 7);
    ended(&mut history, ONE, A, 1, change(1, LATER), Reply::Done);
    history.called(4, Call::Cancel(ONE), Reply::Done);
    history.called(5, Call::Retry(ONE), Reply::Done);
    claimed(&mut history, ONE, B, 2, 1);
    ended(
        &mut history,
        ONE,
        A,
        1,
        change(1, Event::Complete),
        Reply::Refused,
    );
    history.called(6, Call::Cancel(ONE), Reply::Requested);
    ended(&mut history, ONE, B, 2, change(1, LATER), Reply::Done);
    let stored = with_attempt(found(ONE, State::Cancelled, 1, 2), 1, OutcomeKind::Failed);
    let stored = with_attempt(stored, 2, OutcomeKind::Failed);
    assert_eq!(verdicts(&history, &[stored, bystander], true), []);
}

/// Calls without an answer may have happened, also late, or not.
#[test]
fn what_is_not_known_may_have_happened_or_not() {
    for took_effect in [true, false] {
        let (mut history, bystander) = begun();
        history.invoked(1, Call::Enqueue(vec!["job-3".to_owned()]));
        history.called(1, Call::Claim(A, Timestamp(0)), Reply::Unknown);
        history.called(1, Call::Cancel(ONE), Reply::Unknown);
        let mut stored = vec![bystander];
        if took_effect {
            stored.push(found(JobId(3), State::Pending, 0, 0));
            // Claimed by the call of A, then given back by A, which had found out; then claimed and cancelled.
            let call = Call::Outcome {
                job: ONE,
                fence: 1,
                node: A,
                change: change(1, Event::Return),
                kept: false,
            };
            history.called(2, call, Reply::Done);
            claimed(&mut history, ONE, B, 2, 1);
            ended(&mut history, ONE, B, 2, change(1, LATER), Reply::Done);
            let one = found(ONE, State::Cancelled, 1, 2);
            stored.push(with_attempt(one, 2, OutcomeKind::Failed));
        } else {
            stored.push(found(ONE, State::Pending, 0, 0));
        }
        assert_eq!(verdicts(&history, &stored, false), [], "{took_effect}");
    }
}

/// Calls at the same time may have happened in any order; calls one after the other not.
#[test]
fn only_calls_at_the_same_time_may_change_places() {
    for at_once in [true, false] {
        let (mut history, bystander) = begun();
        let cancel = history.invoked(2, Call::Cancel(ONE));
        if !at_once {
            history.returned(2, cancel, Reply::Requested);
        }
        claimed(&mut history, ONE, A, 1, 1);
        if at_once {
            history.returned(2, cancel, Reply::Requested);
        }
        ended(&mut history, ONE, A, 1, change(1, Event::Cancel), Reply::Done);
        let stored = found(ONE, State::Cancelled, 1, 1);
        let stored = with_attempt(stored, 1, OutcomeKind::Cancelled);
        let want: &[Verdict] = if at_once {
            &[]
        } else {
            &[Verdict::IllegalTransition]
        };
        assert_eq!(verdicts(&history, &[stored, bystander], true), want);
    }
}

#[test]
fn a_lost_job_is_found() {
    let (history, bystander) = begun();
    assert_eq!(verdicts(&history, &[bystander], true), [Verdict::Lost]);
}

#[test]
fn a_lost_outcome_is_found() {
    let (mut history, bystander) = begun();
    claimed(&mut history, ONE, A, 1, 1);
    ended(&mut history, ONE, A, 1, change(1, Event::Complete), Reply::Done);
    let stored = found(ONE, State::Completed, 1, 1);
    assert_eq!(verdicts(&history, &[stored, bystander], true), [Verdict::Lost]);
}

#[test]
fn a_job_that_nobody_stored_is_found() {
    let (mut history, bystander) = begun();
    history.called(1, Call::Enqueue(vec!["job-3".to_owned()]), Reply::Failed);
    let one = found(ONE, State::Pending, 0, 0);
    let refused = found(JobId(3), State::Pending, 0, 0);
    let violations = check(&history, &[one, bystander, refused], false);
    assert_eq!(
        violations
            .iter()
            .map(|one| (one.verdict, one.job))
            .collect::<Vec<_>>(),
        [(Verdict::Unexpected, Some(JobId(3)))]
    );
}

#[test]
fn an_attempt_that_nobody_claimed_is_found() {
    let (mut history, bystander) = begun();
    history.began(2, ONE, 1, 1, 7);
    let stored = found(ONE, State::Pending, 0, 0);
    assert_eq!(
        verdicts(&history, &[stored, bystander], false),
        [Verdict::Unexpected]
    );
}

#[test]
fn a_second_end_is_found() {
    let (mut history, bystander) = begun();
    claimed(&mut history, ONE, A, 1, 1);
    ended(&mut history, ONE, A, 1, change(1, LATER), Reply::Done);
    claimed(&mut history, ONE, B, 2, 2);
    ended(&mut history, ONE, B, 2, change(2, Event::Complete), Reply::Done);
    ended(&mut history, ONE, A, 1, change(1, Event::Complete), Reply::Done);
    let stored = with_attempt(found(ONE, State::Completed, 1, 2), 1, OutcomeKind::Succeeded);
    let stored = with_attempt(stored, 2, OutcomeKind::Succeeded);
    // By what is stored, and by the calls.
    assert_eq!(
        verdicts(&history, &[stored, bystander], true),
        [Verdict::DoubleTerminal, Verdict::DoubleTerminal]
    );
}

#[test]
fn a_job_that_ended_and_goes_on_is_found() {
    for claims in [true, false] {
        let (mut history, bystander) = begun();
        claimed(&mut history, ONE, A, 1, 1);
        ended(&mut history, ONE, A, 1, change(1, Event::Complete), Reply::Done);
        let stored = if claims {
            claimed(&mut history, ONE, B, 2, 2);
            found(ONE, State::Processing, 2, 2)
        } else {
            ended(&mut history, ONE, A, 1, change(1, LATER), Reply::Done);
            found(ONE, State::Failed, 1, 1)
        };
        let stored = with_attempt(stored, 1, OutcomeKind::Succeeded);
        assert_eq!(
            verdicts(&history, &[stored, bystander], false),
            [Verdict::Resurrected]
        );
    }
}

#[test]
fn attempts_at_once_on_one_machine_are_found() {
    for machine in [7, 8] {
        let (mut history, bystander) = begun();
        claimed(&mut history, ONE, A, 1, 1);
        history.began(2, ONE, 1, 1, 7);
        ended(&mut history, ONE, A, 1, change(1, LATER), Reply::Done);
        claimed(&mut history, ONE, B, 2, 2);
        history.began(3, ONE, 2, 2, machine);
        history.over(4, ONE, 1, 7);
        ended(&mut history, ONE, B, 2, change(2, Event::Complete), Reply::Done);
        let stored = with_attempt(found(ONE, State::Completed, 2, 2), 1, OutcomeKind::Lost);
        let stored = with_attempt(stored, 2, OutcomeKind::Succeeded);
        let want: &[Verdict] = if machine == 7 { &[Verdict::Overlap] } else { &[] };
        assert_eq!(verdicts(&history, &[stored, bystander], true), want);
    }
}

#[test]
fn an_attempt_too_many_is_found() {
    let (mut history, bystander) = begun();
    let mut stored = found(ONE, State::Dead, 3, 3);
    for attempt in 1..=3 {
        let fence = i64::from(attempt);
        claimed(&mut history, ONE, A, fence, attempt);
        let event = if attempt == 3 {
            Event::Fail { retry_at: None }
        } else {
            LATER
        };
        ended(&mut history, ONE, A, fence, change(attempt, event), Reply::Done);
        stored = with_attempt(stored, fence, OutcomeKind::Failed);
    }
    assert_eq!(
        verdicts(&history, &[stored.clone(), bystander.clone()], true),
        [Verdict::TooManyAttempts]
    );
    // The log of executions is enough.
    history.began(4, ONE, 3, 3, 7);
    assert_eq!(
        verdicts(&history, &[stored, bystander], true),
        [Verdict::TooManyAttempts, Verdict::TooManyAttempts]
    );
}

#[test]
fn what_no_transition_does_is_found() {
    // Two nodes have it; its owner is refused; it is stored otherwise than it was answered.
    for case in 0..3 {
        let (mut history, bystander) = begun();
        claimed(&mut history, ONE, A, 1, 1);
        let stored = match case {
            0 => {
                claimed(&mut history, ONE, B, 2, 2);
                found(ONE, State::Processing, 2, 2)
            }
            1 => {
                ended(
                    &mut history,
                    ONE,
                    A,
                    1,
                    change(1, Event::Complete),
                    Reply::Refused,
                );
                found(ONE, State::Processing, 1, 1)
            }
            _ => found(ONE, State::Pending, 0, 1),
        };
        assert_eq!(
            verdicts(&history, &[stored, bystander], false),
            [Verdict::IllegalTransition],
            "{case}"
        );
    }
}

#[test]
fn what_does_not_end_is_found() {
    let (history, bystander) = begun();
    let stored = [found(ONE, State::Pending, 0, 0), bystander];
    assert_eq!(verdicts(&history, &stored, false), []);
    assert_eq!(verdicts(&history, &stored, true), [Verdict::NotFinished]);
}
