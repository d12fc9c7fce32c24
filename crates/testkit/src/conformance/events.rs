//! The ledger of events.

use std::thread;
use std::time::Instant;

use queuectl_storage::{EventPlace, LedgerEvent, Pause};

use super::*;

fn set_retention(store: &mut Store, value: &str) {
    let key = Key::find("event_retention").expect("a key");
    store.set_setting(key, value).expect("stored").expect("valid");
}

fn events(store: &mut Store, job: Option<JobId>) -> Vec<LedgerEvent> {
    store.events_after(job, EventPlace::START, 1000).expect("events")
}

/// Waits until that many events can be read: on a server, not while any older transaction is open, of whatever database.
fn wait_for(store: &mut Store, job: Option<JobId>, count: usize) -> Vec<LedgerEvent> {
    let start = Instant::now();
    loop {
        let found = events(store, job);
        if found.len() >= count || start.elapsed() > Duration::from_secs(60) {
            assert_eq!(found.len(), count, "{found:?}");
            return found;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

fn kinds(store: &mut Store, job: JobId) -> Vec<String> {
    events(store, Some(job))
        .into_iter()
        .map(|event| event.kind)
        .collect()
}

/// Every change of a job is there, in order, with the node, and how its attempts ended.
pub fn the_ledger_has_every_change(mut temp: TempStore) {
    let store = &mut temp.store;
    let before = enqueue(store, &[job("before")])[0];
    store.cancel(&JobRef::Number(before), NOW).expect("cancelled");
    set_retention(store, "7d");
    let bystander = enqueue(
        store,
        &[valid(JobSpec {
            priority: Some(-9),
            ..JobSpec::line("bystander")
        })],
    )[0];
    let id = enqueue(store, &[job("x")])[0];
    let number = JobRef::Number(id);
    let (node, _guard) = node(store);
    store.hold(&number, NOW).expect("held");
    store.release(&number, NOW).expect("released");
    let claimed = claim_one(store, node);
    let failed = Event::Fail {
        retry_at: Some(later(50)),
    };
    let failed = record(&claimed, node, failed, OutcomeKind::Failed, NOW);
    turn(store, node, &[failed], 0, NOW);
    let claimed = turn(store, node, &[], 1, later(60)).claimed.remove(0);
    let back = record(&claimed, node, Event::Return, OutcomeKind::Returned, later(61));
    turn(store, node, &[back], 0, later(61));
    let claimed = turn(store, node, &[], 1, later(62)).claimed.remove(0);
    let died = record(
        &claimed,
        node,
        Event::Fail { retry_at: None },
        OutcomeKind::Lost,
        later(63),
    );
    turn(store, node, &[died], 0, later(63));
    store
        .retry(&number, &Only::default(), later(64))
        .expect("retried");
    let claimed = turn(store, node, &[], 1, later(65)).claimed.remove(0);
    store.cancel(&number, later(66)).expect("requested");
    let stopped = record(&claimed, node, Event::Cancel, OutcomeKind::Cancelled, later(67));
    turn(store, node, &[stopped], 0, later(67));
    wait_for(store, Some(id), 14);
    assert_eq!(
        kinds(store, id),
        [
            "enqueued",
            "held",
            "released",
            "started",
            "failed",
            "due",
            "started",
            "returned",
            "started",
            "dead",
            "retried",
            "started",
            "cancel requested",
            "cancelled"
        ]
    );
    let all = events(store, Some(id));
    let (failed, dead) = (&all[4], &all[9]);
    assert_eq!(
        (failed.node, failed.due_at, failed.at),
        (Some(node), Some(later(50)), NOW)
    );
    assert_eq!(failed.message.as_deref(), Some("it broke"));
    assert_eq!((dead.outcome, dead.at), (Some(OutcomeKind::Lost), later(63)));
    assert_eq!(kinds(store, bystander), ["enqueued"]);
    assert!(kinds(store, before).is_empty(), "nothing is known of before");
    let numbers: Vec<i64> = events(store, None).iter().map(|event| event.id).collect();
    assert!(numbers.is_sorted(), "{numbers:?}");
    store.purge_one(&number, &Only::default()).expect("purged");
    assert_eq!(kinds(store, id).last().map(String::as_str), Some("purged"));
}

/// Of a replaced job the ledger says by which one.
pub fn the_ledger_says_what_replaced_a_job(mut temp: TempStore) {
    let store = &mut temp.store;
    set_retention(store, "1d");
    let keyed = |choice| {
        valid(JobSpec {
            unique: Some("k".parse().expect("a key")),
            on_conflict: Some(choice),
            ..JobSpec::line("x")
        })
    };
    let bystander = enqueue(store, &[job("bystander")])[0];
    let first = enqueue(store, &[keyed(queuectl_core::OnConflict::Return)])[0];
    let second = enqueue(store, &[keyed(queuectl_core::OnConflict::Replace)])[0];
    wait_for(store, Some(first), 3);
    assert_eq!(kinds(store, first), ["enqueued", "cancelled", "replaced"]);
    let replaced = events(store, Some(first)).pop().expect("an event");
    let detail: String = replaced.detail.expect("a detail").split_whitespace().collect();
    assert_eq!(detail, format!("{{\"by\":{second}}}"));
    assert_eq!(kinds(store, bystander), ["enqueued"]);
}

/// A pause of a queue, and its end.
pub fn the_ledger_has_pauses_of_queues(mut temp: TempStore) {
    let store = &mut temp.store;
    let mail = ["mail".parse().expect("a queue")];
    let pause = |store: &mut Store, reason: &str| {
        let pause = Pause {
            at: NOW,
            until: None,
            by: "somebody".to_owned(),
            reason: Some(reason.to_owned()),
        };
        store.pause_queues(&mail, &pause)
    };
    pause(store, "not recorded").expect("paused");
    set_retention(store, "1d");
    store.resume_queues(&mail, NOW).expect("resumed");
    pause(store, "provider \"x\"").expect("paused");
    let found = wait_for(store, None, 2);
    let kinds: Vec<&str> = found.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["queue resumed", "queue paused"]);
    let detail = found[1].detail.as_deref().expect("a detail");
    assert!(
        detail.contains("mail") && detail.contains("provider \\\"x\\\""),
        "{detail}"
    );
    assert_eq!(found[1].job, None);
}

/// Without the setting nothing is written, which is the default; what was written is removed when it is unset, in steps. Pages
/// go on where they stopped.
pub fn the_ledger_is_off_unless_it_is_wanted(mut temp: TempStore) {
    let store = &mut temp.store;
    enqueue(store, &[job("a")]);
    assert_eq!(events(store, None), []);
    set_retention(store, "1m");
    // Twice is as once.
    set_retention(store, "2m");
    let jobs: Vec<ValidJob> = (0..50).map(|n| job(&format!("echo {n}"))).collect();
    let ids = enqueue(store, &jobs);
    wait_for(store, None, 50);
    let mut seen = Vec::new();
    let mut place = EventPlace::START;
    loop {
        let page = store.events_after(None, place, 7).expect("a page");
        let Some(last) = page.last() else { break };
        place = last.place;
        seen.extend(page.into_iter().filter_map(|event| event.job));
    }
    assert_eq!(seen, ids);
    let newest = store.newest_events_from(None, 3).expect("a place");
    let newest = store.events_after(None, newest, 100).expect("events");
    assert_eq!(
        newest.iter().filter_map(|event| event.job).collect::<Vec<_>>(),
        ids[47..]
    );
    let after = store.event_place(newest[0].id).expect("a place");
    assert_eq!(store.events_after(None, after, 100).expect("events").len(), 2);
    assert_eq!(since(store, NOW), 50);
    assert_eq!(since(store, later(1)), 0);
    let two_minutes = Duration::from_secs(120);
    assert!(!store.purge_events(two_minutes, later(120_000)).expect("a step"));
    assert_eq!(events(store, None).len(), 50, "none is too old yet");
    store.purge_events(two_minutes, later(120_001)).expect("a step");
    assert_eq!(events(store, None).len(), 0);
    set_retention(store, "0");
    enqueue(store, &[job("b")]);
    assert_eq!(events(store, None), []);
    // Unset is as off.
    set_retention(store, "1d");
    let key = Key::find("event_retention").expect("a key");
    assert!(store.unset_setting(key).expect("unset"));
    enqueue(store, &[job("c")]);
    assert_eq!(events(store, None), []);
}

fn since(store: &mut Store, time: Timestamp) -> usize {
    let place = store.event_place_at(time).expect("a place");
    store.events_after(None, place, 100).expect("events").len()
}
