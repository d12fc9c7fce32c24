//! Limits of queues: how many jobs of a queue run at a time, and how fast they start.

use std::sync::Barrier;
use std::sync::atomic::{AtomicI64, AtomicU32};

use queuectl_core::{QueueLimitChange, QueueName, Rate};

use super::*;

fn in_queue(queue: &str, priority: i32) -> ValidJob {
    valid(JobSpec {
        queue: Some(queue.parse().expect("a queue")),
        priority: Some(priority),
        ..JobSpec::line("true")
    })
}

fn queue(name: &str) -> QueueName {
    name.parse().expect("a queue")
}

fn set(store: &mut Store, name: &str, change: QueueLimitChange) {
    store
        .change_queue(&queue(name), &[], &[change])
        .expect("it is set");
}

fn running(most: u32) -> QueueLimitChange {
    QueueLimitChange::Running(Some(most))
}

fn done(job: &Claimed, node: NodeId, now: Timestamp) -> Record {
    record(job, node, Event::Complete, OutcomeKind::Succeeded, now)
}

fn queues_of(claimed: &[Claimed]) -> Vec<&str> {
    claimed.iter().map(|job| job.queue.as_str()).collect()
}

/// Several stores compete for the jobs of two queues: at no moment do more jobs of a queue run than its limit allows, and all
/// jobs end. Without the limit it is exceeded.
pub fn a_queue_limit_holds_between_stores(temp: TempStore) {
    const JOBS: u32 = 120;
    let compete = |temp: &TempStore| -> ([i64; 2], u32) {
        let mut store = temp.another();
        let jobs: Vec<ValidJob> = (0..JOBS)
            .map(|n| in_queue(if n % 2 == 0 { "mail" } else { "default" }, 0))
            .collect();
        store.enqueue(&jobs, NOW).expect("stored");
        let (counts, most) = (
            [(); 2].map(|()| AtomicI64::new(0)),
            [(); 2].map(|()| AtomicI64::new(0)),
        );
        let (ended, barrier) = (AtomicU32::new(0), Barrier::new(3));
        std::thread::scope(|scope| {
            for mut store in [temp.another(), temp.another(), temp.another()] {
                let (counts, most, ended, barrier) = (&counts, &most, &ended, &barrier);
                scope.spawn(move || {
                    let (node, _guard) = node(&mut store);
                    barrier.wait();
                    let (mut mine, mut now): (Vec<Claimed>, Timestamp) = (Vec::new(), NOW);
                    let place = |job: &Claimed| usize::from(job.queue == "default");
                    while ended.load(Ordering::SeqCst) < JOBS {
                        let ending: Vec<Claimed> = mine.drain(..mine.len().min(2)).collect();
                        // Not running any more before anybody can see that.
                        for job in &ending {
                            counts[place(job)].fetch_sub(1, Ordering::SeqCst);
                        }
                        let records: Vec<Record> = ending.iter().map(|job| done(job, node, now)).collect();
                        now = now.after(Duration::from_millis(50));
                        let claimed = turn(&mut store, node, &records, 9, now).claimed;
                        for job in &claimed {
                            let running = counts[place(job)].fetch_add(1, Ordering::SeqCst) + 1;
                            most[place(job)].fetch_max(running, Ordering::SeqCst);
                        }
                        ended.fetch_add(records.len() as u32, Ordering::SeqCst);
                        mine.extend(claimed);
                    }
                });
            }
        });
        (most.map(AtomicI64::into_inner), ended.into_inner())
    };
    let mut store = temp.another();
    set(&mut store, "mail", running(2));
    set(&mut store, "default", running(3));
    let bystander = enqueue(
        &mut store,
        &[valid(JobSpec {
            start: Some(Start::At(later(3_600_000))),
            ..JobSpec::line("bystander")
        })],
    )[0];
    let (most, ended) = compete(&temp);
    assert!(most[0] <= 2 && most[1] <= 3, "with limits: {most:?}");
    assert_eq!(ended, JOBS);
    assert_eq!(get(&mut store, bystander).state, State::Scheduled);
    for name in ["mail", "default"] {
        set(&mut store, name, QueueLimitChange::Running(None));
    }
    let (most, ended) = compete(&temp);
    assert!(most[0] > 2 && most[1] > 3, "without limits: {most:?}");
    assert_eq!(ended, JOBS);
}

/// It counts for jobs that were there before, and others are not kept back; a lower limit drains, 0 starts none, and without
/// it all go on.
pub fn a_queue_limit_counts_for_jobs_that_wait(mut temp: TempStore) {
    let store = &mut temp.store;
    let mail: Vec<ValidJob> = (0..6).map(|_| in_queue("mail", 5)).collect();
    enqueue(store, &mail);
    let others = enqueue(
        store,
        &[in_queue("other", 9), in_queue("other", 0), job("bystander")],
    );
    let (node, _guard) = node(store);
    set(store, "mail", running(2));
    let mut mine = claim(store, node, 4);
    assert_eq!(
        queues_of(&mine),
        ["other", "mail", "mail", "other"],
        "by priority, then by age"
    );
    assert_eq!(queues_of(&claim(store, node, 9)), ["default"]);
    assert_eq!(get(store, others[2]).state, State::Processing);
    mine.retain(|job| job.queue == "mail");
    // All of the others are pending, and cost no claim an attempt.
    let waiting = store.counts(Some(&queue("mail"))).expect("counts");
    assert!(
        waiting
            .iter()
            .any(|count| count.state == State::Pending && count.jobs == 4)
    );
    let facts = |store: &mut Store, id: i64| {
        let facts = store.claim_facts(&JobRef::Number(JobId(id)), NOW);
        facts.expect("facts").queue_limit.expect("a limit")
    };
    let full = facts(store, mine[0].id);
    assert_eq!((full.running, full.is_full, full.next_at), (2, true, None));
    set(store, "mail", running(1));
    let first = mine.pop().expect("it runs");
    assert_eq!(turn(store, node, &[done(&first, node, NOW)], 9, NOW).claimed, []);
    let last = mine.pop().expect("it runs");
    mine = turn(store, node, &[done(&last, node, NOW)], 9, NOW).claimed;
    assert_eq!(queues_of(&mine), ["mail"]);
    set(store, "mail", running(0));
    let last = mine.pop().expect("it runs");
    assert_eq!(turn(store, node, &[done(&last, node, NOW)], 9, NOW).claimed, []);
    assert!(
        !store
            .has_work(&Queues::Only(vec![queue("mail")]), NOW)
            .expect("an answer")
    );
    assert!(
        !store
            .any_unfinished(&Queues::Only(vec![queue("mail")]), NOW)
            .expect("an answer")
    );
    set(store, "mail", running(2));
    assert!(
        store
            .any_unfinished(&Queues::Only(vec![queue("mail")]), NOW)
            .expect("an answer")
    );
    assert_eq!(claim(store, node, 9).len(), 2);
    store
        .change_queue(&queue("mail"), &[], &[QueueLimitChange::Running(None)])
        .expect("changed");
    assert_eq!(claim(store, node, 9).len(), 1);
    assert!(store.queue_limits(NOW).expect("limits").is_empty());
}

/// A limit holds for nodes that serve the queue by its name, for `default`, and beside a pause.
pub fn a_queue_limit_holds_however_a_queue_is_served(mut temp: TempStore) {
    let store = &mut temp.store;
    let jobs: Vec<ValidJob> = (0..4)
        .flat_map(|_| [in_queue("default", 0), in_queue("mail", 0), in_queue("other", 0)])
        .collect();
    enqueue(store, &jobs);
    let (node, _guard) = node(store);
    set(store, "default", running(1));
    set(store, "mail", running(1));
    let cycle = |store: &mut Store, queues: &Queues| {
        let cycle = Cycle {
            node,
            records: &[],
            claim: 3,
            queues,
            now: NOW,
        };
        store.cycle(&cycle).expect("a cycle").claimed
    };
    let only = |names: &[&str]| Queues::Only(names.iter().map(|name| queue(name)).collect());
    assert_eq!(queues_of(&cycle(store, &only(&["mail"]))), ["mail"]);
    assert_eq!(cycle(store, &only(&["mail"])), []);
    assert_eq!(
        queues_of(&cycle(store, &only(&["mail", "other", "default"]))),
        ["default", "other", "other"]
    );
    let pause = queuectl_storage::Pause {
        at: NOW,
        until: None,
        by: "me".to_owned(),
        reason: None,
    };
    store.pause_queues(&[queue("mail")], &pause).expect("paused");
    set(store, "mail", running(4));
    set(store, "default", running(2));
    assert_eq!(
        queues_of(&cycle(store, &Queues::All)),
        ["default", "other", "other"]
    );
    store.resume_queues(&[queue("mail")], NOW).expect("resumed");
    assert_eq!(queues_of(&cycle(store, &Queues::All)), ["mail", "mail", "mail"]);
    let report = store.check().expect("a check");
    assert_eq!(report.miscounted, 0);
}

/// Starts of a queue with a rate are spread; what a limit of the jobs holds back does not count as a start. Nodes know when to look again.
pub fn a_queue_rate_spreads_starts(mut temp: TempStore) {
    let store = &mut temp.store;
    let rate: Rate = "10/s".parse().expect("a rate");
    let changes = [
        QueueLimitChange::Burst(Some(2)),
        QueueLimitChange::Rate(Some(rate)),
        running(9),
    ];
    store.change_queue(&queue("mail"), &[], &changes).expect("set");
    let disk = queuectl_core::LimitChange {
        running: Some(Some(0)),
        ..queuectl_core::LimitChange::default()
    };
    store
        .set_limit(&"disk".parse().expect("a name"), &disk, NOW)
        .expect("set");
    let parked = valid(JobSpec {
        limit: vec!["disk".parse().expect("a limit")],
        start: Some(Start::At(later(1))),
        ..JobSpec::clone(&in_queue("mail", 9))
    });
    enqueue(store, &[parked]);
    let jobs: Vec<ValidJob> = (0..6).map(|_| in_queue("mail", 0)).collect();
    enqueue(store, &jobs);
    let bystander = enqueue(store, &[job("bystander")])[0];
    let (node, _guard) = node(store);
    let starts = |store: &mut Store, ms: u64| {
        let claimed = turn(store, node, &[], 9, later(ms)).claimed;
        claimed.iter().filter(|job| job.queue == "mail").count()
    };
    assert_eq!(starts(store, 1), 2, "the burst, and not what the disk holds back");
    assert_eq!(get(store, bystander).state, State::Processing);
    let next = store.next_due().expect("an answer").expect("a time");
    assert_eq!(next, later(101));
    assert_eq!(starts(store, 100), 0);
    assert_eq!(starts(store, 101), 1);
    assert_eq!(starts(store, 150), 0);
    assert_eq!(starts(store, 201), 1);
    let limits = store.queue_limits(later(202)).expect("limits");
    let mail = &limits["mail"];
    assert_eq!(
        (mail.running, mail.is_full, mail.next_at),
        (4, false, Some(later(301)))
    );
    // A burst alone is refused, and without the rate the rest starts.
    let burst = [QueueLimitChange::Rate(None), QueueLimitChange::Burst(Some(3))];
    let refused = store.change_queue(&queue("mail"), &[], &burst);
    assert!(
        matches!(refused, Err(StoreError::QueueBurst { .. })),
        "{refused:?}"
    );
    set(store, "mail", QueueLimitChange::Rate(None));
    assert_eq!(starts(store, 202), 2);
}

/// Room in a full queue wakes other nodes if its own leaves it to them, and jobs wait. Otherwise it wakes none.
pub fn room_in_a_full_queue_wakes_other_nodes(mut temp: TempStore) {
    let mut other = temp.another();
    let store = &mut temp.store;
    set(store, "mail", running(2));
    set(store, "bystander", running(1));
    let jobs = [("mail", 9), ("mail", 9), ("bystander", 9), ("mail", 0)];
    store
        .enqueue(&jobs.map(|(queue, priority)| in_queue(queue, priority)), NOW)
        .expect("stored");
    let (node, _guard) = node(store);
    let mut claimed = turn(store, node, &[], 4, NOW).claimed;
    claimed.sort_by_key(|job| job.id);
    assert_eq!(queues_of(&claimed), ["mail", "mail", "bystander"]);
    // From here on it is woken. It looks only then.
    let (id, guard, mut listener) = other.enter_node(&new_node("other"), NOW).expect("entered");
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let _guard = guard;
        while listener.wait().is_ok() {
            let found = turn(&mut other, id, &[], 1, NOW).claimed;
            if !found.is_empty() && tell.send(queues_of(&found).join(" ")).is_err() {
                return;
            }
        }
    });
    // It takes the place itself.
    let replaced = turn(store, node, &[done(&claimed[0], node, NOW)], 1, NOW);
    assert_eq!(
        (queues_of(&replaced.claimed), replaced.freed),
        (vec!["mail"], Vec::new())
    );
    store.enqueue(&[in_queue("mail", 0)], NOW).expect("stored");
    // Nothing waits in that one.
    let freed = turn(store, node, &[done(&claimed[2], node, NOW)], 0, NOW).freed;
    assert_eq!(freed, [queue("bystander")]);
    assert!(
        told.try_recv().is_err(),
        "the control: there is no room in the queue of the job that waits"
    );
    let freed = turn(store, node, &[done(&claimed[1], node, NOW)], 0, NOW).freed;
    assert_eq!(freed, [queue("mail")]);
    let found = told
        .recv_timeout(Duration::from_secs(30))
        .expect("the other is woken");
    assert_eq!(found, "mail");
    // One that was not full has no more room than before.
    set(store, "mail", running(3));
    let freed = turn(store, node, &[done(&replaced.claimed[0], node, NOW)], 0, NOW).freed;
    assert_eq!(freed, []);
}

/// A node that does not serve a queue with a limit leaves the queue as it is: it claims nothing of it, hands on what its own
/// jobs hold, and takes neither the room nor the time of the next start from those that serve it.
pub fn a_node_of_other_queues_leaves_a_queue_limit_as_it_is(mut temp: TempStore) {
    let store = &mut temp.store;
    let changes = [
        QueueLimitChange::Burst(Some(1)),
        QueueLimitChange::Rate(Some("1/s".parse().expect("a rate"))),
        running(1),
    ];
    store.change_queue(&queue("mail"), &[], &changes).expect("set");
    let disk = queuectl_core::LimitChange {
        running: Some(Some(1)),
        ..queuectl_core::LimitChange::default()
    };
    let name = "disk".parse().expect("a name");
    store.set_limit(&name, &disk, NOW).expect("set");
    let with_disk = |queue: &str| {
        valid(JobSpec {
            limit: vec!["disk".parse().expect("a limit")],
            ..JobSpec::clone(&in_queue(queue, 0))
        })
    };
    let new = [
        with_disk("other"),
        in_queue("mail", 9),
        with_disk("mail"),
        job("bystander"),
    ];
    let ids = enqueue(store, &new);
    let (node_of_mail, _guard) = node(store);
    let (node_of_other, _other_guard) = node(store);
    let served = |name: &str| Queues::Only(vec![queue(name)]);
    let (mail, other) = ((node_of_mail, served("mail")), (node_of_other, served("other")));
    let cycle = |store: &mut Store, (node, queues): &(NodeId, Queues), records: &[Record], ms: u64| {
        let cycle = Cycle {
            node: *node,
            records,
            claim: 9,
            queues,
            now: later(ms),
        };
        store.cycle(&cycle).expect("a cycle")
    };
    let of_other = cycle(store, &other, &[], 0).claimed;
    let of_mail = cycle(store, &mail, &[], 0).claimed;
    assert_eq!((of_other[0].id, of_other.len()), (ids[0].0, 1));
    assert_eq!((of_mail[0].id, of_mail.len()), (ids[1].0, 1));
    assert_eq!(get(store, ids[2]).state, State::Blocked, "it waits for the disk");
    let handed_on = cycle(store, &other, &[done(&of_other[0], other.0, later(10))], 10);
    assert_eq!((handed_on.claimed, handed_on.unblocked), (Vec::new(), 1));
    assert_eq!(get(store, ids[2]).state, State::Pending);
    assert_eq!(cycle(store, &mail, &[], 10).claimed, [], "the queue is full");
    let room = cycle(store, &mail, &[done(&of_mail[0], mail.0, later(500))], 500);
    assert_eq!(room.claimed, [], "its rate allows no start yet");
    assert_eq!(cycle(store, &other, &[], 501).claimed, []);
    assert_eq!(store.next_due().expect("an answer"), Some(later(1000)));
    // The other node looks first when the time has come, and still those that serve the queue get the job.
    assert_eq!(cycle(store, &other, &[], 1000).claimed, []);
    let last = cycle(store, &mail, &[], 1000).claimed;
    assert_eq!((last[0].id, last.len()), (ids[2].0, 1));
    assert_eq!(get(store, ids[3]).state, State::Pending);
    let report = store.check().expect("a check");
    assert_eq!((report.misplaced, report.miscounted), (0, 0));
}
