//! The dead letter queue over a real store, with jobs that died without a node's help.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::time::Duration;

use queuectl_core::transition::Standing;
use queuectl_core::{
    Attempt, Event, JobId, JobRef, JobSpec, NodeId, Outcome, OutcomeKind, Output, QueueName, State,
    Timestamp, transition,
};
use queuectl_dlq::{RetriedAll, Selected};
use queuectl_storage::{
    Cycle, DeadFilter, ListFilter, Location, MaybeBusy, NewNode, OpenMode, Queues, Record, Store, StoreError,
};

const DEATH: Timestamp = Timestamp(10_000);

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let location = Location::Sqlite(folder.path().join("queue.db"));
    let store = Store::open(&location, OpenMode::Create).unwrap();
    (folder, store)
}

fn enqueue(store: &mut Store, queue: &str, count: usize) -> Vec<JobId> {
    let job = JobSpec {
        queue: Some(queue.parse().unwrap()),
        max_retries: Some(0),
        ..JobSpec::line("exit 3")
    };
    let job = job.validate(Timestamp(0)).unwrap();
    store.enqueue(&vec![job; count], Timestamp(1000)).unwrap()
}

/// Claims everything that is ready and lets it fail for good.
fn let_die(store: &mut Store, at: Timestamp) {
    let node = NewNode {
        cookie: format!("{}-{}", at.0, std::process::id()),
        host: "here".into(),
        pid: std::process::id(),
        version: "0".into(),
        workers: 1,
        concurrency: 1,
        queues: Queues::All,
    };
    let (node, _guard, _listener) = store.enter_node(&node, at).unwrap();
    let claimed = cycle(store, node, &[], at);
    let records: Vec<Record> = claimed
        .iter()
        .map(|(job, fence)| record(*job, *fence, node, at))
        .collect();
    cycle(store, node, &records, at);
    assert!(store.leave_node(node).unwrap());
}

fn cycle(store: &mut Store, node: NodeId, records: &[Record], now: Timestamp) -> Vec<(i64, i64)> {
    let cycle = Cycle {
        node,
        records,
        claim: if records.is_empty() { 10_000 } else { 0 },
        queues: &Queues::All,
        now,
    };
    let result = store.cycle(&cycle).unwrap();
    assert!(result.stale.is_empty());
    result
        .claimed
        .into_iter()
        .map(|job| (job.id, job.fence))
        .collect()
}

fn record(job: i64, fence: i64, node: NodeId, at: Timestamp) -> Record {
    let running = Standing {
        state: State::Processing,
        attempts: 1,
        system_failures: 0,
    };
    let attempt = Attempt {
        job: JobId(job),
        fence,
        attempt: 1,
        number: 0,
        node,
        worker: 1,
        started_at: Timestamp(at.0 - 500),
        finished_at: at,
        outcome: Outcome {
            exit_code: Some(3),
            ..Outcome::new(OutcomeKind::Failed, "exit status 3")
        },
        output: Output {
            head: b"it began\nand so it ended\n\n".to_vec(),
            tail: Vec::new(),
            total_bytes: 26,
            ..Output::default()
        },
    };
    Record {
        job: JobId(job),
        fence,
        node,
        change: transition(running, Event::Fail { retry_at: None }).unwrap(),
        attempt: Some(attempt),
        busy: MaybeBusy::No,
        is_limited: false,
    }
}

fn all() -> ListFilter {
    ListFilter {
        limit: 10_000,
        ..ListFilter::default()
    }
}

fn by_number(id: JobId) -> JobRef {
    JobRef::Number(id)
}

#[test]
fn a_letter_says_why() {
    let (_folder, mut store) = store();
    let ids = enqueue(&mut store, "mail", 1);
    let_die(&mut store, DEATH);
    enqueue(&mut store, "mail", 1);
    let letters = queuectl_dlq::list(&mut store, &all()).unwrap();
    let [letter] = letters.as_slice() else {
        panic!("one letter, found {}", letters.len());
    };
    assert_eq!(letter.job.id, ids[0]);
    assert_eq!(letter.reason(), "exit status 3");
    assert_eq!(letter.last_line().as_deref(), Some("and so it ended"));
    assert_eq!(letter.job.finished_at, Some(DEATH));
    assert_eq!(letter.last_attempt.as_ref().unwrap().outcome.exit_code, Some(3));
    let (job, attempts) = queuectl_dlq::show(&mut store, &by_number(ids[0])).unwrap();
    assert_eq!((job.id, attempts.len()), (ids[0], 1));
}

fn selected(queue: Option<&QueueName>, age: Duration, now: Timestamp) -> Selected {
    Selected {
        queue: queue.cloned(),
        cause: None,
        age,
        now,
    }
}

fn retry_all(store: &mut Store, queue: Option<&QueueName>, now: Timestamp) -> Result<RetriedAll, StoreError> {
    queuectl_dlq::retry_selected(store, &selected(queue, Duration::ZERO, now), |_| {})
}

fn purge_all(
    store: &mut Store,
    queue: Option<&QueueName>,
    age: Duration,
    now: Timestamp,
) -> Result<u64, StoreError> {
    queuectl_dlq::purge_selected(store, &selected(queue, age, now), |_| {})
}

#[test]
fn only_dead_jobs_are_touched() {
    let (_folder, mut store) = store();
    let pending = by_number(enqueue(&mut store, "mail", 1)[0]);
    let refused = |result: Result<(), StoreError>| matches!(result, Err(StoreError::Refused { .. }));
    assert!(refused(queuectl_dlq::show(&mut store, &pending).map(drop)));
    assert!(refused(
        queuectl_dlq::retry(&mut store, &pending, None, None, DEATH).map(drop)
    ));
    assert!(refused(queuectl_dlq::purge(
        &mut store, &pending, None, None, DEATH
    )));
    let missing = by_number(JobId(99));
    assert!(matches!(
        queuectl_dlq::purge(&mut store, &missing, None, None, DEATH),
        Err(StoreError::NoSuchJob(_))
    ));
    assert_eq!(retry_all(&mut store, None, DEATH).unwrap().jobs, 0);
    assert_eq!(purge_all(&mut store, None, Duration::ZERO, DEATH).unwrap(), 0);
    assert_eq!(store.job(&pending).unwrap().state, State::Pending);
}

#[test]
fn a_retry_gives_fresh_attempts_and_keeps_the_history() {
    let (_folder, mut store) = store();
    let job = by_number(enqueue(&mut store, "mail", 1)[0]);
    let_die(&mut store, DEATH);
    queuectl_dlq::retry(&mut store, &job, None, None, DEATH).unwrap();
    let found = store.job(&job).unwrap();
    assert_eq!((found.state, found.attempts), (State::Pending, 0));
    let_die(&mut store, Timestamp(20_000));
    let (found, attempts) = queuectl_dlq::show(&mut store, &job).unwrap();
    assert_eq!(attempts.len(), 2);
    assert_eq!(found.attempts, 1);
}

#[test]
fn a_filter_beside_an_id_narrows_it() {
    let (_folder, mut store) = store();
    let job = by_number(enqueue(&mut store, "mail", 1)[0]);
    let bystander = enqueue(&mut store, "video", 1)[0];
    let_die(&mut store, DEATH);
    let later = Timestamp(20_000);
    let (mail, video): (QueueName, QueueName) = ("mail".parse().unwrap(), "video".parse().unwrap());
    let age = |ms: i64| Some(Duration::from_millis(u64::try_from(ms).unwrap()));
    let left_alone = |result: Result<(), StoreError>, why: &str| {
        let error = result.unwrap_err();
        assert!(matches!(error, StoreError::LeftAlone { .. }), "{error:?}");
        assert!(error.to_string().contains(why), "{error}");
    };
    let retried = queuectl_dlq::retry(&mut store, &job, Some(&video), None, later).map(drop);
    left_alone(retried, "is in queue 'mail', not in 'video'");
    let purged = queuectl_dlq::purge(&mut store, &job, Some(&video), None, later);
    left_alone(purged, "is in queue 'mail', not in 'video'");
    let since = later.0 - DEATH.0;
    let purged = queuectl_dlq::purge(&mut store, &job, None, age(since + 1), later);
    left_alone(purged, "ended later than is meant");
    assert_eq!(store.job(&job).unwrap().state, State::Dead);
    queuectl_dlq::purge(&mut store, &job, Some(&mail), age(since), later).unwrap();
    assert!(matches!(store.job(&job), Err(StoreError::NoSuchJob(_))));
    assert_eq!(store.job(&by_number(bystander)).unwrap().state, State::Dead);
}

#[test]
fn all_means_every_batch_of_one_queue() {
    let (_folder, mut store) = store();
    enqueue(&mut store, "mail", 1203);
    enqueue(&mut store, "video", 2);
    let_die(&mut store, DEATH);
    let mail: QueueName = "mail".parse().unwrap();
    assert_eq!(retry_all(&mut store, Some(&mail), DEATH).unwrap().jobs, 1203);
    assert_eq!(queuectl_dlq::list(&mut store, &all()).unwrap().len(), 2);
    let_die(&mut store, Timestamp(20_000));
    // Those that died after the moment that is meant are not.
    assert_eq!(
        retry_all(&mut store, Some(&mail), Timestamp(19_999))
            .unwrap()
            .jobs,
        0
    );
    let day = Duration::from_secs(86_400);
    assert_eq!(purge_all(&mut store, None, day, Timestamp(20_000)).unwrap(), 0);
    let between = Duration::from_millis(5000);
    assert_eq!(
        purge_all(&mut store, None, between, Timestamp(20_000)).unwrap(),
        2
    );
    assert_eq!(
        purge_all(&mut store, Some(&mail), Duration::ZERO, Timestamp(20_000)).unwrap(),
        1203
    );
    assert!(queuectl_dlq::list(&mut store, &all()).unwrap().is_empty());
}

#[test]
fn causes_can_be_those_of_the_newest_alone() {
    let (_folder, mut store) = store();
    enqueue(&mut store, "a", 600);
    let_die(&mut store, DEATH);
    let mut counted = |jobs| {
        let (causes, more) =
            queuectl_dlq::causes_of_newest(&mut store, &DeadFilter::default(), 10, jobs).unwrap();
        let jobs: u64 = causes.list.iter().map(|count| count.jobs).sum();
        (causes.list.len(), jobs, more)
    };
    // Pages of 500 are read.
    assert_eq!(counted(1), (1, 500, true));
    assert_eq!(counted(501), (1, 600, false));
    assert_eq!(counted(usize::MAX), (1, 600, false));
}
