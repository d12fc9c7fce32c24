//! The history of statistics: every end is counted once, whatever becomes of the job.

use queuectl_core::{ExecutorName, QueueName};
use queuectl_storage::{Ends, HistoryEntry};

use super::*;

const MINUTE: u64 = 60 * 1000;
const DAY: Duration = Duration::from_hours(24);
const KEEP: Duration = Duration::from_hours(30 * 24);

/// Counts all there is to count at that time.
fn count(store: &mut Store, now: Timestamp) {
    while store.keep_history(KEEP, now).expect("a step") {}
}

/// All of the history.
fn all(store: &mut Store) -> Vec<HistoryEntry> {
    let mut entries = Vec::new();
    let until = Timestamp(i64::MAX / 2);
    store
        .history(Timestamp(0), until, &JobFilter::default(), |entry| {
            entries.push(entry)
        })
        .expect("the history");
    entries
}

/// The sum of all, and how many entries there are.
fn sum(store: &mut Store) -> (u64, usize) {
    let entries = all(store);
    (entries.iter().map(|entry| entry.ends.jobs()).sum(), entries.len())
}

fn in_queue(queue: &str, line: &str) -> ValidJob {
    valid(JobSpec {
        queue: Some(queue.parse().expect("a queue")),
        ..JobSpec::line(line)
    })
}

/// Runs jobs, all from one time to another.
fn run(store: &mut Store, node: NodeId, jobs: &[ValidJob], event: Event, from: u64, to: u64) -> Vec<JobId> {
    let ids = store.enqueue(jobs, NOW).expect("stored");
    let claimed = turn(store, node, &[], jobs.len() as u32, later(from)).claimed;
    assert_eq!(claimed.len(), jobs.len());
    let kind = match event {
        Event::Complete => OutcomeKind::Succeeded,
        _ => OutcomeKind::TimedOut,
    };
    let ended: Vec<Record> = claimed
        .iter()
        .map(|claimed| {
            let mut ended = record(claimed, node, event, kind, later(to));
            if let Some(attempt) = &mut ended.attempt {
                (attempt.started_at, attempt.finished_at) = (later(from), later(to));
            }
            ended
        })
        .collect();
    turn(store, node, &ended, 0, later(to));
    ids
}

fn purge(store: &mut Store, state: State) -> u64 {
    let filter = PurgeFilter {
        state,
        queue: None,
        ended_before: None,
        limit: 1000,
    };
    let mut jobs = 0;
    loop {
        let step = store.purge(&filter).expect("a purge");
        jobs += step.jobs;
        if !step.more {
            return jobs;
        }
    }
}

/// Jobs are counted in the minute of their end, by queue and executor, with their failures and times.
pub fn history_has_every_end_once(mut temp: TempStore) {
    let store = &mut temp.store;
    let (node, _guard) = node(store);
    run(store, node, &[job("a"), job("b")], Event::Complete, 1000, 3000);
    let died = run(
        store,
        node,
        &[in_queue("mail", "c")],
        Event::Fail { retry_at: None },
        2000,
        2500,
    )[0];
    run(store, node, &[job("next")], Event::Complete, MINUTE, MINUTE + 10);
    let late = run(
        store,
        node,
        &[job("late")],
        Event::Complete,
        5 * MINUTE,
        5 * MINUTE + 10,
    )[0];
    let bystander = enqueue(store, &[job("bystander")])[0];
    assert_eq!(sum(store), (0, 0));
    let now = later(5 * MINUTE + 20);
    for _ in 0..2 {
        count(store, now);
        let entries = all(store);
        let of = |entry: &HistoryEntry| {
            let (queue, executor) = entry.of.clone().expect("no others");
            assert_eq!(executor, ExecutorName::default());
            (queue.to_string(), entry.at.0 % MINUTE as i64, entry.span_ms)
        };
        let found: Vec<_> = entries.iter().map(of).collect();
        let entry = |queue: &str| (queue.to_owned(), 0, MINUTE as i64);
        assert_eq!(found, [entry("default"), entry("mail"), entry("default")]);
        let Ends {
            completed,
            dead,
            cancelled,
            retries,
            failures,
            waited,
            ran,
        } = &entries[0].ends;
        assert_eq!(
            (*completed, *dead, *cancelled, *retries, *failures),
            (2, 0, 0, 0, [0; 6])
        );
        assert_eq!((waited.count(), ran.count()), (2, 2));
        let (longest, _) = ran.at([1.0]).expect("some ran");
        assert!(longest[0].abs_diff(2000) <= 20, "{longest:?}");
        let mail = &entries[1].ends;
        assert_eq!((mail.dead, mail.failures), (1, [0, 1, 0, 0, 0, 0]), "timed out");
        assert_eq!(entries[2].ends.completed, 1);
    }
    // What is removed counts, whether it was counted before or not.
    assert_eq!(purge(store, State::Completed), 4);
    assert_eq!(sum(store).0, 5, "also the one that had ended just before");
    count(store, later(20 * MINUTE));
    assert_eq!(sum(store).0, 5);
    let state = store.history_state().expect("the state");
    assert_eq!(state.removed_to, later(5 * MINUTE + 10));
    assert!(store.job(&JobRef::Number(late)).is_err());
    // A job that ends again is counted again.
    store
        .retry(&JobRef::Number(died), &Only::default(), later(21 * MINUTE))
        .expect("retried");
    let claimed = turn(store, node, &[], 1, later(21 * MINUTE)).claimed.remove(0);
    let again = record(
        &claimed,
        node,
        Event::Complete,
        OutcomeKind::Succeeded,
        later(21 * MINUTE),
    );
    turn(store, node, &[again], 0, later(21 * MINUTE));
    count(store, later(30 * MINUTE));
    assert_eq!(sum(store).0, 6);
    assert_eq!(get(store, bystander).state, State::Pending);
}

/// Of several that count and remove at the same time, one has each job. The control moves the place back, and then they are counted
/// twice.
pub fn several_nodes_count_a_job_once(mut temp: TempStore) {
    let (node, _guard) = node(&mut temp.store);
    const JOBS: usize = 1200;
    let jobs: Vec<ValidJob> = (0..JOBS)
        .map(|n| in_queue(&format!("q{}", n % 3), "true"))
        .collect();
    for some in jobs.chunks(200) {
        run(&mut temp.store, node, some, Event::Complete, 10, 20);
    }
    let now = later(10 * MINUTE);
    std::thread::scope(|scope| {
        for n in 0..4 {
            let mut store = temp.another();
            scope.spawn(move || match n {
                0 => drop(purge(&mut store, State::Completed)),
                _ => count(&mut store, now),
            });
        }
    });
    let store = &mut temp.store;
    assert_eq!(purge(store, State::Completed), 0);
    assert_eq!(sum(store), (JOBS as u64, 3));
    run(store, node, &jobs[..2], Event::Complete, 10, 20);
    count(store, now);
    store.count_history_anew().expect("the place is moved");
    count(store, now);
    assert_eq!(sum(store).0, JOBS as u64 + 4, "the control");
}

/// Minutes become hours after a day and are forgotten after a while; nothing is lost in between. Zero switches it off.
pub fn old_minutes_become_hours(mut temp: TempStore) {
    let store = &mut temp.store;
    let (node, _guard) = node(store);
    for minute in [0, 1, 2, 59, 60] {
        let at = minute * MINUTE;
        run(
            store,
            node,
            &[job("x"), in_queue("mail", "y")],
            Event::Complete,
            at,
            at + 1,
        );
    }
    let now = later(3 * 60 * MINUTE);
    count(store, now);
    assert_eq!(sum(store), (10, 10));
    count(store, now.after(DAY));
    let entries = all(store);
    let hour = 60 * MINUTE as i64;
    assert!(
        entries
            .iter()
            .all(|entry| entry.span_ms == hour && entry.at.0 % hour == 0)
    );
    assert_eq!(sum(store), (10, 4), "two hours of two queues");
    assert_eq!(
        entries.iter().map(|entry| entry.ends.waited.count()).sum::<u64>(),
        10
    );
    count(store, now.after(2 * DAY));
    assert_eq!(sum(store), (10, 4));
    let mail: QueueName = "mail".parse().expect("a queue");
    let mut of_mail = 0;
    let from = Timestamp(entries[0].at.0 + hour);
    let state = store
        .history(from, now, &JobFilter::from(mail), |entry| {
            of_mail += entry.ends.completed
        })
        .expect("the history");
    assert_eq!(of_mail, 2, "of one queue, from the second hour on");
    assert_eq!(state.begins, Some(entries[0].at));
    // What ended an hour later is still there.
    count(store, NOW.after(KEEP + Duration::from_mins(62)));
    assert_eq!(sum(store), (4, 2));
    run(store, node, &[job("last")], Event::Complete, 1, 2);
    store.keep_history(Duration::ZERO, now).expect("off");
    assert_eq!(purge(store, State::Completed), 11);
    assert_eq!(
        (sum(store), store.history_state().expect("a state").counted),
        ((0, 0), None)
    );
    run(store, node, &[job("on")], Event::Complete, 1, 2);
    count(store, now);
    assert_eq!(sum(store), (1, 1), "on again");
}

/// Of very many queues, one entry has those above a limit.
pub fn further_queues_are_counted_together(mut temp: TempStore) {
    let store = &mut temp.store;
    let (node, _guard) = node(store);
    let jobs: Vec<ValidJob> = (0..105).map(|n| in_queue(&format!("q{n}"), "true")).collect();
    run(store, node, &jobs, Event::Complete, 10, 20);
    run(store, node, &jobs[..1], Event::Complete, 15, 25);
    count(store, later(10 * MINUTE));
    assert_eq!(sum(store), (106, 101));
    let others: Vec<u64> = all(store)
        .iter()
        .filter(|entry| entry.of.is_none())
        .map(|entry| entry.ends.completed)
        .collect();
    assert_eq!(others, [5]);
}
