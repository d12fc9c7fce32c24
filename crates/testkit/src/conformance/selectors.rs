//! Selectors: which jobs they mean, and what is done to many at once.

use std::collections::BTreeSet;

use queuectl_core::Selector;
use queuectl_core::group::GroupChange;
use queuectl_storage::{Among, MassChange, MassDone};

use super::*;

fn selector(text: &str) -> Selector {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn filter(store: &mut Store, text: &str, now: Timestamp) -> JobFilter {
    let filter = store.job_filter(&selector(text), now);
    filter.unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The numbers of all jobs that a filter means, as pages of that many have them.
fn in_pages(store: &mut Store, filter: &JobFilter, page: u32) -> Vec<JobId> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let selected = store.select(filter, after, page).expect("a page");
        assert!(selected.jobs.len() <= page as usize);
        all.extend(selected.jobs);
        after = selected.next;
        if after.is_none() {
            return all;
        }
    }
}

fn states(store: &mut Store, ids: &[JobId]) -> Vec<State> {
    ids.iter().map(|id| get(store, *id).state).collect()
}

/// Ten jobs of every sort; number 10 is the newest. Jobs 1 to 4 have ended, 5 runs.
fn some_of_all(store: &mut Store) -> (Vec<JobId>, NodeId, NodeGuard) {
    let group = |name: &str| Some(name.parse().expect("a group"));
    let queue = |name: &str| Some(name.parse().expect("a queue"));
    store
        .create_group(
            &"g".parse().expect("a name"),
            &GroupChange {
                then: None,
                then_failed: None,
                max_fails: None,
            },
            NOW,
        )
        .expect("a group");
    let line = JobSpec::line;
    let ids = enqueue(
        store,
        &[
            line("first"),
            JobSpec {
                queue: queue("mail"),
                ..line("second")
            },
            JobSpec {
                queue: queue("mail"),
                group: group("g"),
                ..line("third")
            },
            line("fourth"),
            JobSpec {
                queue: queue("other"),
                ..line("fifth")
            },
            JobSpec {
                id: Some("50-_off".parse().expect("an id")),
                ..line("sixth")
            },
            JobSpec {
                hold: Some(true),
                group: group("g"),
                ..line("say \"Hello\"")
            },
            JobSpec {
                executor: Some("docker".parse().expect("an executor")),
                ..line("eighth")
            },
            JobSpec {
                queue: queue("mail"),
                start: Some(Start::After(Duration::from_secs(60))),
                ..line("ninth")
            },
            JobSpec {
                queue: queue("mail"),
                ..line("tenth")
            },
        ]
        .map(valid),
    );
    let (node, guard) = node(store);
    let claimed = claim(store, node, 9);
    let at = |id: JobId| claimed.iter().find(|job| job.id == id.0).expect("claimed");
    for (number, event, kind, message, exit) in [
        (1, Event::Complete, OutcomeKind::Succeeded, "", Some(0)),
        (
            2,
            Event::Fail { retry_at: None },
            OutcomeKind::Failed,
            "Timeout after 5 s",
            Some(4),
        ),
        (
            3,
            Event::Fail { retry_at: None },
            OutcomeKind::Failed,
            "no route",
            Some(9),
        ),
        (4, Event::Cancel, OutcomeKind::Cancelled, "cancelled", None),
        (
            6,
            Event::Fail {
                retry_at: Some(later(90_000)),
            },
            OutcomeKind::Failed,
            "a TIMEOUT",
            Some(4),
        ),
    ] {
        let ended = later(number as u64 * 1000);
        let mut record = record(at(ids[number - 1]), node, event, kind, ended);
        if let Some(attempt) = &mut record.attempt {
            attempt.outcome.message = message.into();
            attempt.outcome.exit_code = exit;
        }
        turn(store, node, &[record], 0, ended);
    }
    // Only the fifth keeps running.
    let back = [8, 10].map(|number| {
        let mut back = record(
            at(ids[number - 1]),
            node,
            Event::Return,
            OutcomeKind::Returned,
            NOW,
        );
        back.attempt = None;
        back
    });
    turn(store, node, &back, 0, NOW);
    assert_eq!(
        states(store, &ids),
        [
            State::Completed,
            State::Dead,
            State::Dead,
            State::Cancelled,
            State::Processing,
            State::Failed,
            State::Blocked,
            State::Pending,
            State::Scheduled,
            State::Pending,
        ]
    );
    (ids, node, guard)
}

/// Each selector means the jobs that its words say, in any order of its pages; what is not there is said.
pub fn a_selector_means_the_jobs_that_fit(mut temp: TempStore) {
    let store = &mut temp.store;
    let (ids, _node, _guard) = some_of_all(store);
    let now = later(10_000);
    for (text, meant) in [
        ("", vec![1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        ("2-4 9", vec![2, 3, 4, 9]),
        ("3-5 4-7 5", vec![3, 4, 5, 6, 7]),
        ("last", vec![10]),
        ("last~2 50-_off", vec![6, 8]),
        ("@g", vec![3, 7]),
        ("@g 3-4", vec![3, 4, 7]),
        ("group=g", vec![3, 7]),
        ("1-3 group=g", vec![3]),
        ("@g state=dead", vec![3]),
        ("state=dead", vec![2, 3]),
        ("state=dead,cancelled", vec![2, 3, 4]),
        ("state=pending,scheduled,failed", vec![6, 8, 9, 10]),
        ("state=blocked,processing", vec![5, 7]),
        ("state=dead,failed", vec![2, 3, 6]),
        ("state=dead,failed queue=default", vec![6]),
        ("queue=mail", vec![2, 3, 9, 10]),
        ("queue=mail,other", vec![2, 3, 5, 9, 10]),
        ("queue=mail state=dead", vec![2, 3]),
        ("queue=mail,other state=pending,processing", vec![5, 10]),
        ("queue=nowhere", vec![]),
        ("error~timeout", vec![2, 6]),
        ("error~TimeOut state=dead", vec![2]),
        ("error~timeout error~after", vec![2]),
        ("error~%", vec![]),
        ("exit=4", vec![2, 6]),
        ("exit=0,9", vec![1, 3]),
        ("executor=docker", vec![8]),
        ("executor=docker,shell state=pending", vec![8, 10]),
        ("text~EIGHTH", vec![8]),
        ("text~off", vec![6]),
        ("\"text~say \\\"hello\"", vec![7]),
        ("schedule=nightly", vec![]),
        // The third died 7 s ago; the others were stored 10 s ago.
        ("older=7s state=dead,completed,cancelled", vec![1, 2, 3]),
        ("newer=7s", vec![3, 4]),
        ("newer=7s state=dead", vec![3]),
        ("older=10s", vec![5, 6, 7, 8, 9, 10]),
    ] {
        let filter = filter(store, text, now);
        let meant: BTreeSet<JobId> = meant.iter().map(|number| ids[*number as usize - 1]).collect();
        for page in [1, 3, 100] {
            let found = in_pages(store, &filter, page);
            assert_eq!(found.iter().copied().collect::<BTreeSet<_>>(), meant, "{text}");
            assert_eq!(found.len(), meant.len(), "{text}: a job twice in pages of {page}");
        }
        assert_eq!(
            store.count_selected(&filter).expect("a count"),
            meant.len() as u64
        );
        let list = ListFilter {
            jobs: filter,
            limit: 100,
            ..ListFilter::default()
        };
        assert_eq!(store.list(&list).expect("a list").len(), meant.len(), "{text}");
    }
    for text in ["77", "nobody", "last~10", "1-2 nobody"] {
        let error = store.job_filter(&selector(text), now);
        assert!(
            matches!(error, Err(StoreError::NoSuchJob(_))),
            "{text}: {error:?}"
        );
    }
    for text in ["@nowhere", "group=g,nowhere"] {
        let error = store.job_filter(&selector(text), now);
        assert!(
            matches!(error, Err(StoreError::NoSuchGroup(_))),
            "{text}: {error:?}"
        );
    }
}

/// Pages of one job each have all of them in the order of the list, those that ended by when they did.
pub fn a_selector_is_found_in_pages(mut temp: TempStore) {
    let store = &mut temp.store;
    let ids = enqueue(store, &[job("a"), job("b"), job("c"), job("bystander")]);
    let (node, _guard) = node(store);
    let claimed = claim(store, node, 3);
    for (number, at) in [(2, 1), (0, 2), (1, 2)] {
        let id = ids[number];
        let ended = record(
            claimed.iter().find(|job| job.id == id.0).expect("claimed"),
            node,
            Event::Fail { retry_at: None },
            OutcomeKind::Failed,
            later(at),
        );
        turn(store, node, &[ended], 0, later(at));
    }
    let dead = JobFilter::from(State::Dead);
    assert_eq!(in_pages(store, &dead, 1), [ids[2], ids[0], ids[1]]);
    let all = JobFilter::default();
    assert_eq!(in_pages(store, &all, 1), ids);
    let named = JobFilter {
        among: Some(vec![
            Among::Numbers(ids[2], ids[3]),
            Among::Numbers(ids[0], ids[2]),
        ]),
        ..JobFilter::default()
    };
    assert_eq!(in_pages(store, &named, 1), ids);
}

/// A job that is named and does not fit is left alone, and the refusal says what it does not fit.
pub fn a_filter_narrows_jobs_that_are_named(mut temp: TempStore) {
    let store = &mut temp.store;
    let (ids, _node, _guard) = some_of_all(store);
    let now = later(10_000);
    for (number, change, text, why) in [
        (10, MassChange::Cancel, "queue=other", Some("queue=other")),
        (10, MassChange::Hold, "state=failed", Some("state=failed")),
        (7, MassChange::Release, "executor=docker", Some("executor=docker")),
        (2, MassChange::Retry, "error~route", Some("error~route")),
        (2, MassChange::Retry, "exit=9", Some("exit=9")),
        (3, MassChange::Purge, "older=1h", Some("after")),
        (8, MassChange::Cancel, "newer=1s", Some("before")),
        (8, MassChange::Cancel, "group=g", Some("group=g")),
        (8, MassChange::Cancel, "schedule=x", Some("schedule=x")),
        (8, MassChange::Cancel, "text~ninth", Some("text~ninth")),
        (10, MassChange::Cancel, "queue=mail state=pending", None),
        (2, MassChange::Retry, "error~timeout exit=4", None),
        (7, MassChange::Release, "group=g", None),
        (3, MassChange::Purge, "older=1s", None),
        (8, MassChange::Hold, "executor=docker newer=1h", None),
    ] {
        let id = ids[number as usize - 1];
        let before = get(store, id);
        let only = store.narrowing(selector(text).filters(), now).expect("filters");
        let done = store.change_named(&JobRef::Number(id), change, &only, now);
        match (why, done) {
            (Some(why), Err(error @ StoreError::LeftAlone { .. })) => {
                assert!(error.to_string().contains(why), "{number} {text}: {error}");
                assert_eq!(get(store, id), before, "{number} {text}");
            }
            (None, Ok(done)) => assert_eq!(done.id, id),
            (_, done) => panic!("{number} {text}: {done:?}"),
        }
    }
    assert_eq!(
        [1, 4, 5, 6, 7, 8, 9, 10].map(|number| get(store, ids[number - 1]).state),
        [
            State::Completed,
            State::Cancelled,
            State::Processing,
            State::Failed,
            State::Pending,
            State::Blocked,
            State::Scheduled,
            State::Cancelled,
        ]
    );
    let removed = store.job(&JobRef::Number(ids[2]));
    assert!(matches!(removed, Err(StoreError::NoSuchJob(_))));
}

fn change(store: &mut Store, text: &str, change: MassChange, now: Timestamp) -> MassDone {
    let mut filter = filter(store, text, now);
    store.freeze(&mut filter, now).expect("a frozen filter");
    let mut told = MassDone::default();
    let done = store.change_all(&filter, change, now, |by_then| told = *by_then);
    let done = done.unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(told, done);
    done
}

/// Every change is made to all jobs that fit and to no other, over several steps, and only once.
pub fn many_jobs_are_changed_in_steps(mut temp: TempStore) {
    let store = &mut temp.store;
    let mut jobs = vec![job("bystander")];
    jobs.extend((0..1203).map(|_| {
        valid(JobSpec {
            queue: Some("many".parse().expect("a queue")),
            ..JobSpec::line("true")
        })
    }));
    let ids = enqueue(store, &jobs);
    let (bystander, many) = (ids[0], &ids[1..]);
    let changed = |done: MassDone| (done.changed, done.requested, done.held_back);
    let everywhere = |store: &mut Store, state: State| {
        let filter = filter(store, "queue=many", NOW);
        let fits = JobFilter {
            states: vec![state],
            ..filter
        };
        assert_eq!(
            store.count_selected(&fits).expect("a count"),
            many.len() as u64,
            "{state}"
        );
        assert_eq!(get(store, bystander).state, State::Pending);
    };
    for (kind, state) in [
        (MassChange::Hold, State::Blocked),
        (MassChange::Release, State::Pending),
        (MassChange::Cancel, State::Cancelled),
        (MassChange::Retry, State::Pending),
        (MassChange::Cancel, State::Cancelled),
    ] {
        assert_eq!(
            changed(change(store, "queue=many", kind, NOW)),
            (1203, 0, 0),
            "{kind:?}"
        );
        everywhere(store, state);
        assert_eq!(
            changed(change(store, "queue=many", kind, NOW)),
            (0, 0, 0),
            "{kind:?} again"
        );
    }
    assert_eq!(
        changed(change(store, "queue=many", MassChange::Purge, NOW)),
        (1203, 0, 0)
    );
    assert_eq!(store.count_selected(&JobFilter::default()).expect("a count"), 1);
    assert_eq!(get(store, bystander).state, State::Pending);
    let counts = store.counts(None).expect("counts");
    assert_eq!(counts.iter().map(|count| count.jobs).sum::<u64>(), 1);
}

/// A command that was killed after some steps goes on, and what it does adds up to every job once. Running jobs are asked to
/// stop once.
pub fn a_mass_change_goes_on_where_it_stopped(mut temp: TempStore) {
    let store = &mut temp.store;
    let mut ids = enqueue(store, &vec![job("runs"); 3]);
    let (node, _guard) = node(store);
    assert_eq!(claim(store, node, 3).len(), 3);
    ids.extend(enqueue(store, &vec![job("waits"); 1100]));
    let range = format!("{}-{}", ids[0], ids[ids.len() - 2]);
    let mut filter = filter(store, &range, NOW);
    store.freeze(&mut filter, NOW).expect("a frozen filter");
    let stop = std::panic::AssertUnwindSafe(|| {
        let mut first = MassDone::default();
        let mut steps = 0;
        let mut other = temp.another();
        let killed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            other.change_all(&filter, MassChange::Cancel, NOW, |by_then| {
                first = *by_then;
                steps += 1;
                // What was done is stored; the rest is not begun.
                if steps == 2 {
                    std::panic::resume_unwind(Box::new("killed"));
                }
            })
        }));
        assert!(killed.is_err() && steps == 2);
        first
    });
    let first = stop();
    let store = &mut temp.store;
    assert!(first.changed > 0 && first.changed < 1099, "{first:?}");
    assert_eq!(first.requested, 3);
    let rest = change(store, &range, MassChange::Cancel, NOW);
    assert_eq!((first.changed + rest.changed, rest.requested), (1099, 0));
    assert_eq!(
        get(store, ids[ids.len() - 1]).state,
        State::Pending,
        "the bystander"
    );
    assert!(ids[..3].iter().all(|id| get(store, *id).cancel_requested));
}

/// Jobs that are stored, or end, after the question are not meant. The same filter without a moment is the control.
pub fn a_frozen_filter_means_no_later_job(mut temp: TempStore) {
    let store = &mut temp.store;
    let (early, node, _guard) = dead_job(store);
    let mut frozen = filter(store, "state=dead", NOW);
    let open = frozen.clone();
    store.freeze(&mut frozen, later(5)).expect("a frozen filter");
    let late = enqueue(store, &[job("exit 1"), job("bystander")])[0];
    let claimed = claim_one(store, node);
    let died = record(
        &claimed,
        node,
        Event::Fail { retry_at: None },
        OutcomeKind::Failed,
        later(3),
    );
    turn(store, node, &[died], 0, later(3));
    assert_eq!(in_pages(store, &open, 9), [early, late]);
    assert_eq!(in_pages(store, &frozen, 9), [early]);
    // One that dies again meanwhile is not retried again.
    let done = store
        .change_all(&frozen, MassChange::Retry, later(5), |_| {})
        .expect("retried");
    assert_eq!(done.changed, 1);
    let claimed = claim(store, node, 9);
    let again = claimed
        .iter()
        .find(|job| job.id == early.0)
        .expect("claimed again");
    let died = record(
        again,
        node,
        Event::Fail { retry_at: None },
        OutcomeKind::Failed,
        later(6),
    );
    turn(store, node, &[died], 0, later(6));
    let done = store
        .change_all(&frozen, MassChange::Retry, later(5), |_| {})
        .expect("nothing");
    assert_eq!(done.jobs(), 0);
    assert_eq!(states(store, &[early, late]), [State::Dead, State::Dead]);
}

/// A job whose key another has stays as it is, and is counted.
pub fn a_mass_retry_leaves_taken_keys(mut temp: TempStore) {
    let store = &mut temp.store;
    let keyed = || {
        valid(JobSpec {
            unique: Some("k".parse().expect("a key")),
            ..JobSpec::line("keyed")
        })
    };
    let first = enqueue(store, &[keyed()])[0];
    store.cancel(&JobRef::Number(first), NOW).expect("cancelled");
    let others = enqueue(store, &[keyed(), job("cancelled"), job("bystander")]);
    store.cancel(&JobRef::Number(others[1]), NOW).expect("cancelled");
    let done = change(store, "state=cancelled", MassChange::Retry, NOW);
    assert_eq!((done.changed, done.held_back), (1, 1));
    assert_eq!(
        states(store, &[first, others[0], others[1], others[2]]),
        [State::Cancelled, State::Pending, State::Pending, State::Pending]
    );
}
