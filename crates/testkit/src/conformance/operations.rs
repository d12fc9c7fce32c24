//! Operations: what commands did is looked up, goes on after a kill, and is undone.

use queuectl_core::{Gates, JobEdit, QueueSetting};
use queuectl_storage::{
    JobFilter, MassChange, NewOperation, Operation, OperationState, Undo, Undone, frozen_request,
};

use super::*;

pub(super) fn begin(store: &mut Store, kind: &str, what: &str) {
    store.act_as("ann@host".to_owned());
    let operation = NewOperation {
        kind: kind.to_owned(),
        what: what.to_owned(),
        ..NewOperation::default()
    };
    store.begin_operation(operation).expect("begun");
}

pub(super) fn change_named(store: &mut Store, id: JobId, change: MassChange, now: Timestamp) {
    let only = JobFilter::default();
    let done = store.change_named(&JobRef::Number(id), change, &only, now);
    done.unwrap_or_else(|error| panic!("{change:?} {id}: {error}"));
}

/// The newest operation.
pub(super) fn newest(store: &mut Store) -> Operation {
    let found = store.operations(None, false, 1).expect("operations");
    found.into_iter().next().expect("an operation")
}

pub(super) fn undo(store: &mut Store, id: i64, now: Timestamp) -> Undone {
    store.undo(id, "bob@host", now, |_| {}).expect("undone")
}

pub(super) fn is_whole(store: &mut Store) -> bool {
    let report = store.check().expect("a report");
    let wrong = report.dangling + report.miscounted + report.misplaced + report.misgrouped;
    report.damage.is_empty() && wrong == 0
}

pub(super) fn queued(queue: &str) -> ValidJob {
    valid(JobSpec {
        queue: Some(queue.parse().expect("a queue")),
        ..JobSpec::line("true")
    })
}

/// A filter over one queue, frozen.
pub(super) fn frozen(store: &mut Store, queue: &str, change: MassChange, now: Timestamp) -> JobFilter {
    let mut filter = JobFilter {
        states: change.states().to_vec(),
        change: Some(change),
        ..JobFilter::from(queue.parse::<queuectl_core::QueueName>().expect("a queue"))
    };
    store.freeze(&mut filter, now).expect("frozen");
    filter
}

pub(super) fn open(store: &mut Store, filter: &JobFilter, kind: &str, edit: Option<&JobEdit>) -> i64 {
    let operation = NewOperation {
        kind: kind.to_owned(),
        what: "queue=many".to_owned(),
        request: Some(frozen_request(filter, edit, None)),
        total: None,
    };
    store.open_operation(operation, NOW).expect("open")
}

/// Does this to all jobs of a queue as an operation. Returns its number.
pub(super) fn change_all(store: &mut Store, queue: &str, change: MassChange, now: Timestamp) -> i64 {
    let filter = frozen(store, queue, change, now);
    let id = open(store, &filter, change.name(), None);
    store.change_all(&filter, change, now, |_| {}).expect("changed");
    assert_eq!(store.end_operation(now).expect("ended"), Some(id));
    id
}

/// A command is one operation, whatever it names; one that changes nothing is none, and what no command does is none.
pub fn commands_are_operations(mut temp: TempStore) {
    let store = &mut temp.store;
    let ids = enqueue(store, &[job("a"), job("b"), job("bystander")]);
    change_named(store, ids[0], MassChange::Hold, NOW);
    assert!(store.operations(None, false, 9).expect("none").is_empty());
    begin(store, "cancel", "1 2 3");
    change_named(store, ids[0], MassChange::Cancel, later(1));
    let refused = store.change_named(
        &JobRef::Number(JobId(99)),
        MassChange::Cancel,
        &JobFilter::default(),
        NOW,
    );
    assert!(matches!(refused, Err(StoreError::NoSuchJob(_))));
    change_named(store, ids[1], MassChange::Cancel, later(2));
    let id = store.end_operation(later(2)).expect("ended").expect("stored");
    let operation = newest(store);
    assert_eq!(
        (operation.id, operation.kind.as_str(), operation.what.as_str()),
        (id, "cancel", "1 2 3")
    );
    assert_eq!(operation.by.as_deref(), Some("ann@host"));
    assert_eq!((operation.at, operation.updated_at), (later(1), later(2)));
    assert_eq!((operation.done.changed, operation.kept), (2, 2));
    assert_eq!(operation.state, OperationState::Done);
    assert_eq!(operation.undo, Undo::Possible);
    // What follows is not counted there.
    change_named(store, ids[0], MassChange::Retry, later(3));
    begin(store, "hold", "99");
    let refused = store.change_named(
        &JobRef::Number(JobId(99)),
        MassChange::Hold,
        &JobFilter::default(),
        NOW,
    );
    assert!(refused.is_err());
    assert_eq!(store.end_operation(NOW).expect("ended"), None);
    assert_eq!(newest(store), operation);
    assert!(matches!(
        store.operation(id + 7),
        Err(StoreError::NoSuchOperation(_))
    ));
    assert_eq!(get(store, ids[2]).state, State::Pending);
}

/// Jobs that wait in every way.
fn waiting(store: &mut Store) -> (Vec<JobId>, NodeId, NodeGuard) {
    let ids = enqueue(
        store,
        &[
            job("fails"),
            job("pending"),
            valid(JobSpec {
                start: Some(Start::After(Duration::from_secs(60))),
                ..JobSpec::line("scheduled")
            }),
            job("held"),
            job("parent"),
            job("bystander"),
        ],
    );
    let child = valid(JobSpec {
        after: vec![format!("{}", ids[4]).parse().expect("an edge")],
        ..JobSpec::line("child")
    });
    let child = enqueue(store, &[child])[0];
    let (node, guard) = node(store);
    let failing = claim_one(store, node);
    assert_eq!(failing.id, ids[0].0);
    let retry_at = Some(later(90_000));
    let failed = record(&failing, node, Event::Fail { retry_at }, OutcomeKind::Failed, NOW);
    turn(store, node, &[failed], 0, NOW);
    store.hold(&JobRef::Number(ids[3]), NOW).expect("held");
    let mut all = ids[..4].to_vec();
    all.extend([child, ids[4], ids[5]]);
    (all, node, guard)
}

/// What an undo has to bring back of a job.
fn stands(store: &mut Store, id: JobId) -> (State, u32, Option<Timestamp>, Waits, i64) {
    let job = get(store, id);
    (job.state, job.attempts, job.due_at, job.waits, job.fence)
}

/// A cancelled job waits again as it did, unless something has happened to it since.
pub fn a_cancel_is_undone(mut temp: TempStore) {
    let store = &mut temp.store;
    let (ids, node, _guard) = waiting(store);
    let before: Vec<_> = ids.iter().map(|id| stands(store, *id)).collect();
    let events = [
        State::Failed,
        State::Pending,
        State::Scheduled,
        State::Blocked,
        State::Blocked,
    ];
    for (before, state) in before.iter().zip(events) {
        assert_eq!(before.0, state);
    }
    begin(store, "cancel", "some");
    for id in &ids[..5] {
        change_named(store, *id, MassChange::Cancel, later(10));
    }
    let id = store.end_operation(later(10)).expect("ended").expect("stored");
    let undone = undo(store, id, later(20));
    assert_eq!((undone.restored, undone.left), (5, 0), "{:?}", undone.reasons);
    let after: Vec<_> = ids.iter().map(|id| stands(store, *id)).collect();
    assert_eq!(after, before);
    assert!(is_whole(store));
    assert_eq!(newest(store).undo_of, Some(id));
    assert_eq!(
        store.operation(id).expect("there").undo,
        Undo::Undone(undone.operation)
    );
    // Neither is undone again.
    for id in [id, undone.operation] {
        let again = store.undo(id, "bob@host", later(21), |_| {});
        assert!(matches!(again, Err(StoreError::Operation { .. })), "{again:?}");
    }
    // The child still waits for its parent, and the failed job for its time.
    let claimed = turn(store, node, &[], 9, later(30)).claimed;
    let mut claimed: Vec<i64> = claimed.iter().map(|job| job.id).collect();
    claimed.sort_unstable();
    assert_eq!(claimed, [ids[1].0, ids[5].0, ids[6].0]);
}

/// What was changed since is left alone and counted.
pub fn an_undo_leaves_what_was_changed_since(mut temp: TempStore) {
    let store = &mut temp.store;
    let mut jobs = vec![
        job("retried"),
        job("purged"),
        job("again"),
        job("plain"),
        job("bystander"),
    ];
    jobs.push(valid(JobSpec {
        unique: Some("k".parse().expect("a key")),
        ..JobSpec::line("keyed")
    }));
    let ids = enqueue(store, &jobs);
    begin(store, "cancel", "some");
    for id in [0, 1, 2, 3, 5].map(|n| ids[n]) {
        change_named(store, id, MassChange::Cancel, later(1));
    }
    let id = store.end_operation(later(1)).expect("ended").expect("stored");
    change_named(store, ids[0], MassChange::Retry, later(2));
    change_named(store, ids[1], MassChange::Purge, later(2));
    change_named(store, ids[2], MassChange::Retry, later(2));
    change_named(store, ids[2], MassChange::Cancel, later(3));
    let other = enqueue(store, &[jobs[5].clone()])[0];
    let undone = undo(store, id, later(4));
    assert_eq!((undone.restored, undone.left), (1, 4), "{:?}", undone.reasons);
    let said = undone.reasons.join("; ");
    for (id, why) in [
        (ids[0], "is pending now"),
        (ids[1], "is gone"),
        (ids[2], "changed since"),
        (ids[5], "unique key"),
    ] {
        assert!(
            said.contains(&format!("job {id} ")) && said.contains(why),
            "{said}"
        );
    }
    assert_eq!(
        [0, 2, 3, 4, 5].map(|n| get(store, ids[n]).state),
        [
            State::Pending,
            State::Cancelled,
            State::Pending,
            State::Pending,
            State::Cancelled
        ]
    );
    assert_eq!(get(store, other).state, State::Pending);
    // Once it can be, the rest is undone, too.
    change_named(store, other, MassChange::Cancel, later(5));
    let rest = undo(store, id, later(6));
    assert_eq!((rest.restored, rest.left), (1, 3), "{:?}", rest.reasons);
    assert_eq!(get(store, ids[5]).state, State::Pending);
    assert!(is_whole(store));
}

/// Holds and releases are taken back.
pub fn holds_and_releases_are_undone(mut temp: TempStore) {
    let store = &mut temp.store;
    let (ids, ..) = waiting(store);
    let before: Vec<_> = ids.iter().map(|id| stands(store, *id)).collect();
    begin(store, "hold", "some");
    for id in [0, 1, 2, 4].map(|n| ids[n]) {
        change_named(store, id, MassChange::Hold, later(1));
    }
    let held = store.end_operation(later(1)).expect("ended").expect("stored");
    begin(store, "release", "some");
    change_named(store, ids[3], MassChange::Release, later(2));
    let released = store.end_operation(later(2)).expect("ended").expect("stored");
    for (id, jobs) in [(held, 4), (released, 1)] {
        let undone = undo(store, id, later(3));
        assert_eq!((undone.restored, undone.left), (jobs, 0), "{:?}", undone.reasons);
    }
    let after: Vec<_> = ids.iter().map(|id| stands(store, *id)).collect();
    assert_eq!(after, before);
    assert!(is_whole(store));
}

/// Parts of a job that are still as an edit set them get their old values; others stay.
pub fn an_edit_is_undone_part_by_part(mut temp: TempStore) {
    let store = &mut temp.store;
    let full = || {
        valid(
            JobSpec::from_written(
                r#"{"command":"a","priority":1,"env":{"A":"1"},"payload":{"n":0.10000000000000000001}}"#,
            )
            .expect("a job"),
        )
    };
    let ids = enqueue(store, &[full(), full(), full(), full(), job("bystander")]);
    let spec = |store: &mut Store, id: JobId| JobSpec::of(get(store, id)).to_json();
    let before = spec(store, ids[0]);
    let edit = |store: &mut Store, id: JobId, json: &str, now: Timestamp| {
        let edit = JobEdit {
            set: JobSpec::from_written(json).expect("an edit"),
            ..JobEdit::default()
        };
        let editor = |job: &Job| Ok(edit.apply(JobSpec::of(job.clone())));
        let done = store.edit(&JobRef::Number(id), &JobFilter::default(), "ann", now, &editor);
        done.expect("edited");
    };
    begin(store, "edit", "some");
    for id in &ids[..4] {
        edit(
            store,
            *id,
            r#"{"priority":5,"queue":"other","env":{"B":"2"},"timeout":9}"#,
            later(1),
        );
    }
    let id = store.end_operation(later(1)).expect("ended").expect("stored");
    // One is changed again, in a part; one runs; one is as it was set in no part.
    edit(store, ids[1], r#"{"priority":7}"#, later(2));
    change_named(store, ids[2], MassChange::Cancel, later(2));
    edit(
        store,
        ids[3],
        r#"{"priority":6,"queue":"third","env":{"B":"3"},"timeout":8}"#,
        later(2),
    );
    let undone = undo(store, id, later(3));
    assert_eq!((undone.restored, undone.left), (2, 2), "{:?}", undone.reasons);
    assert_eq!(spec(store, ids[0]), before);
    let partly = get(store, ids[1]);
    assert_eq!(
        (partly.priority, partly.queue.as_str(), partly.timeout_ms),
        (7, "default", None)
    );
    assert_eq!(get(store, ids[3]).queue.as_str(), "third");
    assert_eq!(spec(store, ids[4]), JobSpec::of(get(store, ids[4])).to_json());
    assert!(is_whole(store));
}

/// A purged job is there again with all its rows, and its checksums are right.
pub fn a_purge_is_undone(mut temp: TempStore) {
    let store = &mut temp.store;
    let named = valid(
        JobSpec::from_written(r#"{"id":"named","command":"a","env":{"A":"ü"},"on_death":"b","group":"g","labels":{"team":"web"},"comment":"c"}"#)
            .expect("a job"),
    );
    let ids = enqueue(store, &[named, job("taken"), job("kept"), job("bystander")]);
    let child = valid(JobSpec {
        after: vec!["named:any".parse().expect("an edge")],
        ..JobSpec::line("child")
    });
    let child = enqueue(store, &[child])[0];
    let (node, _guard) = node(store);
    for claimed in claim(store, node, 3) {
        let mut died = record(
            &claimed,
            node,
            Event::Fail { retry_at: None },
            OutcomeKind::Failed,
            later(1),
        );
        let output = &mut died.attempt.as_mut().expect("an attempt").output;
        output.head = vec![0, 255, b'\n'];
        output.total_bytes = 3;
        turn(store, node, &[died], 0, later(1));
    }
    change_named(store, child, MassChange::Cancel, later(2));
    let look = |store: &mut Store, id: JobId| {
        let job = get(store, id);
        let attempts = store.attempts(id).expect("attempts");
        (format!("{job:?}"), attempts)
    };
    let mut purged = vec![ids[0], ids[1], ids[2], child];
    let before: Vec<_> = purged.iter().map(|id| look(store, *id)).collect();
    assert!(!before[0].1[0].output.head.is_empty(), "there is an output");
    begin(store, "purge", "some");
    for id in &purged {
        change_named(store, *id, MassChange::Purge, later(3));
    }
    let id = store.end_operation(later(3)).expect("ended").expect("stored");
    assert!(is_whole(store));
    assert_eq!(store.operation(id).expect("there").kept, 4);
    let undone = undo(store, id, later(5));
    assert_eq!((undone.restored, undone.left), (4, 0), "{:?}", undone.reasons);
    let after: Vec<_> = purged.iter().map(|id| look(store, *id)).collect();
    assert_eq!(after, before);
    assert!(is_whole(store));
    assert!(get(store, ids[0]).gates.has(Gates::MEMBER));
    assert_eq!(get(store, ids[3]).state, State::Pending);
    // Its id can be another job's by then, and a later number is never one that comes back.
    begin(store, "purge", "named");
    change_named(store, ids[0], MassChange::Purge, later(6));
    let id = store.end_operation(later(6)).expect("ended").expect("stored");
    let other = valid(JobSpec {
        id: Some("named".parse().expect("an id")),
        ..JobSpec::line("other")
    });
    purged.push(enqueue(store, &[other])[0]);
    let undone = undo(store, id, later(7));
    assert_eq!((undone.restored, undone.left), (0, 1));
    assert!(undone.reasons[0].contains("'named'"), "{:?}", undone.reasons);
}

/// What nodes remove is not kept, nor anything while the setting is 0.
pub fn what_is_not_kept_is_not_undone(mut temp: TempStore) {
    let store = &mut temp.store;
    let ids = enqueue(store, &[job("a"), job("b"), job("c"), job("bystander")]);
    begin(store, "cancel", "some");
    for id in &ids[..3] {
        change_named(store, *id, MassChange::Cancel, later(1));
    }
    store.end_operation(later(1)).expect("ended");
    let expired = PurgeFilter {
        state: State::Cancelled,
        queue: None,
        ended_before: None,
        limit: 1,
    };
    assert_eq!(store.purge_expired(&expired, later(2)).expect("purged").jobs, 1);
    assert_eq!(store.operations(None, false, 9).expect("operations").len(), 1);
    let key = Key::find("op_retention").expect("a key");
    store.set_setting(key, "0").expect("stored").expect("valid");
    begin(store, "purge", "b");
    change_named(store, ids[1], MassChange::Purge, later(3));
    let id = store.end_operation(later(3)).expect("ended").expect("stored");
    let operation = store.operation(id).expect("there");
    assert_eq!((operation.done.changed, operation.kept), (1, 0));
    assert!(matches!(operation.undo, Undo::Impossible(_)));
    let refused = store.undo(id, "bob", later(4), |_| {});
    assert!(
        matches!(refused, Err(StoreError::Operation { .. })),
        "{refused:?}"
    );
    // A retry is an operation that cannot be undone.
    begin(store, "retry", "c");
    change_named(store, ids[2], MassChange::Retry, later(5));
    let id = store.end_operation(later(5)).expect("ended").expect("stored");
    assert!(matches!(
        store.operation(id).expect("there").undo,
        Undo::Impossible(_)
    ));
    assert!(is_whole(store));
}

/// Settings get their old values, unless they have others since.
pub fn settings_are_set_back(mut temp: TempStore) {
    let store = &mut temp.store;
    let key = Key::find("max_retries").expect("a key");
    store.act_as("ann@host".to_owned());
    let set = |store: &mut Store, value: &str| {
        store.set_setting(key, value).expect("stored").expect("valid");
        newest(store)
    };
    let first = set(store, "7");
    assert_eq!(first.what, "max_retries: unset -> 7");
    assert_eq!(first.by.as_deref(), Some("ann@host"));
    let second = set(store, "8");
    let undone = undo(store, first.id, NOW);
    assert_eq!((undone.restored, undone.left), (0, 1));
    assert_eq!(store.settings().expect("settings").max_retries, 8);
    assert_eq!(undo(store, second.id, NOW).restored, 1);
    assert_eq!(store.settings().expect("settings").max_retries, 7);
    let queue = || "mail".parse().expect("a queue");
    let setting = || QueueSetting::find(queue(), "max_retries").expect("a setting of queues");
    store
        .change_queue_settings(&[(setting(), Some("1".to_owned()))])
        .expect("changed");
    let of_queue = newest(store);
    assert_eq!(of_queue.what, "queue mail, max_retries: unset -> 1");
    assert_eq!(undo(store, of_queue.id, NOW).restored, 1);
    assert_eq!(store.settings().expect("settings").of("mail").max_retries, 7);
    // The control: what did not change is no operation.
    let count = store.operations(None, false, 99).expect("operations").len();
    set(store, "7");
    assert_eq!(
        store.operations(None, false, 99).expect("operations").len(),
        count
    );
}
