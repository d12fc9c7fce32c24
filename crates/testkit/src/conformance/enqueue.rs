//! Storing jobs: all of a batch or nothing, and what is read back.

use super::*;

/// What was given at enqueue is what is read back.
pub fn enqueued_jobs_are_stored_as_given(mut temp: TempStore) {
    let store = &mut temp.store;
    let mut given = JobSpec::line("echo hi");
    given.id = Some("job1".parse().expect("a name"));
    given.queue = Some("mail".parse().expect("a queue"));
    given.priority = Some(-3);
    given.max_retries = Some(7);
    given.backoff_base = Some(1.5);
    given.timeout_ms = Some(1234);
    given.payload.env.insert("A".into(), "ü=\u{1b}".into());
    given.payload.stdin = Some("in".into());
    let ids = enqueue(store, &[valid(given.clone()), job("true")]);
    let stored = store
        .job(&"job1".parse().expect("a reference"))
        .expect("found by name");
    assert_eq!(stored, get(store, ids[0]));
    assert_eq!(
        (stored.name, Some(stored.queue), stored.priority),
        (given.id, given.queue, -3)
    );
    assert_eq!(
        (stored.max_retries, stored.backoff_base, stored.timeout_ms),
        (Some(7), Some(1.5), Some(1234))
    );
    assert_eq!(
        (stored.payload, stored.state, stored.attempts, stored.fence),
        (given.payload, State::Pending, 0, 0)
    );
    assert_eq!(
        (stored.created_at, stored.updated_at, stored.finished_at),
        (NOW, NOW, None)
    );
    let plain = get(store, ids[1]);
    assert_eq!((plain.name, plain.max_retries, plain.due_at), (None, None, None));
    assert!(matches!(
        store.job(&JobRef::Number(JobId(999))),
        Err(StoreError::NoSuchJob(_))
    ));
}

/// Many jobs at once: each has its own payload, the numbers are in their order, and of two with one name the second is to
/// blame, wherever it stands.
pub fn a_large_batch_keeps_its_order(mut temp: TempStore) {
    let store = &mut temp.store;
    let named = |n: usize, id: &str| {
        valid(JobSpec {
            id: Some(id.parse().expect("a name")),
            ..JobSpec::line(format!("echo {n}"))
        })
    };
    let mut jobs: Vec<ValidJob> = (0..100).map(|n| job(&format!("echo {n}"))).collect();
    let ids = enqueue(store, &jobs);
    assert!(ids.is_sorted() && ids.len() == 100);
    for (given, id) in jobs.iter().zip(&ids) {
        assert_eq!(get(store, *id).payload, given.payload);
    }
    jobs[21] = named(21, "same");
    for (second, index) in [(3, 21), (22, 22), (31, 31), (32, 32), (99, 99)] {
        let mut jobs = jobs.clone();
        jobs[second] = named(second, "same");
        let refused = store.enqueue(&jobs, NOW);
        assert!(
            matches!(&refused, Err(StoreError::NameTaken { index: at, .. }) if *at == index),
            "{second}: {refused:?}"
        );
    }
    let after = enqueue(store, &[job("bystander")]);
    assert!(after[0] > ids[99]);
    let filter = ListFilter {
        limit: 1000,
        ..ListFilter::default()
    };
    assert_eq!(
        store.list(&filter).expect("a list").len(),
        101,
        "nothing of those batches is left"
    );
}

/// One bad job in a batch: nothing of it is stored, and the error says which.
pub fn a_batch_is_stored_whole_or_not_at_all(mut temp: TempStore) {
    let store = &mut temp.store;
    let named = valid(JobSpec {
        id: Some("same".parse().expect("a name")),
        ..JobSpec::line("a")
    });
    enqueue(store, std::slice::from_ref(&named));
    let taken = store.enqueue(&[job("b"), named.clone(), job("c")], NOW);
    assert!(
        matches!(taken, Err(StoreError::NameTaken { index: 1, .. })),
        "{taken:?}"
    );
    let new = valid(JobSpec {
        id: Some("new".parse().expect("a name")),
        ..JobSpec::line("x")
    });
    let twice = [new.clone(), new];
    assert!(matches!(
        store.enqueue(&twice, NOW),
        Err(StoreError::NameTaken { index: 1, .. })
    ));
    let all = store
        .list(&ListFilter {
            limit: 10,
            ..ListFilter::default()
        })
        .expect("a list");
    assert_eq!(all.len(), 1, "only the first job is there");
}

/// A purged job's number is not given again.
pub fn numbers_are_never_reused(mut temp: TempStore) {
    let store = &mut temp.store;
    let bystander = enqueue(store, &[job("true")])[0];
    let gone = enqueue(store, &[job("true")])[0];
    store.cancel(&JobRef::Number(gone), NOW).expect("cancelled");
    let filter = PurgeFilter {
        state: State::Cancelled,
        queue: None,
        ended_before: None,
        limit: 10,
    };
    assert_eq!(store.purge(&filter).expect("purged").jobs, 1);
    assert!(enqueue(store, &[job("true")])[0] > gone);
    assert_eq!(get(store, bystander).state, State::Pending);
}
