//! Ended jobs in pages, with how long they waited and ran.

use queuectl_core::{Command, QueueName};
use queuectl_storage::{EndedJob, EndedWith, Position};

use super::*;

/// All ended jobs that fit, read in pages of that length.
fn paged(store: &mut Store, filter: &JobFilter, limit: u32) -> Vec<EndedJob> {
    let (mut jobs, mut from): (_, Option<Position>) = (Vec::new(), None);
    loop {
        let page = store
            .ended_page(filter, EndedWith::Commands, from, None, limit)
            .expect("a page");
        assert!(page.jobs.len() <= limit as usize);
        jobs.extend(page.jobs);
        from = page.next;
        if from.is_none() {
            return jobs;
        }
    }
}

/// Runs the next job from one time to another.
fn run(store: &mut Store, node: NodeId, event: Event, from: u64, to: u64) {
    let claimed = turn(store, node, &[], 1, later(from)).claimed.remove(0);
    let outcome = match event {
        Event::Complete => OutcomeKind::Succeeded,
        _ => OutcomeKind::Failed,
    };
    let mut ended = record(&claimed, node, event, outcome, later(to));
    if let Some(attempt) = &mut ended.attempt {
        attempt.started_at = later(from);
        attempt.finished_at = later(to);
    }
    turn(store, node, &[ended], 0, later(to));
}

/// That which ended last first, each once, none that has not ended; with the times of the first and the last attempt.
pub fn ended_jobs_are_read_in_pages(mut temp: TempStore) {
    let store = &mut temp.store;
    let (node, _guard) = node(store);
    let mail: QueueName = "mail".parse().expect("a queue");
    let first = enqueue(store, &[job("first x")])[0];
    run(store, node, Event::Complete, 10, 20);
    let in_mail = JobSpec {
        queue: Some(mail.clone()),
        ..JobSpec::line("second")
    };
    let second = enqueue(store, &[valid(in_mail)])[0];
    let retry_at = Some(later(40));
    run(store, node, Event::Fail { retry_at }, 25, 30);
    run(store, node, Event::Fail { retry_at: None }, 45, 60);
    let third = enqueue(store, &[job("third")])[0];
    store
        .cancel(&JobRef::Number(third), later(70))
        .expect("cancelled");
    let bystander = enqueue(store, &[job("bystander")])[0];
    let all = JobFilter::default();
    for limit in [1, 2, 3, 100] {
        let ids: Vec<JobId> = paged(store, &all, limit).iter().map(|job| job.id).collect();
        assert_eq!(ids, [third, second, first], "{limit}");
    }
    let found = paged(store, &all, 100);
    let times = |job: &EndedJob| (job.first_started_at, job.last_attempt, job.ended_at);
    assert_eq!(times(&found[0]), (None, None, later(70)));
    assert_eq!(
        times(&found[1]),
        (Some(later(25)), Some((later(45), later(60))), later(60))
    );
    assert_eq!(
        (found[1].state, found[1].attempts, &found[1].queue),
        (State::Dead, 2, &mail)
    );
    assert_eq!(found[2].command, Some(Command::Line("first x".to_owned())));
    assert_eq!(found[2].created_at, NOW);
    let failures: Vec<u32> = found.iter().map(|job| job.failures.iter().sum()).collect();
    assert_eq!(
        (failures, found[1].failures[0]),
        (vec![0, 2, 0], 2),
        "failed, both"
    );
    let plain = store
        .ended_page(&all, EndedWith::Nothing, None, None, 100)
        .expect("a page");
    assert!(plain.jobs.iter().all(|job| job.command.is_none()));
    let in_queue = JobFilter::from(mail);
    assert_eq!(paged(store, &in_queue, 1).len(), 1);
    let span = JobFilter {
        since: Some(later(60)),
        until: Some(later(69)),
        ..JobFilter::default()
    };
    let ids: Vec<JobId> = paged(store, &span, 1).iter().map(|job| job.id).collect();
    assert_eq!(ids, [second]);
    let completed = JobFilter {
        states: vec![State::Pending, State::Completed],
        ..JobFilter::default()
    };
    assert_eq!(paged(store, &completed, 10).len(), 1, "only final states count");
    assert_eq!(get(store, bystander).state, State::Pending);
}
