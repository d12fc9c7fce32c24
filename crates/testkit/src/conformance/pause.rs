//! Paused queues are not claimed from, and nothing else changes.

use std::sync::atomic::{AtomicBool, AtomicU32};

use queuectl_core::QueueName;
use queuectl_core::limits::PAUSED_QUEUES;
use queuectl_storage::Pause;

use super::*;

fn name(queue: &str) -> QueueName {
    queue.parse().expect("a queue")
}

fn in_queue(queue: &str, priority: i32) -> ValidJob {
    valid(JobSpec {
        queue: Some(name(queue)),
        priority: Some(priority),
        ..JobSpec::line("true")
    })
}

fn pause(store: &mut Store, queue: &str, at: Timestamp, until: Option<Timestamp>) {
    let pause = Pause {
        at,
        until,
        by: "op@host".to_owned(),
        reason: Some("disk full".to_owned()),
    };
    store.pause_queues(&[name(queue)], &pause).expect("paused");
}

fn resume(store: &mut Store, queue: &str) -> bool {
    store.resume_queues(&[name(queue)], NOW).expect("resumed")[0]
}

/// Without a queue, nothing is paused, and no operation says that something was.
pub fn pausing_no_queue_is_no_operation(mut temp: TempStore) {
    let store = &mut temp.store;
    pause(store, "bystander", NOW, None);
    let before = (
        store.operations(None, false, 9).expect("operations"),
        store.pauses(NOW).expect("pauses"),
    );
    assert_eq!(before.0.len(), 1, "the control: a pause is one");
    let pause = Pause {
        at: later(1),
        until: None,
        by: "op@host".to_owned(),
        reason: None,
    };
    store.pause_queues(&[], &pause).expect("nothing to do");
    let after = (
        store.operations(None, false, 9).expect("operations"),
        store.pauses(NOW).expect("pauses"),
    );
    assert_eq!(after, before);
}

/// Claims from all queues, or from these, and gives the jobs back. Their queues, in the order of the claim.
fn claimed_from(store: &mut Store, node: NodeId, only: &[&str], now: Timestamp) -> Vec<String> {
    let queues = match only {
        [] => Queues::All,
        only => Queues::Only(only.iter().map(|queue| name(queue)).collect()),
    };
    let expected = store.has_work(&queues, now).expect("an answer");
    let cycle = Cycle {
        node,
        records: &[],
        claim: 9,
        queues: &queues,
        now,
    };
    let claimed = store.cycle(&cycle).expect("a cycle").claimed;
    assert_eq!(
        !claimed.is_empty(),
        expected,
        "there is work if a claim finds some"
    );
    let back: Vec<Record> = claimed
        .iter()
        .map(|job| {
            let mut back = record(job, node, Event::Return, OutcomeKind::Returned, now);
            back.attempt = None;
            back
        })
        .collect();
    turn(store, node, &back, 0, now);
    claimed.into_iter().map(|job| job.queue).collect()
}

/// From no paused queue, whichever queues the node serves; its jobs stay as they are.
pub fn paused_queues_are_not_claimed_from(mut temp: TempStore) {
    let store = &mut temp.store;
    let ids = enqueue(
        store,
        &[
            in_queue("default", 0),
            in_queue("mail", 0),
            in_queue("bystander", 0),
        ],
    );
    let (node, _guard) = node(store);
    let all = ["default", "mail", "bystander"];
    assert_eq!(claimed_from(store, node, &[], NOW), all);
    pause(store, "mail", NOW, None);
    assert_eq!(claimed_from(store, node, &[], NOW), ["default", "bystander"]);
    assert_eq!(
        claimed_from(store, node, &["mail", "bystander"], NOW),
        ["bystander"]
    );
    assert!(claimed_from(store, node, &["mail"], NOW).is_empty());
    pause(store, "default", NOW, None);
    assert_eq!(claimed_from(store, node, &[], NOW), ["bystander"]);
    assert!(claimed_from(store, node, &["default", "mail"], NOW).is_empty());
    let paused = get(store, ids[1]);
    assert_eq!((paused.state, paused.attempts), (State::Pending, 0));
    // A drain waits for none of its jobs, because only an operator can let them go on.
    let only_mail = Queues::Only(vec![name("mail")]);
    assert!(!store.any_unfinished(&only_mail, NOW).expect("an answer"));
    assert!(store.any_unfinished(&Queues::All, NOW).expect("an answer"));
    // Another connection knows of it.
    let pauses = temp.another().pauses(NOW).expect("pauses");
    let mail = &pauses["mail"];
    assert_eq!((mail.at, mail.until, pauses.len()), (NOW, None, 2));
    assert_eq!(
        (mail.by.as_str(), mail.reason.as_deref()),
        ("op@host", Some("disk full"))
    );
    let store = &mut temp.store;
    assert!(resume(store, "mail") && !resume(store, "mail") && resume(store, "default"));
    assert_eq!(claimed_from(store, node, &[], NOW), all);
    // The control: claims that do not look at pauses.
    pause(store, "mail", NOW, None);
    pause(store, "default", NOW, None);
    store.ignore_pauses();
    assert_eq!(claimed_from(store, node, &[], NOW), all);
    assert_eq!(claimed_from(store, node, &["mail"], NOW), ["mail"]);
}

/// A pause ends by the clock of the queue, and a node is told when.
pub fn a_pause_ends_by_itself(mut temp: TempStore) {
    let store = &mut temp.store;
    enqueue(store, &[in_queue("mail", 0)]);
    let later_job = JobSpec {
        start: Some(Start::At(later(9000))),
        ..JobSpec::line("bystander")
    };
    enqueue(store, &[valid(later_job)]);
    let (node, _guard) = node(store);
    let next = |store: &mut Store, now| turn(store, node, &[], 0, now).next_due;
    assert_eq!(next(store, NOW), Some(later(9000)));
    pause(store, "mail", NOW, Some(later(500)));
    pause(store, "empty", NOW, Some(later(700)));
    assert_eq!(next(store, NOW), Some(later(500)));
    assert_eq!(
        turn(store, node, &[], 5, NOW).next_due,
        Some(later(500)),
        "with a claim, too"
    );
    assert!(claimed_from(store, node, &[], later(499)).is_empty());
    assert_eq!(store.pauses(later(499)).expect("pauses").len(), 2);
    assert_eq!(store.pauses(later(500)).expect("pauses").len(), 1);
    assert_eq!(claimed_from(store, node, &[], later(500)), ["mail"]);
    assert_eq!(next(store, later(500)), Some(later(700)));
    assert_eq!(next(store, later(700)), Some(later(9000)));
    assert_eq!(
        store.next_due().expect("an answer"),
        Some(later(9000)),
        "a pause is no job"
    );
    // One that is over is not there to be changed, and one in force goes on since when it began.
    pause(store, "mail", later(600), None);
    pause(store, "mail", later(650), Some(later(800)));
    let mail = store.pauses(later(650)).expect("pauses")["mail"].clone();
    assert_eq!((mail.at, mail.until), (later(600), Some(later(800))));
}

/// Few jobs of a paused queue are stepped over, and many are not even looked at; the order of the others is the same.
pub fn the_order_beside_a_paused_queue_is_that_of_all_others(mut temp: TempStore) {
    let store = &mut temp.store;
    let (node, _guard) = node(store);
    let jobs = |store: &mut Store, count: usize| {
        for _ in 0..count.div_ceil(1000) {
            let jobs = vec![in_queue("mail", 5); count.min(1000)];
            enqueue(store, &jobs);
        }
    };
    enqueue(
        store,
        &[
            in_queue("b", 0),
            in_queue("a", 7),
            in_queue("default", 0),
            in_queue("a", 0),
            in_queue("b", 7),
            in_queue("c", -1),
        ],
    );
    let order = ["a", "b", "b", "default", "a", "c"];
    pause(store, "mail", NOW, None);
    for more in [0, 3, 2000] {
        jobs(store, more);
        assert_eq!(
            claimed_from(store, node, &[], NOW),
            order,
            "with {more} more jobs"
        );
    }
    pause(store, "a", NOW, None);
    assert_eq!(claimed_from(store, node, &[], NOW), ["b", "b", "default", "c"]);
    for queue in ["b", "c", "default"] {
        pause(store, queue, NOW, None);
    }
    assert!(claimed_from(store, node, &[], NOW).is_empty());
    resume(store, "mail");
    assert_eq!(claimed_from(store, node, &[], NOW), ["mail"; 9]);
}

/// There is a limit, and a pause beyond it is refused as a whole.
pub fn so_many_queues_can_be_paused(mut temp: TempStore) {
    let store = &mut temp.store;
    let names: Vec<QueueName> = (0..PAUSED_QUEUES).map(|n| name(&format!("q{n}"))).collect();
    let endless = |until| Pause {
        at: NOW,
        until,
        by: String::new(),
        reason: None,
    };
    store
        .pause_queues(&names, &endless(Some(later(1))))
        .expect("paused");
    let more = [name("more")];
    let refused = store.pause_queues(&more, &endless(None));
    assert!(matches!(
        refused,
        Err(StoreError::TooMany {
            most: PAUSED_QUEUES,
            ..
        })
    ));
    assert_eq!(store.pauses(NOW).expect("pauses").len(), PAUSED_QUEUES);
    // Those that are over do not count.
    let after = Pause {
        at: later(1),
        ..endless(None)
    };
    store.pause_queues(&more, &after).expect("paused");
    assert_eq!(store.pauses(later(1)).expect("pauses").len(), 1);
}

/// When a pause has returned, no job of the queue is claimed any more, however busy nodes are. Returns how many were.
fn claimed_after_pauses(temp: &mut TempStore, ignore: bool) -> u32 {
    let done = AtomicBool::new(false);
    let cycles = [AtomicU32::new(0), AtomicU32::new(0)];
    let claims = &|mut store: Store, cycles: &AtomicU32| {
        if ignore {
            store.ignore_pauses();
        }
        let (node, _guard) = node(&mut store);
        while !done.load(Ordering::SeqCst) {
            claimed_quietly(&mut store, node);
            cycles.fetch_add(1, Ordering::SeqCst);
        }
    };
    let nodes = [temp.another(), temp.another()];
    let mut after = 0;
    let store = &mut temp.store;
    enqueue(store, &vec![in_queue("mail", 0); 50]);
    std::thread::scope(|scope| {
        for (store, cycles) in nodes.into_iter().zip(&cycles) {
            scope.spawn(move || claims(store, cycles));
        }
        for _ in 0..20 {
            pause(store, "mail", NOW, None);
            let fences = |store: &mut Store| -> i64 {
                let filter = ListFilter {
                    jobs: name("mail").into(),
                    limit: 1000,
                    ..ListFilter::default()
                };
                store
                    .list(&filter)
                    .expect("a list")
                    .iter()
                    .map(|job| job.fence)
                    .sum()
            };
            let before = fences(store);
            for cycles in &cycles {
                let few_more = cycles.load(Ordering::SeqCst) + 3;
                while cycles.load(Ordering::SeqCst) < few_more {
                    std::thread::yield_now();
                }
            }
            after += u32::from(fences(store) != before);
            resume(store, "mail");
        }
        done.store(true, Ordering::SeqCst);
    });
    after
}

/// Claims and gives back.
fn claimed_quietly(store: &mut Store, node: NodeId) {
    let claimed = claim(store, node, 7);
    let records: Vec<Record> = claimed
        .iter()
        .map(|job| {
            let mut back = record(job, node, Event::Return, OutcomeKind::Returned, NOW);
            back.attempt = None;
            back
        })
        .collect();
    turn(store, node, &records, 0, NOW);
}

/// See [`claimed_after_pauses`].
pub fn no_claim_is_under_way_when_a_pause_has_returned(mut temp: TempStore) {
    assert_eq!(claimed_after_pauses(&mut temp, false), 0);
    // The control.
    assert!(claimed_after_pauses(&mut temp, true) > 0);
}

/// Those who ask why a job does not run are told by the condition of a claim.
pub fn what_is_said_of_a_claim_is_what_a_claim_does(mut temp: TempStore) {
    let store = &mut temp.store;
    let later_job = JobSpec {
        start: Some(Start::At(later(500))),
        ..JobSpec::line("later")
    };
    let ids = enqueue(
        store,
        &[
            in_queue("default", 0),
            in_queue("mail", 0),
            in_queue("mail", 7),
            in_queue("other", 0),
            valid(later_job),
        ],
    );
    store.hold(&JobRef::Number(ids[3]), NOW).expect("held");
    let (node, _guard) = node(store);
    let claimable = |store: &mut Store, now| -> Vec<JobId> {
        let facts = |id: &JobId| store.claim_facts(&JobRef::Number(*id), now).expect("facts");
        let facts: Vec<_> = ids.iter().map(facts).collect();
        let could = facts.into_iter().filter(|facts| facts.claimable);
        could.map(|facts| facts.job.id).collect()
    };
    let check = |store: &mut Store, queues: &[&str]| {
        let could = claimable(store, NOW);
        let of: Vec<String> = could.iter().map(|id| get(store, *id).queue.to_string()).collect();
        assert_eq!(of, queues);
        let mut claimed = claimed_from(store, node, &[], NOW);
        claimed.sort();
        assert_eq!(claimed, queues);
    };
    check(store, &["default", "mail", "mail"]);
    let facts = store.claim_facts(&JobRef::Number(ids[1]), NOW).expect("facts");
    assert_eq!((facts.ahead, facts.pause, facts.last), (1, None, None));
    pause(store, "mail", NOW, Some(later(9000)));
    check(store, &["default"]);
    let facts = store.claim_facts(&JobRef::Number(ids[1]), NOW).expect("facts");
    assert_eq!(facts.pause.expect("a pause").until, Some(later(9000)));
    assert_eq!(claimable(store, later(9000)).len(), 3);
    // The control: claims that do not look at pauses do not do what is said.
    store.ignore_pauses();
    assert_eq!(claimed_from(store, node, &[], NOW).len(), 3);
    assert_eq!(claimable(store, NOW), [ids[0]]);
}
