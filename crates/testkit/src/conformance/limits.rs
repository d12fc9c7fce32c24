//! Limits: how many jobs of a key run at a time, across queues and nodes, and how fast they start.

use std::collections::BTreeMap;
use std::sync::Barrier;
use std::sync::atomic::{AtomicI64, AtomicU32};

use queuectl_core::{BlockedBy, LimitChange, Rate};

use super::*;

/// A job in that queue that names those limits.
pub(super) fn limited(limits: &[&str], queue: &str, priority: i32) -> ValidJob {
    valid(JobSpec {
        limit: limits
            .iter()
            .map(|limit| limit.parse().expect("a limit"))
            .collect(),
        queue: Some(queue.parse().expect("a queue")),
        priority: Some(priority),
        ..JobSpec::line("true")
    })
}

pub(super) fn set(store: &mut Store, name: &str, change: LimitChange) {
    let name = name.parse().expect("a name");
    store.set_limit(&name, &change, NOW).expect("a limit is set");
}

pub(super) fn running(most: u32) -> LimitChange {
    LimitChange {
        running: Some(Some(most)),
        ..LimitChange::default()
    }
}

pub(super) fn per_key(most: u32) -> LimitChange {
    LimitChange {
        per_key: true,
        ..running(most)
    }
}

pub(super) fn states_of(store: &mut Store, ids: &[JobId]) -> Vec<State> {
    ids.iter().map(|id| get(store, *id).state).collect()
}

pub(super) fn done(job: &Claimed, node: NodeId, now: Timestamp) -> Record {
    record(job, node, Event::Complete, OutcomeKind::Succeeded, now)
}

/// Whether the rows of limits and the counts are what the jobs say.
pub(super) fn is_sound(store: &mut Store) -> bool {
    let report = store.check().expect("a check");
    (report.misplaced, report.miscounted) == (0, 0)
}

/// Claims as many as it gets and records them at once, until nothing is left; the numbers in their order.
pub(super) fn run_all(store: &mut Store, node: NodeId, now: Timestamp) -> Vec<i64> {
    let (mut order, mut records) = (Vec::new(), Vec::new());
    loop {
        let turned = turn(store, node, &records, 10, now);
        if turned.claimed.is_empty() {
            return order;
        }
        order.extend(turned.claimed.iter().map(|job| job.id));
        records = turned.claimed.iter().map(|job| done(job, node, now)).collect();
    }
}

/// Several stores compete for jobs of a few keys: at no moment has a key more running jobs than its limit allows, and all
/// jobs end. Without the limit it is exceeded.
pub fn a_limit_holds_between_stores(temp: TempStore) {
    const KEYS: usize = 3;
    let compete = |temp: &TempStore, is_limited: bool| -> (i64, u32) {
        let mut store = temp.another();
        let jobs: Vec<ValidJob> = (0..120)
            .map(|n| match is_limited {
                true => limited(&[&format!("account:{}", n % KEYS), "all"], "a", 0),
                false => limited(&[], "a", 0),
            })
            .collect();
        let ids = enqueue(&mut store, &jobs);
        let first = ids[0].0;
        let counts: Vec<AtomicI64> = (0..KEYS).map(|_| AtomicI64::new(0)).collect();
        let (most, ended) = (AtomicI64::new(0), AtomicU32::new(0));
        let start = Barrier::new(3);
        let stores = [temp.another(), temp.another(), temp.another()];
        let (counts_ref, most_ref, ended_ref, start_ref) = (&counts, &most, &ended, &start);
        std::thread::scope(|scope| {
            for mut store in stores {
                scope.spawn(move || {
                    let (counts, most, ended, start) = (counts_ref, most_ref, ended_ref, start_ref);
                    let (node, _guard) = node(&mut store);
                    start.wait();
                    let (mut mine, mut idle) = (Vec::<Claimed>::new(), 0);
                    let mut now = NOW;
                    while idle < 200 {
                        // The older half ends.
                        let ending: Vec<Claimed> = mine.drain(..mine.len().div_ceil(2)).collect();
                        for job in &ending {
                            counts[(job.id - first) as usize % KEYS].fetch_sub(1, Ordering::SeqCst);
                        }
                        let records: Vec<Record> = ending.iter().map(|job| done(job, node, now)).collect();
                        now = now.after(Duration::from_millis(50));
                        let claimed = turn(&mut store, node, &records, 4, now).claimed;
                        for job in &claimed {
                            let count = &counts[(job.id - first) as usize % KEYS];
                            most.fetch_max(count.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        }
                        ended.fetch_add(records.len() as u32, Ordering::SeqCst);
                        mine.extend(claimed);
                        idle = if mine.is_empty() { idle + 1 } else { 0 };
                        if ended.load(Ordering::SeqCst) == 120 {
                            break;
                        }
                    }
                });
            }
        });
        (most.into_inner(), ended.into_inner())
    };
    let mut store = temp.another();
    set(&mut store, "account", per_key(2));
    set(&mut store, "all", running(5));
    let bystander = enqueue(
        &mut store,
        &[valid(JobSpec {
            start: Some(Start::At(later(3_600_000))),
            limit: vec!["all".parse().expect("a limit")],
            ..JobSpec::line("bystander")
        })],
    )[0];
    assert_eq!(compete(&temp, true), (2, 120));
    assert!(is_sound(&mut store));
    assert_eq!(get(&mut store, bystander).state, State::Scheduled);
    let (most, ended) = compete(&temp, false);
    assert!(most > 2, "without limits, at most {most} of a key ran");
    assert_eq!(ended, 120);
}

/// A node whose cycles follow each other takes what others store meanwhile into account at once: another limit, and jobs that
/// hold its keys.
pub fn what_others_store_counts_in_the_next_cycle(mut temp: TempStore) {
    let mut other = temp.another();
    let store = &mut temp.store;
    set(store, "account", per_key(1));
    let (own, _guard) = node(store);
    let (others, _others_guard) = node(&mut other);
    let bystander = enqueue(store, &[limited(&["account:2"], "a", 9)]);
    enqueue(store, &vec![limited(&["account:1"], "a", 0); 9]);
    assert_eq!(claim_one(store, own).id, bystander[0].0);
    let mut running = claim(store, own, 9);
    for _ in 0..4 {
        let records = [done(&running[0], own, NOW)];
        running = turn(store, own, &records, 9, NOW).claimed;
        assert_eq!(running.len(), 1);
    }
    set(&mut other, "account", per_key(3));
    running.extend(turn(store, own, &[], 9, NOW).claimed);
    assert_eq!(running.len(), 3);
    // Nothing changes for two cycles, and then another node has the place of one that ended.
    let ended = [done(&running[0], own, NOW)];
    for records in [&[][..], &[], &ended] {
        assert_eq!(turn(store, own, records, 0, NOW).claimed, []);
    }
    let scheduled = valid(JobSpec {
        start: Some(Start::At(later(10))),
        ..JobSpec::clone(&limited(&["account:1"], "a", 0))
    });
    let scheduled = enqueue(&mut other, &[scheduled]);
    assert_eq!(turn(&mut other, others, &[], 9, NOW).claimed.len(), 1);
    assert_eq!(turn(store, own, &[], 9, later(10)).claimed, []);
    assert_eq!(states_of(store, &scheduled), [State::Blocked]);
    assert_eq!(states_of(store, &bystander), [State::Processing]);
    assert!(is_sound(store));
}

/// What waits is blocked with its reason, is out of the way of claims, and lost no attempt.
pub fn a_full_key_parks_jobs(mut temp: TempStore) {
    let store = &mut temp.store;
    set(store, "disk", running(1));
    let ids = enqueue(
        store,
        &[
            limited(&["disk"], "a", 0),
            limited(&["disk"], "b", 0),
            job("bystander"),
        ],
    );
    // The second is not even ready.
    assert_eq!(
        states_of(store, &ids),
        [State::Pending, State::Blocked, State::Pending]
    );
    let (node, _guard) = node(store);
    let claimed = claim(store, node, 9);
    assert_eq!(
        claimed.iter().map(|job| job.id).collect::<Vec<_>>(),
        [ids[0].0, ids[2].0]
    );
    let parked = get(store, ids[1]);
    assert_eq!(
        (parked.attempts, parked.fence, parked.waits.first()),
        (0, 0, Some(BlockedBy::Limit))
    );
    // One that comes while the key is full is parked, too, and so is one whose time has come.
    let late = enqueue(store, &[limited(&["disk"], "a", 9)]);
    assert_eq!(states_of(store, &late), [State::Blocked]);
    let scheduled = valid(JobSpec {
        start: Some(Start::At(later(10))),
        ..JobSpec::clone(&limited(&["disk"], "a", 0))
    });
    let scheduled = enqueue(store, &[scheduled]);
    assert_eq!(states_of(store, &scheduled), [State::Scheduled]);
    assert_eq!(turn(store, node, &[], 9, later(10)).claimed, []);
    let put_back = get(store, scheduled[0]);
    assert_eq!((put_back.state, put_back.attempts), (State::Blocked, 0));
    assert_eq!((put_back.started_at, put_back.node), (None, None));
    assert!(is_sound(store));
    // The end of one makes exactly the next one ready: by priority, then by age.
    let turned = turn(store, node, &[done(&claimed[0], node, NOW)], 0, later(20));
    assert_eq!(turned.unblocked, 1);
    assert_eq!(states_of(store, &late), [State::Pending]);
    assert_eq!(
        states_of(store, &[ids[1], scheduled[0]]),
        [State::Blocked, State::Blocked]
    );
    let order = run_all(store, node, later(30));
    assert_eq!(order, [late[0].0, ids[1].0, scheduled[0].0]);
    assert_eq!(get(store, ids[2]).state, State::Processing);
    assert!(is_sound(store));
}

/// A job takes all of its keys or none: what waits for one holds no other.
pub fn a_job_takes_all_its_keys_or_none(mut temp: TempStore) {
    let store = &mut temp.store;
    set(store, "disk", running(1));
    set(store, "account", per_key(1));
    let (node, _guard) = node(store);
    let first = enqueue(store, &[limited(&["disk"], "a", 0)]);
    let holder = claim_one(store, node);
    // It waits for the disk, so the account stays free for others.
    let both = enqueue(store, &[limited(&["account:1", "disk"], "a", 0)]);
    let other = enqueue(store, &[limited(&["account:1"], "a", 0)]);
    assert_eq!(
        states_of(store, &[first[0], both[0], other[0]]),
        [State::Processing, State::Blocked, State::Pending]
    );
    let account = claim_one(store, node);
    assert_eq!(account.id, other[0].0);
    // The disk is free, the account not: it waits for that one now.
    turn(store, node, &[done(&holder, node, NOW)], 9, NOW);
    assert_eq!(get(store, both[0]).state, State::Blocked);
    assert!(is_sound(store));
    let keys = store
        .limit(&"account".parse().expect("a name"))
        .expect("an answer")
        .expect("a limit")
        .1;
    assert_eq!(
        (keys[0].key.as_str(), keys[0].running, keys[0].waiting),
        ("account:1", 1, 1)
    );
    // Meanwhile another takes the disk, so the end of the account moves it back.
    let disk = enqueue(store, &[limited(&["disk"], "a", 0)]);
    let disk = turn(store, node, &[], 1, NOW)
        .claimed
        .pop()
        .filter(|job| job.id == disk[0].0);
    turn(store, node, &[done(&account, node, NOW)], 9, NOW);
    assert_eq!(get(store, both[0]).state, State::Blocked);
    let last = turn(
        store,
        node,
        &[done(&disk.expect("the disk is free"), node, NOW)],
        9,
        NOW,
    )
    .claimed;
    assert_eq!(last.iter().map(|job| job.id).collect::<Vec<_>>(), [both[0].0]);
    assert!(is_sound(store));
}

/// A failed job that waits for its retry holds nothing, nor does one that was given back, or lost with its node.
pub fn only_running_jobs_hold_keys(mut temp: TempStore) {
    let store = &mut temp.store;
    set(store, "disk", running(1));
    let ids = enqueue(
        store,
        &[
            limited(&["disk"], "a", 5),
            limited(&["disk"], "a", 0),
            job("bystander"),
        ],
    );
    let (node, _guard) = node(store);
    let first = claim_one(store, node);
    let retry_at = Some(later(500));
    let failed = record(&first, node, Event::Fail { retry_at }, OutcomeKind::Failed, NOW);
    let second = turn(store, node, &[failed], 1, NOW).claimed;
    assert_eq!(second[0].id, ids[1].0);
    assert_eq!(
        states_of(store, &ids),
        [State::Failed, State::Processing, State::Pending]
    );
    // Its retry is due and finds the key full; the attempt that it made counts, the claim does not.
    turn(store, node, &[], 0, later(500));
    let bystander = turn(store, node, &[], 9, later(500)).claimed;
    assert_eq!(bystander.iter().map(|job| job.id).collect::<Vec<_>>(), [ids[2].0]);
    let waiting = get(store, ids[0]);
    assert_eq!(
        (waiting.state, waiting.attempts, waiting.started_at),
        (State::Blocked, 1, Some(NOW))
    );
    // Given back before it started.
    let mut back = record(&second[0], node, Event::Return, OutcomeKind::Lost, NOW);
    back.attempt = None;
    turn(store, node, &[back], 0, later(600));
    assert!(is_sound(store));
    let next = claim_one(store, node);
    assert_eq!(next.id, ids[0].0, "by priority");
    // Lost with its node: recorded by another.
    let (other, _guard2) = super::node(store);
    let lost = record(
        &next,
        node,
        Event::Fail { retry_at: None },
        OutcomeKind::Lost,
        NOW,
    );
    let rescued = turn(store, other, &[lost], 9, later(700)).claimed;
    assert_eq!(rescued.iter().map(|job| job.id).collect::<Vec<_>>(), [ids[1].0]);
    assert_eq!(get(store, ids[0]).state, State::Dead);
    assert!(is_sound(store));
}

/// A limit can be changed while jobs run: a higher one lets more go on, a lower one drains, and without it all go on.
pub fn a_limit_can_be_changed_and_removed(mut temp: TempStore) {
    let store = &mut temp.store;
    set(store, "disk", running(3));
    let jobs: Vec<ValidJob> = (0..9).map(|_| limited(&["disk"], "a", 0)).collect();
    enqueue(store, &jobs);
    let (node, _guard) = node(store);
    let mut mine = claim(store, node, 20);
    assert_eq!(mine.len(), 3);
    set(store, "disk", running(5));
    mine.extend(claim(store, node, 20));
    assert_eq!(mine.len(), 5);
    set(store, "disk", running(1));
    // Nothing is stopped; nothing starts before there is room.
    for _ in 0..4 {
        let ended = mine.pop().expect("a running job");
        assert_eq!(turn(store, node, &[done(&ended, node, NOW)], 20, NOW).claimed, []);
    }
    let last = mine.pop().expect("a running job");
    mine.extend(turn(store, node, &[done(&last, node, NOW)], 20, NOW).claimed);
    assert_eq!(mine.len(), 1);
    assert!(is_sound(store));
    let name = "disk".parse().expect("a name");
    assert!(store.remove_limit(&name, NOW).expect("an answer"));
    assert!(!store.remove_limit(&name, NOW).expect("an answer"));
    mine.extend(claim(store, node, 20));
    assert_eq!(mine.len(), 4);
    assert!(is_sound(store));
    let refused = store.enqueue(&[job("bystander"), limited(&["disk"], "a", 0)], NOW);
    assert!(
        matches!(&refused, Err(StoreError::NoSuchLimit { name, index: 1 }) if name == "disk"),
        "{refused:?}"
    );
    // Set again, it counts what runs.
    set(store, "disk", running(4));
    let late = enqueue(store, &[limited(&["disk"], "a", 0)]);
    assert_eq!(states_of(store, &late), [State::Blocked]);
    set(store, "other", per_key(4));
    let refused = store.enqueue(&[limited(&["other"], "a", 0)], NOW);
    assert!(matches!(refused, Err(StoreError::LimitKey { .. })), "{refused:?}");
    assert!(run_all(store, node, NOW).is_empty());
}

/// The key of a job counts for nothing while its limit counts all jobs together, and is what the job waits for no more when
/// the limit is removed.
pub fn a_removed_limit_is_not_waited_for(mut temp: TempStore) {
    let store = &mut temp.store;
    set(store, "disk", running(1));
    set(store, "other", running(0));
    let jobs = [limited(&["disk:7"], "a", 0), limited(&["disk:7"], "a", 0)];
    let ids = enqueue(store, &jobs);
    let bystander = enqueue(store, &[limited(&["other"], "a", 0)]);
    let (node, _guard) = node(store);
    let running = claim_one(store, node);
    assert_eq!(states_of(store, &ids), [State::Processing, State::Blocked]);
    store
        .remove_limit(&"disk".parse().expect("a name"), NOW)
        .expect("removed");
    turn(store, node, &[], 0, NOW);
    assert_eq!(states_of(store, &ids), [State::Processing, State::Pending]);
    assert!(is_sound(store), "it waits for nothing");
    let other = claim_one(store, node);
    assert!(is_sound(store));
    turn(
        store,
        node,
        &[done(&running, node, NOW), done(&other, node, NOW)],
        1,
        NOW,
    );
    assert_eq!(states_of(store, &ids), [State::Completed; 2]);
    assert_eq!(states_of(store, &bystander), [State::Blocked]);
    assert!(is_sound(store));
}

/// A job that was let through and that no node claims does not keep back others of its key.
pub fn a_job_that_no_node_claims_keeps_back_no_other(mut temp: TempStore) {
    let store = &mut temp.store;
    set(store, "disk", running(1));
    // Many before it that wait in a queue without a node.
    let mut jobs: Vec<ValidJob> = (0..30).map(|_| limited(&["disk"], "unserved", 5)).collect();
    jobs.push(limited(&["disk"], "served", 0));
    let ids = enqueue(store, &jobs);
    let (node, _guard) = node(store);
    let served = Queues::Only(vec!["served".parse().expect("a queue")]);
    assert!(store.has_work(&served, later(5000)).expect("an answer"));
    let claimed = store
        .cycle(&Cycle {
            node,
            records: &[],
            claim: 5,
            queues: &served,
            now: later(5000),
        })
        .expect("a cycle")
        .claimed;
    assert_eq!(claimed.iter().map(|job| job.id).collect::<Vec<_>>(), [ids[30].0]);
    assert_eq!(get(store, ids[0]).state, State::Pending);
    assert_eq!(get(store, ids[1]).state, State::Blocked);
    // A node for the other queue finds the key full, and goes on when it is free.
    assert_eq!(claim(store, node, 5), []);
    let next = turn(store, node, &[done(&claimed[0], node, NOW)], 5, later(5001)).claimed;
    assert_eq!(next.len(), 1);
    assert!(is_sound(store));
}

/// Whatever becomes of a job that waits or was let through, the next one takes its place.
pub fn what_is_given_up_makes_room(mut temp: TempStore) {
    let store = &mut temp.store;
    set(store, "disk", running(1));
    let jobs: Vec<ValidJob> = (0..5).map(|_| limited(&["disk"], "a", 0)).collect();
    let ids = enqueue(store, &jobs);
    let at = |id: JobId| JobRef::Number(id);
    // Let through, then cancelled.
    store.cancel(&at(ids[0]), NOW).expect("cancelled");
    assert_eq!(
        states_of(store, &ids[..3]),
        [State::Cancelled, State::Pending, State::Blocked]
    );
    // Let through, then held.
    store.hold(&at(ids[1]), NOW).expect("held");
    assert_eq!(
        states_of(store, &ids[1..4]),
        [State::Blocked, State::Pending, State::Blocked]
    );
    // Waiting, then cancelled or held.
    store.cancel(&at(ids[3]), NOW).expect("cancelled");
    store.hold(&at(ids[4]), NOW).expect("held");
    assert!(is_sound(store));
    let (node, _guard) = node(store);
    assert_eq!(run_all(store, node, NOW), [ids[2].0]);
    assert_eq!(
        states_of(store, &[ids[1], ids[4]]),
        [State::Blocked, State::Blocked]
    );
    for id in [ids[1], ids[4]] {
        store.release(&at(id), NOW).expect("released");
    }
    assert_eq!(run_all(store, node, NOW), [ids[1].0, ids[4].0]);
    // Retried by hand it counts again; purged it leaves nothing.
    store.retry(&at(ids[0]), &Only::default(), NOW).expect("retried");
    assert_eq!(run_all(store, node, NOW), [ids[0].0]);
    let filter = PurgeFilter {
        state: State::Completed,
        queue: None,
        ended_before: None,
        limit: 100,
    };
    assert_eq!(store.purge(&filter).expect("purged").jobs, 4);
    assert!(is_sound(store));
    assert_eq!(store.limits().expect("limits")[0].keys, 0);
}

/// A rate counts starts, of retries too; over it jobs wait in order, lose no attempt, and are due to the millisecond.
pub fn a_rate_spreads_starts(mut temp: TempStore) {
    let store = &mut temp.store;
    let rate: Rate = "10/s".parse().expect("a rate");
    set(
        store,
        "api",
        LimitChange {
            rate: Some(Some(rate)),
            burst: Some(3),
            ..LimitChange::default()
        },
    );
    let jobs: Vec<ValidJob> = (0..6).map(|_| limited(&["api"], "a", 0)).collect();
    let ids = enqueue(store, &[jobs, vec![job("bystander")]].concat());
    let (node, _guard) = node(store);
    let mut starts = BTreeMap::new();
    let mut now = NOW;
    let mut records: Vec<Record> = Vec::new();
    let mut next = None;
    while starts.len() < 8 && now < later(10_000) {
        let turned = turn(store, node, &records, 20, now);
        records.clear();
        for claimed in &turned.claimed {
            let is_retry = claimed.attempt == 2;
            assert!(starts.insert((claimed.id, is_retry), now.0 - NOW.0).is_none());
            // The first one fails once.
            let fails = claimed.id == ids[0].0 && !is_retry;
            let event = match fails {
                true => Event::Fail {
                    retry_at: Some(later(1)),
                },
                false => Event::Complete,
            };
            records.push(record(claimed, node, event, OutcomeKind::Failed, now));
        }
        next = turned.next_due;
        now = next
            .filter(|next| *next > now)
            .unwrap_or(now.after(Duration::from_millis(1)));
    }
    let mut times: Vec<i64> = (0..6).map(|n| starts[&(ids[n].0, false)]).collect();
    times.push(starts[&(ids[0].0, true)]);
    times.sort_unstable();
    assert_eq!(times, [0, 0, 0, 100, 200, 300, 400]);
    assert_eq!(starts[&(ids[6].0, false)], 0, "the bystander");
    assert_eq!(get(store, ids[5]).attempts, 1);
    assert_eq!(next, None, "nothing is left to wait for");
    turn(store, node, &records, 0, now);
    assert!(is_sound(store));
}
