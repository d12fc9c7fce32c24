//! What operations keep to undo them: in steps of bounded size, and nothing if nothing is to be kept.

use queuectl_core::JobEdit;
use queuectl_storage::{JobFilter, MassChange, Undo};

use super::operations::{begin, frozen, is_whole, newest, open, undo};
use super::schedules::{add, name, schedule};
use super::*;

/// Jobs of 1 MB each, which are more than one step keeps.
const LARGE: usize = 20;

fn large(store: &mut Store) {
    enqueue(store, &[job("bystander")]);
    let line = JobSpec::line(format!("true {}", "x".repeat(1_000_000)));
    let line = valid(JobSpec {
        queue: Some("many".parse().expect("a queue")),
        ..line
    });
    for _ in 0..LARGE {
        enqueue(store, std::slice::from_ref(&line));
    }
}

/// How many jobs each step changed.
fn sizes(done: &[u64]) -> Vec<u64> {
    let before = [0].into_iter().chain(done.iter().copied());
    done.iter()
        .zip(before)
        .map(|(now, before)| now - before)
        .collect()
}

/// A purge keeps whole jobs: however quickly it goes, a step has only as many as fit into memory.
pub fn large_jobs_are_purged_in_small_steps(mut temp: TempStore) {
    let store = &mut temp.store;
    large(store);
    let mut done = Vec::new();
    super::operations::change_all(store, "many", MassChange::Cancel, NOW);
    let filter = frozen(store, "many", MassChange::Purge, NOW);
    let id = open(store, &filter, "purge", None);
    let purged = store.change_all(&filter, MassChange::Purge, NOW, |sum| done.push(sum.changed));
    assert_eq!(purged.expect("purged").changed, LARGE as u64);
    store.end_operation(NOW).expect("ended");
    assert!(sizes(&done).iter().all(|jobs| *jobs <= 16), "{done:?}");
    assert_eq!(newest(store).kept, LARGE as u64);
    assert_eq!(undo(store, id, later(1)).restored, LARGE as u64);
    assert_eq!(get(store, JobId(1)).state, State::Pending);
    assert!(is_whole(store));
}

/// An edit keeps what jobs were and are.
pub fn large_jobs_are_edited_in_small_steps(mut temp: TempStore) {
    let store = &mut temp.store;
    large(store);
    let mut filter = JobFilter {
        states: queuectl_storage::EDITABLE_STATES.to_vec(),
        ..JobFilter::from("many".parse::<queuectl_core::QueueName>().expect("a queue"))
    };
    store.freeze(&mut filter, NOW).expect("frozen");
    let edit = JobEdit {
        set: JobSpec::from_written(r#"{"command":"false"}"#).expect("an edit"),
        ..JobEdit::default()
    };
    let editor = |job: &Job| Ok(edit.apply(JobSpec::of(job.clone())));
    let mut done = Vec::new();
    let id = open(store, &filter, "edit", Some(&edit));
    let edited = store.edit_all(&filter, "ann", NOW, &editor, |sum| done.push(sum.changed));
    assert_eq!(edited.expect("edited").changed, LARGE as u64);
    store.end_operation(NOW).expect("ended");
    assert!(sizes(&done).iter().all(|jobs| *jobs <= 8), "{done:?}");
    let kept = newest(store);
    assert_eq!(kept.kept, LARGE as u64);
    assert!(kept.kept_bytes > 20_000_000, "{}", kept.kept_bytes);
    assert_eq!(undo(store, id, later(1)).restored, LARGE as u64);
    assert!(get(store, JobId(2)).payload.display().len() > 1_000_000);
    assert_eq!(get(store, JobId(1)).payload.display(), "bystander");
}

/// With `op_retention` 0, nothing is kept of schedules either. With the default, which is the control, it is.
pub fn schedules_are_kept_only_if_they_are_to_be(mut temp: TempStore) {
    let store = &mut temp.store;
    let key = Key::find("op_retention").expect("a key");
    for (value, is_kept) in [("7d", true), ("0", false)] {
        store.set_setting(key, value).expect("stored").expect("valid");
        add(store, &schedule("first", "0 3 * * *"));
        begin(store, "schedule:remove", "first");
        let change = queuectl_storage::ScheduleChange::Remove(name("first"));
        store.change_schedules(&[change], NOW).expect("removed");
        store.end_operation(NOW).expect("ended");
        let operation = newest(store);
        assert_eq!(operation.undo == Undo::Possible, is_kept, "{operation:?}");
        assert_eq!(operation.kept_bytes > 0, is_kept);
    }
    // What cannot be undone keeps nothing.
    store.set_setting(key, "7d").expect("stored").expect("valid");
    begin(store, "schedule:add", "second");
    add(store, &schedule("second", "0 3 * * *"));
    store.end_operation(NOW).expect("ended");
    assert_eq!((newest(store).kept_bytes, newest(store).request), (0, None));
}
