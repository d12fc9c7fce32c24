//! Groups of jobs and their callbacks.

use std::sync::Barrier;

use queuectl_core::group::{Group, GroupChange, GroupState, Progress};
use queuectl_core::{GroupName, Payload, QueueName};

use super::*;

fn name(name: &str) -> GroupName {
    name.parse().expect("a name")
}

/// A job of a group.
pub(super) fn member(group: &str) -> JobSpec {
    JobSpec {
        group: Some(name(group)),
        ..JobSpec::line("member")
    }
}

/// Both callbacks, in a queue of their own, and that many failures.
pub(super) fn callbacks(max_fails: Option<u32>) -> GroupChange {
    let callback = |line: &str| {
        Some(JobSpec {
            queue: Some("callbacks".parse().expect("a name")),
            ..JobSpec::line(line)
        })
    };
    GroupChange {
        then: callback("then"),
        then_failed: callback("then failed"),
        max_fails,
    }
}

pub(super) fn create(store: &mut Store, group: &str, change: &GroupChange) {
    store.create_group(&name(group), change, NOW).expect("a group");
}

fn close(store: &mut Store, group: &str) -> Group {
    let nothing = GroupChange::default();
    store.close_group(&name(group), &nothing, NOW).expect("closed")
}

fn progress(store: &mut Store, group: &str) -> Progress {
    store.group(&name(group)).expect("a group").progress
}

fn counted(store: &mut Store, group: &str) -> [u64; 4] {
    let progress = progress(store, group);
    [
        progress.open,
        progress.completed,
        progress.dead,
        progress.cancelled,
    ]
}

/// The jobs in the queue of the callbacks: their commands.
fn stored_callbacks(store: &mut Store) -> Vec<String> {
    let filter = ListFilter {
        jobs: "callbacks".parse::<QueueName>().expect("a name").into(),
        oldest_first: true,
        limit: 1000,
        ..ListFilter::default()
    };
    let jobs = store.list(&filter).expect("a list");
    jobs.into_iter().map(|job| job.display(true)).collect()
}

/// Claims a job from the queue of the members.
fn claim_members(store: &mut Store, node: NodeId, most: u32) -> Vec<Claimed> {
    let queues = Queues::Only(vec!["default".parse().expect("a name")]);
    let cycle = Cycle {
        node,
        records: &[],
        claim: most,
        queues: &queues,
        now: NOW,
    };
    store.cycle(&cycle).expect("a cycle").claimed
}

fn end(store: &mut Store, node: NodeId, job: &Claimed, completes: bool) {
    let (event, kind) = match completes {
        true => (Event::Complete, OutcomeKind::Succeeded),
        false => (Event::Fail { retry_at: None }, OutcomeKind::Failed),
    };
    turn(store, node, &[record(job, node, event, kind, NOW)], 0, NOW);
}

fn is_sound(store: &mut Store) {
    let report = store.check().expect("a report");
    assert_eq!(
        (
            report.damage,
            report.dangling,
            report.miscounted,
            report.misgrouped
        ),
        (vec![], 0, 0, 0)
    );
}

/// A job that another of the same batch replaces has ended when it becomes a member, so its group does not wait for it.
pub fn a_member_that_is_replaced_by_its_own_batch_has_ended(mut temp: TempStore) {
    let store = &mut temp.store;
    create(store, "g", &callbacks(None));
    let keyed = || {
        valid(JobSpec {
            unique: Some("k".parse().expect("a key")),
            on_conflict: Some(queuectl_core::OnConflict::Replace),
            ..member("g")
        })
    };
    let placed = store.place(&[keyed(), keyed()], NOW).expect("stored");
    let bystander = enqueue(store, &[valid(member("other"))])[0];
    assert_eq!(get(store, placed[0].id).state, State::Cancelled);
    assert_eq!(counted(store, "g"), [1, 0, 0, 1]);
    close(store, "g");
    assert_eq!(stored_callbacks(store), [""; 0]);
    let (node, _guard) = node(store);
    let claimed = claim_members(store, node, 1);
    assert_eq!(claimed[0].id, placed[1].id.0);
    end(store, node, &claimed[0], true);
    assert_eq!(stored_callbacks(store), ["then failed"]);
    assert_eq!(get(store, bystander).state, State::Pending);
    is_sound(store);
}

/// What is known of a job to explain it has its groups with their members counted, and no others.
pub fn a_job_is_explained_with_its_groups(mut temp: TempStore) {
    let store = &mut temp.store;
    let members = ["g", "g", "other"].map(|group| valid(member(group)));
    let ids = enqueue(store, &members);
    let bystander = enqueue(store, &[job("bystander")])[0];
    let (node, _guard) = node(store);
    let claimed = claim_members(store, node, 1);
    end(store, node, &claimed[0], true);
    let groups = |store: &mut Store, id: JobId| -> Vec<(String, [u64; 2])> {
        let facts = store.claim_facts(&JobRef::Number(id), NOW).expect("facts");
        let groups = facts.groups.into_iter();
        let told = groups.map(|found| {
            let progress = found.progress;
            (found.group.name.to_string(), [progress.open, progress.completed])
        });
        told.collect()
    };
    for id in &ids[..2] {
        assert_eq!(groups(store, *id), [("g".to_owned(), [1, 1])]);
    }
    assert_eq!(groups(store, ids[2]), [("other".to_owned(), [1, 0])]);
    assert_eq!(groups(store, bystander), []);
}

/// The callback is stored when the group is closed and its last member has ended, and not before; it is told how they ended.
pub fn a_callback_follows_the_last_member(mut temp: TempStore) {
    let store = &mut temp.store;
    create(store, "good", &callbacks(None));
    create(store, "bad", &callbacks(None));
    let members = ["good", "good", "bad"].map(|group| valid(member(group)));
    let ids = enqueue(store, &members);
    let bystander = enqueue(store, &[job("bystander")])[0];
    let (node, _guard) = node(store);
    let claimed = claim_members(store, node, 3);
    let groups: Vec<Option<&str>> = claimed.iter().map(|job| job.groups.as_deref()).collect();
    assert_eq!(groups, [Some("good"), Some("good"), Some("bad")]);
    assert_eq!(get(store, ids[0]).groups, [name("good")]);
    end(store, node, &claimed[0], true);
    assert_eq!(close(store, "good").state(), GroupState::Closed);
    assert_eq!(counted(store, "good"), [1, 1, 0, 0]);
    end(store, node, &claimed[2], false);
    assert_eq!(
        stored_callbacks(store),
        [""; 0],
        "one has not ended, one is not closed"
    );
    end(store, node, &claimed[1], true);
    assert_eq!(stored_callbacks(store), ["then"]);
    let closed = close(store, "bad");
    assert_eq!((closed.state(), closed.problem), (GroupState::Complete, None));
    assert_eq!(stored_callbacks(store), ["then", "then failed"]);
    let callback = get(store, closed.callback.expect("a callback"));
    let told = |fact: &str| callback.payload.env[&format!("QUEUECTL_GROUP{fact}")].as_str();
    assert_eq!(["", "_TOTAL", "_DEAD"].map(told), ["bad", "1", "1"]);
    // Nothing is done again.
    close(store, "bad");
    assert_eq!(stored_callbacks(store).len(), 2);
    assert_eq!(get(store, bystander).state, State::Pending);
    is_sound(store);
}

/// A group without jobs is complete when it is closed; one without callbacks stores none.
pub fn an_empty_group_is_complete_when_it_is_closed(mut temp: TempStore) {
    let store = &mut temp.store;
    create(store, "empty", &callbacks(None));
    assert_eq!(stored_callbacks(store), [""; 0]);
    let closed = close(store, "empty");
    assert_eq!(closed.state(), GroupState::Complete);
    assert_eq!(stored_callbacks(store), ["then"]);
    create(store, "silent", &GroupChange::default());
    assert_eq!(close(store, "silent").callback, None);
    assert_eq!(stored_callbacks(store).len(), 1);
}

/// Jobs make their group, fill it and close it in one transaction, or nothing is stored.
pub fn a_group_is_filled_and_closed_at_once(mut temp: TempStore) {
    let store = &mut temp.store;
    let closing = || JobSpec {
        close_group: Some(true),
        ..member("one")
    };
    let ids = enqueue(store, &[valid(closing()), valid(closing())]);
    let found = store.group(&name("one")).expect("a group").group;
    assert_eq!((found.state(), found.created_at), (GroupState::Closed, NOW));
    let refused = store.enqueue(&[job("other"), valid(member("one"))], NOW);
    assert!(
        matches!(&refused, Err(StoreError::GroupClosed { index: 1, .. })),
        "{refused:?}"
    );
    assert_eq!(
        store
            .list(&ListFilter {
                limit: 9,
                ..ListFilter::default()
            })
            .expect("a list")
            .len(),
        2
    );
    let (node, _guard) = node(store);
    for job in claim(store, node, 2) {
        end(store, node, &job, true);
    }
    assert_eq!(counted(store, "one"), [0, 2, 0, 0]);
    assert_eq!(get(store, ids[1]).state, State::Completed);
    let found = store.group(&name("one")).expect("a group").group;
    assert_eq!(found.state(), GroupState::Complete);
    is_sound(store);
}

/// A retried member counts as open again, and the callback is not stored a second time.
pub fn a_retry_stores_no_second_callback(mut temp: TempStore) {
    let store = &mut temp.store;
    create(store, "one", &callbacks(None));
    let ids = enqueue(store, &[valid(member("one")), valid(member("one"))]);
    close(store, "one");
    let (node, _guard) = node(store);
    let claimed = claim_members(store, node, 2);
    end(store, node, &claimed[0], false);
    // Retried before the last member has ended, it is waited for.
    let only = Only::default();
    store.retry(&JobRef::Number(ids[0]), &only, NOW).expect("retried");
    end(store, node, &claimed[1], true);
    assert_eq!(counted(store, "one"), [1, 1, 0, 0]);
    assert_eq!(stored_callbacks(store), [""; 0]);
    let claimed = claim_members(store, node, 1);
    end(store, node, &claimed[0], false);
    assert_eq!(stored_callbacks(store), ["then failed"]);
    let retried = store.retry_group(&name("one"), true, NOW).expect("retried");
    assert_eq!((retried.jobs, retried.held_back, retried.gone), (1, 0, 0));
    assert_eq!(counted(store, "one"), [1, 1, 0, 0]);
    let claimed = claim_members(store, node, 1);
    end(store, node, &claimed[0], true);
    assert_eq!(counted(store, "one"), [0, 2, 0, 0]);
    assert_eq!(stored_callbacks(store), ["then failed"]);
    is_sound(store);
}

/// A job that has the unique key of a new one becomes a member in its place, also if it runs or has ended.
pub fn a_job_with_the_key_is_the_member(mut temp: TempStore) {
    let store = &mut temp.store;
    let keyed = |key: &str, group: Option<&str>| JobSpec {
        unique: Some(key.parse().expect("a key")),
        unique_for_ms: Some(60_000),
        group: group.map(name),
        ..JobSpec::line("keyed")
    };
    let stored = enqueue(
        store,
        &["runs", "ended", "waits"].map(|key| valid(keyed(key, None))),
    );
    let (node, _guard) = node(store);
    let claimed = claim(store, node, 2);
    end(store, node, &claimed[1], true);
    create(store, "one", &callbacks(None));
    let keys = ["waits", "new", "ended", "runs"];
    let members = keys.map(|key| valid(keyed(key, Some("one"))));
    let ids = enqueue(store, &members);
    assert_eq!([ids[3], ids[2], ids[0]], stored[..]);
    assert_eq!(counted(store, "one"), [3, 1, 0, 0]);
    // A second time changes nothing.
    enqueue(store, &members);
    assert_eq!(counted(store, "one"), [3, 1, 0, 0]);
    close(store, "one");
    end(store, node, &claimed[0], true);
    for job in claim_members(store, node, 2) {
        assert_eq!(stored_callbacks(store), [""; 0]);
        end(store, node, &job, true);
    }
    assert_eq!(stored_callbacks(store), ["then"]);
    is_sound(store);
}

/// Once `max_fails` members are dead, those that have not begun are cancelled; one that runs is not. A retry has the group go on.
pub fn a_group_gives_up_after_so_many_failures(mut temp: TempStore) {
    let store = &mut temp.store;
    create(store, "one", &callbacks(Some(2)));
    let mut jobs: Vec<ValidJob> = (0..4).map(|_| valid(member("one"))).collect();
    jobs.push(valid(JobSpec {
        start: Some(Start::At(later(60_000))),
        ..member("one")
    }));
    jobs.push(valid(JobSpec {
        hold: Some(true),
        ..member("one")
    }));
    enqueue(store, &jobs);
    let bystander = enqueue(store, &[job("bystander")])[0];
    close(store, "one");
    let (node, _guard) = node(store);
    let claimed = claim_members(store, node, 3);
    end(store, node, &claimed[0], false);
    assert_eq!(counted(store, "one"), [5, 0, 1, 0]);
    end(store, node, &claimed[1], false);
    assert_eq!(counted(store, "one"), [1, 0, 2, 3], "one runs");
    assert_eq!(stored_callbacks(store), [""; 0]);
    end(store, node, &claimed[2], true);
    assert_eq!(stored_callbacks(store), ["then failed"]);
    assert_eq!(get(store, bystander).state, State::Pending);
    let retried = store.retry_group(&name("one"), false, NOW).expect("retried");
    assert_eq!(retried.jobs, 5);
    assert_eq!(counted(store, "one"), [5, 1, 0, 0]);
    assert_eq!(store.group(&name("one")).expect("a group").group.stopped_at, None);
    is_sound(store);
}

/// All of a large group is cancelled, in several steps, by whatever ends further members and by what nodes do now and then.
pub fn a_large_group_is_given_up_in_steps(mut temp: TempStore) {
    let store = &mut temp.store;
    create(store, "one", &callbacks(Some(1)));
    let jobs: Vec<ValidJob> = (0..1200).map(|_| valid(member("one"))).collect();
    for some in jobs.chunks(400) {
        enqueue(store, some);
    }
    let (node, _guard) = node(store);
    let claimed = claim_members(store, node, 1);
    end(store, node, &claimed[0], false);
    assert_eq!(counted(store, "one"), [699, 0, 1, 500]);
    let refused = store.enqueue(&[valid(member("one"))], NOW);
    assert!(
        matches!(&refused, Err(StoreError::GroupStopped { index: 0, .. })),
        "{refused:?}"
    );
    while store.stop_groups(NOW).expect("a step") {}
    assert_eq!(counted(store, "one"), [0, 0, 1, 1199]);
    close(store, "one");
    assert_eq!(stored_callbacks(store), ["then failed"]);
    is_sound(store);
}

/// A group that is cancelled takes no more jobs; its callback waits for the member that runs.
pub fn a_cancelled_group_ends_with_its_running_members(mut temp: TempStore) {
    let store = &mut temp.store;
    create(store, "one", &callbacks(None));
    let jobs: Vec<ValidJob> = (0..600).map(|_| valid(member("one"))).collect();
    enqueue(store, &jobs);
    let bystander = enqueue(store, &[job("bystander")])[0];
    let (node, _guard) = node(store);
    let claimed = claim_members(store, node, 1);
    let done = store.cancel_group(&name("one"), NOW).expect("cancelled");
    assert_eq!((done.cancelled, done.requested), (599, 1));
    assert_eq!(stored_callbacks(store), [""; 0]);
    let refused = store.enqueue(&[valid(member("one"))], NOW);
    assert!(matches!(refused, Err(StoreError::GroupClosed { .. })));
    let stopped = record(&claimed[0], node, Event::Cancel, OutcomeKind::Cancelled, NOW);
    turn(store, node, &[stopped], 0, NOW);
    assert_eq!(counted(store, "one"), [0, 0, 0, 600]);
    assert_eq!(stored_callbacks(store), ["then failed"]);
    assert_eq!(get(store, bystander).state, State::Pending);
    is_sound(store);
}

/// A job that is cancelled because another died is the end of a member, too.
pub fn a_cascade_ends_a_group(mut temp: TempStore) {
    let store = &mut temp.store;
    create(store, "one", &callbacks(None));
    let parent = JobSpec {
        id: Some("parent".parse().expect("an id")),
        ..member("one")
    };
    let child = JobSpec {
        after: vec!["parent".parse().expect("a parent")],
        ..member("one")
    };
    enqueue(store, &[valid(parent), valid(child)]);
    close(store, "one");
    let (node, _guard) = node(store);
    let claimed = claim_members(store, node, 2);
    assert_eq!(claimed.len(), 1);
    end(store, node, &claimed[0], false);
    assert_eq!(counted(store, "one"), [0, 0, 1, 1]);
    assert_eq!(stored_callbacks(store), ["then failed"]);
    is_sound(store);
}

/// What a job ended as is remembered when it is purged; a group goes when its time is over, or when it is removed.
pub fn a_group_outlives_its_jobs(mut temp: TempStore) {
    let store = &mut temp.store;
    for group in ["one", "two"] {
        create(store, group, &GroupChange::default());
        enqueue(store, &[valid(member(group)), valid(member(group))]);
    }
    let (node, _guard) = node(store);
    let claimed = claim(store, node, 4);
    end(store, node, &claimed[0], true);
    let filter = PurgeFilter {
        state: State::Completed,
        queue: None,
        ended_before: None,
        limit: 10,
    };
    assert_eq!(store.purge(&filter).expect("purged").jobs, 1);
    assert_eq!(counted(store, "one"), [1, 1, 0, 0]);
    let busy = store.remove_group(&name("one"), NOW);
    assert!(matches!(busy, Err(StoreError::GroupBusy { open: 1, .. })));
    for job in &claimed[1..] {
        end(store, node, job, true);
    }
    close(store, "one");
    assert!(!store.purge_groups(NOW).expect("a step"), "not yet");
    assert_eq!(counted(store, "one"), [0, 2, 0, 0]);
    assert!(!store.purge_groups(later(1)).expect("a step"));
    assert!(matches!(
        store.group(&name("one")),
        Err(StoreError::NoSuchGroup(_))
    ));
    assert_eq!(counted(store, "two"), [0, 2, 0, 0], "it is open");
    store.remove_group(&name("two"), NOW).expect("removed");
    let all = queuectl_storage::GroupFilter {
        limit: 10,
        ..Default::default()
    };
    assert!(store.groups(&all).expect("groups").is_empty());
    // The name is free again.
    create(store, "two", &GroupChange::default());
    is_sound(store);
}

/// What could not be stored later is refused when it is given.
pub fn a_callback_is_checked_when_it_is_given(mut temp: TempStore) {
    let store = &mut temp.store;
    for bad in [
        JobSpec {
            unique: Some("key".parse().expect("a key")),
            ..JobSpec::line("x")
        },
        JobSpec {
            payload: Payload::default(),
            ..JobSpec::default()
        },
    ] {
        let change = GroupChange {
            then: Some(bad),
            ..GroupChange::default()
        };
        let refused = store.create_group(&name("one"), &change, NOW);
        assert!(
            matches!(refused, Err(StoreError::BadCallback { .. })),
            "{refused:?}"
        );
    }
    create(store, "one", &GroupChange::default());
    let taken = store.create_group(&name("one"), &GroupChange::default(), NOW);
    assert!(matches!(taken, Err(StoreError::GroupTaken(_))));
}

/// A copy has the groups with their members, and its groups go on from there.
pub fn a_copy_has_the_groups(mut temp: TempStore) {
    let store = &mut temp.store;
    create(store, "one", &callbacks(None));
    enqueue(store, &[valid(member("one")), valid(member("one"))]);
    let (node, _guard) = node(store);
    let claimed = claim_members(store, node, 1);
    end(store, node, &claimed[0], true);
    let mut target = TempStore::sqlite();
    let copy = &mut target.store;
    store.copy_to(copy).expect("copied");
    assert_eq!(counted(copy, "one"), [1, 1, 0, 0]);
    assert_eq!(
        copy.group(&name("one")).expect("a group"),
        store.group(&name("one")).expect("a group")
    );
    copy.cancel_group(&name("one"), NOW).expect("cancelled");
    assert_eq!(stored_callbacks(copy), ["then failed"]);
    assert_eq!(stored_callbacks(store), [""; 0]);
    create(copy, "two", &GroupChange::default());
    is_sound(copy);
}

/// Of two last members that end at the same moment, exactly one stores the callback, hundreds of times. Each transaction ends
/// a member of two groups, and none waits for another in a circle. Without the locks, the control, callbacks are lost on a
/// server, where two transactions do not see what the other does.
pub fn two_last_members_store_one_callback(mut temp: TempStore) {
    let is_server = temp.location.file().is_none();
    let rounds = if is_server { 300 } else { 40 };
    assert_eq!(
        last_two_at_once(&mut temp, "g", rounds, false),
        vec![1; 2 * rounds]
    );
    is_sound(&mut temp.store);
    let mut tries = 0;
    while is_server && last_two_at_once(&mut temp, &format!("u{tries}-"), 100, true) == [1; 200] {
        tries += 1;
        assert!(tries < 20, "without locks, some must be lost");
    }
}

/// Has two transactions end the last two members of two groups at the same moment, that many times. Returns how many callbacks
/// each group got.
fn last_two_at_once(temp: &mut TempStore, names: &str, rounds: usize, unlocked: bool) -> Vec<usize> {
    let store = &mut temp.store;
    let (node, _guard) = node(store);
    let mut ends = Vec::new();
    for round in 0..rounds {
        let pair = [2 * round, 2 * round + 1].map(|group| format!("{names}{group}"));
        pair.iter()
            .for_each(|group| create(store, group, &callbacks(None)));
        let members = [0, 1, 1, 0].map(|which| valid(member(&pair[which])));
        enqueue(store, &members);
        pair.iter().for_each(|group| drop(close(store, group)));
        let claimed = claim_members(store, node, 4);
        let ended = |job: &Claimed| record(job, node, Event::Complete, OutcomeKind::Succeeded, NOW);
        ends.push(claimed.iter().map(ended).collect::<Vec<_>>());
    }
    let start = Barrier::new(2);
    let mut others: Vec<Store> = (0..2).map(|_| temp.another()).collect();
    std::thread::scope(|scope| {
        for (which, own) in others.iter_mut().enumerate() {
            let (start, ends) = (&start, &ends);
            scope.spawn(move || {
                if unlocked {
                    queuectl_storage::leave_unlocked();
                }
                for records in ends {
                    start.wait();
                    let done = turn(own, node, &records[2 * which..2 * which + 2], 0, NOW);
                    assert_eq!(done.stale, []);
                }
            });
        }
    });
    let mut callbacks = vec![0; 2 * rounds];
    let filter = ListFilter {
        jobs: "callbacks".parse::<QueueName>().expect("a name").into(),
        limit: 100_000,
        ..ListFilter::default()
    };
    for job in temp.store.list(&filter).expect("a list") {
        let group = job.payload.env["QUEUECTL_GROUP"].strip_prefix(names);
        if let Some(number) = group.and_then(|number| number.parse::<usize>().ok()) {
            callbacks[number] += 1;
        }
    }
    callbacks
}
