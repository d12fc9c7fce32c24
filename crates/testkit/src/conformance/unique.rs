//! Jobs with keys: of those that have not ended, one at most has a key.

use std::collections::BTreeMap;
use std::sync::Barrier;
use std::thread;

use queuectl_core::{OnConflict, Waits};
use queuectl_storage::{Location, MassChange, OpenMode, Placed};

use super::*;

/// A job with a key, and with what else is said of it.
fn keyed(key: &str, line: &str, more: impl FnOnce(&mut JobSpec)) -> ValidJob {
    let mut spec = JobSpec {
        unique: Some(key.parse().expect("a key")),
        ..JobSpec::line(line)
    };
    more(&mut spec);
    valid(spec)
}

fn plain(key: &str, line: &str) -> ValidJob {
    keyed(key, line, |_| {})
}

fn choosing(key: &str, line: &str, choice: OnConflict) -> ValidJob {
    keyed(key, line, |spec| spec.on_conflict = Some(choice))
}

/// The job that it took the place of.
fn replaced_by(placed: &Placed) -> Option<String> {
    placed.replaced.as_ref().map(|job| job.public_id.clone())
}

fn number(id: JobId) -> JobRef {
    JobRef::Number(id)
}

fn end(store: &mut Store, claimed: &Claimed, node: NodeId, event: Event) {
    let kind = match event {
        Event::Complete => OutcomeKind::Succeeded,
        Event::Cancel => OutcomeKind::Cancelled,
        _ => OutcomeKind::Failed,
    };
    let ended = record(claimed, node, event, kind, NOW);
    assert_eq!(turn(store, node, &[ended], 0, NOW).stale, []);
}

/// From when it is stored until it has ended, retry waits included, its key is taken; what else is stored is not.
pub fn a_key_is_taken_until_its_job_has_ended(mut temp: TempStore) {
    let store = &mut temp.store;
    let bystander = enqueue(store, &[plain("other", "bystander")])[0];
    let (node, _guard) = node(store);
    let again = |store: &mut Store| {
        store
            .place(&[plain("k", "again")], NOW)
            .expect("placed")
            .remove(0)
    };
    let first = enqueue(store, &[keyed("k", "first", |spec| spec.priority = Some(5))])[0];
    let stored = get(store, first);
    assert_eq!(stored.unique.as_ref().map(|key| key.as_str()), Some("k"));
    let existing = again(store);
    assert_eq!(existing.id, first, "while it is ready");
    let there = existing.existing.expect("it was there");
    assert_eq!(
        (there.public_id, there.state),
        (first.to_string(), State::Pending)
    );
    let claimed = claim_one(store, node);
    assert_eq!(claimed.id, first.0);
    assert!(claimed.is_intact(), "the checksum covers the key");
    assert_eq!(again(store).id, first, "while it runs");
    end(
        store,
        &claimed,
        node,
        Event::Fail {
            retry_at: Some(later(50)),
        },
    );
    assert_eq!(get(store, first).state, State::Failed);
    assert_eq!(again(store).id, first, "while it waits for its retry");
    let claimed = turn(store, node, &[], 1, later(60)).claimed.remove(0);
    assert_eq!(claimed.id, first.0);
    end(store, &claimed, node, Event::Complete);
    let second = again(store);
    assert_eq!((second.existing, second.id > first), (None, true));
    store.cancel(&number(second.id), NOW).expect("cancelled");
    let third = again(store).id;
    assert!(third > second.id, "a cancelled job has ended");
    assert_eq!(get(store, bystander).state, State::Pending);
    assert_eq!(store.check().expect("a check").miscounted, 0);
}

/// A job is refused, with the name of the one that has its key, and nothing of its batch is stored.
pub fn a_taken_key_can_be_refused(mut temp: TempStore) {
    let store = &mut temp.store;
    let holder = keyed("k", "first", |spec| {
        spec.id = Some("holder".parse().expect("a name"))
    });
    enqueue(store, &[job("bystander"), holder]);
    let batch = [
        job("a"),
        choosing("new", "b", OnConflict::Reject),
        choosing("k", "c", OnConflict::Reject),
    ];
    match store.place(&batch, NOW) {
        Err(StoreError::KeyTaken {
            key,
            holder,
            state,
            index,
        }) => assert_eq!(
            (key.as_str(), holder.as_str(), state, index),
            ("k", "holder", State::Pending, 2)
        ),
        other => panic!("{other:?}"),
    }
    let twice = [
        choosing("new", "a", OnConflict::Reject),
        choosing("new", "b", OnConflict::Reject),
    ];
    let refused = store.place(&twice, NOW);
    assert!(
        matches!(refused, Err(StoreError::KeyTaken { index: 1, .. })),
        "{refused:?}"
    );
    assert_eq!(all(store).len(), 2, "nothing else is there");
}

/// A job that waits is cancelled, and the new one is there in its place.
pub fn a_waiting_job_is_replaced(mut temp: TempStore) {
    let store = &mut temp.store;
    let bystander = enqueue(store, &[plain("other", "bystander")])[0];
    let later = keyed("k", "first", |spec| {
        spec.start = Some(Start::After(Duration::from_secs(60)));
        spec.id = Some("first".parse().expect("a name"));
    });
    let first = enqueue(store, &[later])[0];
    let second = store
        .place(&[choosing("k", "second", OnConflict::Replace)], NOW)
        .expect("placed")
        .remove(0);
    let replaced = second.replaced.clone().expect("one is replaced");
    assert_eq!((&second.existing, replaced.public_id.as_str()), (&None, "first"));
    assert_eq!(replaced.state, State::Scheduled);
    let old = get(store, first);
    assert_eq!((old.state, old.finished_at), (State::Cancelled, Some(NOW)));
    assert_eq!(get(store, second.id).state, State::Pending);
    // Nothing superseded comes back.
    let back = store.retry(&number(first), &Only::default(), NOW);
    match back {
        Err(StoreError::KeyHeld { job, holder, .. }) => {
            assert_eq!((job, holder), ("first".to_owned(), second.id.to_string()));
        }
        other => panic!("{other:?}"),
    }
    // One that waits for its retry is one that waits.
    let (node, _guard) = node(store);
    let claimed = claim(store, node, 2);
    let running = claimed.iter().find(|job| job.id == second.id.0).expect("it runs");
    let fail = Event::Fail {
        retry_at: Some(NOW.after(Duration::from_secs(9))),
    };
    end(store, running, node, fail);
    let third = store
        .place(&[choosing("k", "third", OnConflict::Replace)], NOW)
        .expect("placed")
        .remove(0);
    assert_eq!(replaced_by(&third), Some(second.id.to_string()));
    assert_eq!(get(store, second.id).state, State::Cancelled);
    assert_eq!(get(store, bystander).state, State::Processing);
    assert_eq!(store.check().expect("a check").miscounted, 0);
}

/// Jobs of one file that have the same key, and keys that the store has: each is settled as if it had come alone, and the
/// numbers are in their order.
pub fn a_batch_settles_its_own_conflicts(mut temp: TempStore) {
    let store = &mut temp.store;
    let there = enqueue(store, &[plain("there", "first")])[0];
    let mut batch: Vec<ValidJob> = (0..100).map(|n| job(&format!("plain {n}"))).collect();
    batch[3] = plain("b", "b");
    batch[10] = plain("a", "a");
    batch[20] = plain("b", "b again");
    batch[30] = plain("there", "is there");
    batch[40] = choosing("a", "instead of a", OnConflict::Replace);
    batch[50] = plain("a", "a again");
    let placed = store.place(&batch, NOW).expect("placed");
    assert_eq!(placed.len(), 100);
    let id = |index: usize| placed[index].id;
    assert_eq!((id(20), id(30), id(50)), (id(3), there, id(40)));
    assert_eq!(replaced_by(&placed[40]), Some(id(10).to_string()));
    let existing = placed.iter().filter(|job| job.existing.is_some()).count();
    assert_eq!(existing, 3);
    let new: Vec<JobId> = placed
        .iter()
        .filter(|job| job.existing.is_none())
        .map(|job| job.id)
        .collect();
    assert!(new.is_sorted() && new.len() == 97);
    assert_eq!(get(store, id(10)).state, State::Cancelled);
    assert_eq!(get(store, id(3)).payload, batch[3].payload);
    assert_eq!(all(store).len(), 98);
    // A name counts as before, also beside keys.
    let named = |key: &str| keyed(key, "x", |spec| spec.id = Some("same".parse().expect("a name")));
    let taken = store.place(&[plain("c", "c"), named("d"), named("e")], NOW);
    assert!(
        matches!(taken, Err(StoreError::NameTaken { index: 2, .. })),
        "{taken:?}"
    );
    assert_eq!(all(store).len(), 98);
    let check = store.check().expect("a check");
    assert_eq!(
        (check.dangling, check.miscounted, check.damage),
        (0, 0, Vec::new())
    );
}

/// A key that is kept for a time is taken after its job has ended, and clean-up leaves that job alone. Cancelling gives it back.
pub fn a_key_can_outlive_its_job(mut temp: TempStore) {
    let store = &mut temp.store;
    let lasting = |key: &str| keyed(key, "x", |spec| spec.unique_for_ms = Some(1000));
    let ids = enqueue(store, &[lasting("k"), plain("plain", "y")]);
    let (node, _guard) = node(store);
    for claimed in claim(store, node, 2) {
        end(store, &claimed, node, Event::Complete);
    }
    let place =
        |store: &mut Store, job: ValidJob, now| store.place(&[job], now).map(|mut placed| placed.remove(0));
    let soon = place(store, plain("k", "again"), later(999)).expect("placed");
    assert_eq!(soon.id, ids[0]);
    assert_eq!(soon.existing.map(|there| there.state), Some(State::Completed));
    let refused = place(store, choosing("k", "again", OnConflict::Reject), later(999));
    assert!(matches!(
        refused,
        Err(StoreError::KeyTaken {
            state: State::Completed,
            ..
        })
    ));
    assert_ne!(
        place(store, plain("plain", "again"), later(1))
            .expect("placed")
            .id,
        ids[1]
    );
    let expired = PurgeFilter {
        state: State::Completed,
        queue: None,
        ended_before: Some(later(999)),
        limit: 10,
    };
    assert_eq!(
        store.purge_expired(&expired, later(999)).expect("a purge").jobs,
        1
    );
    assert_eq!(get(store, ids[0]).state, State::Completed);
    let late = place(store, lasting("k"), later(1000)).expect("placed");
    assert_eq!(late.existing, None);
    store.cancel(&number(late.id), later(1001)).expect("cancelled");
    let after = place(store, plain("k", "again"), later(1002)).expect("placed");
    assert_eq!(after.existing, None);
    assert_eq!(
        store.purge_expired(&expired, later(1000)).expect("a purge").jobs,
        1
    );
}

/// Calls put off the job that waits, up to a limit, and store nothing else. One that has begun is left alone.
pub fn calls_are_gathered_into_one_job(mut temp: TempStore) {
    let store = &mut temp.store;
    let call = |store: &mut Store, now| {
        let job = keyed("k", "x", |spec| {
            spec.debounce_ms = Some(30);
            spec.max_wait_ms = Some(100);
        });
        store.place(&[job], now).expect("placed").remove(0)
    };
    let bystander = enqueue(
        store,
        &[keyed("other", "y", |spec| spec.debounce_ms = Some(1_000_000))],
    )[0];
    let first = call(store, NOW);
    let due = |store: &mut Store, id| get(store, id).due_at;
    assert_eq!((first.existing, due(store, first.id)), (None, Some(later(30))));
    let second = call(store, later(20));
    assert_eq!((second.id, due(store, first.id)), (first.id, Some(later(50))));
    call(store, later(90));
    assert_eq!(due(store, first.id), Some(later(100)), "no further");
    // Its time has come, and no node has taken it yet.
    let early = enqueue(store, &[plain("early", "z")])[0];
    let put_off = keyed("early", "z", |spec| spec.debounce_ms = Some(500));
    assert_eq!(store.place(&[put_off], NOW).expect("placed")[0].id, early);
    assert_eq!(
        (get(store, early).state, due(store, early)),
        (State::Scheduled, Some(later(500)))
    );
    let (node, _guard) = node(store);
    let claimed = turn(store, node, &[], 10, later(100)).claimed;
    assert_eq!(claimed.len(), 1);
    let fail = Event::Fail {
        retry_at: Some(later(5000)),
    };
    let failed = record(&claimed[0], node, fail, OutcomeKind::Failed, later(110));
    turn(store, node, &[failed], 0, later(110));
    assert_eq!(call(store, later(120)).id, first.id);
    assert_eq!(
        due(store, first.id),
        Some(later(5000)),
        "its retry is not put off"
    );
    assert_eq!(due(store, bystander), Some(later(1_000_000)));
    assert_eq!(store.check().expect("a check").miscounted, 0);
}

/// A dead job whose key another has does not run again: not by its name, and not together with others, which do.
pub fn a_retry_waits_for_the_key(mut temp: TempStore) {
    let store = &mut temp.store;
    let (node, _guard) = node(store);
    let mut dead = Vec::new();
    for key in ["a", "b", "b", "c"] {
        let id = enqueue(store, &[plain(key, "exit 1")])[0];
        let claimed = claim_one(store, node);
        end(store, &claimed, node, Event::Fail { retry_at: None });
        dead.push(id);
    }
    let holder = enqueue(store, &[plain("a", "holder")])[0];
    let refused = store.retry(&number(dead[0]), &Only::default(), NOW);
    assert!(
        matches!(&refused, Err(StoreError::KeyHeld { holder: has, .. }) if *has == holder.to_string()),
        "{refused:?}"
    );
    assert_eq!(get(store, dead[0]).state, State::Dead);
    let retry_all = |store: &mut Store| {
        let dead = JobFilter::from(State::Dead);
        let done = store.change_all(&dead, MassChange::Retry, NOW, |_| {});
        let done = done.expect("retried");
        (done.changed, done.held_back)
    };
    assert_eq!(retry_all(store), (2, 2));
    let state = |store: &mut Store, index: usize| get(store, dead[index]).state;
    let states: Vec<State> = (0..4).map(|index| state(store, index)).collect();
    assert_eq!(states, [State::Dead, State::Pending, State::Dead, State::Pending]);
    store.cancel(&number(holder), NOW).expect("cancelled");
    assert_eq!(retry_all(store), (1, 1));
    assert_eq!(state(store, 0), State::Pending);
}

/// Of a running job there is one successor: it cannot run before that one has ended, later ones take its place, and the running
/// one is not tried again.
pub fn a_running_job_has_one_successor(mut temp: TempStore) {
    let store = &mut temp.store;
    let (node, _guard) = node(store);
    let replace = |store: &mut Store, line: &str, now| {
        let new = choosing("k", line, OnConflict::Replace);
        store.place(&[new], now).expect("placed").remove(0)
    };
    for (round, event) in [
        Event::Complete,
        Event::Fail { retry_at: None },
        Event::Fail {
            retry_at: Some(later(50)),
        },
        Event::Return,
        Event::Cancel,
    ]
    .into_iter()
    .enumerate()
    {
        let first = enqueue(store, &[plain("k", "first")])[0];
        let running = claim_one(store, node);
        assert_eq!(running.id, first.0);
        let bystander = enqueue(
            store,
            &[keyed(&format!("other {round}"), "y", |spec| {
                spec.priority = Some(-9)
            })],
        )[0];
        let second = replace(store, "second", NOW);
        assert_eq!(replaced_by(&second), Some(first.to_string()));
        let waiting = get(store, second.id);
        assert_eq!(
            (waiting.state, waiting.waits.first()),
            (State::Blocked, Some(BlockedBy::Unique))
        );
        let misplaced = store.check().expect("a check").misplaced;
        assert_eq!(misplaced, 0, "it waits for no limit");
        let third = replace(store, "third", NOW);
        assert_eq!(replaced_by(&third), Some(second.id.to_string()));
        assert_eq!(get(store, second.id).state, State::Cancelled);
        let there = store
            .place(&[plain("k", "again")], NOW)
            .expect("placed")
            .remove(0);
        assert_eq!(there.id, first, "the one that has the key");
        assert!(matches!(
            store.retry(&number(second.id), &Only::default(), NOW),
            Err(StoreError::KeyHeld { .. })
        ));
        store.hold(&number(third.id), NOW).expect("held");
        end(store, &running, node, event);
        let ended = get(store, first);
        let expected = match event {
            Event::Complete => State::Completed,
            Event::Fail { retry_at: None } => State::Dead,
            _ => State::Cancelled,
        };
        assert_eq!((ended.state, ended.due_at), (expected, None), "{event:?}");
        let waiting = get(store, third.id);
        assert_eq!(
            waiting.waits,
            Waits::NONE.with(BlockedBy::Held),
            "the key is its own"
        );
        store.release(&number(third.id), NOW).expect("released");
        let successor = claim_one(store, node);
        assert_eq!(successor.id, third.id.0, "{event:?}");
        let next = turn(store, node, &[], 1, later(100)).claimed.remove(0);
        assert_eq!(next.id, bystander.0);
        // It is an ordinary job now, which is tried again.
        end(
            store,
            &successor,
            node,
            Event::Fail {
                retry_at: Some(later(9)),
            },
        );
        assert_eq!(get(store, third.id).state, State::Failed);
        store.cancel(&number(third.id), NOW).expect("cancelled");
        store
            .retry(&number(second.id), &Only::default(), NOW)
            .expect("retried");
        assert_eq!(
            replaced_by(&replace(store, "last", NOW)),
            Some(second.id.to_string())
        );
        let last = claim_one(store, node);
        end(store, &last, node, Event::Complete);
    }
    let check = store.check().expect("a check");
    assert_eq!((check.miscounted, check.damage), (0, Vec::new()));
}

/// Calls while a job runs are gathered into one that follows it, at its time.
pub fn calls_during_a_run_are_gathered_behind_it(mut temp: TempStore) {
    let store = &mut temp.store;
    let call = |store: &mut Store, now| {
        let job = keyed("k", "x", |spec| spec.debounce_ms = Some(30));
        store.place(&[job], now).expect("placed").remove(0)
    };
    enqueue(store, &[plain("k", "first"), plain("other", "bystander")]);
    let (node, _guard) = node(store);
    let running = claim_one(store, node);
    let first = call(store, NOW);
    assert_eq!((first.existing.as_ref(), first.replaced.as_ref()), (None, None));
    let second = call(store, later(20));
    assert_eq!(second.id, first.id);
    let waiting = get(store, first.id);
    assert_eq!((waiting.state, waiting.due_at), (State::Blocked, Some(later(50))));
    end(store, &running, node, Event::Complete);
    let waiting = get(store, first.id);
    assert_eq!(
        (waiting.state, waiting.due_at),
        (State::Scheduled, Some(later(50)))
    );
    let claimed = turn(store, node, &[], 9, later(50)).claimed;
    assert_eq!(claimed.len(), 2, "that one and the bystander");
}

/// Eight enqueuers, 200 keys: at no moment have two jobs of a key not ended. The control is the same without the index, where
/// that happens.
pub fn enqueuers_at_once_share_keys(temp: TempStore) {
    assert_eq!(doubled(&temp, 8, 200), 0);
}

/// Has enqueuers store jobs with the same keys at the same time; how many keys two jobs have then that have not ended.
pub fn doubled(temp: &TempStore, enqueuers: usize, keys: usize) -> usize {
    let start = Barrier::new(enqueuers);
    thread::scope(|scope| {
        for enqueuer in 0..enqueuers {
            let (start, location) = (&start, &temp.location);
            scope.spawn(move || share(start, location, enqueuer, keys));
        }
    });
    let mut live: BTreeMap<String, usize> = BTreeMap::new();
    for job in all(&mut temp.another()) {
        let key = job.unique.expect("a key").to_string();
        *live.entry(key).or_default() += usize::from(!job.state.is_final());
    }
    assert_eq!(live.len(), keys);
    live.values().filter(|jobs| **jobs > 1).count()
}

fn share(start: &Barrier, location: &Location, enqueuer: usize, keys: usize) {
    let mut store = Store::open(location, OpenMode::MustExist).expect("a connection");
    start.wait();
    for round in 0..3 {
        // In another order each, so that they would wait for each other in a circle if the store let them.
        let mut order: Vec<usize> = (0..keys).collect();
        order.rotate_left((enqueuer * 31 + round * 7) % keys);
        if enqueuer % 2 == 1 {
            order.reverse();
        }
        let jobs: Vec<ValidJob> = order
            .into_iter()
            .map(|key| {
                let choice = if (key + enqueuer + round).is_multiple_of(3) {
                    OnConflict::Replace
                } else {
                    OnConflict::Return
                };
                choosing(&format!("key {key}"), "x", choice)
            })
            .collect();
        for jobs in jobs.chunks(40) {
            store.place(jobs, NOW).expect("placed");
        }
    }
}

/// Every job there is.
pub(super) fn all(store: &mut Store) -> Vec<Job> {
    let filter = ListFilter {
        limit: 100_000,
        ..ListFilter::default()
    };
    store.list(&filter).expect("a list")
}
