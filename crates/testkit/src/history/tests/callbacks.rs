//! A handmade ledger for each verdict on callbacks of groups and on hooks.

use queuectl_core::{Command, EnqueuedBy, HookOn, JobHooks};
use queuectl_storage::LedgerEvent;

use super::mechanisms::{event, of};
use super::*;
use crate::history::{FoundGroup, check_groups, check_hooks};

const CALLBACK: JobId = JobId(3);

/// The first job and a bystander, with these others.
fn with(first: StoredJob, others: &[StoredJob]) -> Vec<StoredJob> {
    let bystander = found(BYSTANDER, State::Completed, 1, 1);
    [&[first, bystander], others].concat()
}

fn ledger(events: &[(JobId, &str)]) -> Vec<LedgerEvent> {
    events.iter().map(|(job, kind)| event(*job, kind)).collect()
}

/// A callback of the group `g`; it was told that the only member completed.
fn callback(id: JobId) -> StoredJob {
    let mut one = found(id, State::Completed, 1, 1);
    for (name, value) in [
        ("QUEUECTL_GROUP", "g"),
        ("QUEUECTL_GROUP_TOTAL", "1"),
        ("QUEUECTL_GROUP_COMPLETED", "1"),
        ("QUEUECTL_GROUP_DEAD", "0"),
        ("QUEUECTL_GROUP_CANCELLED", "0"),
    ] {
        one.job.payload.env.insert(name.to_owned(), value.to_owned());
    }
    one
}

#[test]
fn a_group_has_one_callback_after_its_last_member() {
    let group = FoundGroup {
        name: "g".parse().expect("a name"),
        closed: true,
        complete: true,
        callback: Some(CALLBACK),
        members: vec![ONE],
    };
    let says = |group: &FoundGroup, callbacks: &[StoredJob], events: &[(JobId, &str)]| {
        let found = with(found(ONE, State::Completed, 1, 1), callbacks);
        let groups = std::slice::from_ref(group);
        of(&check_groups(
            &History::default(),
            &found,
            groups,
            &ledger(events),
            true,
        ))
    };
    let one = [callback(CALLBACK)];
    let stored = (CALLBACK, "enqueued");
    let good = [(ONE, "succeeded"), stored];
    assert_eq!(says(&group, &one, &good), []);
    assert_eq!(
        says(&group, &one, &[stored, (ONE, "succeeded")]),
        [Verdict::Callback],
        "before the end"
    );
    assert_eq!(
        says(&group, &one, &[(ONE, "dead"), (ONE, "retried"), stored]),
        [Verdict::Callback],
        "before the second end"
    );
    assert_eq!(
        says(&group, &one, &[(ONE, "dead"), stored]),
        [Verdict::Callback],
        "it was told something else"
    );
    let two = [callback(CALLBACK), callback(JobId(4))];
    assert_eq!(says(&group, &two, &good), [Verdict::Callback]);
    let without = FoundGroup {
        complete: false,
        callback: None,
        ..group
    };
    assert_eq!(says(&without, &[], &good[..1]), [Verdict::Callback]);
    let open = FoundGroup {
        closed: false,
        ..without
    };
    assert_eq!(says(&open, &[], &good[..1]), []);
}

#[test]
fn a_hook_is_stored_as_often_as_what_it_is_for_happened() {
    let command = || Some(Command::Line("true".to_owned()));
    let mut hooked = found(ONE, State::Dead, 2, 2);
    hooked.job.hooks = JobHooks {
        on_failure: command(),
        on_death: command(),
        ..JobHooks::default()
    };
    let hook = |id: i64, on: HookOn| {
        let mut one = found(JobId(id), State::Completed, 1, 1);
        one.job.enqueued_by = Some(EnqueuedBy {
            job: ONE,
            hook: Some(on),
            depth: 1,
        });
        one
    };
    let says = |hooks: &[StoredJob], events: &[(JobId, &str)]| {
        let found = with(hooked.clone(), hooks);
        of(&check_hooks(&History::default(), &found, &ledger(events)))
    };
    let all = [
        hook(3, HookOn::Failure),
        hook(4, HookOn::Failure),
        hook(5, HookOn::Death),
    ];
    let died = [(ONE, "failed"), (ONE, "dead"), (BYSTANDER, "dead")];
    assert_eq!(says(&all, &died), []);
    assert_eq!(says(&all[..2], &died), [Verdict::Hook], "one is missing");
    assert_eq!(says(&all[1..], &died), [Verdict::Hook], "another is missing");
    assert_eq!(
        says(&all, &died[..1]),
        [Verdict::Hook, Verdict::Hook],
        "it did not die"
    );
    assert_eq!(says(&[], &[(ONE, "succeeded")]), []);
}

/// Hooks of all jobs, or of a queue's, count from when they were added until they were removed, and not for jobs that are hooks.
#[test]
fn an_added_hook_is_stored_while_it_is_there() {
    let operator = |kind: &str, detail: &str| LedgerEvent {
        job: None,
        detail: Some(detail.to_owned()),
        ..event(ONE, kind)
    };
    let added = |queue: &str| {
        operator(
            "hook added",
            &format!(r#"{{"hook":"h","on":"failure,death","queue":{queue}}}"#),
        )
    };
    let removed = operator("hook removed", r#"{"hook":"h"}"#);
    let fired = |on: HookOn| {
        let mut one = found(JobId(3), State::Dead, 1, 1);
        one.job.enqueued_by = Some(EnqueuedBy {
            job: ONE,
            hook: Some(on),
            depth: 1,
        });
        one
    };
    let says = |hooks: &[StoredJob], events: &[LedgerEvent]| {
        let found = with(found(ONE, State::Failed, 2, 1), hooks);
        of(&check_hooks(&History::default(), &found, events))
    };
    let (failed, hook_dead) = (event(ONE, "failed"), event(JobId(3), "dead"));
    let hooks = [fired(HookOn::Failure)];
    let all = [added("null"), failed.clone(), hook_dead];
    assert_eq!(says(&hooks, &all), []);
    assert_eq!(says(&[], &all), [Verdict::Hook], "it is missing");
    let queue = format!("\"{}\"", found(ONE, State::Failed, 2, 1).job.queue);
    assert_eq!(says(&hooks, &[added(&queue), failed.clone()]), []);
    for events in [
        vec![failed.clone(), added("null")],
        vec![added("null"), removed, failed.clone()],
        vec![added("\"another\""), failed],
    ] {
        assert_eq!(says(&[], &events), []);
        assert_eq!(
            says(&hooks, &events),
            [Verdict::Hook],
            "it was not there, or of another queue"
        );
    }
}
