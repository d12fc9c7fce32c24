//! Jobs that wait for others.

use queuectl_core::{After, Unmet};

use super::*;

pub(super) fn after(id: &str, parents: &str) -> JobSpec {
    JobSpec {
        id: Some(id.parse().expect("an id")),
        after: match parents {
            "" => Vec::new(),
            _ => parents
                .split(',')
                .map(|text| text.parse::<After>().expect("a parent"))
                .collect(),
        },
        max_retries: Some(0),
        ..JobSpec::line("true")
    }
}

pub(super) fn graph(store: &mut Store, jobs: &[(&str, &str)]) -> Vec<JobId> {
    let jobs: Vec<ValidJob> = jobs
        .iter()
        .map(|(id, parents)| valid(after(id, parents)))
        .collect();
    enqueue(store, &jobs)
}

pub(super) fn named(name: &str) -> JobRef {
    name.parse().expect("a name")
}

pub(super) fn state(store: &mut Store, name: &str) -> State {
    store.job(&named(name)).expect("the job is there").state
}

pub(super) fn states<const N: usize>(store: &mut Store, names: [&str; N]) -> [State; N] {
    names.map(|name| state(store, name))
}

/// Claims everything that is ready, and ends it: the named jobs as dead, all others as completed. Returns the names in the
/// order in which they were claimed.
pub(super) fn run(store: &mut Store, node: NodeId, dying: &[&str]) -> Vec<String> {
    let claimed = claim(store, node, 100);
    let names: Vec<String> = claimed
        .iter()
        .map(|job| job.name.clone().unwrap_or_else(|| job.id.to_string()))
        .collect();
    let ends: Vec<Record> = claimed
        .iter()
        .zip(&names)
        .map(|(job, name)| match dying.contains(&name.as_str()) {
            true => record(
                job,
                node,
                Event::Fail { retry_at: None },
                OutcomeKind::Failed,
                NOW,
            ),
            false => record(job, node, Event::Complete, OutcomeKind::Succeeded, NOW),
        })
        .collect();
    turn(store, node, &ends, 0, NOW);
    names
}

pub(super) fn is_sound(store: &mut Store) {
    let report = store.check().expect("a report");
    assert_eq!(
        (report.damage, report.dangling, report.miscounted),
        (vec![], 0, 0)
    );
}

/// A diamond: each job starts when all that it waits for have succeeded, and is told their numbers.
pub fn a_job_starts_after_those_it_waits_for(mut temp: TempStore) {
    let store = &mut temp.store;
    let ids = graph(
        store,
        &[
            ("d", "b,c"),
            ("b", "a"),
            ("c", "a:any"),
            ("a", ""),
            ("bystander", ""),
        ],
    );
    let (node, _guard) = node(store);
    let d = store.job(&named("d")).expect("it is there");
    assert_eq!(
        (d.state, d.waits.first()),
        (State::Blocked, Some(BlockedBy::Dependency))
    );
    assert_eq!(run(store, node, &[]), ["a", "bystander"]);
    assert_eq!(run(store, node, &[]), ["b", "c"]);
    let claimed = claim_one(store, node);
    assert_eq!(claimed.name.as_deref(), Some("d"));
    assert_eq!(claimed.parents, Some(format!("{},{}", ids[1], ids[2])));
    let parents = store.parents(ids[0]).expect("parents");
    let shown = parents.iter().map(|one| (one.id, one.state, one.is_met));
    assert!(shown.eq([ids[1], ids[2]].map(|id| (id, Some(State::Completed), Some(true)))));
    let dependants = store.dependants(ids[3]).expect("dependants");
    let dependants: Vec<JobId> = dependants.into_iter().map(|one| one.id).collect();
    assert_eq!(dependants, [ids[1], ids[2]]);
    is_sound(store);
}

/// A failed attempt that is retried settles nothing; one that is the last settles all.
pub fn only_the_end_of_a_job_settles_what_waits_for_it(mut temp: TempStore) {
    let store = &mut temp.store;
    graph(
        store,
        &[("a", ""), ("ok", "a"), ("failed", "a:failed"), ("any", "a:any")],
    );
    let (node, _guard) = node(store);
    let claimed = claim_one(store, node);
    let failed = Event::Fail {
        retry_at: Some(later(1)),
    };
    let failed = record(&claimed, node, failed, OutcomeKind::Failed, NOW);
    turn(store, node, &[failed], 0, NOW);
    let all = ["ok", "failed", "any"];
    assert_eq!(states(store, all), [State::Blocked; 3]);
    let claimed = turn(store, node, &[], 1, later(2)).claimed.remove(0);
    let died = Event::Fail { retry_at: None };
    let died = record(&claimed, node, died, OutcomeKind::Failed, later(2));
    turn(store, node, &[died], 0, later(2));
    assert_eq!(
        states(store, all),
        [State::Cancelled, State::Pending, State::Pending]
    );
    is_sound(store);
}

/// A job whose condition cannot be met is cancelled with the reason, and so on down to the last; it runs after all when its
/// parent is retried and succeeds. What the user cancelled stays so.
pub fn a_cancelled_dependant_is_revived_with_its_parent(mut temp: TempStore) {
    let store = &mut temp.store;
    let ids = graph(
        store,
        &[
            ("a", ""),
            ("b", "a"),
            ("c", "b"),
            ("by-hand", "a"),
            ("clean-up", "c:any"),
            ("bystander", ""),
        ],
    );
    let (node, _guard) = node(store);
    store.cancel(&named("by-hand"), NOW).expect("cancelled");
    run(store, node, &["a"]);
    let all = ["a", "b", "c", "by-hand", "clean-up", "bystander"];
    let [dead, cancelled, pending, completed, blocked] = [
        State::Dead,
        State::Cancelled,
        State::Pending,
        State::Completed,
        State::Blocked,
    ];
    assert_eq!(
        states(store, all),
        [dead, cancelled, cancelled, cancelled, pending, completed]
    );
    let reason = |store: &mut Store, name: &str| store.job(&named(name)).expect("it is there").unmet;
    let unmet = |id: JobId, state: State| Some(queuectl_core::UnmetParent { id, state });
    assert_eq!(reason(store, "b"), unmet(ids[0], dead));
    assert_eq!(reason(store, "c"), unmet(ids[1], cancelled));
    assert_eq!(reason(store, "by-hand"), None);
    store.retry(&named("a"), &Only::default(), NOW).expect("retried");
    assert_eq!(state(store, "b"), cancelled, "not before it has succeeded");
    run(store, node, &[]);
    assert_eq!(
        states(store, all),
        [completed, pending, cancelled, cancelled, completed, completed]
    );
    assert_eq!(reason(store, "b"), None);
    run(store, node, &[]);
    assert_eq!(states(store, ["b", "c"]), [completed, pending]);
    let _ = blocked;
    is_sound(store);
}

/// Of two parents, one dies and is retried before the other has ended: the job waits for the other again.
pub fn a_revived_job_waits_for_its_other_parents(mut temp: TempStore) {
    let store = &mut temp.store;
    graph(store, &[("a", ""), ("b", ""), ("child", "a,b")]);
    let (node, _guard) = node(store);
    let first = claim_one(store, node);
    let died = Event::Fail { retry_at: None };
    turn(
        store,
        node,
        &[record(&first, node, died, OutcomeKind::Failed, NOW)],
        0,
        NOW,
    );
    assert_eq!(states(store, ["a", "child"]), [State::Dead, State::Cancelled]);
    store.retry(&named("a"), &Only::default(), NOW).expect("retried");
    let first = claim_one(store, node);
    let done = record(&first, node, Event::Complete, OutcomeKind::Succeeded, NOW);
    turn(store, node, &[done], 0, NOW);
    assert_eq!(states(store, ["a", "child"]), [State::Completed, State::Blocked]);
    assert_eq!(run(store, node, &[]), ["b"]);
    assert_eq!(state(store, "child"), State::Pending);
    is_sound(store);
}

/// The other policies: a job is held, or runs all the same.
pub fn an_unmet_job_can_be_held_or_run(mut temp: TempStore) {
    let store = &mut temp.store;
    let with = |id: &str, unmet: Unmet| {
        valid(JobSpec {
            unmet: Some(unmet),
            ..after(id, "a")
        })
    };
    let ids = enqueue(
        store,
        &[
            valid(after("a", "")),
            with("hold", Unmet::Hold),
            with("hold-2", Unmet::Hold),
            with("run", Unmet::Run),
        ],
    );
    let (node, _guard) = node(store);
    run(store, node, &["a"]);
    let all = ["hold", "hold-2", "run"];
    assert_eq!(
        states(store, all),
        [State::Blocked, State::Blocked, State::Pending]
    );
    let held = store.job(&named("hold")).expect("it is there");
    assert_eq!(held.waits.first(), Some(BlockedBy::Held));
    assert_eq!(held.unmet.map(|parent| parent.id), Some(ids[0]));
    // An operator decides, or the parent succeeds after all.
    store.release(&named("hold"), NOW).expect("released");
    store.retry(&named("a"), &Only::default(), NOW).expect("retried");
    assert_eq!(run(store, node, &[]).len(), 3);
    assert_eq!(
        states(store, all),
        [State::Completed, State::Pending, State::Completed]
    );
    is_sound(store);
}

/// A parent that has ended, or was cancelled, settles at once; one that is unknown is refused with all.
pub fn parents_that_have_ended_settle_at_once(mut temp: TempStore) {
    let store = &mut temp.store;
    let ids = graph(store, &[("done", ""), ("dead", ""), ("gone", "")]);
    let (node, _guard) = node(store);
    run(store, node, &["dead"]);
    let late = format!("done,{}", ids[0]);
    graph(
        store,
        &[
            ("late", late.as_str()),
            ("never", "dead"),
            ("nor-this", "never"),
            ("but", "never:failed"),
        ],
    );
    assert_eq!(
        states(store, ["late", "never", "nor-this", "but"]),
        [State::Pending, State::Cancelled, State::Cancelled, State::Pending]
    );
    let before = store.counts(None).expect("counts");
    for (parents, unknown) in [("nobody", "nobody"), ("999", "999")] {
        let refused = store.enqueue(&[valid(after("one", "")), valid(after("two", parents))], NOW);
        assert!(
            matches!(&refused, Err(StoreError::NoSuchParent { parent, index: 1 }) if parent == unknown),
            "{refused:?}"
        );
    }
    let refused = store.enqueue(&[valid(after("x", "y")), valid(after("y", "x"))], NOW);
    assert!(
        matches!(&refused, Err(StoreError::Cycle { path }) if path.len() == 3),
        "{refused:?}"
    );
    assert_eq!(
        store.counts(None).expect("counts"),
        before,
        "nothing of it is stored"
    );
    is_sound(store);
}

/// The outcome of a parent outlives its purge; a child that is purged takes its edges along.
pub fn a_purged_parent_is_remembered(mut temp: TempStore) {
    let store = &mut temp.store;
    let ids = graph(store, &[("a", ""), ("b", ""), ("child", "a,b"), ("other", "a")]);
    let (node, _guard) = node(store);
    let first = claim_one(store, node);
    let done = record(&first, node, Event::Complete, OutcomeKind::Succeeded, NOW);
    turn(store, node, &[done], 0, NOW);
    store.purge_one(&named("a"), &Only::default()).expect("purged");
    assert_eq!(state(store, "child"), State::Blocked);
    let parents = store.parents(ids[2]).expect("parents");
    assert_eq!(
        (parents[0].name.clone(), parents[0].state, parents[0].is_met),
        (None, Some(State::Completed), Some(true))
    );
    run(store, node, &[]);
    assert_eq!(state(store, "child"), State::Pending);
    run(store, node, &[]);
    store
        .purge_one(&named("child"), &Only::default())
        .expect("purged");
    assert_eq!(store.parents(ids[2]).expect("none"), []);
    is_sound(store);
}

/// A job that is retried by hand waits again for a parent that was retried before it, and goes on without one that is dead.
pub fn a_retried_dependant_waits_for_a_retried_parent(mut temp: TempStore) {
    let store = &mut temp.store;
    graph(store, &[("a", ""), ("b", "a"), ("c", "a")]);
    let (node, _guard) = node(store);
    run(store, node, &["a"]);
    store.retry(&named("b"), &Only::default(), NOW).expect("retried");
    assert_eq!(state(store, "b"), State::Pending, "the operator wants it");
    store.retry(&named("a"), &Only::default(), NOW).expect("retried");
    store.retry(&named("c"), &Only::default(), NOW).expect("retried");
    assert_eq!(state(store, "c"), State::Blocked);
    run(store, node, &["a"]);
    assert_eq!(states(store, ["b", "c"]), [State::Completed, State::Cancelled]);
    is_sound(store);
}

/// A held job, and a scheduled one, waits for both.
pub fn a_dependant_can_be_held_and_has_its_time(mut temp: TempStore) {
    let store = &mut temp.store;
    let start = Some(Start::At(later(100)));
    let hold = Some(true);
    enqueue(
        store,
        &[
            valid(after("a", "")),
            valid(JobSpec {
                hold,
                ..after("held", "a")
            }),
            valid(JobSpec {
                start,
                ..after("scheduled", "a")
            }),
        ],
    );
    let (node, _guard) = node(store);
    let released = store.release(&named("held"), NOW).expect("released");
    assert_eq!(
        (released.state, released.waits.first()),
        (State::Blocked, Some(BlockedBy::Dependency))
    );
    store.hold(&named("held"), NOW).expect("held");
    run(store, node, &[]);
    let all = ["held", "scheduled"];
    assert_eq!(states(store, all), [State::Blocked, State::Scheduled]);
    assert_eq!(
        store.job(&named("scheduled")).expect("it is there").due_at,
        Some(later(100))
    );
    store.release(&named("held"), NOW).expect("released");
    assert_eq!(state(store, "held"), State::Pending);
    is_sound(store);
}

/// Cancelling a parent, waiting or running, is an end like any other. A job that a parent's end forgot, the control, stays
/// where it is.
pub fn a_long_chain_ends_with_its_first_job(mut temp: TempStore) {
    let store = &mut temp.store;
    let names: Vec<String> = (0..1500).map(|n| format!("n{n}")).collect();
    let jobs: Vec<(&str, &str)> = names
        .iter()
        .enumerate()
        .map(|(n, name)| (name.as_str(), if n == 0 { "" } else { names[n - 1].as_str() }))
        .collect();
    graph(store, &jobs);
    graph(store, &[("bystander", "")]);
    store.cancel(&named("n0"), NOW).expect("cancelled");
    let counts = store.counts(None).expect("counts");
    let counts: Vec<(State, u64)> = counts
        .into_iter()
        .map(|count| (count.state, count.jobs))
        .collect();
    assert_eq!(counts, [(State::Pending, 1), (State::Cancelled, 1500)]);
    is_sound(store);
}
