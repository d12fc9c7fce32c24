//! Operations that are killed in the middle go on, and those whose time is over go.

use queuectl_core::JobEdit;
use queuectl_storage::{JobFilter, MassChange, MassDone, OperationState, Undo};

use super::operations::{begin, change_all, change_named, frozen, is_whole, newest, open, queued, undo};
use super::*;

/// Kills a change of many jobs after some steps, which a panic stands for: what a step has stored is stored.
fn killed_after(temp: &TempStore, steps: u32, act: impl Fn(&mut Store, &mut dyn FnMut(&MassDone))) {
    let mut other = temp.another();
    let mut taken = 0;
    let killed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        act(&mut other, &mut |_| {
            taken += 1;
            if taken == steps {
                std::panic::resume_unwind(Box::new("killed"));
            }
        });
    }));
    assert!(killed.is_err() && taken == steps, "killed after {taken} steps");
}

/// A change of many jobs makes of each what a change of this one alone makes of it, and so does its undo.
pub fn many_change_as_one_does(mut temp: TempStore) {
    let store = &mut temp.store;
    let bystander = enqueue(store, &[job("bystander")])[0];
    let (node, _guard) = node(store);
    let bystanding = claim_one(store, node);
    let mut scheduled = JobSpec {
        start: Some(Start::After(Duration::from_secs(60))),
        ..JobSpec::line("scheduled")
    };
    scheduled.queue = Some("many".parse().expect("a queue"));
    let ids = enqueue(
        store,
        &[queued("many"), queued("many"), valid(scheduled), queued("many")],
    );
    let failing = claim_one(store, node);
    assert_eq!(failing.id, ids[0].0);
    let retry_at = Some(later(90_000));
    let failed = record(&failing, node, Event::Fail { retry_at }, OutcomeKind::Failed, NOW);
    turn(store, node, &[failed], 0, NOW);
    store.hold(&JobRef::Number(ids[1]), NOW).expect("held");
    let stand = |store: &mut Store| -> Vec<_> {
        let stands = |id: &JobId| {
            let job = get(store, *id);
            let times = (job.due_at, job.finished_at, job.updated_at);
            (job.state, job.attempts, job.waits, job.fence, times)
        };
        ids.iter().map(stands).collect()
    };
    let before = stand(store);
    let states = before.iter().map(|job| job.0);
    assert_eq!(
        states.collect::<Vec<_>>(),
        [State::Failed, State::Blocked, State::Scheduled, State::Pending]
    );
    for (change, which) in [
        (MassChange::Hold, vec![0, 2, 3]),
        (MassChange::Release, vec![1]),
        (MassChange::Cancel, vec![0, 1, 2, 3]),
    ] {
        let mut stood = Vec::new();
        for alone in [true, false] {
            let id = match alone {
                true => {
                    store
                        .begin_operation(queuectl_storage::NewOperation {
                            kind: change.name().to_owned(),
                            ..Default::default()
                        })
                        .expect("begun");
                    which
                        .iter()
                        .for_each(|index| change_named(store, ids[*index], change, later(1)));
                    store.end_operation(later(1)).expect("ended").expect("stored")
                }
                false => change_all(store, "many", change, later(1)),
            };
            let operation = store.operation(id).expect("there");
            let jobs = which.len() as u64;
            assert_eq!(
                (operation.done.changed, operation.kept),
                (jobs, jobs),
                "{change:?}"
            );
            let stands = stand(store);
            let undone = undo(store, id, later(2));
            assert_eq!(
                (undone.restored, undone.left),
                (jobs, 0),
                "{change:?} {:?}",
                undone.reasons
            );
            stood.push((stands, stand(store)));
        }
        assert_eq!(stood[0], stood[1], "{change:?}");
        assert_ne!(stood[0].0, before, "{change:?}");
    }
    assert_eq!(bystanding.id, bystander.0);
    assert_eq!(get(store, bystander).state, State::Processing);
    assert!(is_whole(store));
}

/// A change that was killed after any step goes on there: the jobs that were meant, each counted once.
pub fn a_killed_operation_goes_on(mut temp: TempStore) {
    const JOBS: usize = 1203;
    for (steps, change) in [
        (1, MassChange::Hold),
        (2, MassChange::Release),
        (1, MassChange::Cancel),
        (2, MassChange::Retry),
        (2, MassChange::Cancel),
        (1, MassChange::Purge),
    ] {
        let store = &mut temp.store;
        if store.count_selected(&JobFilter::default()).expect("a count") == 0 {
            enqueue(store, &[job("bystander")]);
            enqueue(store, &vec![queued("many"); JOBS]);
        }
        let filter = frozen(store, "many", change, NOW);
        let id = open(store, &filter, change.name(), None);
        // Such a job is not meant, however long the change takes.
        let late = enqueue(store, &[queued("many")])[0];
        store.leave_operation();
        killed_after(&temp, steps, |other, told| {
            other.reopen_operation(id).expect("open");
            let done = other.change_all(&filter, change, NOW, |done| told(done));
            done.expect("changed");
        });
        let store = &mut temp.store;
        let cut_off = store.operation(id).expect("there");
        assert_eq!(cut_off.state, OperationState::Open);
        assert!(
            cut_off.done.changed > 0 && cut_off.done.changed < JOBS as u64,
            "{cut_off:?}"
        );
        assert_eq!(store.operations(None, true, 9).expect("open").len(), 1);
        let frozen = store.reopen_operation(id).expect("it goes on");
        store.go_on(&frozen, "ann", NOW, |_| {}).expect("changed");
        store.end_operation(NOW).expect("ended");
        let done = store.operation(id).expect("there");
        assert_eq!(
            (done.done.changed, done.state),
            (JOBS as u64, OperationState::Done),
            "{change:?}"
        );
        let again = store.reopen_operation(id);
        assert!(matches!(again, Err(StoreError::Operation { .. })), "{again:?}");
        assert_eq!(get(store, late).state, State::Pending, "{change:?}");
        if change == MassChange::Cancel {
            // The control: the same filter, frozen now, means it.
            let open = super::operations::frozen(store, "many", change, later(1));
            assert_eq!(store.count_selected(&open).expect("a count"), 1);
        }
        assert_eq!(get(store, JobId(1)).state, State::Pending, "the bystander");
        // Out of the way of the next change.
        change_named(store, late, MassChange::Cancel, NOW);
        change_named(store, late, MassChange::Purge, NOW);
    }
    assert!(is_whole(&mut temp.store));
}

/// The same of an edit, and of an undo that was killed: each job counts once.
pub fn a_killed_undo_goes_on(mut temp: TempStore) {
    const JOBS: u64 = 603;
    let store = &mut temp.store;
    enqueue(store, &[job("bystander")]);
    let ids = enqueue(store, &vec![queued("many"); JOBS as usize]);
    let mut filter = JobFilter {
        states: queuectl_storage::EDITABLE_STATES.to_vec(),
        ..JobFilter::from("many".parse::<queuectl_core::QueueName>().expect("a queue"))
    };
    store.freeze(&mut filter, NOW).expect("frozen");
    let edit = JobEdit {
        set: JobSpec::from_written(r#"{"priority":5,"queue":"elsewhere"}"#).expect("an edit"),
        ..JobEdit::default()
    };
    let editor = |job: &Job| Ok(edit.apply(JobSpec::of(job.clone())));
    let id = open(store, &filter, "edit", Some(&edit));
    store.leave_operation();
    killed_after(&temp, 1, |other, told| {
        other.reopen_operation(id).expect("open");
        other
            .edit_all(&filter, "ann", NOW, &editor, |done| told(done))
            .expect("edited");
    });
    let store = &mut temp.store;
    let frozen = store.reopen_operation(id).expect("it goes on");
    store.go_on(&frozen, "ann", NOW, |_| {}).expect("edited");
    store.end_operation(NOW).expect("ended");
    let done = store.operation(id).expect("there");
    assert_eq!((done.done.changed, done.kept), (JOBS, JOBS));
    assert_eq!(get(store, ids[0]).queue.as_str(), "elsewhere");
    let cancelled = change_all(store, "elsewhere", MassChange::Cancel, later(1));
    let purged = change_all(store, "elsewhere", MassChange::Purge, later(2));
    for (id, steps) in [(purged, 1), (cancelled, 2), (id, 2)] {
        let mut taken = 0;
        let mut other = temp.another();
        let killed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let undone = other.undo(id, "bob", later(3), |_| {
                taken += 1;
                if taken == steps {
                    std::panic::resume_unwind(Box::new("killed"));
                }
            });
            undone.expect("undone")
        }));
        assert!(killed.is_err() && taken == steps);
        let store = &mut temp.store;
        let cut_off = newest(store);
        assert_eq!((cut_off.undo_of, cut_off.state), (Some(id), OperationState::Open));
        assert!(
            cut_off.done.changed > 0 && cut_off.done.changed < JOBS,
            "{cut_off:?}"
        );
        let undone = undo(store, id, later(4));
        assert_eq!(undone.operation, cut_off.id);
        // Those that a later undo changed are not as an earlier operation left them: so it is undone last.
        assert_eq!((undone.restored, undone.left), (JOBS, 0), "{:?}", undone.reasons);
    }
    let store = &mut temp.store;
    assert!(ids.iter().all(|id| {
        let job = get(store, *id);
        (job.state, job.priority, job.queue.as_str()) == (State::Pending, 0, "many")
    }));
    assert!(is_whole(store));
    assert_eq!(get(store, JobId(1)).priority, 0);
}

/// Two go on with the same undo, and both come to its end: what it left alone is still kept, since its jobs count once.
pub fn two_that_undo_the_same_count_each_job_once(mut temp: TempStore) {
    let mut other = temp.another();
    let store = &mut temp.store;
    let ids = enqueue(store, &["one", "two", "three", "bystander"].map(job));
    begin(store, "cancel", "some");
    for id in &ids[..3] {
        change_named(store, *id, MassChange::Cancel, later(1));
    }
    let id = store.end_operation(later(1)).expect("ended").expect("stored");
    change_named(store, ids[2], MassChange::Retry, later(2));
    let mut steps = 0;
    let mut second = None;
    let first = store.undo(id, "bob@host", later(3), |_| {
        steps += 1;
        // After the last step, before the end.
        if steps == 2 {
            second = Some(undo(&mut other, id, later(3)));
        }
    });
    let first = first.expect("undone");
    assert_eq!((first.restored, first.left), (2, 1), "{:?}", first.reasons);
    let second = second.expect("two steps");
    assert_eq!(
        (second.operation, second.restored, second.left),
        (first.operation, 2, 1)
    );
    let undone = store.operation(id).expect("there");
    assert_eq!((undone.kept, undone.undo), (1, Undo::Possible));
    // What was left alone can be undone later.
    let begun = store.open_undo(id, "bob@host", later(4)).expect("begun");
    let rest = undo(store, id, later(4));
    assert_eq!((rest.operation, rest.restored, rest.left), (begun, 0, 1));
    assert_eq!(get(store, ids[3]).state, State::Pending);
    assert!(is_whole(store));
}

/// Operations and what is kept of them go when their time is over, and not before.
pub fn operations_are_kept_for_their_time(mut temp: TempStore) {
    let store = &mut temp.store;
    enqueue(store, &[job("bystander")]);
    enqueue(store, &vec![queued("many"); 700]);
    let day = Duration::from_secs(86_400);
    let old = change_all(store, "many", MassChange::Cancel, NOW);
    let filter = frozen(store, "many", MassChange::Purge, NOW);
    let cut_off = open(store, &filter, "purge", None);
    store.leave_operation();
    let tidy = |store: &mut Store, now: Timestamp| {
        let mut steps = 0;
        while store.purge_operations(day, now).expect("a step") {
            steps += 1;
        }
        steps
    };
    assert_eq!(tidy(store, NOW.after(day)), 0);
    assert_eq!(store.operations(None, false, 9).expect("operations").len(), 2);
    assert!(tidy(store, NOW.after(day + Duration::from_millis(1))) > 1);
    assert!(matches!(
        store.operation(old),
        Err(StoreError::NoSuchOperation(_))
    ));
    assert!(matches!(
        store.operation(cut_off),
        Err(StoreError::NoSuchOperation(_))
    ));
    // One that may go on stays for a day, whatever the setting says.
    let open_again = open(store, &filter, "purge", None);
    store.leave_operation();
    while store
        .purge_operations(Duration::ZERO, later(5000))
        .expect("a step")
    {}
    assert!(store.operation(open_again).is_ok());
    assert!(is_whole(store));
}
