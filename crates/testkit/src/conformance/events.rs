//! The ledger of events.

use std::thread;
use std::time::Instant;

use queuectl_core::{
    Command, ExecutorSetting, Hook, HookOn, HookOns, LimitChange, QueueLimitChange, QueueSetting,
};
use queuectl_storage::{EventPlace, LedgerEvent, Pause};

use serde_json::json;

use super::*;

pub(super) fn set_retention(store: &mut Store, value: &str) {
    let key = Key::find("event_retention").expect("a key");
    store.set_setting(key, value).expect("stored").expect("valid");
}

fn events(store: &mut Store, job: Option<JobId>) -> Vec<LedgerEvent> {
    store.events_after(job, EventPlace::START, 1000).expect("events")
}

/// Waits until that many events can be read: on a server, not while any older transaction is open, of whatever database.
pub(super) fn wait_for(store: &mut Store, job: Option<JobId>, count: usize) -> Vec<LedgerEvent> {
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

/// Waits for that many events of a kind, of a job or all, as long as others on the server hold events back.
pub(super) fn wait_for_kind(
    store: &mut Store,
    job: impl Into<Option<JobId>>,
    kind: &str,
    count: usize,
) -> Vec<LedgerEvent> {
    let (start, job) = (Instant::now(), job.into());
    loop {
        let mut found = events(store, job);
        found.retain(|event| event.kind == kind);
        if found.len() >= count || start.elapsed() > Duration::from_secs(60) {
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
    let all = wait_for(store, Some(id), 15);
    assert_eq!(all.last().map(|event| event.kind.as_str()), Some("purged"));
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
    // One that is in force is changed.
    pause(store, "until tomorrow").expect("changed");
    let found = wait_for(store, None, 3);
    let detail = found[2].detail.as_deref().expect("a detail");
    assert_eq!(found[2].kind, "queue paused");
    assert!(
        detail.contains("mail") && detail.contains("until tomorrow"),
        "{detail}"
    );
}

/// What operators change besides jobs: by whom, from what, to what. What changes nothing, or is refused, is not there.
pub fn the_ledger_has_changes_of_settings_and_limits(mut temp: TempStore) {
    let store = &mut temp.store;
    set_retention(store, "1d");
    let key = Key::find("max_retries").expect("a key");
    let limit = "disk".parse().expect("a name");
    let queue = "mail".parse().expect("a name");
    let per_queue = |value: Option<&str>| {
        let setting = QueueSetting::find("mail".parse().expect("a name"), "max_retries").expect("a setting");
        [(setting, value.map(str::to_owned))]
    };
    let executor = || "docker.host".parse::<ExecutorSetting>().expect("a setting");
    let running = |running| LimitChange {
        running: Some(Some(running)),
        ..LimitChange::default()
    };
    // Somebody who does not say who.
    store.set_setting(key, "7").expect("stored").expect("valid");
    store.act_as("ann@host".to_owned());
    store.set_setting(key, "7").expect("stored").expect("valid");
    store
        .set_setting(key, "many")
        .expect("no fault")
        .expect_err("refused");
    store.unset_setting(key).expect("unset");
    store.unset_setting(key).expect("unset");
    store
        .set_executor_setting(&executor(), "a \"b\"")
        .expect("stored")
        .expect("valid");
    let parts = [
        QueueLimitChange::Running(Some(4)),
        QueueLimitChange::Rate(Some("10/s".parse().expect("a rate"))),
    ];
    store
        .change_queue(&queue, &per_queue(Some("8")), &parts)
        .expect("changed");
    store
        .change_queue(&queue, &per_queue(None), &parts[..1])
        .expect("changed");
    let burst_alone = [QueueLimitChange::Rate(None), QueueLimitChange::Burst(Some(3))];
    store
        .change_queue(&queue, &per_queue(Some("9")), &burst_alone)
        .expect_err("refused");
    let busy = LimitChange {
        busy_status: Some(Some(75)),
        busy_wait_ms: Some(90_000),
        rate: Some(Some("100/10s".parse().expect("a rate"))),
        ..running(4)
    };
    store.set_limit(&limit, &busy, NOW).expect("set");
    store.set_limit(&limit, &running(4), NOW).expect("set");
    store.set_limit(&limit, &running(1), later(1)).expect("set");
    assert_eq!(
        store.resume_limit(&limit, None, NOW).expect("resumed"),
        0,
        "it was not put off"
    );
    assert!(store.remove_limit(&limit, later(2)).expect("removed"));
    assert!(!store.remove_limit(&limit, later(3)).expect("none"));

    let hook = Hook {
        name: "page".parse().expect("a name"),
        on: HookOns::NONE.with(HookOn::Death),
        queue: Some(queue.clone()),
        schedule: None,
        to_queue: None,
        command: Command::Line("page".to_owned()),
        cwd: None,
        created_at: later(4),
        alert: None,
    };
    store.add_hook(&hook).expect("added");
    store.add_hook(&hook).expect_err("its name is taken");
    let none = ["none".parse().expect("a name")];
    store.remove_hooks(&none).expect_err("there is none");
    store.remove_hooks(&[hook.name]).expect("removed");

    let options = "--running 4 --rate 100/10s --burst 1 --busy-status 75 --busy-wait 1m30s";
    let fewer = options.replace("running 4", "running 1");
    let ann = json!("ann@host");
    let wanted = [
        (
            "setting changed",
            json!({"by": null, "from": null, "setting": "max_retries", "to": "7"}),
        ),
        (
            "setting changed",
            json!({"by": ann, "from": "7", "setting": "max_retries", "to": null}),
        ),
        (
            "setting changed",
            json!({"by": ann, "from": null, "setting": "docker.host", "to": "a \"b\""}),
        ),
        (
            "setting changed",
            json!({"by": ann, "queue": "mail", "from": null, "setting": "max_retries", "to": "8"}),
        ),
        (
            "setting changed",
            json!({"by": ann, "queue": "mail", "from": null, "setting": "running", "to": "4"}),
        ),
        (
            "setting changed",
            json!({"by": ann, "queue": "mail", "from": null, "setting": "rate", "to": "10/s"}),
        ),
        (
            "setting changed",
            json!({"by": ann, "queue": "mail", "from": null, "setting": "burst", "to": "1"}),
        ),
        (
            "setting changed",
            json!({"by": ann, "queue": "mail", "from": "8", "setting": "max_retries", "to": null}),
        ),
        (
            "limit set",
            json!({"by": ann, "from": null, "limit": "disk", "to": options}),
        ),
        (
            "limit set",
            json!({"by": ann, "from": options, "limit": "disk", "to": fewer}),
        ),
        (
            "limit removed",
            json!({"by": ann, "from": fewer, "limit": "disk", "to": null}),
        ),
        (
            "hook added",
            json!({"by": ann, "hook": "page", "on": "death", "queue": "mail", "schedule": null, "command": "page"}),
        ),
        ("hook removed", json!({"by": ann, "hook": "page"})),
    ];
    let found = wait_for(store, None, wanted.len());
    for (event, (kind, detail)) in found.iter().zip(wanted) {
        let said: serde_json::Value =
            serde_json::from_str(event.detail.as_deref().expect("a detail")).expect("JSON");
        assert_eq!((event.kind.as_str(), said, event.job), (kind, detail, None));
    }
    assert_eq!(found[9].at, later(1));
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
    set_retention(store, "2m");
    let [changed] = &wait_for(store, None, 1)[..] else {
        panic!("one event");
    };
    assert_eq!(changed.kind, "setting changed");
    let time = store.now().expect("the time");
    store
        .purge_events(Duration::ZERO, time.after(Duration::from_secs(1)))
        .expect("a step");
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
    let of_jobs = |store: &mut Store| events(store, None).iter().filter_map(|event| event.job).count();
    assert_eq!(of_jobs(store), 0);
    // Unset is as off.
    set_retention(store, "1d");
    let key = Key::find("event_retention").expect("a key");
    assert!(store.unset_setting(key).expect("unset"));
    enqueue(store, &[job("c")]);
    assert_eq!(of_jobs(store), 0);
}

fn since(store: &mut Store, time: Timestamp) -> usize {
    let place = store.event_place_at(time).expect("a place");
    store.events_after(None, place, 100).expect("events").len()
}
