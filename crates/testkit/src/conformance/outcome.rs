//! Recording how attempts ended, once, and only for the holder of the token.

use super::*;
use crate::temp::some_index;

/// An outcome is applied once; the attempt and its output are kept.
pub fn an_outcome_is_recorded_once(mut temp: TempStore) {
    let store = &mut temp.store;
    let ids = enqueue(store, &[job("true"), job("bystander")]);
    let (node, _guard) = node(store);
    let claimed = claim(store, node, 2);
    let done = record(&claimed[0], node, Event::Complete, OutcomeKind::Succeeded, NOW);
    assert_eq!(
        turn(store, node, std::slice::from_ref(&done), 0, later(5)).stale,
        []
    );
    let again = turn(store, node, &[done], 0, later(9));
    assert_eq!(again.stale, [(ids[0], 1)]);
    let job = get(store, ids[0]);
    assert_eq!(
        (job.state, job.finished_at, job.node),
        (State::Completed, Some(later(5)), None)
    );
    let attempts = store.attempts(ids[0]).expect("attempts");
    assert_eq!(attempts.len(), 1);
    assert_eq!(
        (attempts[0].attempt, attempts[0].output.head.as_slice()),
        (1, &b"out\xff"[..])
    );
    assert_eq!(
        attempts[0].output.index,
        some_index(),
        "which stream it came from"
    );
    assert_eq!(get(store, ids[1]).state, State::Processing);
}

/// Records that are alike may be applied together. What becomes of each is the same as one by one: of a job that others
/// wait for, of one that names a limit, of one that is to be cancelled, of a record that is stale or comes twice.
pub fn records_end_the_same_together_as_one_by_one(mut temp: TempStore) {
    let store = &mut temp.store;
    limits::set(store, "disk", limits::running(9));
    let (node, _guard) = node(store);
    let mut end = |name: &str, are_together: bool| {
        let child = format!("child-of-{name}");
        let mut jobs = vec![job("true"); 9];
        jobs.push(valid(dependencies::after(name, "")));
        jobs.push(limits::limited(&["disk"], "a", 0));
        jobs.push(job("bystander"));
        jobs.push(valid(dependencies::after(&child, name)));
        let ids = enqueue(store, &jobs);
        let claimed = claim(store, node, 100);
        for index in [0, 1] {
            let asked = store.cancel(&JobRef::Number(ids[index]), NOW);
            assert_eq!(asked.expect("requested"), Cancelled::Requested);
        }
        let of = |index: usize| {
            let job = claimed.iter().find(|job| JobId(job.id) == ids[index]);
            job.expect("it was claimed")
        };
        let complete = |index| limits::done(of(index), node, NOW);
        let fail = |index| {
            let retry_at = Some(later(9000));
            record(
                of(index),
                node,
                Event::Fail { retry_at },
                OutcomeKind::Failed,
                NOW,
            )
        };
        let mut records: Vec<Record> = [0, 2, 6, 7, 8, 9, 10, 2].map(complete).into();
        records.extend([1, 3, 4, 5].map(fail));
        records.push(Record {
            fence: 7,
            ..complete(11)
        });
        let turns = if are_together { records.len() } else { 1 };
        let stale: Vec<_> = records
            .chunks(turns)
            .flat_map(|records| turn(store, node, records, 0, NOW).stale)
            .map(|(job, fence)| (ids.iter().position(|id| *id == job), fence))
            .collect();
        let jobs: Vec<_> = ids
            .iter()
            .map(|id| (get(store, *id), store.attempts(*id).expect("attempts").len()))
            .map(|(job, attempts)| (job.state, job.due_at, job.attempts, attempts))
            .collect();
        assert!(limits::is_sound(store));
        (stale, jobs)
    };
    let together = end("together", true);
    assert_eq!(together, end("alone", false));
    let states: Vec<State> = together.1.iter().map(|(state, ..)| *state).collect();
    use State::{Cancelled as Stopped, Completed, Failed, Pending, Processing};
    assert_eq!(states[..3], [Completed, Stopped, Completed]);
    assert_eq!(
        states[3..9],
        [Failed, Failed, Failed, Completed, Completed, Completed]
    );
    assert_eq!(states[9..], [Completed, Completed, Processing, Pending]);
    assert_eq!(together.0, [(Some(2), 1), (Some(11), 7)]);
}

/// A wrong node or an old fence is refused.
pub fn stale_outcomes_change_nothing(mut temp: TempStore) {
    let store = &mut temp.store;
    let ids = enqueue(store, &[job("true")]);
    let (one, _guard) = node(store);
    let (two, _guard2) = node(store);
    let first = claim_one(store, one);
    // The first node's claim ends as lost; the second node claims the job again.
    let lost = record(
        &first,
        one,
        Event::Fail { retry_at: Some(NOW) },
        OutcomeKind::Lost,
        NOW,
    );
    let second = turn(store, two, &[lost], 1, later(1))
        .claimed
        .pop()
        .expect("claimed again");
    assert_eq!((second.attempt, second.fence), (2, 2));
    let late = record(&first, one, Event::Complete, OutcomeKind::Succeeded, NOW);
    let impostor = record(&second, one, Event::Complete, OutcomeKind::Succeeded, NOW);
    let stale = turn(store, one, &[late, impostor], 0, later(2)).stale;
    assert_eq!(stale, [(ids[0], 1), (ids[0], 2)]);
    let job = get(store, ids[0]);
    assert_eq!((job.state, job.node), (State::Processing, Some(two)));
    assert_eq!(
        store.attempts(ids[0]).expect("attempts").len(),
        1,
        "only the lost attempt is kept"
    );
}

/// Jobs that failed while the clock showed next year wait for their seconds when it is set back, not for a year.
pub fn a_retry_is_never_further_off_than_its_own_wait(mut temp: TempStore) {
    const YEAR: u64 = 365 * 24 * 60 * 60 * 1000;
    let store = &mut temp.store;
    let scheduled = valid(JobSpec {
        start: Some(Start::At(later(YEAR + 9000))),
        ..JobSpec::line("scheduled")
    });
    let ids = enqueue(
        store,
        &[job("exit 1"), job("exit 2"), job("bystander"), scheduled],
    );
    let (node, _guard) = node(store);
    let fail = |claimed: &Claimed, at: Timestamp, wait: u64| {
        let retry_at = Some(at.after(Duration::from_millis(wait)));
        record(claimed, node, Event::Fail { retry_at }, OutcomeKind::Failed, at)
    };
    let [one, two] = &claim(store, node, 2)[..] else {
        panic!("two jobs are claimed");
    };
    turn(store, node, &[fail(one, later(YEAR), 2000)], 0, later(YEAR));
    turn(store, node, &[fail(two, NOW, 4000)], 0, NOW);
    let due = |store: &mut Store| ids.iter().map(|id| get(store, *id).due_at).collect::<Vec<_>>();
    let before = due(store);
    assert_eq!(before[0], Some(later(YEAR + 2000)));

    assert_eq!(store.heed_clock(later(YEAR)).expect("the clock is right"), 0);
    assert_eq!(store.heed_clock(NOW).expect("the clock was set back"), 1);
    let mut expected = before;
    expected[0] = Some(later(2000));
    assert_eq!(due(store), expected);
    let states = |store: &mut Store| ids.iter().map(|id| get(store, *id).state).collect::<Vec<_>>();
    let waiting = [State::Failed, State::Failed, State::Pending, State::Scheduled];
    assert_eq!(states(store), waiting);
    assert_eq!(store.heed_clock(NOW).expect("nothing is left to do"), 0);
    let next = turn(store, node, &[], 0, later(2000));
    assert_eq!(next.next_due, Some(later(4000)));
    assert_eq!(get(store, ids[0]).state, State::Pending);
}

/// A failed job becomes ready when its retry is due, not before.
pub fn a_failed_job_waits_and_becomes_due(mut temp: TempStore) {
    let store = &mut temp.store;
    let ids = enqueue(store, &[job("exit 1"), job("bystander")]);
    let (node, _guard) = node(store);
    let claimed = claim_one(store, node);
    let due = later(2000);
    let failed = record(
        &claimed,
        node,
        Event::Fail { retry_at: Some(due) },
        OutcomeKind::Failed,
        NOW,
    );
    let result = turn(store, node, &[failed], 0, NOW);
    assert_eq!(result.next_due, Some(due));
    assert_eq!(
        (get(store, ids[0]).state, get(store, ids[0]).due_at),
        (State::Failed, Some(due))
    );
    let early = turn(store, node, &[], 5, later(1999));
    assert_eq!(
        early.claimed.iter().map(|job| job.id).collect::<Vec<_>>(),
        [ids[1].0]
    );
    let on_time = turn(store, node, &[], 5, due);
    assert_eq!(
        (
            on_time.claimed.len(),
            on_time.claimed[0].attempt,
            on_time.next_due
        ),
        (1, 2, None)
    );
}

/// A start time in the future is kept; one in the past is now.
pub fn scheduled_jobs_wait_for_their_time(mut temp: TempStore) {
    let store = &mut temp.store;
    let at = |time| {
        valid(JobSpec {
            start: Some(Start::At(time)),
            ..JobSpec::line("true")
        })
    };
    let ids = enqueue(store, &[at(later(500)), at(Timestamp(1))]);
    assert_eq!(
        (get(store, ids[0]).state, get(store, ids[1]).state),
        (State::Scheduled, State::Pending)
    );
    assert_eq!(store.next_due().expect("an answer"), Some(later(500)));
    assert!(store.any_unfinished(&Queues::All, NOW).expect("an answer"));
    let (node, _guard) = node(store);
    assert_eq!(turn(store, node, &[], 9, later(499)).claimed.len(), 1);
    assert_eq!(turn(store, node, &[], 9, later(500)).claimed.len(), 1);
}

/// A job that ends by itself after somebody asked to cancel it does not run again, whichever way it would have.
pub fn a_cancelled_job_does_not_run_again(mut temp: TempStore) {
    let store = &mut temp.store;
    let ids = enqueue(store, &[job("a"), job("b"), job("c"), job("bystander")]);
    let (node, _guard) = node(store);
    let claimed = turn(store, node, &[], 4, NOW).claimed;
    for id in &ids[..3] {
        let asked = store.cancel(&JobRef::Number(*id), NOW).expect("asked");
        assert_eq!(asked, Cancelled::Requested);
    }
    let again = Event::Fail {
        retry_at: Some(later(1)),
    };
    let records = [
        record(&claimed[0], node, again, OutcomeKind::Failed, NOW),
        record(&claimed[1], node, Event::Return, OutcomeKind::Returned, NOW),
        record(&claimed[2], node, Event::Complete, OutcomeKind::Succeeded, NOW),
        record(&claimed[3], node, again, OutcomeKind::Failed, NOW),
    ];
    assert_eq!(turn(store, node, &records, 0, NOW).stale, []);
    let states: Vec<State> = ids.iter().map(|id| get(store, *id).state).collect();
    assert_eq!(
        states,
        [
            State::Cancelled,
            State::Cancelled,
            State::Completed,
            State::Failed
        ]
    );
    assert_eq!(get(store, ids[0]).due_at, None);
    assert_eq!(store.attempts(ids[0]).expect("attempts").len(), 1);
}

/// Giving back does not cost an attempt, but the fence moves on.
pub fn a_job_given_back_keeps_its_attempt(mut temp: TempStore) {
    let store = &mut temp.store;
    let id = enqueue(store, &[job("true")])[0];
    let (node, _guard) = node(store);
    let claimed = claim_one(store, node);
    let mut back = record(&claimed, node, Event::Return, OutcomeKind::Returned, NOW);
    back.attempt = None;
    turn(store, node, &[back], 0, NOW);
    assert_eq!(
        (get(store, id).state, get(store, id).attempts),
        (State::Pending, 0)
    );
    let again = claim_one(store, node);
    assert_eq!((again.attempt, again.fence), (1, 2));
    assert_eq!(store.attempts(id).expect("attempts"), []);
}
