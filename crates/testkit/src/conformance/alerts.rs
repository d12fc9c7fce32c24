//! Alerts: hooks that run once when a number of jobs are dead.

use std::sync::Barrier;

use queuectl_core::{Alert, Command, Hook, HookOn, HookOns, QueueName};
use queuectl_storage::DeadFilter;

use super::*;

fn alert(name: &str, dead: u32, again_ms: Option<u64>, queue: Option<&str>) -> Hook {
    Hook {
        name: name.parse().expect("a name"),
        on: HookOns::NONE.with(HookOn::Death),
        queue: queue.map(|queue| queue.parse().expect("a queue")),
        schedule: None,
        to_queue: Some("alerts".parse().expect("a queue")),
        command: Command::Line(name.to_owned()),
        cwd: None,
        created_at: NOW,
        alert: Some(Alert {
            dead,
            again_ms,
            fired_at: None,
        }),
    }
}

fn in_queue(queue: &str) -> ValidJob {
    valid(JobSpec {
        queue: Some(queue.parse().expect("a queue")),
        ..JobSpec::line("fail")
    })
}

/// Has jobs of a queue die together.
fn die(store: &mut Store, node: NodeId, queue: &str, jobs: usize, at: Timestamp) -> Vec<JobId> {
    let ids = enqueue(store, &vec![in_queue(queue); jobs]);
    let claimed = claim_of(store, node, queue, jobs, at);
    assert_eq!(claimed.len(), jobs);
    let dead: Vec<Record> = claimed.iter().map(|job| death(job, node, at)).collect();
    assert_eq!(turn(store, node, &dead, 0, at).stale, []);
    ids
}

/// Claims jobs of a queue.
fn claim_of(store: &mut Store, node: NodeId, queue: &str, most: usize, at: Timestamp) -> Vec<Claimed> {
    let cycle = Cycle {
        node,
        records: &[],
        claim: u32::try_from(most).expect("a number"),
        queues: &Queues::Only(vec![queue.parse().expect("a queue")]),
        now: at,
    };
    store.cycle(&cycle).expect("a cycle").claimed
}

fn death(job: &Claimed, node: NodeId, at: Timestamp) -> Record {
    record(job, node, Event::Fail { retry_at: None }, OutcomeKind::Failed, at)
}

/// The jobs that run alerts, oldest first: what each runs.
fn fired(store: &mut Store) -> Vec<Job> {
    let filter = ListFilter {
        jobs: "alerts".parse::<QueueName>().expect("a name").into(),
        oldest_first: true,
        limit: 100_000,
        ..ListFilter::default()
    };
    store.list(&filter).expect("a list")
}

fn names(store: &mut Store) -> Vec<String> {
    fired(store).iter().map(|job| job.payload.display()).collect()
}

/// It runs at its number, once until fewer were dead or its time is over, and knows how many are dead.
pub fn an_alert_runs_once_when_so_many_are_dead(mut temp: TempStore) {
    let store = &mut temp.store;
    let (node, _guard) = node(store);
    let bystander = enqueue(store, &[in_queue("bystanders")])[0];
    for hook in [
        alert("any", 3, None, None),
        alert("again", 3, Some(10_000), None),
        alert("mail", 2, None, Some("mail")),
    ] {
        store.add_hook(&hook).expect("added");
    }
    die(store, node, "other", 1, NOW);
    let mail = die(store, node, "mail", 1, later(1));
    assert_eq!(names(store), [""; 0]);
    // Two at once go past the number.
    die(store, node, "other", 2, later(2));
    assert_eq!(names(store), ["again", "any"]);
    let jobs = fired(store);
    let env = &jobs[1].payload.env;
    for (name, value) in [
        ("QUEUECTL_HOOK", "death"),
        ("QUEUECTL_HOOK_NAME", "any"),
        ("QUEUECTL_HOOK_DEAD", "4"),
        ("QUEUECTL_HOOK_WHEN_DEAD", "3"),
        ("QUEUECTL_HOOK_TOP_ERROR", "it broke"),
        ("QUEUECTL_HOOK_TOP_ERROR_JOBS", "4"),
        ("QUEUECTL_HOOK_QUEUE", "other"),
    ] {
        assert_eq!(env.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert_eq!(jobs[1].enqueued_by.and_then(|by| by.hook), Some(HookOn::Death));
    let stored = store.hook(&"any".parse().expect("a name")).expect("the hook");
    assert_eq!(stored.alert.and_then(|alert| alert.fired_at), Some(later(2)));
    // Not again, but that of the queue, whose number this is.
    die(store, node, "mail", 1, later(3));
    assert_eq!(names(store), ["again", "any", "mail"]);
    assert_eq!(fired(store)[2].payload.env["QUEUECTL_HOOK_DEAD"], "2");
    // After its time, the next death runs it.
    die(store, node, "other", 1, later(10_001));
    assert_eq!(names(store).len(), 3);
    die(store, node, "other", 1, later(10_002));
    assert_eq!(names(store)[3..], ["again"]);
    // Fewer are dead, and then as many again.
    let queue: QueueName = "other".parse().expect("a queue");
    let page = store
        .dead_page(
            &DeadFilter {
                queue: Some(queue),
                ..DeadFilter::default()
            },
            None,
            100,
        )
        .expect("a page");
    let retried = store.retry_dead_jobs(&page.jobs, later(10_003));
    assert_eq!(retried.expect("retried").jobs, 5);
    let fired_at = |store: &mut Store, name: &str| {
        let hook = store.hook(&name.parse().expect("a name")).expect("the hook");
        hook.alert.and_then(|alert| alert.fired_at)
    };
    assert_eq!(fired_at(store, "any"), None, "two are dead, it is armed");
    assert_eq!(
        fired_at(store, "mail"),
        Some(later(3)),
        "none of its own was retried"
    );
    let again: Vec<Record> = claim_of(store, node, "other", 100, later(10_004))
        .iter()
        .map(|job| death(job, node, later(10_005)))
        .collect();
    assert_eq!(again.len(), 5);
    turn(store, node, &again[..1], 0, later(10_005));
    assert_eq!(names(store)[4..], ["again", "any"], "two in mail and this one");
    turn(store, node, &again[1..], 0, later(10_006));
    assert_eq!(names(store).len(), 6);
    let states = [mail[0], bystander].map(|id| get(store, id).state);
    assert_eq!(states, [State::Dead, State::Pending]);
    // One that is removed does not run, and added again has not run yet.
    store
        .remove_hooks(&["any".parse().expect("a name")])
        .expect("removed");
    store.add_hook(&alert("any", 3, None, None)).expect("added");
    die(store, node, "other", 1, later(10_007));
    assert_eq!(names(store)[6..], ["any"]);
    let report = store.check().expect("a report");
    assert_eq!(
        (report.damage, report.dangling, report.miscounted),
        (vec![], 0, 0)
    );
}

/// A hook that dies counts, and runs no alert.
pub fn a_dead_hook_runs_no_alert(mut temp: TempStore) {
    let store = &mut temp.store;
    let (node, _guard) = node(store);
    store.add_hook(&alert("one", 1, Some(1000), None)).expect("added");
    die(store, node, "other", 1, NOW);
    assert_eq!(names(store), ["one"]);
    let hook = fired(store)[0].id;
    let claimed = turn(store, node, &[], 1, later(5000)).claimed;
    assert_eq!(claimed[0].id, hook.0);
    turn(
        store,
        node,
        &[death(&claimed[0], node, later(5000))],
        0,
        later(5000),
    );
    assert_eq!(get(store, hook).state, State::Dead);
    assert_eq!(names(store), ["one"]);
    die(store, node, "other", 1, later(5001));
    assert_eq!(names(store), ["one", "one"], "the control");
    assert_eq!(fired(store)[1].payload.env["QUEUECTL_HOOK_DEAD"], "3");
}

/// Two nodes that reach the number together run it once; on a server, without the lock, some are lost.
pub fn two_last_deaths_run_one_alert(mut temp: TempStore) {
    let is_server = temp.location.file().is_none();
    let rounds = if is_server { 200 } else { 30 };
    assert_eq!(last_deaths_at_once(&mut temp, "a", rounds, false), rounds);
    let mut tries = 0;
    while is_server && last_deaths_at_once(&mut temp, &format!("u{tries}-"), 50, true) == 50 {
        tries += 1;
        assert!(tries < 20, "without the lock, some must be lost");
    }
}

/// Has two transactions record the last two deaths of a queue whose number this is, at the same moment, that many times. Returns
/// how many alerts there are. There are at most 100 hooks, so each is removed when it has run.
fn last_deaths_at_once(temp: &mut TempStore, name: &str, rounds: usize, unlocked: bool) -> usize {
    let before = fired(&mut temp.store).len();
    let (node, _guard) = node(&mut temp.store);
    let mut others: Vec<Store> = (0..2).map(|_| temp.another()).collect();
    for round in 0..rounds {
        let queue = format!("{name}{round}");
        let hook = alert(&queue, 2, None, Some(&queue));
        let store = &mut temp.store;
        store.add_hook(&hook).expect("added");
        enqueue(store, &[in_queue(&queue), in_queue(&queue)]);
        let claimed = claim_of(store, node, &queue, 2, NOW);
        let ends: Vec<Record> = claimed.iter().map(|job| death(job, node, NOW)).collect();
        assert_eq!(ends.len(), 2);
        let start = Barrier::new(2);
        std::thread::scope(|scope| {
            for (own, end) in others.iter_mut().zip(&ends) {
                let start = &start;
                scope.spawn(move || {
                    if unlocked {
                        queuectl_storage::leave_unlocked();
                    }
                    start.wait();
                    let done = turn(own, node, std::slice::from_ref(end), 0, NOW);
                    assert_eq!(done.stale, []);
                });
            }
        });
        temp.store.remove_hooks(&[hook.name]).expect("removed");
    }
    fired(&mut temp.store).len() - before
}
