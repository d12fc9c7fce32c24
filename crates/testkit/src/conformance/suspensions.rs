//! Suspended jobs, as their nodes say and as readers see.

use queuectl_storage::{ListFilter, RESUME, SUSPEND, Suspended, SuspensionNow};

use super::*;

fn say(store: &mut Store, job: JobId, fence: i64, now: SuspensionNow) {
    let said = Suspended { job, fence, now };
    store.record_suspensions(&[said], NOW).expect("it is stored");
}

/// Every way to read a job says since when it is suspended, and only of the attempt that is.
pub fn a_suspension_is_of_one_attempt(mut temp: TempStore) {
    let store = &mut temp.store;
    let ids = enqueue(store, &[job("suspended"), job("bystander"), job("waits")]);
    let (node, _guard) = node(store);
    let running = claim(store, node, 2);
    let fence = running[0].fence;
    assert_eq!((running[0].id, running[1].id), (ids[0].0, ids[1].0));
    let only = JobFilter::default();
    let ask = |store: &mut Store, id: JobId, what: &str| {
        store.signal(&JobRef::Number(id), &only, what, "me@here", NOW)
    };
    let refused = ask(store, ids[2], SUSPEND).expect_err("it does not run");
    assert!(
        refused.to_string().contains("only running jobs can be suspended"),
        "{refused}"
    );
    ask(store, ids[0], SUSPEND).expect("it is asked");
    ask(store, ids[0], RESUME).expect("it is asked");
    let requests = store.control_requests(node).expect("an answer").signals;
    let asked: Vec<&str> = requests.iter().map(|request| request.signal.as_str()).collect();
    assert_eq!(asked, [SUSPEND, RESUME]);

    let since = Timestamp(NOW.0 - 7);
    let suspended = |store: &mut Store| -> Vec<Option<Timestamp>> {
        let listed = store.list(&ListFilter {
            oldest_first: true,
            limit: 9,
            ..ListFilter::default()
        });
        let listed: Vec<_> = listed
            .expect("a list")
            .iter()
            .map(|job| job.suspended_since)
            .collect();
        let read: Vec<_> = ids.iter().map(|id| get(store, *id).suspended_since).collect();
        assert_eq!(listed, read);
        let (many, _) = store.jobs(&ids).expect("jobs");
        assert_eq!(
            read,
            many.iter().map(|job| job.suspended_since).collect::<Vec<_>>()
        );
        read
    };
    assert_eq!(suspended(store), [None; 3]);
    say(store, ids[0], fence, SuspensionNow::Since(since));
    assert_eq!(suspended(store), [Some(since), None, None]);
    assert_eq!(get(store, ids[0]).state, State::Processing);
    assert_eq!(
        store.suspension(ids[0]).expect("an answer"),
        Some(SuspensionNow::Since(since))
    );
    assert_eq!(store.suspension(ids[1]).expect("an answer"), None);
    // Of another attempt, of a job that does not run, of one that is not there.
    say(store, ids[1], running[1].fence + 1, SuspensionNow::Since(since));
    say(store, ids[2], 0, SuspensionNow::Since(since));
    say(store, JobId(999), 1, SuspensionNow::Since(since));
    say(store, ids[0], fence - 1, SuspensionNow::Resumed);
    assert_eq!(suspended(store), [Some(since), None, None]);
    say(store, ids[0], fence, SuspensionNow::Resumed);
    assert_eq!(suspended(store), [None; 3]);

    // The next attempt is not suspended, nor is it by what comes late.
    say(store, ids[0], fence, SuspensionNow::Since(since));
    let returned = record(&running[0], node, Event::Return, OutcomeKind::Returned, NOW);
    turn(store, node, &[returned], 0, NOW);
    assert_eq!(suspended(store), [None; 3]);
    let again = claim_one(store, node);
    assert_eq!(again.id, ids[0].0);
    assert_eq!(suspended(store), [None; 3]);
    say(store, ids[0], fence, SuspensionNow::Since(since));
    assert_eq!(suspended(store), [None; 3]);
    say(store, ids[0], again.fence, SuspensionNow::Since(since));
    store.tidy_up().expect("tidied up");
    assert_eq!(suspended(store), [Some(since), None, None]);
}

/// Who asks learns why a job cannot be suspended; a later question starts over.
pub fn a_refused_suspension_says_why(mut temp: TempStore) {
    let store = &mut temp.store;
    let http = valid(JobSpec {
        executor: Some("http".parse().expect("a name")),
        ..JobSpec::line("x")
    });
    let ids = enqueue(store, &[job("refuses"), http, job("bystander")]);
    let (node, _guard) = node(store);
    let running = claim(store, node, 3);
    let only = JobFilter::default();
    let ask = |store: &mut Store, id: JobId, what: &str| {
        store.signal(&JobRef::Number(id), &only, what, "me@here", NOW)
    };
    let why = SuspensionNow::Refused("it has not started".to_owned());
    say(store, ids[0], running[0].fence, why.clone());
    assert_eq!(store.suspension(ids[0]).expect("an answer"), Some(why));
    assert_eq!(get(store, ids[0]).suspended_since, None);
    ask(store, ids[0], SUSPEND).expect("it is asked");
    assert_eq!(store.suspension(ids[0]).expect("an answer"), None);
    for what in [SUSPEND, RESUME] {
        let refused = ask(store, ids[1], what).expect_err("it has no process");
        assert!(
            refused
                .to_string()
                .contains("executor http runs jobs without a process"),
            "{refused}"
        );
    }
    let all = JobFilter {
        states: vec![State::Processing],
        ..JobFilter::default()
    };
    let done = store.signal_all(&all, SUSPEND, "me@here", NOW).expect("asked");
    assert_eq!(done.changed, 2);
    assert_eq!(store.suspension(ids[2]).expect("an answer"), None);
}
