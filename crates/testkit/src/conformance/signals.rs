//! Signals for running jobs, on their way to the nodes.

use queuectl_storage::SignalState;

use super::*;

/// The node of a job, and no other, is asked for a signal, once, and only while the attempt lasts for which it was meant.
pub fn a_signal_is_of_one_attempt(mut temp: TempStore) {
    let store = &mut temp.store;
    let ids = enqueue(store, &[job("runs"), job("waits"), job("bystander")]);
    let (one, _guard) = node(store);
    let (two, _other_guard) = node(store);
    let only = JobFilter::default();
    let ask = |store: &mut Store, id: JobId, signal: &str| {
        store.signal(&JobRef::Number(id), &only, signal, "me@here", NOW)
    };
    let refused = ask(store, ids[0], "SIGTERM").expect_err("it does not run");
    assert!(refused.to_string().contains("only running jobs"), "{refused}");
    let running = claim_one(store, one);
    assert_eq!(running.id, ids[0].0);
    let asked = |store: &mut Store, node| {
        let requests = store.control_requests(node).expect("an answer").signals;
        let told = requests
            .iter()
            .map(|request| (request.job, request.fence, request.signal.clone()));
        (told.collect::<Vec<_>>(), requests)
    };
    assert_eq!(asked(store, one).0, []);
    let (_, first) = ask(store, ids[0], "SIGUSR1").expect("it is asked");
    ask(store, ids[0], "SIGHUP").expect("it is asked");
    let (told, requests) = asked(store, one);
    let meant = |signal: &str| (ids[0], running.fence, signal.to_owned());
    assert_eq!(told, [meant("SIGUSR1"), meant("SIGHUP")]);
    assert_eq!(asked(store, two).0, []);
    assert_eq!(
        store.signal_state(first).expect("an answer"),
        SignalState::Waiting
    );
    assert_eq!(store.take_signals(requests.clone()).expect("taken"), requests);
    assert_eq!(store.take_signals(requests).expect("taken"), []);
    assert_eq!(store.signal_state(first).expect("an answer"), SignalState::Taken);
    assert_eq!(asked(store, one).0, []);
    // One that comes too late is not of the next attempt.
    let (_, late) = ask(store, ids[0], "SIGKILL").expect("it is asked");
    let returned = record(&running, one, Event::Return, OutcomeKind::Returned, NOW);
    turn(store, one, &[returned], 0, NOW);
    assert_eq!(asked(store, one).0, []);
    assert_eq!(store.signal_state(late).expect("an answer"), SignalState::TooLate);
    let again = claim_one(store, one);
    assert_eq!(again.id, ids[0].0);
    assert_eq!(asked(store, one).0, []);
    assert_eq!(store.signal_state(late).expect("an answer"), SignalState::TooLate);
    let (_, next) = ask(store, ids[0], "SIGINT").expect("it is asked");
    assert_eq!(asked(store, one).0, [(ids[0], again.fence, "SIGINT".to_owned())]);
    let forgotten = SignalState::Taken;
    assert_eq!(store.signal_state(late).expect("an answer"), forgotten);
    assert_eq!(get(store, ids[1]).state, State::Pending);
    assert_eq!(get(store, ids[2]).state, State::Pending);
    // Nodes remove what came too late, too, and nothing else.
    let bystander = claim_one(store, two);
    let (_, waits) = ask(store, JobId(bystander.id), "SIGHUP").expect("it is asked");
    let returned = record(&again, one, Event::Return, OutcomeKind::Returned, NOW);
    turn(store, one, &[returned], 0, NOW);
    assert_eq!(store.signal_state(next).expect("an answer"), SignalState::TooLate);
    store.tidy_up().expect("tidied up");
    assert_eq!(store.signal_state(next).expect("an answer"), forgotten);
    assert_eq!(
        store.signal_state(waits).expect("an answer"),
        SignalState::Waiting
    );
}

/// Jobs of executors without processes are refused by name, and left out of many.
pub fn jobs_without_processes_are_sent_no_signals(mut temp: TempStore) {
    let store = &mut temp.store;
    let of = |executor: &str| {
        valid(JobSpec {
            executor: Some(executor.parse().expect("a name")),
            ..JobSpec::line("x")
        })
    };
    let ids = enqueue(
        store,
        &[of("http"), of("wasm"), of("docker"), of("own"), job("x")],
    );
    let (node, _guard) = node(store);
    assert_eq!(claim(store, node, 9).len(), 5);
    let only = JobFilter::default();
    for (id, is_sent) in ids.iter().zip([false, false, true, true, true]) {
        let asked = store.signal(&JobRef::Number(*id), &only, "SIGHUP", "me@here", NOW);
        match asked {
            Ok(_) => assert!(is_sent, "{id:?}"),
            Err(error) => {
                assert!(
                    !is_sent && matches!(error, StoreError::NoProcesses { .. }),
                    "{error}"
                );
            }
        }
    }
    let all = JobFilter {
        states: vec![State::Processing],
        ..JobFilter::default()
    };
    let done = store.signal_all(&all, "SIGHUP", "me@here", NOW).expect("asked");
    assert_eq!(done.changed, 3);
    assert_eq!(store.control_requests(node).expect("an answer").signals.len(), 6);
}
