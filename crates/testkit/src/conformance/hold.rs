//! Holding jobs back and releasing them.

use super::*;

fn held(line: &str) -> ValidJob {
    valid(JobSpec {
        hold: Some(true),
        ..JobSpec::line(line)
    })
}

/// A node passes a held job over; once released, it is claimed. One that is not held is the control.
pub fn a_held_job_is_not_claimed_until_it_is_released(mut temp: TempStore) {
    let store = &mut temp.store;
    let ids = enqueue(store, &[held("first"), job("second"), job("bystander")]);
    let second = JobRef::Number(ids[1]);
    let (node, _guard) = node(store);
    store.hold(&second, NOW).expect("held");
    store.hold(&second, NOW).expect("held twice is held");
    for id in &ids[..2] {
        let job = get(store, *id);
        assert_eq!(
            (job.state, job.waits.first()),
            (State::Blocked, Some(BlockedBy::Held))
        );
    }
    let count = |store: &mut Store, state: State| -> u64 {
        let counts = store.counts(None).expect("counts").into_iter();
        counts
            .filter(|count| count.state == state)
            .map(|count| count.jobs)
            .sum()
    };
    assert_eq!(count(store, State::Blocked), 2);
    let claimed = claim(store, node, 9);
    assert_eq!(claimed.iter().map(|job| job.id).collect::<Vec<_>>(), [ids[2].0]);
    for id in &ids[..2] {
        let released = store.release(&JobRef::Number(*id), NOW).expect("released");
        assert_eq!(released.state, State::Pending);
        assert!(released.waits.is_empty());
    }
    assert_eq!(count(store, State::Blocked), 0);
    assert_eq!(claim(store, node, 9).len(), 2);
    assert!(matches!(
        store.release(&second, NOW),
        Err(StoreError::Refused { .. })
    ));
    let report = store.check().expect("a report");
    assert_eq!((report.damage, report.miscounted), (vec![], 0));
}

/// A scheduled job and one that waits for its retry are due when they were, and at once if that is past.
pub fn a_held_job_keeps_its_time(mut temp: TempStore) {
    let store = &mut temp.store;
    let (node, _guard) = node(store);
    let retried = enqueue(store, &[job("fails")])[0];
    let claimed = claim_one(store, node);
    let failed = Event::Fail {
        retry_at: Some(later(50)),
    };
    let failed = record(&claimed, node, failed, OutcomeKind::Failed, NOW);
    turn(store, node, &[failed], 0, NOW);
    let scheduled = enqueue(
        store,
        &[valid(JobSpec {
            start: Some(Start::At(later(70))),
            hold: Some(true),
            ..JobSpec::line("true")
        })],
    )[0];
    let bystander = enqueue(
        store,
        &[valid(JobSpec {
            start: Some(Start::At(later(60))),
            ..JobSpec::line("bystander")
        })],
    )[0];
    store.hold(&JobRef::Number(retried), NOW).expect("held");
    assert_eq!(get(store, retried).due_at, Some(later(50)));
    assert_eq!(get(store, scheduled).due_at, Some(later(70)));
    assert_eq!(store.next_due().expect("a time"), Some(later(60)));
    // Due, but held.
    turn(store, node, &[], 0, later(80));
    let states = |store: &mut Store| [retried, scheduled, bystander].map(|id| get(store, id).state);
    assert_eq!(states(store), [State::Blocked, State::Blocked, State::Pending]);
    for (id, before, after) in [
        (retried, State::Failed, later(50)),
        (scheduled, State::Scheduled, later(70)),
    ] {
        let number = JobRef::Number(id);
        assert_eq!(store.release(&number, later(1)).expect("released").state, before);
        assert_eq!(get(store, id).due_at, Some(after));
        store.hold(&number, later(2)).expect("held again");
        let now = store.release(&number, later(90)).expect("released");
        assert_eq!(now.state, State::Pending);
        assert_eq!(get(store, id).due_at, None);
    }
}

/// What runs or has ended cannot be held; a held job can be cancelled, and retried after that.
pub fn only_jobs_that_have_not_started_can_be_held(mut temp: TempStore) {
    let store = &mut temp.store;
    let ids = enqueue(store, &[job("runs"), held("held"), job("bystander")]);
    let (node, _guard) = node(store);
    let running = claim_one(store, node);
    let refused = |done: Result<(), StoreError>| {
        let message = done.expect_err("refused").to_string();
        assert!(message.contains("held"), "{message}");
    };
    let number = |index: usize| JobRef::Number(ids[index]);
    refused(store.hold(&number(0), NOW));
    let done = record(&running, node, Event::Complete, OutcomeKind::Succeeded, NOW);
    turn(store, node, &[done], 0, NOW);
    refused(store.hold(&number(0), NOW));
    refused(store.release(&number(0), NOW).map(drop));
    refused(store.release(&number(2), NOW).map(drop));
    assert!(matches!(
        store.retry(&number(1), &Only::default(), NOW),
        Err(StoreError::Refused { .. })
    ));
    assert_eq!(store.cancel(&number(1), NOW).expect("cancelled"), Cancelled::Now);
    let cancelled = get(store, ids[1]);
    assert_eq!(cancelled.state, State::Cancelled);
    assert!(cancelled.waits.is_empty());
    store.retry(&number(1), &Only::default(), NOW).expect("retried");
    assert_eq!(get(store, ids[1]).state, State::Pending);
    assert_eq!(get(store, ids[2]).state, State::Pending);
}
