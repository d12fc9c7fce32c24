//! Jobs that are started by hand: past pauses, times, holds and limits, never past other jobs, once, and for one attempt.

use std::sync::Barrier;

use queuectl_core::{QueueName, Unmet};
use queuectl_storage::{MassChange, NamedDone, NewOperation, Pause, Undo};

use super::limits::{done, is_sound, limited, running, set};
use super::*;

fn start(store: &mut Store, job: JobId) -> Result<NamedDone, StoreError> {
    store.change_named(
        &JobRef::Number(job),
        MassChange::Start,
        &JobFilter::default(),
        NOW,
    )
}

fn ids_of(claimed: &[Claimed]) -> Vec<i64> {
    claimed.iter().map(|job| job.id).collect()
}

/// Jobs that wait for each of the reasons that a start passes over: a limit, a time, a hold, a retry, a paused queue, a full
/// queue. Each is claimed, in the order of the starts, before a ready job of the highest priority.
pub fn a_started_job_is_claimed_first_whatever_it_waits_for(mut temp: TempStore) {
    let store = &mut temp.store;
    let (node, _guard) = node(store);
    set(store, "disk", running(0));
    let failing = enqueue(store, &[job("fails")])[0];
    let claimed = claim_one(store, node);
    let retry_at = Some(later(60_000));
    let failed = record(&claimed, node, Event::Fail { retry_at }, OutcomeKind::Failed, NOW);
    turn(store, node, &[failed], 0, NOW);
    let queue: QueueName = "shut".parse().expect("a queue");
    let pause = Pause {
        at: NOW,
        until: None,
        by: "op@host".to_owned(),
        reason: None,
    };
    store.pause_queues(&[queue], &pause).expect("paused");
    let mut waiting = enqueue(
        store,
        &[
            limited(&["disk"], "a", 0),
            valid(JobSpec {
                start: Some(Start::At(later(60_000))),
                ..JobSpec::line("later")
            }),
            valid(JobSpec {
                hold: Some(true),
                ..JobSpec::line("held")
            }),
            limited(&[], "shut", 0),
            job("ready"),
        ],
    );
    waiting.push(failing);
    let bystanders = enqueue(
        store,
        &[
            limited(&[], "a", 1000),
            limited(&[], "shut", 0),
            limited(&["disk"], "a", 9),
        ],
    );
    // One that is held and parked, too.
    let both = enqueue(store, &[limited(&["disk"], "a", 0)])[0];
    store.hold(&JobRef::Number(both), NOW).expect("held");
    waiting.push(both);
    waiting.reverse();
    store.act_as("ann@host".to_owned());
    for job in &waiting {
        assert_eq!(start(store, *job).expect("it is started").state, State::Pending);
    }
    assert!(is_sound(store));
    let facts = store
        .claim_facts(&JobRef::Number(waiting[0]), NOW)
        .expect("facts");
    assert!(facts.started_by.is_some());
    let mut claimed = Vec::new();
    for _ in &waiting {
        claimed.extend(claim(store, node, 1));
    }
    // Those of the same moment go by their numbers.
    let mut order: Vec<i64> = waiting.iter().map(|job| job.0).collect();
    order.sort_unstable();
    let mut got = ids_of(&claimed);
    assert!(!got.contains(&bystanders[0].0), "{got:?}");
    got.sort_unstable();
    assert_eq!(got, order);
    let attempts: Vec<u32> = claimed.iter().map(|job| job.attempt).collect();
    assert_eq!(
        attempts.iter().sum::<u32>(),
        8,
        "the retry is attempt 2: {attempts:?}"
    );
    assert!(is_sound(store));
    // The others wait as before.
    assert_eq!(ids_of(&claim(store, node, 9)), [bystanders[0].0]);
    assert_eq!(get(store, bystanders[1]).state, State::Pending);
    assert_eq!(get(store, bystanders[2]).state, State::Blocked);
    let report = store.check().expect("a report");
    assert_eq!((report.damage, report.miscounted), (vec![], 0));
}

/// A job that was started holds its key although that is full, so the limit is exceeded by it, and the next one waits until
/// both have ended. Its retry waits like any other.
pub fn a_started_job_counts_for_its_limits(mut temp: TempStore) {
    let store = &mut temp.store;
    set(store, "disk", running(1));
    let (node, _guard) = node(store);
    let ids = enqueue(
        store,
        &[0, 0, 0].map(|priority| limited(&["disk"], "a", priority)),
    );
    let bystander = enqueue(store, &[limited(&["disk"], "a", 0)])[0];
    let first = claim_one(store, node);
    assert_eq!(first.id, ids[0].0);
    assert!(claim(store, node, 9).is_empty(), "the limit is full");
    let name = "disk".parse().expect("a name");
    assert_eq!(store.started_past(&name).expect("a count"), 0);
    start(store, ids[1]).expect("it is started");
    let second = claim_one(store, node);
    assert_eq!(second.id, ids[1].0);
    let (_, keys) = store.limit(&name).expect("a read").expect("a limit");
    assert_eq!((keys[0].running, keys[0].waiting), (2, 2));
    assert_eq!(store.started_past(&name).expect("a count"), 1);
    assert!(is_sound(store));
    // One of the two ends: that is no room for a third.
    let turned = turn(store, node, &[done(&first, node, NOW)], 9, later(10));
    assert!(turned.claimed.is_empty());
    // The attempt that was started fails. Its retry has to wait.
    let retry_at = Some(later(20));
    let failed = record(&second, node, Event::Fail { retry_at }, OutcomeKind::Failed, NOW);
    let third = turn(store, node, &[failed], 9, later(10)).claimed;
    assert_eq!(ids_of(&third), [ids[2].0]);
    assert!(turn(store, node, &[], 9, later(30)).claimed.is_empty());
    assert_eq!(get(store, ids[1]).state, State::Blocked);
    assert_eq!(get(store, bystander).state, State::Blocked);
    store.tidy_up().expect("tidied");
    assert_eq!(store.started_past(&name).expect("a count"), 0);
    assert!(is_sound(store));
}

/// What waits for another job, runs or has ended is refused, and nothing changes.
pub fn a_start_passes_over_no_other_job(mut temp: TempStore) {
    let store = &mut temp.store;
    let parent = enqueue(store, &[job("parent")])[0];
    let child = enqueue(
        store,
        &[valid(JobSpec {
            after: vec![parent.to_string().parse().expect("a condition")],
            ..JobSpec::line("child")
        })],
    )[0];
    let before = get(store, child);
    let error = start(store, child).expect_err("it waits for another");
    assert!(matches!(error, StoreError::NotStarted { .. }), "{error}");
    assert_eq!(get(store, child), before);
    let (node, _guard) = node(store);
    let claimed = claim_one(store, node);
    assert!(matches!(start(store, parent), Err(StoreError::Refused { .. })));
    // Of many, those are left out.
    let filter = JobFilter {
        states: MassChange::Start.states().to_vec(),
        ..JobFilter::default()
    };
    let changed = store
        .change_all(&filter, MassChange::Start, NOW, |_| {})
        .expect("a change");
    assert_eq!(changed.changed, 0);
    turn(store, node, &[done(&claimed, node, NOW)], 0, NOW);
    assert!(matches!(start(store, parent), Err(StoreError::Refused { .. })));
    // The control: now it waits for nothing.
    start(store, child).expect("it is started");
    assert_eq!(claim_one(store, node).id, child.0);
}

/// A job that an operator holds waits for a parent that was retried, as it would after a release. It passes over one that has
/// ended, which is the control.
pub fn a_start_passes_over_no_retried_parent(mut temp: TempStore) {
    let store = &mut temp.store;
    let parent = enqueue(store, &[job("parent")])[0];
    let child = |line: &str| {
        valid(JobSpec {
            after: vec![parent.to_string().parse().expect("a condition")],
            unmet: Some(Unmet::Hold),
            ..JobSpec::line(line)
        })
    };
    let children = enqueue(store, &[child("control"), child("child")]);
    let (node, _guard) = node(store);
    let claimed = claim_one(store, node);
    let died = Event::Fail { retry_at: None };
    let died = record(&claimed, node, died, OutcomeKind::Failed, NOW);
    turn(store, node, &[died], 0, NOW);
    for child in &children {
        // It is held for its parent, and then by the operator.
        let error = start(store, *child).expect_err("it is held for its parent");
        assert!(matches!(error, StoreError::NotStarted { .. }), "{error}");
        store.hold(&JobRef::Number(*child), NOW).expect("held");
    }
    start(store, children[0]).expect("its parent has ended");
    assert_eq!(claim_one(store, node).id, children[0].0);
    store
        .retry(&JobRef::Number(parent), &Only::default(), NOW)
        .expect("retried");
    let before = get(store, children[1]);
    let error = start(store, children[1]).expect_err("its parent runs again");
    let StoreError::NotStarted { why, .. } = &error else {
        panic!("{error}");
    };
    assert!(why.contains(&format!("job {parent} was retried")), "{why}");
    let mut retried = |job: JobId| {
        let facts = store.claim_facts(&JobRef::Number(job), NOW).expect("facts");
        facts.waits_for.retried
    };
    assert_eq!(retried(children[1]), Some(parent.to_string()));
    assert_eq!(retried(children[0]), None, "it runs");
    let filter = JobFilter {
        states: vec![State::Blocked],
        ..JobFilter::default()
    };
    let changed = store.change_all(&filter, MassChange::Start, NOW, |_| {});
    assert_eq!(changed.expect("a change").changed, 0);
    assert_eq!(get(store, children[1]), before);
    // A release has it wait, and then it runs.
    store
        .release(&JobRef::Number(children[1]), NOW)
        .expect("released");
    assert!(get(store, children[1]).waits.has(BlockedBy::Dependency));
    let claimed = claim_one(store, node);
    assert_eq!(claimed.id, parent.0);
    turn(store, node, &[done(&claimed, node, NOW)], 0, NOW);
    assert_eq!(claim_one(store, node).id, children[1].0);
    assert!(is_sound(store));
}

/// At most 1000 may wait for a node. Those that were held since do not wait any more.
pub fn only_starts_that_count_are_limited(mut temp: TempStore) {
    const MOST: usize = 1000;
    let store = &mut temp.store;
    let ids = enqueue(store, &vec![job("many"); MOST]);
    let further = enqueue(store, &[job("further")])[0];
    let mut filter = JobFilter {
        states: MassChange::Start.states().to_vec(),
        up_to: ids.last().copied(),
        ..JobFilter::default()
    };
    let all = store.change_all(&filter, MassChange::Start, NOW, |_| {});
    assert_eq!(all.expect("started").changed, MOST as u64);
    let refused = start(store, further);
    assert!(
        matches!(refused, Err(StoreError::TooMany { most: MOST, .. })),
        "{refused:?}"
    );
    filter.up_to = Some(ids[0]);
    let held = store.change_all(&filter, MassChange::Hold, later(1), |_| {});
    assert_eq!(held.expect("held").changed, 1);
    start(store, further).expect("one is not to be started any more");
    let refused = start(store, ids[0]);
    assert!(matches!(refused, Err(StoreError::TooMany { .. })), "{refused:?}");
}

/// A job that is held and released after its start waits like any other; one that is not is the control. It is an operation,
/// which cannot be undone.
pub fn a_start_is_taken_back_by_another_change(mut temp: TempStore) {
    let store = &mut temp.store;
    set(store, "disk", running(0));
    let (node, _guard) = node(store);
    let [changed, control] = [0, 0].map(|priority| enqueue(store, &[limited(&["disk"], "a", priority)])[0]);
    let operation = NewOperation {
        kind: "start".to_owned(),
        what: "both".to_owned(),
        ..NewOperation::default()
    };
    store.act_as("ann@host".to_owned());
    store.begin_operation(operation).expect("begun");
    for job in [changed, control] {
        start(store, job).expect("it is started");
    }
    let id = store.end_operation(NOW).expect("ended").expect("a number");
    let operation = store.operation(id).expect("an operation");
    assert_eq!(
        (operation.done.changed, operation.by.as_deref()),
        (2, Some("ann@host"))
    );
    assert!(matches!(operation.undo, Undo::Impossible(_)));
    let number = JobRef::Number(changed);
    store.hold(&number, later(1)).expect("held");
    store.release(&number, later(2)).expect("released");
    let claimed = turn(store, node, &[], 9, later(3)).claimed;
    assert_eq!(ids_of(&claimed), [control.0]);
    assert_eq!(get(store, changed).state, State::Blocked);
    assert!(is_sound(store));
}

/// A node that serves other queues leaves it to one that serves its queue.
pub fn a_start_waits_for_a_node_of_its_queue(mut temp: TempStore) {
    let store = &mut temp.store;
    let (node, _guard) = node(store);
    let held = enqueue(
        store,
        &[valid(JobSpec {
            hold: Some(true),
            queue: Some("mail".parse().expect("a queue")),
            ..JobSpec::line("true")
        })],
    )[0];
    start(store, held).expect("it is started");
    let served = |names: &[&str]| {
        let names = names.iter().map(|name| name.parse().expect("a queue"));
        Queues::Only(names.collect())
    };
    let mut claim_from = |queues: &Queues| {
        assert!(store.has_work(&Queues::All, NOW).expect("an answer"));
        let cycle = Cycle {
            node,
            records: &[],
            claim: 9,
            queues,
            now: NOW,
        };
        ids_of(&store.cycle(&cycle).expect("a cycle").claimed)
    };
    assert_eq!(claim_from(&served(&["other"])), Vec::<i64>::new());
    assert_eq!(claim_from(&served(&["other", "mail"])), [held.0]);
}

/// Several nodes look for started jobs at the same time: each job is claimed by one of them.
pub fn two_nodes_never_claim_a_started_job_twice(temp: TempStore) {
    const JOBS: usize = 60;
    let mut store = temp.another();
    set(&mut store, "disk", running(0));
    let jobs: Vec<ValidJob> = (0..JOBS).map(|_| limited(&["disk"], "a", 0)).collect();
    let ids = enqueue(&mut store, &jobs);
    let bystander = enqueue(&mut store, &[limited(&["disk"], "a", 0)])[0];
    let barrier = Barrier::new(4);
    let stores = [temp.another(), temp.another(), temp.another()];
    let claimed: Vec<i64> = std::thread::scope(|scope| {
        let threads = stores.map(|mut store| {
            let barrier = &barrier;
            scope.spawn(move || {
                let (node, _guard) = node(&mut store);
                barrier.wait();
                let (mut mine, mut empty) = (Vec::new(), 0);
                while empty < 50 {
                    let some = claim(&mut store, node, 3);
                    empty = if some.is_empty() { empty + 1 } else { 0 };
                    mine.extend(ids_of(&some));
                }
                mine
            })
        });
        barrier.wait();
        for job in &ids {
            start(&mut store, *job).expect("it is started");
        }
        threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("a thread"))
            .collect()
    });
    let (last, _guard) = node(&mut store);
    let mut all = claimed;
    all.extend(ids_of(&claim(&mut store, last, 99)));
    all.sort_unstable();
    assert_eq!(all, ids.iter().map(|id| id.0).collect::<Vec<_>>());
    assert_eq!(get(&mut store, bystander).state, State::Blocked);
    assert!(is_sound(&mut store));
}
