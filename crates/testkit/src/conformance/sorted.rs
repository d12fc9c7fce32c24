//! Lists in an order that no index has.

use std::cmp::Ordering;

use queuectl_storage::{Sort, SortKey};

use super::*;

/// What a job is sorted by, as a number or a text; none comes last.
type Value = Option<(i64, String)>;

fn value(store: &mut Store, job: &Job, key: SortKey, now: Timestamp) -> Value {
    let number = |number: i64| Some((number, String::new()));
    let time = |time: Option<Timestamp>| time.map(|time| (time.0, String::new()));
    match key {
        SortKey::Number => number(job.id.0),
        SortKey::State => {
            let place = State::ALL.iter().position(|state| *state == job.state);
            number(i64::try_from(place.expect("a state")).expect("small"))
        }
        SortKey::Queue => Some((0, job.queue.to_string())),
        SortKey::Executor => Some((0, job.executor.to_string())),
        SortKey::Priority => number(job.priority.into()),
        SortKey::Attempts => number(job.attempts.into()),
        SortKey::When => time(Some(job.due_at.unwrap_or(job.updated_at))),
        SortKey::Created => time(Some(job.created_at)),
        SortKey::Started => time(job.started_at),
        SortKey::Ended => time(job.finished_at),
        SortKey::Duration if job.node.is_some() => number(now.0 - job.started_at.expect("started").0),
        SortKey::Duration => {
            let last = store.last_attempt(job.id).expect("an attempt");
            last.and_then(|last| number(last.finished_at.0 - last.started_at.0))
        }
        SortKey::Waited => number(job.started_at.or(job.finished_at).unwrap_or(now).0 - job.created_at.0),
    }
}

/// Every key sorts in both directions as it would be sorted in memory, of the jobs that fit and no others, with the first
/// alone if fewer are asked for.
pub fn jobs_are_sorted_by_any_key(mut temp: TempStore) {
    let store = &mut temp.store;
    let (node, _guard) = node(store);
    for number in 0..12_u64 {
        let new = JobSpec {
            priority: Some(i32::try_from(number * 7 % 5).expect("small")),
            // Bytes and not words: capitals and hyphens come where no dictionary has them.
            queue: Some(
                ["b", "B", "a-c", "ab"][usize::try_from(number % 4).expect("small")]
                    .parse()
                    .expect("a queue"),
            ),
            start: (number % 3 == 0).then(|| Start::At(later(100_000 - number * 1000))),
            hold: Some(number == 10),
            ..JobSpec::line("x")
        };
        enqueue(store, &[valid(new)]);
    }
    let claimed = claim(store, node, 6);
    assert!(claimed.len() == 6, "{}", claimed.len());
    for (at, claimed) in claimed.iter().enumerate().take(4) {
        let ended_at = later(500 - 100 * u64::try_from(at).expect("small"));
        let event = match at {
            0 => Event::Complete,
            1 => Event::Fail { retry_at: None },
            2 => Event::Cancel,
            _ => Event::Fail {
                retry_at: Some(later(99_999)),
            },
        };
        let kind = match event {
            Event::Complete => OutcomeKind::Succeeded,
            Event::Cancel => OutcomeKind::Cancelled,
            _ => OutcomeKind::Failed,
        };
        let ended = record(claimed, node, event, kind, ended_at);
        assert_eq!(turn(store, node, &[ended], 0, ended_at).stale, []);
    }
    let now = later(1000);
    let all = store
        .list(&ListFilter {
            oldest_first: true,
            limit: 100,
            ..ListFilter::default()
        })
        .expect("a list");
    assert_eq!(all.len(), 12);
    let filters = [
        "",
        "state=scheduled",
        "state=failed,scheduled",
        "state=pending",
        "state=blocked",
        "state=processing",
        "state=completed,dead,cancelled",
        "state=dead,pending queue=b,ab",
        "2-7 9",
        "queue=B",
    ];
    for text in filters {
        let filter = match text {
            "" => JobFilter::default(),
            text => store
                .job_filter(&text.parse().expect("a selector"), now)
                .expect("a filter"),
        };
        let fitting: Vec<JobId> = {
            let page = store.select(&filter, None, 100).expect("a page");
            page.jobs
        };
        assert!(!fitting.is_empty(), "{text}");
        for key in SortKey::ALL {
            for descending in [false, true] {
                let mut want: Vec<(Value, JobId)> = Vec::new();
                for job in all.iter().filter(|job| fitting.contains(&job.id)) {
                    want.push((value(store, job, key, now), job.id));
                }
                want.sort_by(|(one, id), (other, other_id)| {
                    let order = match (one, other) {
                        (None, Some(_)) => return Ordering::Greater,
                        (Some(_), None) => return Ordering::Less,
                        (one, other) => one.cmp(other).then(id.cmp(other_id)),
                    };
                    if descending { order.reverse() } else { order }
                });
                let want: Vec<JobId> = want.into_iter().map(|(_, id)| id).collect();
                let sort = Sort { key, descending };
                for limit in [1, 3, 100] {
                    let found = store.sorted(&filter, &[sort], limit, now).expect("sorted");
                    let first = want.len().min(limit as usize);
                    assert_eq!(found, want[..first], "{text}: {sort:?}, {limit}");
                }
            }
        }
    }
    let two: Vec<Sort> = ["-queue", "priority"]
        .map(|key| key.parse().expect("a key"))
        .into();
    let found = store
        .sorted(&JobFilter::default(), &two, 100, now)
        .expect("sorted");
    let (read, looked_at) = store.jobs(&found).expect("jobs");
    assert_eq!(looked_at, 12);
    assert!(
        read.iter().map(|job| job.id).eq(found),
        "in the order of the numbers"
    );
    assert!(read.is_sorted_by(|one, other| {
        let by_queue = other.queue.as_str().cmp(one.queue.as_str());
        by_queue.then(one.priority.cmp(&other.priority)) != Ordering::Greater
    }));
    let (left, looked_at) = store.jobs(&[JobId(1), JobId(999), JobId(2)]).expect("jobs");
    assert_eq!((left.len(), looked_at), (2, 3), "a job that is gone is left out");
    let mut asked: Vec<JobId> = all.iter().map(|job| job.id).collect();
    asked.push(JobId(999));
    let states = store.states(&asked).expect("states");
    assert_eq!(states.len(), 12, "a job that is gone has none");
    assert!(all.iter().all(|job| states.get(&job.id) == Some(&job.state)));
}
