//! Dead jobs in pages, and changes to those of a page.

use std::collections::BTreeSet;

use queuectl_core::{Output, QueueName};
use queuectl_storage::{DeadFilter, DeadJob, OUTPUT_END};

use super::*;

/// Has a job of that queue die at that time, with that output.
fn die(store: &mut Store, node: NodeId, spec: JobSpec, output: &[u8], at: Timestamp) -> JobId {
    let id = enqueue(store, &[valid(spec)])[0];
    die_again(store, node, id, output, at);
    id
}

/// Has the job die that is the next one to be claimed.
fn die_again(store: &mut Store, node: NodeId, id: JobId, output: &[u8], at: Timestamp) {
    let claimed = turn(store, node, &[], 1, at)
        .claimed
        .pop()
        .expect("a job to claim");
    assert_eq!(claimed.id, id.0);
    let mut died = record(
        &claimed,
        node,
        Event::Fail { retry_at: None },
        OutcomeKind::Failed,
        at,
    );
    if let Some(attempt) = &mut died.attempt {
        attempt.outcome.exit_code = Some(3);
        attempt.output = Output {
            head: output.to_vec(),
            tail: Vec::new(),
            total_bytes: output.len() as u64,
            ..Output::default()
        };
    }
    turn(store, node, &[died], 0, at);
    assert_eq!(get(store, id).state, State::Dead);
}

fn in_queue(queue: &str) -> JobSpec {
    JobSpec {
        queue: Some(queue.parse().expect("a queue")),
        ..JobSpec::line("exit 3")
    }
}

/// The numbers of the jobs of all pages of that length.
fn paged(store: &mut Store, filter: &DeadFilter, limit: u32) -> Vec<JobId> {
    let (mut ids, mut from) = (Vec::new(), None);
    loop {
        let page = store.dead_page(filter, from, limit).expect("a page");
        assert!(page.jobs.len() <= limit as usize);
        ids.extend(page.jobs.iter().map(|job| job.id));
        from = page.next;
        if from.is_none() {
            return ids;
        }
    }
}

fn page(store: &mut Store) -> Vec<DeadJob> {
    store
        .dead_page(&DeadFilter::default(), None, 100)
        .expect("a page")
        .jobs
}

/// In the order in which they died, either way, of one queue or all, each once, and no other jobs.
pub fn dead_jobs_are_read_in_pages(mut temp: TempStore) {
    let store = &mut temp.store;
    let (node, _guard) = node(store);
    let queues = ["default", "mail", "video", "mail", "default", "mail", "default"];
    let ids: Vec<JobId> = (1..)
        .zip(queues)
        .map(|(n, queue)| die(store, node, in_queue(queue), b"", later(n / 2)))
        .collect();
    enqueue(store, &[job("a bystander")]);
    let oldest_first = DeadFilter {
        oldest_first: true,
        ..DeadFilter::default()
    };
    let newest_first: Vec<JobId> = ids.iter().rev().copied().collect();
    for limit in [1, 2, 3, 7, 100] {
        assert_eq!(paged(store, &oldest_first, limit), ids, "{limit}");
        assert_eq!(
            paged(store, &DeadFilter::default(), limit),
            newest_first,
            "{limit}"
        );
    }
    let mail: QueueName = "mail".parse().expect("a queue");
    for (oldest_first, wanted) in [
        (true, [ids[1], ids[3], ids[5]]),
        (false, [ids[5], ids[3], ids[1]]),
    ] {
        let filter = DeadFilter {
            queue: Some(mail.clone()),
            oldest_first,
            ..DeadFilter::default()
        };
        assert_eq!(paged(store, &filter, 2), wanted);
    }
    for oldest_first in [true, false] {
        let filter = DeadFilter {
            died_before: Some(later(2)),
            oldest_first,
            ..DeadFilter::default()
        };
        let before: BTreeSet<JobId> = paged(store, &filter, 2).into_iter().collect();
        assert_eq!(before, ids[..3].iter().copied().collect(), "strictly before");
    }
}

/// What they ran and how they ended, however large their payloads and outputs are.
pub fn a_dead_job_says_why_it_died(mut temp: TempStore) {
    let store = &mut temp.store;
    let (node, _guard) = node(store);
    let long = "x".repeat(100_000);
    let output = format!("{long}the end\u{e4}\n").into_bytes();
    let spec = JobSpec {
        id: Some("named".parse().expect("an id")),
        ..JobSpec::line(format!("./run {long}"))
    };
    let id = die(store, node, spec.clone(), &output, later(1));
    let bystander = enqueue(store, &[job("true")])[0];
    let found = page(store).pop().expect("a dead job");
    assert_eq!(
        (found.id, found.public_id().as_str(), found.fence),
        (id, "named", 1)
    );
    assert_eq!(
        (found.queue.as_str(), found.executor.as_str()),
        ("default", "shell")
    );
    assert_eq!(
        (found.died_at, found.command.clone()),
        (later(1), spec.payload.command)
    );
    let outcome = found.outcome.clone().expect("an outcome");
    assert_eq!((outcome.kind, outcome.exit_code), (OutcomeKind::Failed, Some(3)));
    assert_eq!(outcome.message, "it broke");
    assert_eq!(found.output_end, output[output.len() - OUTPUT_END..]);
    let by_name = JobRef::Name("named".parse().expect("an id"));
    assert_eq!(store.dead_job(&by_name).expect("an answer"), Some(found));
    let other = store.dead_job(&JobRef::Number(bystander)).expect("an answer");
    assert_eq!(other, None, "it is not dead");
    for missing in [
        JobRef::Number(JobId(99)),
        JobRef::Name("missing".parse().expect("an id")),
    ] {
        assert_eq!(store.dead_job(&missing).expect("an answer"), None);
    }
}

/// A job that was retried after the page was read is left alone, even if it is dead again; so is one that is not on the page.
pub fn dead_jobs_are_changed_as_they_were_read(mut temp: TempStore) {
    let store = &mut temp.store;
    let (node, _guard) = node(store);
    let unique = |key: &str| JobSpec {
        unique: Some(key.parse().expect("a key")),
        ..JobSpec::line("exit 3")
    };
    let again = die(store, node, in_queue("default"), b"", later(1));
    let plain = die(store, node, in_queue("mail"), b"", later(2));
    let keyed = die(store, node, unique("k"), b"", later(3));
    let read = page(store);
    assert_eq!(read.len(), 3);
    store
        .retry(&JobRef::Number(again), &Only::default(), later(4))
        .expect("retried");
    die_again(store, node, again, b"", later(5));
    let bystander = die(store, node, in_queue("mail"), b"", later(6));
    let holder = enqueue(store, &[valid(unique("k"))])[0];

    let retried = store.retry_dead_jobs(&read, later(7)).expect("retried");
    assert_eq!((retried.jobs, retried.held_back), (1, 1));
    let states = |store: &mut Store| {
        [again, plain, keyed, bystander, holder]
            .map(|id| store.job(&JobRef::Number(id)).map_or(None, |job| Some(job.state)))
    };
    let dead = Some(State::Dead);
    let pending = Some(State::Pending);
    assert_eq!(states(store), [dead, pending, dead, dead, pending]);
    assert_eq!((get(store, plain).attempts, get(store, again).fence), (0, 2));
    let repeated = store.retry_dead_jobs(&read, later(8)).expect("retried");
    assert_eq!(
        (repeated.jobs, repeated.held_back),
        (0, 1),
        "each is retried once"
    );

    assert_eq!(store.purge_dead_jobs(&read).expect("purged").jobs, 1);
    assert_eq!(states(store), [dead, pending, None, dead, pending]);
    let read = page(store);
    assert_eq!(store.purge_dead_jobs(&read[..1]).expect("purged").jobs, 1);
    assert_eq!(states(store), [dead, pending, None, None, pending]);
    let check = store.check().expect("a check");
    assert_eq!((check.dangling, check.miscounted), (0, 0));
}
