//! What operators do: cancel, retry, purge, settings.

use queuectl_core::QueueSetting;
use queuectl_core::limits::QUEUES_WITH_SETTINGS;
use queuectl_storage::MassChange;

use super::*;

/// Waiting jobs are cancelled at once, running ones by their node, ended ones not at all.
pub fn cancelling_depends_on_the_state(mut temp: TempStore) {
    let store = &mut temp.store;
    let ids = enqueue(store, &[job("runs"), job("waits"), job("bystander")]);
    let (node, _guard) = node(store);
    let running = claim_one(store, node);
    let number = |id| JobRef::Number(id);
    assert_eq!(
        store.cancel(&number(ids[1]), NOW).expect("cancelled"),
        Cancelled::Now
    );
    assert_eq!(store.control_requests(node).expect("requests").cancel, []);
    assert_eq!(
        store.cancel(&number(ids[0]), NOW).expect("requested"),
        Cancelled::Requested
    );
    assert_eq!(
        store.control_requests(node).expect("requests").cancel,
        [(ids[0], 1)]
    );
    let stopped = record(&running, node, Event::Cancel, OutcomeKind::Cancelled, NOW);
    turn(store, node, &[stopped], 0, NOW);
    for (id, state) in [
        (ids[0], State::Cancelled),
        (ids[1], State::Cancelled),
        (ids[2], State::Pending),
    ] {
        assert_eq!(get(store, id).state, state);
    }
    assert!(!get(store, ids[0]).cancel_requested);
    assert!(matches!(
        store.cancel(&number(ids[0]), NOW),
        Err(StoreError::Refused { .. })
    ));
}

/// A retried dead job counts its attempts from one, and its history stays.
pub fn retrying_gives_fresh_attempts_and_keeps_history(mut temp: TempStore) {
    let store = &mut temp.store;
    let (id, node, _guard) = dead_job(store);
    let bystander = enqueue(
        store,
        &[valid(JobSpec {
            priority: Some(-1),
            ..JobSpec::line("bystander")
        })],
    )[0];
    let number = JobRef::Number(id);
    assert!(matches!(
        store.retry(&JobRef::Number(bystander), &Only::default(), NOW),
        Err(StoreError::Refused { .. })
    ));
    assert!(matches!(
        store.retry(&number, &State::Failed.into(), NOW),
        Err(StoreError::Refused { .. })
    ));
    let elsewhere = Only {
        queue: Some("elsewhere".parse().expect("a queue")),
        ..State::Dead.into()
    };
    assert!(matches!(
        store.retry(&number, &elsewhere, NOW),
        Err(StoreError::LeftAlone { .. })
    ));
    store
        .retry(&number, &State::Dead.into(), later(1))
        .expect("retried");
    let job = get(store, id);
    assert_eq!(
        (job.state, job.attempts, job.finished_at),
        (State::Pending, 0, None)
    );
    let claimed = claim_one(store, node);
    assert_eq!((claimed.id, claimed.attempt, claimed.fence), (id.0, 1, 2));
    let done = record(&claimed, node, Event::Complete, OutcomeKind::Succeeded, NOW);
    turn(store, node, &[done], 0, NOW);
    let attempts = store.attempts(id).expect("attempts");
    let rounds = attempts.iter().map(|attempt| (attempt.fence, attempt.attempt));
    assert_eq!(rounds.collect::<Vec<_>>(), [(1, 1), (2, 1)]);
    // For people, numbers go on over the job's whole life, however an attempt is read.
    let numbers = |attempts: Vec<Attempt>| attempts.iter().map(|one| one.number).collect::<Vec<_>>();
    assert_eq!(numbers(attempts), [1, 2]);
    let bare = store.attempts_without_output(id).expect("attempts");
    assert_eq!(numbers(bare), [1, 2]);
    let first = store.attempt(id, 1).expect("an answer").expect("an attempt");
    let last = store.last_attempt(id).expect("an answer").expect("an attempt");
    assert_eq!((first.number, last.number), (1, 2));
    assert_eq!(get(store, bystander).state, State::Pending);
}

/// All dead jobs of a queue.
pub fn dead_jobs_are_retried_together(mut temp: TempStore) {
    let store = &mut temp.store;
    let guards: Vec<_> = (0..3).map(|_| dead_job(store)).collect();
    let bystander = enqueue(store, &[job("bystander")])[0];
    let retry = |store: &mut Store, queue: Option<&str>| {
        let dead = JobFilter {
            queues: queue
                .map(|queue| queue.parse().expect("a queue"))
                .into_iter()
                .collect(),
            ..JobFilter::from(State::Dead)
        };
        let done = store.change_all(&dead, MassChange::Retry, NOW, |_| {});
        done.expect("retried").changed
    };
    assert_eq!(retry(store, Some("other")), 0);
    assert_eq!(get(store, guards[2].0).state, State::Dead);
    assert_eq!(retry(store, None), 3);
    assert!(
        guards
            .iter()
            .all(|(id, ..)| get(store, *id).state == State::Pending)
    );
    assert_eq!(retry(store, None), 0);
    assert_eq!(get(store, bystander).state, State::Pending);
}

/// Only ended jobs, only those old enough, no more than asked for; attempts and outputs go along.
pub fn purging_removes_only_what_fits(mut temp: TempStore) {
    let store = &mut temp.store;
    let (dead, _, _guard) = dead_job(store);
    let waiting = enqueue(store, &[job("true")])[0];
    let purge = |store: &mut Store, state, before: Option<Timestamp>| {
        store
            .purge(&PurgeFilter {
                state,
                queue: None,
                ended_before: before,
                limit: 10,
            })
            .expect("a purge")
            .jobs
    };
    assert_eq!(
        purge(store, State::Pending, None),
        0,
        "a job that has not ended is never removed"
    );
    assert_eq!(purge(store, State::Completed, None), 0);
    assert_eq!(purge(store, State::Dead, Some(NOW)), 0);
    assert!(matches!(
        store.purge_one(&JobRef::Number(waiting), &State::Dead.into()),
        Err(StoreError::Refused { .. })
    ));
    for only in [
        Only {
            queue: Some("elsewhere".parse().expect("a queue")),
            ..Only::default()
        },
        Only {
            ended_before: Some(NOW),
            ..Only::default()
        },
    ] {
        let named = store.purge_one(&JobRef::Number(dead), &only);
        assert!(matches!(named, Err(StoreError::LeftAlone { .. })), "{only:?}");
        assert_eq!(get(store, dead).state, State::Dead);
    }
    assert_eq!(purge(store, State::Dead, Some(later(1))), 1);
    assert!(matches!(
        store.job(&JobRef::Number(dead)),
        Err(StoreError::NoSuchJob(_))
    ));
    assert_eq!(store.attempts(dead).expect("attempts"), []);
    assert_eq!(get(store, waiting).state, State::Pending);
    assert_eq!(store.check().expect("a check").dangling, 0);
}

/// Set, read, replace, unset.
pub fn settings_are_stored_and_checked(mut temp: TempStore) {
    let store = &mut temp.store;
    let key = Key::find("max_retries").expect("a key");
    assert_eq!(store.settings().expect("settings").max_retries, 4);
    store
        .set_setting(Key::find("lease").expect("a key"), "1m")
        .expect("stored")
        .expect("valid");
    assert_eq!(store.set_setting(key, "5").expect("stored").expect("valid"), "5");
    assert_eq!(store.set_setting(key, " 6").expect("stored").expect("valid"), "6");
    assert!(store.set_setting(key, "lots").expect("answered").is_err());
    assert_eq!(temp.another().settings().expect("settings").max_retries, 6);
    let store = &mut temp.store;
    assert!(store.unset_setting(key).expect("unset"));
    assert!(!store.unset_setting(key).expect("unset"));
    let settings = store.settings().expect("settings");
    assert_eq!(
        (settings.max_retries, settings.lease),
        (4, Duration::from_secs(60))
    );
}

/// They reach a node with all others, all of a change or none.
pub fn queues_have_settings_of_their_own(mut temp: TempStore) {
    let store = &mut temp.store;
    let (node, _guard) = node(store);
    let setting = |queue: &str, key: &str, value: Option<&str>| {
        let queue = queue.parse().expect("a queue");
        let setting = QueueSetting::find(queue, key).expect("a setting of queues");
        (setting, value.map(str::to_owned))
    };
    let retries = |store: &mut Store, queue: &str| {
        let requests = store.control_requests(node).expect("requests");
        assert_eq!(requests.settings, store.settings().expect("settings"));
        requests.settings.of(queue).max_retries
    };
    let changes = [
        setting("mail", "max_retries", Some("1")),
        setting("a.b", "max_retries", Some("2")),
        setting("mail", "job_timeout", Some("9 s")),
    ];
    store.change_queue_settings(&changes).expect("changed");
    assert_eq!(
        (
            retries(store, "mail"),
            retries(store, "a.b"),
            retries(store, "other")
        ),
        (1, 2, 4)
    );
    store
        .change_queue_settings(&[setting("mail", "max_retries", None)])
        .expect("removed");
    assert_eq!((retries(store, "mail"), retries(store, "a.b")), (4, 2));
    let many: Vec<_> = (1..QUEUES_WITH_SETTINGS)
        .map(|n| setting(&format!("q{n}"), "max_retries", Some("3")))
        .collect();
    let refused = store.change_queue_settings(&many);
    assert!(matches!(
        refused,
        Err(StoreError::TooMany {
            most: QUEUES_WITH_SETTINGS,
            ..
        })
    ));
    assert_eq!((retries(store, "q1"), retries(store, "a.b")), (4, 2));
    store
        .change_queue_settings(&many[1..])
        .expect("as many as there may be");
    assert_eq!(retries(store, "q2"), 3);
}
