//! Limits that change, and jobs that meet them after something else: a hold, a parent, a key, a schedule.

use queuectl_core::schedule::TickResult;
use queuectl_core::{LimitChange, OnConflict, Rate};
use queuectl_storage::ScheduleChange;

use super::limits::{done, is_sound, limited, per_key, run_all, running, set, states_of};
use super::schedules::{add, schedule, tick, ticks};
use super::*;

fn rate(text: &str) -> LimitChange {
    let rate: Rate = text.parse().expect("a rate");
    LimitChange {
        rate: Some(Some(rate)),
        ..LimitChange::default()
    }
}

fn ids(claimed: &[Claimed]) -> Vec<i64> {
    claimed.iter().map(|job| job.id).collect()
}

/// A job like that one, and what else is said of it.
fn with(job: &ValidJob, more: impl FnOnce(&mut JobSpec)) -> ValidJob {
    let mut spec = JobSpec::clone(job);
    more(&mut spec);
    valid(spec)
}

/// What a slow rate has counted does not keep back what a faster one allows, nor does it outlive the limit.
pub fn a_rate_that_changes_takes_effect_at_once(mut temp: TempStore) {
    let store = &mut temp.store;
    set(store, "api", rate("1/h"));
    let jobs: Vec<ValidJob> = (0..4).map(|_| limited(&["api"], "a", 0)).collect();
    let stored = enqueue(store, &jobs);
    let (node, _guard) = node(store);
    assert_eq!(ids(&claim(store, node, 9)), [stored[0].0]);
    // The control: nothing changed.
    assert_eq!(turn(store, node, &[], 9, later(200)).claimed, []);
    set(store, "api", rate("10/s"));
    assert_eq!(ids(&turn(store, node, &[], 9, later(200)).claimed), [stored[1].0]);
    assert_eq!(turn(store, node, &[], 9, later(250)).claimed, []);
    set(store, "api", rate("1/h"));
    assert_eq!(
        ids(&turn(store, node, &[], 9, later(3_000)).claimed),
        [stored[2].0]
    );
    assert_eq!(turn(store, node, &[], 9, later(3_100)).claimed, []);
    let name = "api".parse().expect("a name");
    assert!(store.remove_limit(&name, later(3_100)).expect("an answer"));
    set(store, "api", rate("10/s"));
    assert_eq!(
        ids(&turn(store, node, &[], 9, later(3_200)).claimed),
        [stored[3].0]
    );
    assert!(is_sound(store));
}

/// A limit that is removed and set again counts what runs, also if it counts by other keys than before.
pub fn a_limit_that_is_set_again_counts_what_runs(mut temp: TempStore) {
    let store = &mut temp.store;
    let name = "account".parse().expect("a name");
    set(store, "account", per_key(1));
    let first = enqueue(
        store,
        &[limited(&["account:1"], "a", 0), limited(&["account:2"], "a", 0)],
    );
    let (node, _guard) = node(store);
    let mut mine = claim(store, node, 9);
    assert_eq!(ids(&mine), [first[0].0, first[1].0]);
    assert!(store.remove_limit(&name, NOW).expect("an answer"));
    set(store, "account", running(2));
    let third = enqueue(store, &[limited(&["account:3"], "a", 0)]);
    assert_eq!(states_of(store, &third), [State::Blocked]);
    assert!(is_sound(store));
    let ended = done(&mine.remove(0), node, NOW);
    mine.extend(turn(store, node, &[ended], 9, NOW).claimed);
    assert_eq!(ids(&mine), [first[1].0, third[0].0]);
    // By key again; one that waits is let through by another key than it waited for.
    let parked = enqueue(store, &[limited(&["account:4"], "a", 0)]);
    assert_eq!(states_of(store, &parked), [State::Blocked]);
    assert!(store.remove_limit(&name, NOW).expect("an answer"));
    set(store, "account", per_key(1));
    let late = enqueue(
        store,
        &["account:1", "account:2", "account:3"].map(|key| limited(&[key], "a", 0)),
    );
    assert_eq!(
        states_of(store, &late),
        [State::Pending, State::Blocked, State::Blocked]
    );
    let next = claim(store, node, 9);
    assert_eq!(ids(&next), [parked[0].0, late[0].0]);
    assert!(is_sound(store));
}

/// However many jobs wait in front that no node claims, others of the same key go on.
pub fn many_that_no_node_claims_keep_back_no_other(mut temp: TempStore) {
    let store = &mut temp.store;
    set(store, "disk", running(1));
    let front: Vec<ValidJob> = (0..11_500).map(|_| limited(&["disk"], "unserved", 0)).collect();
    let front = enqueue(store, &front);
    let served: Vec<ValidJob> = (0..3).map(|_| limited(&["disk"], "served", 0)).collect();
    let served = enqueue(store, &served);
    let (node, _guard) = node(store);
    let only = Queues::Only(vec!["served".parse().expect("a queue")]);
    let (mut now, mut records, mut order, mut looks) = (NOW, Vec::new(), Vec::new(), 0);
    while order.len() < 3 && looks < 10 {
        let cycle = Cycle {
            node,
            records: &records,
            claim: 5,
            queues: &only,
            now,
        };
        let turned = store.cycle(&cycle).expect("a cycle");
        order.extend(turned.claimed.iter().map(|job| job.id));
        records = turned.claimed.iter().map(|job| done(job, node, now)).collect();
        // After one that was found the next look is soon.
        now = match turned.next_due {
            Some(next) if !order.is_empty() => next,
            _ => now.after(Duration::from_secs(1)),
        };
        looks += 1;
    }
    assert_eq!(order, [served[0].0, served[1].0, served[2].0]);
    // The second look finds the first of them.
    assert!(looks <= 5 && now < later(2_000), "{looks} looks until {now:?}");
    assert_eq!(states_of(store, &front[..2]), [State::Pending, State::Blocked]);
    assert!(is_sound(store));
}

/// Whatever else a job waited for, it waits for a full key once that is over, in its place, and no claim meets it.
pub fn what_becomes_ready_takes_its_place(mut temp: TempStore) {
    let store = &mut temp.store;
    set(store, "disk", running(1));
    let plain = limited(&["disk"], "a", 0);
    let keyed = |key: &str| {
        with(&plain, |spec| {
            spec.unique = Some(key.parse().expect("a key"));
            spec.on_conflict = Some(OnConflict::Replace);
        })
    };
    let held = with(&plain, |spec| {
        spec.hold = Some(true);
        spec.priority = Some(1);
    });
    let dependant = with(&plain, |spec| {
        spec.after = vec!["parent".parse().expect("a parent")]
    });
    let parent = valid(JobSpec {
        id: Some("parent".parse().expect("an id")),
        ..JobSpec::line("true")
    });
    let stored = enqueue(store, &[keyed("k"), keyed("l"), held, parent, dependant]);
    // The first is let through; the control: with a key a job that has room is ready.
    assert_eq!(
        states_of(store, &stored),
        [
            State::Pending,
            State::Blocked,
            State::Blocked,
            State::Pending,
            State::Blocked
        ]
    );
    let (node, _guard) = node(store);
    let mut mine = claim(store, node, 9);
    assert_eq!(ids(&mine), [stored[0].0, stored[3].0]);
    let parent = mine.pop().expect("the parent");
    assert_eq!(
        turn(store, node, &[done(&parent, node, NOW)], 0, NOW).unblocked,
        0
    );
    let released = store.release(&JobRef::Number(stored[2]), NOW).expect("released");
    assert_eq!(
        (released.state, released.waits.first()),
        (State::Blocked, Some(BlockedBy::Limit))
    );
    // The successor of the running one, and one that takes the place of one that waits.
    let later_ones = enqueue(store, &[keyed("k"), keyed("l")]);
    assert_eq!(get(store, later_ones[0]).waits.first(), Some(BlockedBy::Unique));
    assert_eq!(
        states_of(store, &[stored[1], later_ones[1]]),
        [State::Cancelled, State::Blocked]
    );
    for id in [stored[2], stored[4], later_ones[1]] {
        assert_eq!(get(store, id).waits.first(), Some(BlockedBy::Limit), "{id}");
    }
    assert!(is_sound(store));
    let ended = done(&mine[0], node, NOW);
    let next = turn(store, node, &[ended], 1, NOW).claimed;
    assert_eq!(ids(&next), [stored[2].0], "by priority");
    assert_eq!(get(store, later_ones[0]).waits.first(), Some(BlockedBy::Limit));
    let ended = done(&next[0], node, NOW);
    turn(store, node, &[ended], 0, NOW);
    assert_eq!(
        run_all(store, node, NOW),
        [stored[4].0, later_ones[0].0, later_ones[1].0]
    );
    // Retried by hand beside one that runs.
    let runs = enqueue(store, &[plain]);
    assert_eq!(ids(&claim(store, node, 9)), [runs[0].0]);
    store
        .retry(&JobRef::Number(stored[1]), &Only::default(), NOW)
        .expect("retried");
    assert_eq!(states_of(store, &stored[1..2]), [State::Blocked]);
    assert!(is_sound(store));
}

/// A job that waits for a unique key or for an earlier run of its schedule, and not for room, is not misplaced.
pub fn what_waits_for_something_else_is_in_its_place(mut temp: TempStore) {
    use queuectl_core::schedule::Overlap;
    let store = &mut temp.store;
    set(store, "disk", running(1));
    let keyed = valid(JobSpec {
        unique: Some("k".parse().expect("a key")),
        on_conflict: Some(OnConflict::Replace),
        ..JobSpec::line("true")
    });
    let first = enqueue(store, std::slice::from_ref(&keyed));
    let (node, _guard) = node(store);
    assert_eq!(ids(&claim(store, node, 1)), [first[0].0]);
    let successor = enqueue(store, &[keyed]);
    assert_eq!(get(store, successor[0]).waits.first(), Some(BlockedBy::Unique));
    assert!(is_sound(store));
    let mut spec = schedule("queued", "@every 10s");
    spec.overlap = Overlap::Queue;
    spec.job.limit = vec!["disk".parse().expect("a limit")];
    add(store, &spec);
    tick(store, later(10_000));
    let earlier = turn(store, node, &[], 1, later(10_000)).claimed;
    tick(store, later(20_000));
    let waiting = ticks(store, "queued")[1].job.expect("a job");
    // For its turn alone, though the key is full as well.
    assert_eq!(get(store, waiting).waits.code(), BlockedBy::Overlap as i32);
    assert!(is_sound(store));
    let next = turn(
        store,
        node,
        &[done(&earlier[0], node, later(20_000))],
        9,
        later(20_000),
    )
    .claimed;
    assert_eq!(ids(&next), [waiting.0]);
    assert!(is_sound(store));
}

/// The end of a job that cancels others which name limits leaves nothing of them, and lets go on what waits.
pub fn what_is_cancelled_with_its_parent_leaves_limits(mut temp: TempStore) {
    let store = &mut temp.store;
    set(store, "disk", running(1));
    let named = |id: &str, after: &[&str]| {
        with(&limited(&["disk"], "a", 0), |spec| {
            spec.id = Some(id.parse().expect("an id"));
            spec.after = after
                .iter()
                .map(|after| after.parse().expect("a parent"))
                .collect();
            spec.max_retries = Some(0);
        })
    };
    let stored = enqueue(
        store,
        &[
            named("root", &[]),
            named("child", &["root"]),
            named("grandchild", &["child"]),
            named("comforter", &["root:failed"]),
            named("other", &[]),
        ],
    );
    let (node, _guard) = node(store);
    let root = claim_one(store, node);
    let failed = Event::Fail { retry_at: None };
    let died = record(&root, node, failed, OutcomeKind::Failed, NOW);
    let turned = turn(store, node, &[died], 9, NOW);
    // One slot came back, for two that can have it: the older one has it.
    assert_eq!(
        states_of(store, &stored),
        [
            State::Dead,
            State::Cancelled,
            State::Cancelled,
            State::Processing,
            State::Blocked
        ]
    );
    assert!(is_sound(store));
    let next = turn(store, node, &[done(&turned.claimed[0], node, NOW)], 9, NOW).claimed;
    assert_eq!(ids(&next), [stored[4].0]);
    // Retried, it takes its dependants along, which wait for room again.
    turn(store, node, &[done(&next[0], node, NOW)], 0, NOW);
    store
        .retry(&JobRef::Number(stored[0]), &Only::default(), NOW)
        .expect("retried");
    assert_eq!(run_all(store, node, NOW), [stored[0].0, stored[1].0, stored[2].0]);
    assert!(is_sound(store));
}

/// A schedule whose jobs name a limit that is not there is refused; where the limit goes later, its ticks say so.
pub fn a_schedule_names_limits_that_are_there(mut temp: TempStore) {
    let store = &mut temp.store;
    let mut spec = schedule("nightly", "@every 10s");
    spec.job.limit = vec!["disk".parse().expect("a limit")];
    let refused = store.change_schedules(&[ScheduleChange::Add(spec.clone())], NOW);
    let said = refused.expect_err("there is no such limit").to_string();
    assert!(said.contains("no limit 'disk'"), "{said}");
    set(store, "disk", running(1));
    add(store, &spec);
    add(store, &schedule("bystander", "@every 10s"));
    assert_eq!(tick(store, later(10_000)).jobs, 2);
    assert!(
        store
            .remove_limit(&"disk".parse().expect("a name"), NOW)
            .expect("an answer")
    );
    assert_eq!(tick(store, later(20_000)).jobs, 1);
    assert!(store.run_schedule(&spec.name, later(21_000)).is_err());
    let last = ticks(store, "nightly").pop().expect("a tick");
    assert_eq!((last.result, last.job), (TickResult::Refused, None));
    assert!(last.reason.expect("a reason").contains("no limit 'disk'"));
    set(store, "disk", running(1));
    assert_eq!(tick(store, later(30_000)).jobs, 2);
    set(store, "by_key", per_key(1));
    let edited = store.edit_schedule(&spec.name, later(30_000), |spec| {
        spec.job.limit = vec!["by_key".parse().expect("a limit")];
        Ok(())
    });
    assert!(
        edited
            .expect_err("it has no key")
            .to_string()
            .contains("counts by key")
    );
}
