//! What must stay right, and quick, with very many jobs: counts, lists, purging in steps. How quick is for the
//! benchmarks.

use std::collections::BTreeMap;

use queuectl_core::Event::{Cancel, Complete, Fail, Return};
use queuectl_storage::MassChange;

use super::*;

fn in_queue(queue: &str) -> JobSpec {
    JobSpec {
        queue: Some(queue.parse().expect("a queue")),
        ..JobSpec::line("true")
    }
}

fn ended(store: &mut Store, node: NodeId, event: Event, now: Timestamp) -> JobId {
    let claimed = turn(store, node, &[], 1, now).claimed.pop().expect("a job");
    let kind = match event {
        Complete => OutcomeKind::Succeeded,
        Cancel => OutcomeKind::Cancelled,
        _ => OutcomeKind::Failed,
    };
    let mut ended = record(&claimed, node, event, kind, now);
    if event == Return {
        ended.attempt = None;
    }
    assert_eq!(turn(store, node, &[ended], 0, now).stale, []);
    JobId(claimed.id)
}

/// What `counts` says must be what the jobs say.
fn assert_counted(store: &mut Store, after: &str) {
    let mut want: BTreeMap<(String, &str), u64> = BTreeMap::new();
    let everything = ListFilter {
        limit: 1000,
        ..ListFilter::default()
    };
    for job in store.list(&everything).expect("a list") {
        *want.entry((job.queue.to_string(), job.state.name())).or_default() += 1;
    }
    let counts = store.counts(None).expect("counts");
    let kept = counts
        .into_iter()
        .map(|count| ((count.queue, count.state.name()), count.jobs));
    assert_eq!(kept.collect::<BTreeMap<_, _>>(), want, "after {after}");
    assert_eq!(
        store.check().expect("a check").miscounted,
        0,
        "kept counts after {after}"
    );
}

/// The numbers of jobs by queue and state are right after everything that can happen to a job.
pub fn counts_follow_every_change(mut temp: TempStore) {
    let store = &mut temp.store;
    assert_counted(store, "nothing");
    let later_job = JobSpec {
        start: Some(Start::At(later(10))),
        ..in_queue("mail")
    };
    enqueue(store, &[valid(in_queue("bystander")), valid(later_job)]);
    assert_counted(store, "enqueue");
    let (node, _guard) = node(store);
    let only = Queues::Only(vec!["mail".parse().expect("a queue")]);
    let twice = valid(JobSpec {
        id: Some("same".parse().expect("a name")),
        ..in_queue("none:such")
    });
    store
        .enqueue(&[valid(in_queue("mail")), twice.clone(), twice], NOW)
        .expect_err("the batch is refused whole");
    assert_counted(store, "a refused batch");
    for (event, after) in [
        (Complete, "complete"),
        (
            Fail {
                retry_at: Some(later(20)),
            },
            "fail, tried again",
        ),
        (Fail { retry_at: None }, "fail for good"),
        (Cancel, "cancel while running"),
        (Return, "return"),
    ] {
        enqueue(
            store,
            &[valid(JobSpec {
                priority: Some(5),
                ..in_queue("mail")
            })],
        );
        ended(store, node, event, NOW);
        assert_counted(store, after);
    }
    // The job given back goes again, and asks to be cancelled before its node says that it failed.
    let claimed = turn(store, node, &[], 1, NOW).claimed.pop().expect("a job");
    assert_counted(store, "claim");
    store
        .cancel(&JobRef::Number(JobId(claimed.id)), NOW)
        .expect("asked");
    let retry = Fail {
        retry_at: Some(later(20)),
    };
    let failed = record(&claimed, node, retry, OutcomeKind::Failed, NOW);
    turn(store, node, std::slice::from_ref(&failed), 0, NOW);
    assert_counted(store, "a retry that became a cancel");
    assert_eq!(turn(store, node, &[failed], 0, NOW).stale.len(), 1);
    assert_counted(store, "a stale record");
    let due = Cycle {
        node,
        records: &[],
        claim: 0,
        queues: &only,
        now: later(10),
    };
    store.cycle(&due).expect("a cycle");
    assert_counted(store, "a scheduled job came due");
    store
        .cycle(&Cycle {
            now: later(20),
            ..due
        })
        .expect("a cycle");
    assert_counted(store, "a failed job came due");
    let dead = JobFilter::from(State::Dead);
    store
        .change_all(&dead, MassChange::Retry, later(20), |_| {})
        .expect("retried");
    assert_counted(store, "retrying dead jobs");
    let waiting = enqueue(store, &[valid(in_queue("mail"))])[0];
    store
        .cancel(&JobRef::Number(waiting), later(20))
        .expect("cancelled");
    assert_counted(store, "cancel while waiting");
    store
        .retry(&JobRef::Number(waiting), &Only::default(), later(20))
        .expect("retried");
    assert_counted(store, "retrying a cancelled job");
    for _ in 0..4 {
        ended(store, node, Fail { retry_at: None }, later(30));
    }
    let dead = ListFilter {
        jobs: State::Dead.into(),
        limit: 1,
        ..ListFilter::default()
    };
    let one = store.list(&dead).expect("a list")[0].id;
    store
        .purge_one(&JobRef::Number(one), &State::Dead.into())
        .expect("purged");
    assert_counted(store, "purging one");
    for state in [State::Completed, State::Dead, State::Cancelled] {
        let all = PurgeFilter {
            state,
            queue: None,
            ended_before: None,
            limit: 100,
        };
        // A step removes as many as there is time for.
        while store.purge(&all).expect("purged").more {
            assert_counted(store, "a step of purging");
        }
        assert_counted(store, "purging");
    }
}

/// Every list shows the jobs that fit and no others, in order, whether read whole or in pages, from either end.
pub fn lists_are_in_order_and_have_pages(mut temp: TempStore) {
    let store = &mut temp.store;
    let (node, _guard) = node(store);
    let queues = ["a", "b", "c"];
    let mut at = 0;
    // Ended ones, the last enqueued ended first.
    for (number, event) in [
        Complete,
        Fail { retry_at: None },
        Cancel,
        Fail {
            retry_at: Some(later(9999)),
        },
    ]
    .into_iter()
    .cycle()
    .take(24)
    .enumerate()
    {
        enqueue(
            store,
            &[valid(JobSpec {
                priority: Some(1000),
                ..in_queue(queues[number % 3])
            })],
        );
        at += 1 + u64::try_from(number % 2).expect("small");
        ended(store, node, event, later(1000 - at));
    }
    for number in 0..30_i32 {
        let start = (number % 5 == 0).then(|| Start::At(later(9999)));
        let new = JobSpec {
            priority: Some(number % 4),
            start,
            hold: Some(number % 7 == 0),
            ..in_queue(queues[usize::try_from(number).expect("small") % 3])
        };
        enqueue(store, &[valid(new)]);
    }
    let running = claim(store, node, 5);
    assert_eq!(running.len(), 5);

    let whole = ListFilter {
        oldest_first: true,
        limit: 1000,
        ..ListFilter::default()
    };
    let everything = store.list(&whole).expect("a list");
    assert!(everything.is_sorted_by_key(|job| job.id) && everything.len() == 54);
    let states = State::ALL.into_iter().map(Some).chain([None]);
    for state in states {
        for queue in [None, Some("a"), Some("b"), Some("nowhere")] {
            let mut want: Vec<&Job> = everything
                .iter()
                .filter(|job| state.is_none_or(|state| job.state == state))
                .filter(|job| queue.is_none_or(|queue| job.queue.as_str() == queue))
                .collect();
            if state.is_some_and(State::is_final) {
                want.sort_by_key(|job| (job.finished_at, job.id));
            }
            let want: Vec<JobId> = want.into_iter().map(|job| job.id).collect();
            assert!(
                !want.is_empty() || queue == Some("nowhere"),
                "{state:?} {queue:?}"
            );
            for oldest_first in [true, false] {
                let mut want = want.clone();
                if !oldest_first {
                    want.reverse();
                }
                for limit in [1, 3, 1000] {
                    let mut page = ListFilter {
                        jobs: JobFilter {
                            states: state.into_iter().collect(),
                            queues: queue
                                .map(|queue| queue.parse().expect("a queue"))
                                .into_iter()
                                .collect(),
                            ..JobFilter::default()
                        },
                        oldest_first,
                        limit,
                        ..ListFilter::default()
                    };
                    let from = store.newest_from(&page).expect("a place");
                    assert_eq!(from.is_some(), want.len() > limit as usize);
                    let mut seen = Vec::new();
                    loop {
                        let jobs = store.list(&page).expect("a page");
                        assert!(jobs.len() <= limit as usize);
                        let Some(last) = jobs.last() else { break };
                        let place = Some(page.position(last));
                        *(if oldest_first {
                            &mut page.above
                        } else {
                            &mut page.below
                        }) = place;
                        seen.extend(jobs.into_iter().map(|job| job.id));
                    }
                    assert_eq!(seen, want, "{state:?} {queue:?} {oldest_first} {limit}");
                    if let Some(from) = from.filter(|_| oldest_first) {
                        page.above = Some(from.before());
                        let newest = store.list(&ListFilter { limit: 1000, ..page }).expect("a page");
                        let newest: Vec<JobId> = newest.into_iter().map(|job| job.id).collect();
                        assert_eq!(newest, want[want.len() - limit as usize..]);
                    }
                }
            }
        }
    }
}

/// A purge takes no more than its limit at a time, one queue after the other, oldest ends first, and says when it is done.
pub fn purging_goes_in_steps(mut temp: TempStore) {
    let store = &mut temp.store;
    let (node, _guard) = node(store);
    let mut completed = Vec::new();
    for number in 0..7_u64 {
        enqueue(store, &[valid(in_queue(if number % 2 == 0 { "a" } else { "b" }))]);
        completed.push(ended(store, node, Complete, later(100 - number)));
    }
    enqueue(store, &[valid(in_queue("a"))]);
    let dead = ended(store, node, Fail { retry_at: None }, NOW);
    let waiting = enqueue(store, &[valid(in_queue("a"))])[0];
    let filter = PurgeFilter {
        state: State::Completed,
        queue: Some("a".parse().expect("a queue")),
        ended_before: Some(later(100)),
        limit: 2,
    };
    assert_eq!(
        store.count_purgeable(&filter).expect("a count"),
        3,
        "the first ended too late"
    );
    let mut left = 3;
    while left > 0 {
        let step = store.purge(&filter).expect("a step");
        assert!(step.jobs >= 1 && step.jobs <= 2 && step.jobs <= left);
        left -= step.jobs;
        assert!(step.more || left == 0);
    }
    let step = store.purge(&filter).expect("a step");
    assert_eq!((step.jobs, step.more), (0, false));
    let left = |store: &mut Store, state: State| -> Vec<JobId> {
        let filter = ListFilter {
            jobs: state.into(),
            oldest_first: true,
            limit: 100,
            ..ListFilter::default()
        };
        store
            .list(&filter)
            .expect("a list")
            .into_iter()
            .map(|job| job.id)
            .collect()
    };
    let of_b = [completed[5], completed[3], completed[1]];
    assert_eq!(
        left(store, State::Completed),
        [&of_b[..], &[completed[0]]].concat()
    );
    let everywhere = PurgeFilter {
        queue: None,
        ended_before: None,
        limit: 1,
        ..filter
    };
    assert_eq!(store.purge(&everywhere).expect("a step").jobs, 1);
    assert_eq!(
        left(store, State::Completed),
        [completed[3], completed[1], completed[0]],
        "those that ended first first, of whatever queue"
    );
    assert_eq!(
        (left(store, State::Dead), left(store, State::Pending)),
        (vec![dead], vec![waiting])
    );
    assert_counted(store, "the purge");
}
