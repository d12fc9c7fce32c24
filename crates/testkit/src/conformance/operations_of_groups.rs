//! Operations of groups and schedules: entered with what they did, and undone as far as nothing has happened since.

use queuectl_storage::{ScheduleChange, Undo};

use super::groups::{callbacks, create, member};
use super::operations::{begin, is_whole, newest, undo};
use super::schedules::{add, name, schedule};
use super::*;

/// A cancelled group is one operation of all its members, whose undo has them wait again; a retried one is another, which cannot be
/// undone. Jobs outside the group are left alone.
pub fn operations_of_groups_are_entered_and_undone(mut temp: TempStore) {
    let store = &mut temp.store;
    let group = "one".parse().expect("a name");
    create(store, "one", &callbacks(None));
    let jobs: Vec<ValidJob> = (0..600).map(|_| valid(member("one"))).collect();
    let members = enqueue(store, &jobs);
    let bystander = enqueue(store, &[job("bystander")])[0];
    begin(store, "group:cancel", "one");
    store.cancel_group(&group, later(1)).expect("cancelled");
    let id = store.end_operation(later(1)).expect("ended").expect("a number");
    let operation = newest(store);
    assert_eq!(
        (operation.id, operation.done.changed, operation.kept),
        (id, 600, 600)
    );
    assert_eq!(
        (operation.kind.as_str(), operation.undo),
        ("group:cancel", Undo::Possible)
    );
    // One was retried by itself since.
    store
        .retry(&JobRef::Number(members[5]), &Only::default(), later(2))
        .expect("retried");
    let undone = undo(store, id, later(3));
    assert_eq!((undone.restored, undone.left), (599, 1), "{:?}", undone.reasons);
    for job in [members[0], members[5], members[599], bystander] {
        assert_eq!(get(store, job).state, State::Pending, "{job}");
    }
    begin(store, "group:cancel", "one");
    store.cancel_group(&group, later(4)).expect("cancelled");
    store.end_operation(later(4)).expect("ended");
    begin(store, "group:retry", "one");
    store.retry_group(&group, false, later(5)).expect("retried");
    store.end_operation(later(5)).expect("ended");
    let operation = newest(store);
    assert_eq!(
        (operation.kind.as_str(), operation.done.changed),
        ("group:retry", 600)
    );
    assert!(matches!(operation.undo, Undo::Impossible(_)));
    assert_eq!(get(store, bystander).state, State::Pending);
    assert!(is_whole(store));
}

/// Changes of schedules are operations. Edit, remove, pause and resume are undone, unless the schedule was changed since.
pub fn operations_of_schedules_are_entered_and_undone(mut temp: TempStore) {
    let store = &mut temp.store;
    let first = schedule("first", "0 3 * * *");
    let bystander = schedule("bystander", "0 4 * * *");
    begin(store, "schedule:add", "first");
    add(store, &first);
    store.end_operation(NOW).expect("ended");
    assert_eq!(newest(store).kind, "schedule:add");
    assert!(matches!(newest(store).undo, Undo::Impossible(_)));
    // Without an operation, nothing is entered.
    add(store, &bystander);
    assert_eq!(store.operations(None, false, 9).expect("operations").len(), 1);
    let untouched = store.schedule(&bystander.name).expect("a schedule");
    let as_operation = |store: &mut Store, kind: &str, change: &dyn Fn(&mut Store)| -> i64 {
        begin(store, kind, "first");
        change(store);
        store.end_operation(later(1)).expect("ended").expect("a number")
    };
    let edit = |store: &mut Store, when: &str| {
        let when = when.to_owned();
        let edited = store.edit_schedule(&name("first"), later(1), |spec| {
            spec.when = when;
            Ok(())
        });
        edited.expect("edited");
    };
    let edited = as_operation(store, "schedule:edit", &|store| edit(store, "0 5 * * *"));
    let undone = undo(store, edited, later(2));
    assert_eq!((undone.restored, undone.left), (1, 0), "{:?}", undone.reasons);
    assert_eq!(store.schedule(&name("first")).expect("a schedule").spec, first);

    let pause = |store: &mut Store| {
        assert!(
            store
                .pause_schedule(&name("first"), Some("late"), later(1))
                .expect("paused")
        );
    };
    let paused = as_operation(store, "schedule:pause", &pause);
    undo(store, paused, later(2));
    assert!(
        store
            .schedule(&name("first"))
            .expect("a schedule")
            .paused
            .is_none()
    );
    let paused = as_operation(store, "schedule:pause", &pause);
    let resumed = as_operation(store, "schedule:resume", &|store| {
        assert!(store.resume_schedule(&name("first"), later(1)).expect("resumed"));
    });
    undo(store, resumed, later(2));
    let found = store
        .schedule(&name("first"))
        .expect("a schedule")
        .paused
        .expect("paused");
    assert_eq!(found.reason.as_deref(), Some("late"));

    let removed = as_operation(store, "schedule:remove", &|store| {
        let change = ScheduleChange::Remove(name("first"));
        store.change_schedules(&[change], later(1)).expect("removed");
    });
    assert!(store.schedule(&name("first")).is_err());
    // It is not paused now, because it is gone.
    let undone = undo(store, paused, later(2));
    assert_eq!((undone.restored, undone.left), (0, 1), "{:?}", undone.reasons);
    undo(store, removed, later(3));
    let found = store.schedule(&name("first")).expect("a schedule");
    assert_eq!((&found.spec, found.paused.is_some()), (&first, true));
    assert_eq!(store.schedule(&bystander.name).expect("a schedule"), untouched);
    assert!(is_whole(store));
}
