//! Nodes, and the questions that status, drains and lists ask.

use queuectl_core::QueueName;

use super::*;

/// A node cannot be taken over while its guard is held, and can be as soon as it is not.
pub fn nodes_live_while_their_guard_is_held(mut temp: TempStore) {
    let mut other = temp.another();
    let store = &mut temp.store;
    let (one, guard) = node(store);
    let (two, _guard2) = node(store);
    assert!(one < two);
    assert!(other.take_over(one).expect("an answer").is_none());
    assert!(store.heartbeat(one, later(7)).expect("a heartbeat"));
    drop(guard);
    let taken = other.take_over(one).expect("an answer");
    assert!(taken.is_some());
    assert!(
        store.take_over(one).expect("an answer").is_none(),
        "only one rescues"
    );
    other.leave_node(one).expect("removed");
    assert!(
        !store.heartbeat(one, later(8)).expect("a heartbeat"),
        "the dead learn that they are dead"
    );
    assert_eq!(
        store
            .nodes()
            .expect("nodes")
            .iter()
            .map(|node| node.id)
            .collect::<Vec<_>>(),
        [two]
    );
}

/// A node that leaves with jobs in hand would orphan them.
pub fn a_node_that_has_jobs_stays(mut temp: TempStore) {
    let store = &mut temp.store;
    let id = enqueue(store, &[job("true")])[0];
    let (one, _guard) = node(store);
    let (two, _guard2) = node(store);
    let claimed = claim_one(store, one);
    assert!(store.leave_node(two).expect("an answer"), "the bystander");
    assert!(!store.leave_node(one).expect("an answer"));
    let nodes = store.nodes().expect("nodes");
    assert_eq!(nodes.iter().map(|node| node.id).collect::<Vec<_>>(), [one]);
    let ended = record(&claimed, one, Event::Complete, OutcomeKind::Succeeded, NOW);
    turn(store, one, &[ended], 0, NOW);
    assert!(store.leave_node(one).expect("an answer"));
    assert_eq!(get(store, id).state, State::Completed);
    assert_eq!(store.nodes().expect("nodes").len(), 0);
}

/// Requests to stop, to one node or all.
pub fn stop_requests_reach_the_node_and_never_soften(mut temp: TempStore) {
    let store = &mut temp.store;
    let (one, _g1) = node(store);
    let (two, _g2) = node(store);
    assert_eq!(
        store.request_stop(Some(one), StopRequest::Now).expect("asked"),
        [one]
    );
    assert_eq!(
        store.control_requests(two).expect("an answer").stop,
        StopRequest::None
    );
    assert_eq!(
        store.request_stop(None, StopRequest::Gracefully).expect("asked"),
        [one, two]
    );
    assert_eq!(
        store.control_requests(one).expect("an answer").stop,
        StopRequest::Now
    );
    assert_eq!(
        store.control_requests(two).expect("an answer").stop,
        StopRequest::Gracefully
    );
    assert!(matches!(
        store.request_stop(Some(NodeId(99)), StopRequest::Now),
        Err(StoreError::NoSuchNode(99))
    ));
}

/// What status, lists and drains ask.
pub fn counts_and_drain_questions(mut temp: TempStore) {
    let store = &mut temp.store;
    let (dead, _, _guard) = dead_job(store);
    let mail = "mail".parse().expect("a queue");
    assert!(!store.any_unfinished(&Queues::All, NOW).expect("an answer"));
    assert!(store.any_ended_badly(&Queues::All, NOW).expect("an answer"));
    assert!(!store.any_ended_badly(&Queues::All, later(1)).expect("an answer"));
    assert!(
        !store
            .any_ended_badly(&Queues::Only(vec![mail]), NOW)
            .expect("an answer")
    );
    let waiting = enqueue(store, &[job("a"), job("b")]);
    assert!(store.any_unfinished(&Queues::All, NOW).expect("an answer"));
    let counts: Vec<(State, u64)> = store
        .counts(None)
        .expect("counts")
        .into_iter()
        .map(|count| (count.state, count.jobs))
        .collect();
    assert_eq!(counts, [(State::Pending, 2), (State::Dead, 1)]);
    let list = |store: &mut Store, filter: ListFilter| -> Vec<JobId> {
        store
            .list(&filter)
            .expect("a list")
            .into_iter()
            .map(|job| job.id)
            .collect()
    };
    let dead_only = ListFilter {
        jobs: State::Dead.into(),
        limit: 9,
        ..ListFilter::default()
    };
    assert_eq!(list(store, dead_only), [dead]);
    let all = ListFilter {
        limit: 9,
        ..ListFilter::default()
    };
    let mut shown = list(store, all);
    shown.sort();
    assert_eq!(shown, [dead, waiting[0], waiting[1]]);
    assert_eq!(
        list(
            store,
            ListFilter {
                limit: 1,
                ..ListFilter::default()
            }
        )
        .len(),
        1
    );
}

/// The bulk statements (claim, promote) do to a job exactly what `transition` says.
pub fn every_stored_change_matches_the_transition_table(mut temp: TempStore) {
    use queuectl_core::transition::{Standing, transition};
    let store = &mut temp.store;
    let standing = |job: &Job| Standing {
        state: job.state,
        attempts: job.attempts,
        system_failures: job.system_failures,
    };
    let id = enqueue(
        store,
        &[valid(JobSpec {
            start: Some(Start::At(later(1))),
            ..JobSpec::line("true")
        })],
    )[0];
    let (node, _guard) = node(store);
    for (event, now) in [(Event::Due, later(1)), (Event::Claim, later(2))] {
        let before = get(store, id);
        let want = transition(standing(&before), event).expect("allowed");
        turn(store, node, &[], u32::from(event == Event::Claim), now);
        let after = get(store, id);
        assert_eq!(
            (after.state, after.attempts, after.due_at),
            (want.to(), want.attempts(), want.due_at())
        );
        assert_eq!(
            (after.system_failures, after.updated_at),
            (want.system_failures(), now)
        );
    }
}

/// Jobs whose attempts were lost are counted, by queue and since a time, each once; other endings are not.
pub fn rescued_jobs_are_counted(mut temp: TempStore) {
    let store = &mut temp.store;
    let mail: QueueName = "mail".parse().expect("a queue");
    let of_mail = || {
        valid(JobSpec {
            queue: Some(mail.clone()),
            ..JobSpec::line("x")
        })
    };
    enqueue(store, &[job("long ago"), job("twice"), job("fails"), of_mail()]);
    let (node, _guard) = node(store);
    assert_eq!(store.rescued_since(None, NOW).expect("a count"), None);
    let mut ends = |at: Timestamp, kinds: &[OutcomeKind]| {
        for kind in kinds {
            let claimed = turn(store, node, &[], 1, at).claimed.remove(0);
            let end = match claimed.payload.contains("twice") && at == later(10) {
                true => Event::Fail {
                    retry_at: Some(later(20)),
                },
                false => Event::Fail { retry_at: None },
            };
            let lost = record(&claimed, node, end, *kind, at);
            turn(store, node, &[lost], 0, at);
        }
    };
    ends(NOW, &[OutcomeKind::Lost]);
    ends(
        later(10),
        &[OutcomeKind::Lost, OutcomeKind::Failed, OutcomeKind::Lost],
    );
    ends(later(30), &[OutcomeKind::Lost]);
    let mut since = |queue: Option<&QueueName>, since: Timestamp| {
        let found = store.rescued_since(queue, since).expect("a count");
        found.map(|rescued| (rescued.jobs, rescued.last_at))
    };
    assert_eq!(since(None, NOW), Some((3, later(30))));
    assert_eq!(since(None, later(1)), Some((2, later(30))));
    assert_eq!(since(None, later(31)), None);
    assert_eq!(since(Some(&mail), NOW), Some((1, later(10))));
    assert_eq!(since(Some(&mail), later(11)), None);
}
