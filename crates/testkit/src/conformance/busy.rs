//! Attempts that find something busy: they do not count, and nothing else of the same key starts before the time is over.

use queuectl_core::limits::BUSY_ROUNDS;
use queuectl_core::{Command, HookOn, JobHooks, LimitChange, Outcome};
use queuectl_storage::MaybeBusy;

use super::events::{set_retention, wait_for_kind};
use super::*;

/// A job that names those limits.
fn limited(limits: &[&str]) -> ValidJob {
    valid(JobSpec {
        limit: limits
            .iter()
            .map(|limit| limit.parse().expect("a limit"))
            .collect(),
        ..JobSpec::line("true")
    })
}

fn set(store: &mut Store, name: &str, change: LimitChange) {
    let name = name.parse().expect("a name");
    store.set_limit(&name, &change, NOW).expect("a limit is set");
}

/// Status 75 puts a key off by 30 s.
fn busy_status() -> LimitChange {
    LimitChange {
        busy_status: Some(Some(75)),
        busy_wait_ms: Some(30_000),
        ..LimitChange::default()
    }
}

/// A failed attempt, the job's last one, that ended with that exit status, or whose executor said what `busy` says.
fn failed(job: &Claimed, node: NodeId, status: i32, busy: MaybeBusy, now: Timestamp) -> Record {
    let event = Event::Fail { retry_at: None };
    let mut failed = record(job, node, event, OutcomeKind::Failed, now);
    let attempt = failed.attempt.as_mut().expect("an attempt");
    attempt.outcome = Outcome {
        exit_code: Some(status),
        ..Outcome::new(OutcomeKind::Failed, format!("exit status {status}"))
    };
    failed.busy = busy;
    failed
}

fn said(ms: u64) -> MaybeBusy {
    MaybeBusy::Until(Duration::from_millis(ms))
}

fn numbers(claimed: &[Claimed]) -> Vec<i64> {
    claimed.iter().map(|job| job.id).collect()
}

fn outcomes(store: &mut Store, id: JobId) -> Vec<OutcomeKind> {
    let attempts = store.attempts_without_output(id).expect("attempts");
    attempts.iter().map(|attempt| attempt.outcome.kind).collect()
}

/// An exit status puts off all of its key, costs no attempt, and other statuses and other keys are what they were.
pub fn a_busy_status_puts_off_its_key(mut temp: TempStore) {
    let store = &mut temp.store;
    set(
        store,
        "api",
        LimitChange {
            per_key: true,
            ..busy_status()
        },
    );
    let jobs = ["api:1", "api:1", "api:2"].map(|key| limited(&[key]));
    let ids = enqueue(store, &[&jobs[..], &[job("bystander")]].concat());
    let (node, _guard) = node(store);
    let first = claim_one(store, node);
    let busy = failed(&first, node, 75, MaybeBusy::ByStatus, NOW);
    let turned = turn(store, node, &[busy], 9, NOW);
    assert_eq!(turned.busy[0].until, later(30_000));
    assert_eq!(
        numbers(&turned.claimed),
        [ids[2].0, ids[3].0],
        "another key, and none"
    );
    for id in &ids[..2] {
        let waits = get(store, *id);
        assert_eq!(
            (waits.state, waits.attempts, waits.waits.first()),
            (State::Blocked, 0, Some(BlockedBy::Limit))
        );
    }
    assert_eq!(outcomes(store, ids[0]), [OutcomeKind::Busy]);
    let facts = store.claim_facts(&JobRef::Number(ids[1]), NOW).expect("facts");
    assert_eq!(facts.busy, Some(("api:1".to_owned(), later(30_000))));
    // A new job of the key waits as well. Nodes wake when the time is over, and not before.
    let new = enqueue(store, &[limited(&["api:1"])])[0];
    assert_eq!(get(store, new).state, State::Blocked);
    assert_eq!(store.next_due().expect("an answer"), Some(later(30_000)));
    assert_eq!(turn(store, node, &[], 9, later(29_999)).claimed, []);
    let after = turn(store, node, &[], 9, later(30_000)).claimed;
    assert_eq!(numbers(&after), [ids[0].0, ids[1].0, new.0]);
    assert_eq!(after[0].attempt, 1, "the busy attempt did not count");
    // The control: any other status is a failure, the last one here.
    let records = [
        failed(&after[0], node, 74, MaybeBusy::ByStatus, later(30_000)),
        failed(&after[1], node, 75, MaybeBusy::No, later(30_000)),
    ];
    assert_eq!(turn(store, node, &records, 9, later(30_000)).busy, []);
    assert_eq!(get(store, ids[0]).state, State::Dead);
    assert_eq!(get(store, ids[1]).state, State::Dead);
    assert_eq!(get(store, ids[3]).state, State::Processing);
    let report = store.check().expect("a check");
    assert_eq!((report.misplaced, report.miscounted), (0, 0));
}

/// What was put off goes on when an operator says so, one key or all of them, and at the limit's rate.
pub fn a_limit_that_was_put_off_is_resumed(mut temp: TempStore) {
    let store = &mut temp.store;
    let change = LimitChange {
        per_key: true,
        rate: Some(Some("1/s".parse().expect("a rate"))),
        burst: Some(2),
        ..busy_status()
    };
    set(store, "api", change.clone());
    set(store, "other", change);
    let keys = ["api:1", "api:2", "other:1"];
    let mut new: Vec<ValidJob> = keys.map(|key| limited(&[key])).to_vec();
    new.extend(keys.map(|key| limited(&[key])));
    let ids = enqueue(store, &new);
    let (node, _guard) = node(store);
    let first = turn(store, node, &[], 3, NOW).claimed;
    let busy: Vec<Record> = first
        .iter()
        .map(|job| failed(job, node, 75, MaybeBusy::ByStatus, NOW))
        .collect();
    assert_eq!(turn(store, node, &busy, 9, NOW).claimed, []);
    let api = "api".parse().expect("a name");
    set_retention(store, "1d");
    assert!(
        store
            .resume_limit(&"none".parse().expect("a name"), None, later(5000))
            .is_err()
    );
    assert_eq!(
        store.resume_limit(&api, Some("2"), later(5000)).expect("resumed"),
        1
    );
    let claimed = turn(store, node, &[], 9, later(6000)).claimed;
    assert_eq!(numbers(&claimed), [ids[1].0], "one key, and one start a second");
    assert_eq!(store.resume_limit(&api, None, later(6000)).expect("resumed"), 1);
    assert_eq!(store.resume_limit(&api, None, later(6000)).expect("resumed"), 0);
    let resumed = wait_for_kind(store, None, "limit resumed", 2);
    let keys = ["\"key\":\"2\"", "\"key\":null"];
    assert_eq!(resumed.len(), keys.len());
    for (event, key) in resumed.iter().zip(keys) {
        let detail = event.detail.as_deref().expect("a detail");
        assert!(
            detail.contains(key) && detail.contains("\"limit\":\"api\""),
            "{detail}"
        );
    }
    let claimed = turn(store, node, &[], 9, later(7000)).claimed;
    assert_eq!(numbers(&claimed), [ids[0].0, ids[4].0]);
    let waits = get(store, ids[2]);
    assert_eq!(
        (waits.state, waits.waits.first()),
        (State::Blocked, Some(BlockedBy::Limit))
    );
    let report = store.check().expect("a check");
    assert_eq!((report.misplaced, report.miscounted), (0, 0));
}

/// What an executor says puts off the limits that stand for a service, not those that only count jobs. Of a rate, no burst
/// follows.
pub fn an_executor_puts_off_limits_with_a_rate(mut temp: TempStore) {
    let store = &mut temp.store;
    let rate = LimitChange {
        rate: Some(Some("1000/s".parse().expect("a rate"))),
        burst: Some(9),
        ..LimitChange::default()
    };
    set(store, "api", rate);
    let running = LimitChange {
        running: Some(Some(9)),
        ..LimitChange::default()
    };
    set(store, "disk", running);
    let jobs = [limited(&["api", "disk"]), limited(&["disk"]), limited(&["api"])];
    let ids = enqueue(store, &jobs);
    let (node, _guard) = node(store);
    let first = claim_one(store, node);
    let busy = failed(&first, node, 1, said(5000), NOW);
    assert_eq!(numbers(&turn(store, node, &[busy], 9, NOW).claimed), [ids[1].0]);
    assert_eq!(outcomes(store, ids[0]), [OutcomeKind::Busy]);
    assert_eq!(turn(store, node, &[], 9, later(4999)).claimed, []);
    assert_eq!(
        numbers(&turn(store, node, &[], 9, later(5000)).claimed),
        [ids[0].0]
    );
    assert_eq!(
        numbers(&turn(store, node, &[], 9, later(5001)).claimed),
        [ids[2].0]
    );
}

/// Without such a limit the job itself waits, also if it has none at all.
pub fn without_a_limit_the_job_itself_waits(mut temp: TempStore) {
    let store = &mut temp.store;
    let running = LimitChange {
        running: Some(Some(1)),
        ..LimitChange::default()
    };
    set(store, "disk", running);
    let ids = enqueue(
        store,
        &[
            limited(&["disk"]),
            limited(&["disk"]),
            job("plain"),
            job("bystander"),
        ],
    );
    let (node, _guard) = node(store);
    let claimed = claim(store, node, 2);
    assert_eq!(numbers(&claimed), [ids[0].0, ids[2].0]);
    let day = 24 * 60 * 60 * 1000;
    let records = [
        failed(&claimed[0], node, 1, said(5000), NOW),
        failed(&claimed[1], node, 1, said(u64::MAX), NOW),
    ];
    let next = turn(store, node, &records, 9, NOW).claimed;
    assert_eq!(numbers(&next), [ids[1].0, ids[3].0], "the disk is free");
    for (id, wait) in [(ids[0], 5000), (ids[2], day)] {
        let waits = get(store, id);
        assert_eq!(
            (waits.state, waits.attempts, waits.due_at),
            (State::Failed, 0, Some(later(wait)))
        );
        assert_eq!(outcomes(store, id), [OutcomeKind::Busy]);
    }
    turn(store, node, &[], 0, later(day));
    assert_eq!(get(store, ids[2]).state, State::Pending);
}

/// What is busy for ever ends: after 100 rounds an attempt counts. A cancelled job ends at once.
pub fn being_busy_ends(mut temp: TempStore) {
    let store = &mut temp.store;
    let id = enqueue(store, &[job("plain")])[0];
    let bystander = enqueue(store, &[job("bystander")])[0];
    let (node, _guard) = node(store);
    let mut now = NOW;
    let mut claimed = claim_one(store, node);
    for _ in 0..BUSY_ROUNDS {
        let busy = failed(&claimed, node, 1, said(1), now);
        now = now.after(Duration::from_millis(1));
        assert_eq!(turn(store, node, &[busy], 0, now).busy.len(), 1);
        claimed = turn(store, node, &[], 1, now).claimed.remove(0);
        assert_eq!((claimed.id, claimed.attempt), (id.0, 1));
    }
    let last = failed(&claimed, node, 1, said(1), now);
    assert_eq!(turn(store, node, &[last], 0, now).busy, []);
    let dead = get(store, id);
    assert_eq!((dead.state, dead.attempts), (State::Dead, 1));
    let last = store.last_attempt(id).expect("an answer").expect("an attempt");
    assert_eq!(last.outcome.kind, OutcomeKind::Failed);
    assert!(
        last.outcome.message.contains("busy 100 times in a row"),
        "{}",
        last.outcome.message
    );
    // After a retry it may be busy again.
    assert!(store.retry(&JobRef::Number(id), &Only::default(), now).is_ok());
    claimed = turn(store, node, &[], 1, now).claimed.remove(0);
    let busy = failed(&claimed, node, 1, said(1), now);
    assert_eq!(turn(store, node, &[busy], 0, now).busy.len(), 1);
    // One that is to be cancelled does not wait.
    now = now.after(Duration::from_millis(1));
    claimed = turn(store, node, &[], 1, now).claimed.remove(0);
    store
        .cancel(&JobRef::Number(id), now)
        .expect("it is asked to stop");
    let busy = failed(&claimed, node, 1, said(1), now);
    turn(store, node, &[busy], 0, now);
    assert_eq!(get(store, id).state, State::Cancelled);
    assert_eq!(get(store, bystander).state, State::Pending);
}

/// What its executor calls busy did not fail: no hook fires, also without a limit that waits. A failure, which is the control, fires
/// them.
pub fn a_busy_attempt_fires_no_hook(mut temp: TempStore) {
    let store = &mut temp.store;
    let line = |text: &str| Some(Command::Line(text.to_owned()));
    let hooks = JobHooks {
        on_success: line("yes"),
        on_failure: line("no"),
        on_death: line("dead"),
        to_queue: None,
    };
    let hooked = valid(JobSpec {
        hooks,
        ..JobSpec::line("hooked")
    });
    let ids = enqueue(store, &[hooked, job("bystander")]);
    let (node, _guard) = node(store);
    let claimed = claim(store, node, 2).remove(0);
    let busy = failed(&claimed, node, 1, said(5000), NOW);
    assert_eq!(turn(store, node, &[busy], 0, NOW).busy.len(), 1);
    let waits = get(store, ids[0]);
    assert_eq!(
        (waits.state, waits.attempts, waits.due_at),
        (State::Failed, 0, Some(later(5000)))
    );
    assert_eq!(store.hooks_of(ids[0]).expect("hooks"), []);
    let claimed = turn(store, node, &[], 1, later(5000)).claimed.remove(0);
    assert_eq!((claimed.id, claimed.attempt), (ids[0].0, 1));
    let died = failed(&claimed, node, 1, MaybeBusy::No, later(5001));
    turn(store, node, &[died], 0, later(5001));
    let fired = store.hooks_of(ids[0]).expect("hooks");
    let fired: Vec<Option<HookOn>> = fired.iter().map(|hook| hook.on).collect();
    assert_eq!(fired, [Some(HookOn::Failure), Some(HookOn::Death)]);
    assert_eq!(get(store, ids[1]).state, State::Processing);
}

/// The ledger says of a job that was cancelled that it was, also if its last attempt found something busy.
pub fn a_cancelled_job_is_not_told_to_be_busy(mut temp: TempStore) {
    let store = &mut temp.store;
    set_retention(store, "1d");
    let ids = enqueue(store, &[job("cancelled"), job("bystander")]);
    let (node, _guard) = node(store);
    let claimed = claim(store, node, 2);
    store
        .cancel(&JobRef::Number(ids[0]), NOW)
        .expect("it is asked to stop");
    let records = [0, 1].map(|at: usize| failed(&claimed[at], node, 1, said(5000), NOW));
    turn(store, node, &records, 0, NOW);
    assert_eq!(get(store, ids[0]).state, State::Cancelled);
    assert_eq!(get(store, ids[1]).state, State::Failed);
    assert_eq!(wait_for_kind(store, ids[1], "busy", 1).len(), 1);
    assert_eq!(wait_for_kind(store, ids[0], "cancelled", 1).len(), 1);
    assert_eq!(wait_for_kind(store, ids[0], "busy", 0).len(), 0);
}

/// A key is starving whose first job has waited for long, although no job holds it and it is not put off.
pub fn starving_limits_are_found(mut temp: TempStore) {
    let store = &mut temp.store;
    let (closed, open) = (Some(Some(0)), Some(Some(1)));
    for (name, running) in [("closed", closed), ("held", open), ("busy", open)] {
        let change = LimitChange {
            running,
            ..busy_status()
        };
        set(store, name, change);
    }
    let names = ["closed", "held", "held", "busy", "busy"];
    let ids = enqueue(store, &names.map(|name| limited(&[name])));
    let (node, _guard) = node(store);
    let claimed = claim(store, node, 9);
    assert_eq!(numbers(&claimed), [ids[1].0, ids[3].0]);
    let wait = Duration::from_secs(600);
    let soon = later(600_000);
    let busy = failed(&claimed[1], node, 75, MaybeBusy::ByStatus, soon);
    assert_eq!(turn(store, node, &[busy], 9, soon).claimed, []);
    assert_eq!(store.starving_limits(wait, soon).expect("limits"), []);
    let found = store.starving_limits(wait, later(600_001)).expect("limits");
    let found: Vec<(&str, Timestamp)> = found.iter().map(|one| (one.key.as_str(), one.since)).collect();
    assert_eq!(found, [("closed", NOW)]);
}
