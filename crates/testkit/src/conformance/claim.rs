//! Who gets which job, and what a claim does to it.

use super::*;

/// Higher priority first, then first in, first out; over several queues too.
pub fn claims_go_by_priority_then_age(mut temp: TempStore) {
    let store = &mut temp.store;
    let with = |priority, queue: &str| {
        let queue = queue.parse().expect("a queue");
        valid(JobSpec {
            priority: Some(priority),
            queue: Some(queue),
            ..JobSpec::line("true")
        })
    };
    let ids = enqueue(
        store,
        &[
            with(0, "b"),
            with(5, "a"),
            with(0, "a"),
            with(5, "b"),
            with(-1, "a"),
            with(0, "c"),
        ],
    );
    let (node, _guard) = node(store);
    let mut order = Vec::new();
    for limit in [1, 3, 10] {
        order.extend(claim(store, node, limit).into_iter().map(|job| JobId(job.id)));
    }
    assert_eq!(order, [ids[1], ids[3], ids[0], ids[2], ids[5], ids[4]]);
}

/// Only served queues, and no more than asked for.
pub fn claims_respect_queues_and_limits(mut temp: TempStore) {
    let store = &mut temp.store;
    let in_queue = |name: &str| {
        valid(JobSpec {
            queue: Some(name.parse().expect("a queue")),
            ..JobSpec::line("true")
        })
    };
    let ids = enqueue(
        store,
        &[in_queue("a"), in_queue("b"), in_queue("b"), in_queue("c")],
    );
    let (node, _guard) = node(store);
    let only = Queues::Only(vec![
        "b".parse().expect("a queue"),
        "unknown".parse().expect("a queue"),
    ]);
    let take = |store: &mut Store, claim| {
        store
            .cycle(&Cycle {
                node,
                records: &[],
                claim,
                queues: &only,
                now: NOW,
            })
            .expect("a cycle")
            .claimed
    };
    assert_eq!(take(store, 0), []);
    assert!(store.has_work(&only, NOW).expect("an answer"));
    let claimed: Vec<JobId> = take(store, 1)
        .into_iter()
        .chain(take(store, 9))
        .map(|job| JobId(job.id))
        .collect();
    assert_eq!(claimed, [ids[1], ids[2]]);
    assert!(!store.has_work(&only, NOW).expect("an answer"));
    for bystander in [ids[0], ids[3]] {
        assert_eq!(get(store, bystander).state, State::Pending);
    }
}

/// Two nodes, claiming from two threads at once, share the jobs without overlap.
pub fn two_nodes_never_claim_the_same_job(mut temp: TempStore) {
    let jobs: Vec<ValidJob> = (0..300).map(|_| job("true")).collect();
    let mut ids = enqueue(&mut temp.store, &jobs);
    let start = std::sync::Barrier::new(2);
    let take_all = |mut store: Store| {
        let (node, _guard) = node(&mut store);
        start.wait();
        let mut mine = Vec::new();
        loop {
            match claim(&mut store, node, 7) {
                claimed if claimed.is_empty() => return mine,
                claimed => mine.extend(claimed.into_iter().map(|job| JobId(job.id))),
            }
        }
    };
    let (first, second) = (temp.another(), temp.another());
    let mut all = std::thread::scope(|scope| {
        let one = scope.spawn(|| take_all(first));
        let two = scope.spawn(|| take_all(second));
        let mut all = one.join().expect("the first node");
        all.extend(two.join().expect("the second node"));
        all
    });
    all.sort();
    ids.sort();
    assert_eq!(all, ids);
}

/// What a claim does to the job.
pub fn a_claim_counts_an_attempt_and_moves_the_fence(mut temp: TempStore) {
    let store = &mut temp.store;
    let ids = enqueue(store, &[job("first"), job("bystander")]);
    let (node, _guard) = node(store);
    let claimed = claim_one(store, node);
    assert_eq!((claimed.id, claimed.attempt, claimed.fence), (ids[0].0, 1, 1));
    assert_eq!(claimed.payload, r#"{"command":"first"}"#);
    let running = get(store, ids[0]);
    assert_eq!(
        (running.state, running.node, running.started_at),
        (State::Processing, Some(node), Some(NOW))
    );
    assert_eq!(get(store, ids[1]).state, State::Pending);
    assert_eq!(store.jobs_of_node(node).expect("jobs").len(), 1);
}
