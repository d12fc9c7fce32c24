//! A handmade history, ledger or list of ticks for each verdict on limits, order, keys, schedules and operators.

use queuectl_core::schedule::{Tick, TickResult};
use queuectl_core::{Busy, Condition, Rate};
use queuectl_storage::{EventPlace, LedgerEvent};

use super::*;
use crate::history::{Allowed, Scheduled, Violation, What, check_ledger, check_limits, check_ticks};

const LIMIT: Allowed = Allowed {
    running: Some(1),
    per_key: true,
    rate: None,
    busy: None,
};
const OTHER: JobId = JobId(3);

/// The first job and a third one have the key `disk:1`, the bystander has `disk:2`.
fn limited() -> Vec<StoredJob> {
    let keys = [(ONE, "disk:1"), (BYSTANDER, "disk:2"), (OTHER, "disk:1")];
    let with = |(id, key): (JobId, &str)| {
        let mut one = found(id, State::Completed, 1, 1);
        one.job.limit = vec![key.parse().expect("a key")];
        one
    };
    keys.into_iter().map(with).collect()
}

fn set(history: &mut History, allowed: Option<Allowed>) {
    history.called(0, Call::SetLimit("disk".to_owned(), allowed), Reply::Done);
}

/// Claims a job at a time of the clock and has it begin.
fn begins(history: &mut History, job: JobId, now: i64) {
    let reply = Reply::Claimed(vec![(job, 1, 1)]);
    history.called(now, Call::Claim(A, Timestamp(now)), reply);
    history.began(now, job, 1, 1, 7);
}

pub fn of(violations: &[Violation]) -> Vec<Verdict> {
    for one in violations {
        assert_ne!(one.job, Some(BYSTANDER), "{one}");
    }
    violations.iter().map(|one| one.verdict).collect()
}

#[test]
fn attempts_of_a_key_are_held_against_the_limit_at_the_newest_claim() {
    let mut history = History::default();
    set(&mut history, Some(LIMIT));
    begins(&mut history, BYSTANDER, 1);
    begins(&mut history, ONE, 2);
    let mut over = history.clone();
    begins(&mut over, OTHER, 3);
    assert_eq!(of(&check_limits(&over, &limited())), [Verdict::OverLimit]);
    // After the end of the first; with a higher limit; with none; or if the limit was lowered since.
    let mut ended = history.clone();
    ended.over(3, ONE, 1, 7);
    begins(&mut ended, OTHER, 4);
    assert_eq!(of(&check_limits(&ended, &limited())), []);
    for changed in [
        Some(Allowed {
            running: Some(2),
            ..LIMIT
        }),
        None,
    ] {
        let mut more = history.clone();
        set(&mut more, changed);
        begins(&mut more, OTHER, 3);
        set(&mut more, Some(LIMIT));
        assert_eq!(of(&check_limits(&more, &limited())), [], "{changed:?}");
    }
    // A machine that stands still does nothing, and its jobs may be another's.
    history.push(3, What::StandsStill(7));
    history.called(
        4,
        Call::Claim(B, Timestamp(4)),
        Reply::Claimed(vec![(OTHER, 1, 1)]),
    );
    history.began(4, OTHER, 1, 1, 8);
    assert_eq!(of(&check_limits(&history, &limited())), []);
}

#[test]
fn starts_are_held_against_the_rate_by_the_clock_of_the_claims() {
    let rate = |now: i64, back: bool| {
        let mut history = History::default();
        set(
            &mut history,
            Some(Allowed {
                running: None,
                rate: Some(Rate {
                    count: 1,
                    period_ms: 1000,
                    burst: 1,
                }),
                ..LIMIT
            }),
        );
        begins(&mut history, ONE, 5000);
        begins(&mut history, BYSTANDER, 5000);
        begins(&mut history, OTHER, if back { 4000 } else { now });
        of(&check_limits(&history, &limited()))
    };
    assert_eq!(rate(5999, false), [Verdict::OverRate]);
    assert_eq!(rate(6000, false), []);
    assert_eq!(rate(0, true), [], "the clock was set back");
}

#[test]
fn a_key_that_was_found_busy_waits() {
    let exited = Some(75);
    let starts = |busy: Option<Busy>, status: Option<i32>, removed: bool, now: i64| {
        let mut history = History::default();
        let allowed = Allowed {
            running: Some(2),
            busy,
            ..LIMIT
        };
        set(&mut history, Some(allowed));
        begins(&mut history, ONE, 1);
        history.over(2, ONE, 1, 7);
        let call = Call::Outcome {
            job: ONE,
            fence: 1,
            node: A,
            change: change(1, Event::Busy { until: None }),
            kept: true,
        };
        let until = Timestamp(5000);
        history.called(2, call, Reply::Busy { until, status });
        begins(&mut history, BYSTANDER, 3);
        if removed {
            set(&mut history, None);
        }
        set(&mut history, Some(allowed));
        begins(&mut history, OTHER, now);
        of(&check_limits(&history, &limited()))
    };
    let busy = Some(Busy {
        status: 75,
        wait_ms: 4998,
    });
    assert_eq!(starts(busy, exited, false, 4999), [Verdict::NotPutOff]);
    assert_eq!(
        starts(busy, None, false, 4999),
        [Verdict::NotPutOff],
        "the executor said so"
    );
    assert_eq!(starts(busy, exited, false, 5000), [], "the time is over");
    assert_eq!(
        starts(busy, exited, true, 4999),
        [],
        "the limit was removed in between"
    );
    assert_eq!(
        starts(busy, Some(74), false, 4999),
        [],
        "it stands for another status"
    );
    assert_eq!(
        starts(None, None, false, 4999),
        [],
        "it stands for nothing that is busy"
    );
}

pub fn event(job: JobId, kind: &str) -> LedgerEvent {
    LedgerEvent {
        id: 0,
        place: EventPlace::START,
        at: Timestamp(5),
        job: Some(job),
        name: None,
        kind: kind.to_owned(),
        node: None,
        fence: None,
        due_at: None,
        outcome: None,
        message: None,
        detail: None,
    }
}

/// What the ledger says of these events, among which a bystander comes and goes.
fn ledger(found: &[StoredJob], events: &[(JobId, &str)]) -> Vec<Verdict> {
    let with = |(job, kind): &(JobId, &str)| event(*job, kind);
    let mut all: Vec<LedgerEvent> = events.iter().map(with).collect();
    all.insert(0, event(BYSTANDER, "enqueued"));
    all.push(event(BYSTANDER, "started"));
    of(&check_ledger(&History::default(), found, &all))
}

#[test]
fn a_dependant_starts_after_the_end_that_it_needs() {
    let waits = |condition, runs_anyway| {
        let mut one = found(OTHER, State::Completed, 1, 1);
        one.parents = vec![(ONE, condition)];
        one.runs_anyway = runs_anyway;
        vec![
            found(ONE, State::Completed, 1, 1),
            found(BYSTANDER, State::Completed, 1, 1),
            one,
        ]
    };
    let early = [(OTHER, "started"), (ONE, "succeeded")];
    let after = |end| [(ONE, end), (OTHER, "started")];
    for runs_anyway in [false, true] {
        assert_eq!(
            ledger(&waits(Condition::Ok, runs_anyway), &early),
            [Verdict::TooEarly]
        );
        assert_eq!(
            ledger(&waits(Condition::Ok, runs_anyway), &after("succeeded")),
            []
        );
    }
    assert_eq!(
        ledger(&waits(Condition::Ok, false), &after("dead")),
        [Verdict::TooEarly]
    );
    assert_eq!(ledger(&waits(Condition::Ok, true), &after("dead")), []);
    assert_eq!(ledger(&waits(Condition::Failed, false), &after("cancelled")), []);
    let released = [(ONE, "dead"), (OTHER, "released"), (OTHER, "started")];
    assert_eq!(ledger(&waits(Condition::Ok, false), &released), []);
}

#[test]
fn one_job_has_a_key_and_one_follows_it() {
    let keyed: Vec<StoredJob> = [ONE, BYSTANDER, OTHER]
        .into_iter()
        .map(|id| {
            let mut one = found(id, State::Completed, 1, 1);
            let key = if id == BYSTANDER { "other" } else { "key" };
            one.job.unique = key.parse().ok();
            one
        })
        .collect();
    let says = |events: &[(JobId, &str)]| ledger(&keyed, events);
    let (stored, next) = ((ONE, "enqueued"), (OTHER, "enqueued"));
    assert_eq!(says(&[stored, next]), [Verdict::KeyShared]);
    assert_eq!(says(&[stored, (ONE, "cancelled"), next, (OTHER, "started")]), []);
    // One that follows waits for the end, and the other does not come back.
    let running = [stored, (ONE, "started"), next];
    assert_eq!(says(&running), []);
    let then = |more: &[(JobId, &str)]| says(&[&running, more].concat());
    assert_eq!(then(&[(OTHER, "started")]), [Verdict::KeyShared]);
    assert_eq!(then(&[(ONE, "failed"), (ONE, "started")]), [Verdict::Superseded]);
    assert_eq!(then(&[(ONE, "cancelled"), (OTHER, "started")]), []);
}

#[test]
fn what_is_held_back_does_not_start() {
    let jobs = [
        found(ONE, State::Completed, 1, 1),
        found(BYSTANDER, State::Completed, 1, 1),
    ];
    assert_eq!(
        ledger(&jobs, &[(ONE, "held"), (ONE, "started")]),
        [Verdict::NotHeldBack]
    );
    assert_eq!(
        ledger(&jobs, &[(ONE, "held"), (ONE, "released"), (ONE, "started")]),
        []
    );
    let paused = |until: &str| {
        let mut pause = event(ONE, "queue paused");
        pause.job = None;
        pause.detail = Some(format!("{{\"queue\":\"q\",\"by\":\"ann\",\"until\":{until}}}"));
        of(&check_ledger(
            &History::default(),
            &jobs,
            &[pause, event(ONE, "started")],
        ))
    };
    assert_eq!(paused("null"), [Verdict::NotHeldBack]);
    assert_eq!(paused("5"), [], "the pause is over then");
}

#[test]
fn what_an_operator_did_is_in_the_ledger() {
    let mut history = History::default();
    history.called(1, Call::Cancel(ONE), Reply::Done);
    history.called(1, Call::Purge(BYSTANDER), Reply::Refused);
    let jobs = [found(ONE, State::Cancelled, 0, 0)];
    let says = |history: &History, events: &[LedgerEvent]| of(&check_ledger(history, &jobs, events));
    assert_eq!(says(&history, &[]), [Verdict::Unrecorded]);
    assert_eq!(says(&history, &[event(ONE, "cancelled")]), []);
    history.called(2, Call::Cancel(ONE), Reply::Done);
    assert_eq!(
        says(&history, &[event(ONE, "cancelled")]),
        [Verdict::Unrecorded],
        "twice"
    );
    let mut history = History::default();
    history.called(1, Call::Pause("q".to_owned(), "ann".to_owned()), Reply::Done);
    assert_eq!(says(&history, &[]), [Verdict::Unrecorded]);
}

#[test]
fn every_tick_is_accounted_for_and_has_one_job() {
    let tick = |at: i64, result: TickResult, job: Option<JobId>| Tick {
        at: Timestamp(at),
        result,
        made_at: Timestamp(at),
        job,
        reason: None,
        count: 1,
        more: false,
        last_at: Timestamp(at),
    };
    let mut jobs = vec![
        found(ONE, State::Completed, 1, 1),
        found(BYSTANDER, State::Completed, 1, 1),
    ];
    jobs[0]
        .job
        .payload
        .env
        .insert("QUEUECTL_SCHEDULE".to_owned(), "s".to_owned());
    let says = |ticks: &[Tick]| {
        let schedule = Scheduled {
            name: "s".to_owned(),
            start: Timestamp(0),
            every_ms: 1000,
            next: Timestamp(3000),
            ticks: ticks.to_vec(),
        };
        of(&check_ticks(&History::default(), &jobs, &schedule))
    };
    let (first, second) = (
        tick(1000, TickResult::OnTime, Some(ONE)),
        tick(2000, TickResult::Missed, None),
    );
    assert_eq!(says(&[first.clone(), second.clone()]), []);
    assert_eq!(
        says(std::slice::from_ref(&first)),
        [Verdict::Tick],
        "the second is missing"
    );
    assert_eq!(
        says(&[tick(1000, TickResult::OnTime, None), second.clone()]).len(),
        2,
        "and the job is of no tick"
    );
    let both = tick(2000, TickResult::Late, Some(ONE));
    assert_eq!(
        says(&[first.clone(), both]),
        [Verdict::Tick],
        "one job of two ticks"
    );
    let gone = tick(2000, TickResult::Late, Some(OTHER));
    assert_eq!(
        says(&[first.clone(), gone]),
        [Verdict::Tick],
        "its job is not there"
    );
    let several = Tick {
        last_at: Timestamp(2000),
        ..tick(1000, TickResult::Missed, None)
    };
    jobs.remove(0);
    let schedule = Scheduled {
        name: "s".to_owned(),
        start: Timestamp(0),
        every_ms: 1000,
        next: Timestamp(3000),
        ticks: vec![several],
    };
    assert_eq!(of(&check_ticks(&History::default(), &jobs, &schedule)), []);
}
