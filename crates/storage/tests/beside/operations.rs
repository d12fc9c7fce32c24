//! Operations of schedules: what is kept of them counts, and goes when it is too much.

use std::time::Duration;

use queuectl_core::limits::{SCHEDULES, UNDO_BYTES};
use queuectl_core::schedule::{MISSED_WITHIN_DEFAULT, MissedPolicy, Overlap, ScheduleSpec};
use queuectl_core::{JobSpec, ScheduleName};
use queuectl_storage::{NewOperation, ScheduleChange, Store, Undo};

use super::{NOW, on_both};

fn name(text: &str) -> ScheduleName {
    text.parse().unwrap()
}

fn schedule(text: &str) -> ScheduleSpec {
    ScheduleSpec {
        name: name(text),
        when: "0 3 * * *".to_owned(),
        zone: "UTC".to_owned(),
        job: JobSpec::line(format!("true {}", "x".repeat(10_000))),
        missed: MissedPolicy::Last,
        missed_within_ms: MISSED_WITHIN_DEFAULT,
        overlap: Overlap::Allow,
        jitter_ms: None,
        pause_after: None,
        owner: None,
    }
}

fn add(store: &mut Store, text: &str) {
    store
        .change_schedules(&[ScheduleChange::Add(schedule(text))], NOW)
        .unwrap();
}

/// Removes a schedule. Returns the number of the operation.
fn remove(store: &mut Store, text: &str) -> i64 {
    let new = NewOperation {
        kind: "schedule:remove".to_owned(),
        what: text.to_owned(),
        ..NewOperation::default()
    };
    store.begin_operation(new).unwrap();
    store
        .change_schedules(&[ScheduleChange::Remove(name(text))], NOW)
        .unwrap();
    store.end_operation(NOW).unwrap().unwrap()
}

/// What an operation of a schedule keeps is of the bytes that are kept in all, and the oldest goes first.
#[test]
fn what_schedules_keep_is_bounded() {
    on_both("operations::what_schedules_keep_is_bounded", |store, beside| {
        let [old, new] = ["old", "new"].map(|text| {
            add(store, text);
            remove(store, text)
        });
        for id in [old, new] {
            let operation = store.operation(id).unwrap();
            assert_eq!((operation.kept, operation.undo), (0, Undo::Possible));
            assert!(operation.kept_bytes > 10_000, "{}", operation.kept_bytes);
        }
        let week = Duration::from_secs(7 * 86_400);
        assert!(
            !store.purge_operations(week, NOW).unwrap(),
            "the control: it is not much"
        );
        beside.execute(&format!(
            "UPDATE operations SET kept_bytes = {UNDO_BYTES} WHERE id = {old}"
        ));
        while store.purge_operations(week, NOW).unwrap() {}
        let operation = store.operation(old).unwrap();
        assert_eq!((operation.kept_bytes, operation.request), (0, None));
        assert!(matches!(operation.undo, Undo::Impossible(_)));
        assert_eq!(store.undo(new, "ann", NOW, |_| {}).unwrap().restored, 1);
        assert!(store.schedule(&name("new")).is_ok());
        let operation = store.operation(new).unwrap();
        assert_eq!((operation.kept_bytes, operation.request), (0, None), "it is over");
        assert!(matches!(operation.undo, Undo::Undone(_)));
    });
}

/// A schedule that was removed does not come back beside as many as there may be.
#[test]
fn an_undo_makes_no_schedule_too_many() {
    on_both(
        "operations::an_undo_makes_no_schedule_too_many",
        |store, beside| {
            add(store, "removed");
            add(store, "other");
            let operation = remove(store, "removed");
            let columns = "expression, zone, template, missed, missed_ms, overlap, jitter_ms, pause_after, owner, start_at, \
                       next_due, paused_at, paused_reason, runs, dead_runs, tick_rows, seen_at, created_at, updated_at";
            beside.execute(&format!(
            "WITH RECURSIVE numbers(n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM numbers WHERE n < {SCHEDULES}) \
             INSERT INTO schedules (name, {columns}) SELECT 'many-' || n, {columns} FROM schedules, numbers",
        ));
            assert_eq!(beside.count("schedules"), SCHEDULES as i64);
            let undone = store.undo(operation, "ann", NOW, |_| {}).unwrap();
            assert_eq!((undone.restored, undone.left), (0, 1), "{:?}", undone.reasons);
            assert!(
                undone.reasons[0].contains("at most 10000 schedules"),
                "{:?}",
                undone.reasons
            );
            assert!(store.schedule(&name("removed")).is_err());
            store
                .change_schedules(&[ScheduleChange::Remove(name("many-7"))], NOW)
                .unwrap();
            // It can be repeated, because something was left alone.
            assert_eq!(store.undo(operation, "ann", NOW, |_| {}).unwrap().restored, 1);
            assert_eq!(beside.count("schedules"), SCHEDULES as i64);
        },
    );
}
