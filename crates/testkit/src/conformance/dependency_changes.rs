//! Jobs that wait for others: wide graphs, parents that end at the same moment, and what operators and unique keys change.

use queuectl_core::Unmet;

use super::dependencies::{after, graph, is_sound, named, run, state, states};
use super::*;

/// The fan-out of one job, and the fan-in to one, beyond what one statement takes; some of those that wait are scheduled, held
/// or wait for more.
pub fn a_wide_fan_out_is_settled_together(mut temp: TempStore) {
    let store = &mut temp.store;
    let mut jobs = vec![valid(after("root", "")), valid(after("other", ""))];
    for n in 0..2500_u64 {
        let mut child = after(&format!("n{n}"), if n % 5 == 4 { "root,other" } else { "root" });
        match n % 5 {
            1 => child.start = Some(Start::At(later(100 + n))),
            2 => child.hold = Some(true),
            3 => child.unmet = Some(Unmet::Hold),
            _ => {}
        }
        jobs.push(valid(child));
    }
    let parents: Vec<String> = (0..1000).map(|n| format!("n{n}")).collect();
    jobs.push(valid(after("joined", &parents.join(","))));
    enqueue(store, &jobs);
    let (node, _guard) = node(store);
    let root = claim_one(store, node);
    let died = Event::Fail { retry_at: None };
    turn(
        store,
        node,
        &[record(&root, node, died, OutcomeKind::Failed, NOW)],
        0,
        NOW,
    );
    let of = |store: &mut Store, state: State| {
        let counts = store.counts(None).expect("counts").into_iter();
        counts
            .filter(|count| count.state == state)
            .map(|count| count.jobs)
            .sum::<u64>()
    };
    assert_eq!(
        (of(store, State::Cancelled), of(store, State::Blocked)),
        (2001, 500)
    );
    is_sound(store);
    store
        .retry(&named("root"), &Only::default(), NOW)
        .expect("retried");
    let root = claim(store, node, 2)
        .into_iter()
        .find(|job| job.name.as_deref() == Some("root"))
        .expect("it is ready");
    turn(
        store,
        node,
        &[record(&root, node, Event::Complete, OutcomeKind::Succeeded, NOW)],
        0,
        NOW,
    );
    let all = ["n0", "n1", "n2", "n3", "n4", "joined"];
    let [pending, blocked] = [State::Pending, State::Blocked];
    assert_eq!(
        states(store, all),
        [
            pending,
            State::Scheduled,
            blocked,
            pending,
            blocked,
            State::Cancelled
        ]
    );
    let waits = |store: &mut Store, name: &str| store.job(&named(name)).expect("it is there").waits.first();
    assert_eq!(
        waits(store, "n2"),
        Some(BlockedBy::Held),
        "an operator holds it still"
    );
    assert_eq!(waits(store, "n4"), Some(BlockedBy::Dependency));
    let scheduled = store.job(&named("n6")).expect("it is there");
    assert_eq!(
        (scheduled.state, scheduled.due_at),
        (State::Scheduled, Some(later(106)))
    );
    assert_eq!(
        (of(store, State::Blocked), of(store, State::Scheduled)),
        (1000, 500)
    );
    is_sound(store);
}

/// A held job that is released goes on without the parent for which it was held, but not before its others have ended, nor
/// before that one if it was retried.
pub fn a_released_dependant_waits_for_its_other_parents(mut temp: TempStore) {
    let store = &mut temp.store;
    graph(store, &[("a", ""), ("b", "")]);
    let hold = |id: &str, parents: &str| {
        valid(JobSpec {
            unmet: Some(Unmet::Hold),
            ..after(id, parents)
        })
    };
    enqueue(
        store,
        &[
            hold("first", "a,b"),
            hold("second", "a"),
            hold("third", "a"),
            hold("fourth", "a"),
        ],
    );
    let (node, _guard) = node(store);
    let a = claim_one(store, node);
    let died = Event::Fail { retry_at: None };
    turn(
        store,
        node,
        &[record(&a, node, died, OutcomeKind::Failed, NOW)],
        0,
        NOW,
    );
    let waits = |store: &mut Store, name: &str| store.job(&named(name)).expect("it is there").waits.first();
    for name in ["first", "second", "third", "fourth"] {
        assert_eq!(waits(store, name), Some(BlockedBy::Held), "{name}");
    }
    let released = store.release(&named("first"), NOW).expect("released");
    assert_eq!(
        (released.state, released.waits.first()),
        (State::Blocked, Some(BlockedBy::Dependency))
    );
    // The operator's own hold is not the parent's to take back.
    store.hold(&named("fourth"), NOW).expect("held");
    store.retry(&named("a"), &Only::default(), NOW).expect("retried");
    let released = store.release(&named("second"), NOW).expect("released");
    assert_eq!(
        released.waits.first(),
        Some(BlockedBy::Dependency),
        "it was retried"
    );
    assert_eq!(run(store, node, &["b"]), ["a", "b"]);
    assert_eq!(
        states(store, ["second", "third", "fourth"]),
        [State::Pending, State::Pending, State::Blocked]
    );
    assert_eq!(waits(store, "first"), Some(BlockedBy::Held), "b died");
    assert_eq!(waits(store, "fourth"), Some(BlockedBy::Held));
    let b = store.job(&named("b")).expect("it is there").id;
    let held = store.job(&named("first")).expect("it is there");
    assert_eq!(held.unmet.map(|parent| parent.id), Some(b));
    // A parent that is gone cannot be waited for.
    store.purge_one(&named("b"), &Only::default()).expect("purged");
    store.release(&named("first"), NOW).expect("released");
    store.release(&named("fourth"), NOW).expect("released");
    assert_eq!(states(store, ["first", "fourth"]), [State::Pending; 2]);
    is_sound(store);
}

/// A job that would be revived and whose unique key another has meanwhile stays cancelled, and the end of its parent is stored
/// all the same. Of two with one key, one is revived.
pub fn a_revived_dependant_needs_its_key(mut temp: TempStore) {
    let store = &mut temp.store;
    let keyed = |id: &str, key: &str, parents: &str| {
        valid(JobSpec {
            unique: Some(key.parse().expect("a key")),
            on_conflict: Some(queuectl_core::OnConflict::Replace),
            ..after(id, parents)
        })
    };
    let ids = enqueue(
        store,
        &[
            valid(after("a", "")),
            keyed("taken", "one", "a"),
            keyed("first", "two", "a"),
            valid(after("plain", "a")),
        ],
    );
    let (node, _guard) = node(store);
    let running = enqueue(store, &[keyed("running", "three", "")])[0];
    let both = claim(store, node, 2);
    assert_eq!(JobId(both[1].id), running);
    // It waits for the running job with its key, and for the parent.
    enqueue(store, &[keyed("successor", "three", "a")]);
    let died = Event::Fail { retry_at: None };
    turn(
        store,
        node,
        &[record(&both[0], node, died, OutcomeKind::Failed, NOW)],
        0,
        NOW,
    );
    enqueue(store, &[keyed("holder", "one", ""), keyed("second", "two", "a")]);
    let all = ["taken", "first", "second", "successor", "plain"];
    assert_eq!(states(store, all), [State::Cancelled; 5]);
    store.retry(&named("a"), &Only::default(), NOW).expect("retried");
    let a = claim(store, node, 2)
        .into_iter()
        .find(|job| JobId(job.id) == ids[0])
        .expect("it is ready");
    turn(
        store,
        node,
        &[record(&a, node, Event::Complete, OutcomeKind::Succeeded, NOW)],
        0,
        NOW,
    );
    assert_eq!(state(store, "a"), State::Completed);
    let [cancelled, pending] = [State::Cancelled, State::Pending];
    assert_eq!(
        states(store, all),
        [cancelled, pending, cancelled, cancelled, pending]
    );
    let parent = store.job(&named("taken")).expect("it is there").unmet;
    assert_eq!(
        parent.map(|parent| (parent.id, parent.state)),
        Some((ids[0], State::Completed))
    );
    is_sound(store);
}

/// Children that ran when their parent died stay as they are when it is retried and succeeds. A job in the middle that is
/// retried goes on without its parent, and revives what waits for it; its parent's end changes nothing for it any more.
pub fn a_retry_changes_nothing_that_has_run(mut temp: TempStore) {
    let store = &mut temp.store;
    graph(
        store,
        &[
            ("a", ""),
            ("clean-up", "a:failed"),
            ("any", "a:any"),
            ("b", "a"),
            ("c", "b"),
            ("bystander", "a:failed"),
        ],
    );
    let (node, _guard) = node(store);
    run(store, node, &["a"]);
    store.hold(&named("bystander"), NOW).expect("held");
    run(store, node, &[]);
    let all = ["a", "clean-up", "any", "b", "c", "bystander"];
    let [dead, done, cancelled, pending, blocked] = [
        State::Dead,
        State::Completed,
        State::Cancelled,
        State::Pending,
        State::Blocked,
    ];
    assert_eq!(
        states(store, all),
        [dead, done, done, cancelled, cancelled, blocked]
    );
    store.retry(&named("b"), &Only::default(), NOW).expect("retried");
    assert_eq!(states(store, ["b", "c"]), [pending, cancelled]);
    assert_eq!(run(store, node, &[]), ["b"]);
    assert_eq!(states(store, ["b", "c"]), [done, pending]);
    store.retry(&named("a"), &Only::default(), NOW).expect("retried");
    run(store, node, &[]);
    assert_eq!(states(store, all), [done, done, done, done, done, blocked]);
    store.release(&named("bystander"), NOW).expect("released");
    assert_eq!(state(store, "bystander"), pending, "its condition was met once");
    is_sound(store);
}

/// Parents of the same jobs, ended by several nodes at the same moment, hundreds of times: each job is made ready exactly once,
/// none is left behind, and no transaction waits for another in a circle. Without the locks, the control, jobs are left behind
/// on a server, where two transactions do not see what the other does.
pub fn parents_that_end_at_once_release_each_job_once(mut temp: TempStore) {
    let left_behind = ended_at_once(&mut temp, 300, false);
    assert_eq!(left_behind, 0);
    is_sound(&mut temp.store);
    let is_server = temp.location.file().is_none();
    let mut tries = 0;
    while is_server && ended_at_once(&mut temp, 100, true) == 0 {
        tries += 1;
        assert!(tries < 20, "without locks, some must be left behind");
    }
}

/// Runs rounds; how many jobs are left blocked.
fn ended_at_once(temp: &mut TempStore, rounds: usize, unlocked: bool) -> usize {
    let barrier = std::sync::Barrier::new(3);
    let mut left_behind = 0;
    let mut others: Vec<Store> = (0..2).map(|_| temp.another()).collect();
    let store = &mut temp.store;
    std::thread::scope(|scope| {
        for (index, store) in others.iter_mut().enumerate() {
            let barrier = &barrier;
            scope.spawn(move || {
                if unlocked {
                    queuectl_storage::leave_unlocked();
                }
                let (node, _guard) = node(store);
                let queues = Queues::Only(vec![format!("parents-{index}").parse().expect("a queue")]);
                for _ in 0..rounds {
                    barrier.wait();
                    let mut cycle = Cycle {
                        node,
                        records: &[],
                        claim: 10,
                        queues: &queues,
                        now: NOW,
                    };
                    let claimed = store.cycle(&cycle).expect("a claim").claimed;
                    assert_eq!(claimed.len(), 2);
                    let ends =
                        |job: &Claimed| record(job, node, Event::Complete, OutcomeKind::Succeeded, NOW);
                    let ends: Vec<Record> = claimed.iter().map(ends).collect();
                    (cycle.records, cycle.claim) = (&ends, 0);
                    barrier.wait();
                    let done = store.cycle(&cycle).expect("no deadlock");
                    assert_eq!(done.stale, []);
                    barrier.wait();
                }
            });
        }
        for _ in 0..rounds {
            let parent = |queue: usize| {
                valid(JobSpec {
                    queue: Some(format!("parents-{queue}").parse().expect("a queue")),
                    ..JobSpec::line("true")
                })
            };
            let parents = enqueue(store, &[parent(0), parent(1), parent(0), parent(1)]);
            // Each node ends two, and comes to the jobs that wait for them in another order.
            let waiting = [[2, 1], [0, 3], [0, 1], [2, 3]].map(|[one, other]| {
                let [one, other] = [parents[one], parents[other]];
                valid(JobSpec {
                    after: [format!("{one}"), format!("{other}:any")]
                        .map(|text| text.parse().expect("a parent"))
                        .into(),
                    ..JobSpec::line("true")
                })
            });
            let children = enqueue(store, &waiting);
            barrier.wait();
            barrier.wait();
            barrier.wait();
            for child in children {
                match get(store, child).state {
                    State::Pending => {}
                    _ => left_behind += 1,
                }
            }
        }
    });
    left_behind
}

/// A job that was cancelled or held for others goes on once all those have ended as it needs, as long as each of them may. It does not
/// if one of them has ended for good, or an operator cancelled it.
pub fn what_revives_a_job_is_known(mut temp: TempStore) {
    let store = &mut temp.store;
    let unmet = |unmet: Unmet, id: &str, parents: &str| {
        valid(JobSpec {
            unmet: Some(unmet),
            ..after(id, parents)
        })
    };
    let ids = enqueue(
        store,
        &[
            valid(after("a", "")),
            valid(after("b", "")),
            valid(after("child", "a")),
            valid(after("grandchild", "child")),
            valid(after("both", "a,b")),
            unmet(Unmet::Hold, "held", "a"),
            valid(after("by-hand", "a")),
        ],
    );
    let (node, _guard) = node(store);
    store.cancel(&JobRef::Number(ids[6]), NOW).expect("cancelled");
    let revived = |store: &mut Store| {
        ids[2..]
            .iter()
            .map(|id| store.revived_by(*id).expect("an answer"))
            .collect::<Vec<_>>()
    };
    assert_eq!(revived(store), [None; 5], "they wait");
    run(store, node, &["a", "b"]);
    assert_eq!(get(store, ids[3]).state, State::Cancelled);
    assert_eq!(revived(store), [None; 5], "their parents are dead");
    store.retry(&named("a"), &Only::default(), NOW).expect("retried");
    let a = Some(ids[0]);
    assert_eq!(revived(store), [a, a, None, a, None], "b is dead still");
    store.retry(&named("b"), &Only::default(), NOW).expect("retried");
    assert!(revived(store)[2].is_some());
    run(store, node, &[]);
    let child = Some(ids[2]);
    assert_eq!(
        revived(store),
        [None, child, None, None, None],
        "the next is to end"
    );
    while !run(store, node, &[]).is_empty() {}
    assert_eq!(revived(store), [None; 5]);
    assert_eq!(get(store, ids[3]).state, State::Completed);
    assert_eq!(get(store, ids[6]).state, State::Cancelled);
}
