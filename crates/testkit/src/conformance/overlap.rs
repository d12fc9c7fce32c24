//! Runs of a schedule that meet: what becomes of a tick while a run has not ended.

use std::thread;

use queuectl_core::schedule::{Overlap, ScheduleSpec, TickResult};
use queuectl_core::{BlockedBy, LimitChange};
use queuectl_storage::ScheduleChange;

use super::schedules::{CONTESTED, add, name, results, run, schedule, tick, ticks};
use super::*;

/// A tick whose last run has not ended, by each policy. A run that waits for its retry has not.
pub fn overlapping_ticks_follow_the_policy(mut temp: TempStore) {
    use TickResult as T;
    let store = &mut temp.store;
    let bystander = enqueue(store, &[job("bystander")])[0];
    let (node, _guard) = node(store);
    let policies = [Overlap::Skip, Overlap::Cancel, Overlap::Allow];
    for policy in &policies {
        let mut spec = schedule(policy.as_str(), "@every 10s");
        spec.overlap = *policy;
        spec.job.priority = Some(1);
        add(store, &spec);
    }
    assert_eq!(tick(store, later(10_000)).jobs, 3);
    // All of the three fail once and wait for their retry.
    for _ in policies {
        let retry_at = Some(later(600_000));
        run(store, node, Event::Fail { retry_at }, later(11_000));
    }
    assert_eq!(tick(store, later(20_000)).jobs, 2);
    assert_eq!(results(store, "skip"), [(10, T::OnTime), (20, T::Overlap)]);
    assert_eq!(results(store, "allow"), [(10, T::OnTime), (20, T::OnTime)]);
    let cancelled = ticks(store, "cancel");
    let states: Vec<State> = cancelled
        .iter()
        .map(|tick| get(store, tick.job.expect("a job")).state)
        .collect();
    assert_eq!(
        states,
        [State::Cancelled, State::Pending],
        "it does not come back from its retry"
    );
    // A run that runs is asked to stop.
    let running = turn(store, node, &[], 2, later(21_000)).claimed;
    assert_eq!(running.len(), 2);
    tick(store, later(30_000));
    let stopped = ticks(store, "cancel")[1].job.expect("a job");
    assert!(get(store, stopped).cancel_requested);
    let allowed = ticks(store, "allow")[1].job.expect("a job");
    assert!(!get(store, allowed).cancel_requested);
    // When the run of `skip` has ended, the next tick runs.
    let first = ticks(store, "skip")[0].job.expect("a job");
    store
        .cancel(&JobRef::Number(first), later(31_000))
        .expect("cancelled");
    tick(store, later(40_000));
    assert_eq!(results(store, "skip")[2..], [(30, T::Overlap), (40, T::OnTime)]);
    assert_eq!(get(store, bystander).state, State::Pending);
}

/// A schedule with a run that was claimed and one that waits for it.
fn queued_run(store: &mut Store, node: NodeId) -> (Claimed, JobId) {
    let spec = ScheduleSpec {
        overlap: Overlap::Queue,
        ..schedule("queued", "@every 10s")
    };
    add(store, &spec);
    tick(store, later(10_000));
    let first = claim_one(store, node);
    tick(store, later(20_000));
    (first, ticks(store, "queued")[1].job.expect("a run"))
}

/// The end of a run that was asked for lets the next one go on, as any other.
pub fn a_queued_run_waits_for_one_that_was_asked_for(mut temp: TempStore) {
    let store = &mut temp.store;
    let (node, _guard) = node(store);
    let (first, waiting) = queued_run(store, node);
    let asked = store.run_schedule(&name("queued"), later(21_000)).expect("a run");
    let held = JobSpec {
        hold: Some(true),
        ..JobSpec::line("bystander")
    };
    let bystander = enqueue(store, &[valid(held)])[0];
    let ended = |claimed: &Claimed| {
        record(
            claimed,
            node,
            Event::Complete,
            OutcomeKind::Succeeded,
            later(22_000),
        )
    };
    let next = turn(store, node, &[ended(&first)], 9, later(22_000)).claimed;
    assert_eq!(next.iter().map(|job| job.id).collect::<Vec<_>>(), [asked.0]);
    assert_eq!(get(store, waiting).state, State::Blocked);
    turn(store, node, &[ended(&next[0])], 0, later(23_000));
    assert_eq!(get(store, waiting).state, State::Pending);
    assert_eq!(get(store, bystander).state, State::Blocked);
}

/// A run that waits goes on after those before it also where later runs do not wait any more.
pub fn a_queued_run_goes_on_after_the_policy_has_changed(mut temp: TempStore) {
    let store = &mut temp.store;
    let (node, _guard) = node(store);
    let (first, waiting) = queued_run(store, node);
    let allow = |spec: &mut ScheduleSpec| {
        spec.overlap = Overlap::Allow;
        Ok(())
    };
    store
        .edit_schedule(&name("queued"), later(21_000), allow)
        .expect("changed");
    tick(store, later(30_000));
    let ended = |claimed: &Claimed| {
        record(
            claimed,
            node,
            Event::Complete,
            OutcomeKind::Succeeded,
            later(31_000),
        )
    };
    let beside = turn(store, node, &[ended(&first)], 1, later(31_000)).claimed;
    assert_eq!(
        get(store, waiting).state,
        State::Blocked,
        "the third run has not ended"
    );
    let bystander = enqueue(store, &[job("bystander")])[0];
    turn(store, node, &[ended(&beside[0])], 0, later(32_000));
    assert_eq!(get(store, waiting).state, State::Pending);
    assert_eq!(get(store, bystander).state, State::Pending);
}

/// A run that waits for an earlier one takes no room of a limit from others.
pub fn a_run_that_waits_has_no_place_of_a_limit(mut temp: TempStore) {
    let store = &mut temp.store;
    let limit = "disk".parse().expect("a name");
    let two = LimitChange {
        running: Some(Some(2)),
        ..LimitChange::default()
    };
    store.set_limit(&limit, &two, NOW).expect("a limit");
    let limited = JobSpec {
        limit: vec!["disk".parse().expect("a key")],
        ..JobSpec::line("true")
    };
    let spec = ScheduleSpec {
        overlap: Overlap::Queue,
        job: limited.clone(),
        ..schedule("queued", "@every 10s")
    };
    add(store, &spec);
    tick(store, later(10_000));
    tick(store, later(20_000));
    let waiting = ticks(store, "queued")[1].job.expect("a run");
    assert_eq!(get(store, waiting).waits.first(), Some(BlockedBy::Overlap));
    assert_eq!(store.check().expect("a check").misplaced, 0);
    let bystander = enqueue(store, &[valid(limited)])[0];
    assert_eq!(
        get(store, bystander).state,
        State::Pending,
        "there is room for it"
    );
}

/// Runs that wait for earlier ones go on one after the other, when the last that does not wait has ended.
pub fn queued_runs_wait_for_earlier_ones(mut temp: TempStore) {
    use TickResult as T;
    let store = &mut temp.store;
    let (node, _guard) = node(store);
    for policy in [Overlap::Queue, Overlap::QueueOne, Overlap::Cancel] {
        let mut spec = schedule(policy.as_str(), "@every 10s");
        spec.overlap = policy;
        spec.job.queue = Some(policy.as_str().parse().expect("a queue"));
        add(store, &spec);
    }
    let claim_of = |store: &mut Store, policy: Overlap, now| {
        let queues = Queues::Only(vec![policy.as_str().parse().expect("a queue")]);
        let cycle = Cycle {
            node,
            records: &[],
            claim: 10,
            queues: &queues,
            now,
        };
        store.cycle(&cycle).expect("a cycle").claimed
    };
    let jobs = |store: &mut Store, policy: Overlap| -> Vec<Job> {
        let ticks = ticks(store, policy.as_str());
        let ids = ticks.iter().filter_map(|tick| tick.job);
        ids.map(|id| get(store, id)).collect()
    };
    let end = |store: &mut Store, claimed: &Claimed, now| {
        let kind = OutcomeKind::Succeeded;
        turn(
            store,
            node,
            &[record(claimed, node, Event::Complete, kind, now)],
            0,
            now,
        );
    };
    tick(store, later(10_000));
    let policies = [Overlap::Queue, Overlap::QueueOne, Overlap::Cancel];
    let first = policies.map(|policy| claim_of(store, policy, later(11_000)).pop().expect("a run"));
    for second in [20, 30, 40] {
        tick(store, later(second * 1000));
    }
    assert_eq!(
        results(store, "queue-one"),
        [
            (10, T::OnTime),
            (20, T::OnTime),
            (30, T::Overlap),
            (40, T::Overlap)
        ]
    );
    assert_eq!(jobs(store, Overlap::Queue).len(), 4);
    for policy in policies {
        assert_eq!(claim_of(store, policy, later(41_000)), [], "{policy}: all wait");
        let waiting = jobs(store, policy)
            .into_iter()
            .filter(|job| job.state == State::Blocked);
        let by: Vec<_> = waiting.map(|job| job.waits.first()).collect();
        let count = if policy == Overlap::Queue { 3 } else { 1 };
        assert_eq!(by, vec![Some(BlockedBy::Overlap); count], "{policy}");
    }
    let cancelled = jobs(store, Overlap::Cancel);
    let states: Vec<State> = cancelled.iter().map(|job| job.state).collect();
    assert_eq!(
        states,
        [
            State::Processing,
            State::Cancelled,
            State::Cancelled,
            State::Blocked
        ]
    );
    // A retry is no end: nothing goes on.
    let retry_at = Some(later(60_000));
    let failed = record(
        &first[0],
        node,
        Event::Fail { retry_at },
        OutcomeKind::Failed,
        later(42_000),
    );
    turn(store, node, &[failed], 0, later(42_000));
    assert_eq!(claim_of(store, Overlap::Queue, later(42_000)), []);
    let again = claim_of(store, Overlap::Queue, later(60_000))
        .pop()
        .expect("its retry");
    assert_eq!(again.id, first[0].id);
    // One after the other, in their order; one that waits is cancelled by hand, and the next takes its place.
    let order = jobs(store, Overlap::Queue);
    store
        .cancel(&JobRef::Number(order[1].id), later(60_000))
        .expect("cancelled");
    assert_eq!(claim_of(store, Overlap::Queue, later(60_000)), []);
    end(store, &again, later(61_000));
    let next = claim_of(store, Overlap::Queue, later(61_000));
    assert_eq!(
        next.iter().map(|job| JobId(job.id)).collect::<Vec<_>>(),
        [order[2].id]
    );
    end(store, &next[0], later(62_000));
    let last = claim_of(store, Overlap::Queue, later(62_000));
    assert_eq!(
        last.iter().map(|job| JobId(job.id)).collect::<Vec<_>>(),
        [order[3].id]
    );
    for run in &first[1..] {
        end(store, run, later(63_000));
    }
    for policy in &policies[1..] {
        assert_eq!(claim_of(store, *policy, later(63_000)).len(), 1, "{policy}");
    }
    // What waits for a run of a schedule that is removed would wait for ever.
    tick(store, later(70_000));
    let waiting = jobs(store, Overlap::Queue).pop().expect("a run");
    assert_eq!(waiting.state, State::Blocked);
    store
        .change_schedules(&[ScheduleChange::Remove(name("queue"))], later(70_000))
        .expect("removed");
    assert_eq!(get(store, waiting.id).state, State::Cancelled);
    let counts = store.check().expect("checked");
    assert_eq!((counts.damage.len(), counts.miscounted), (0, 0), "{counts:?}");
}

/// Runs of a schedule end while its ticks make more that wait: none is left behind. The control is an end without its gate.
pub fn no_queued_run_is_left_behind(mut temp: TempStore) {
    let mut spec = schedule("often", "@every 1s");
    spec.overlap = Overlap::Queue;
    add(&mut temp.store, &spec);
    let (node, _guard) = node(&mut temp.store);
    let mut ends = temp.another();
    let left = thread::scope(|scope| {
        let mut ticks = temp.another();
        let made = scope.spawn(move || {
            for second in 1..=CONTESTED {
                tick(&mut ticks, Timestamp(NOW.0 + second * 1000));
            }
        });
        let mut ended = 0;
        let now = later(3_600_000);
        loop {
            let is_done = made.is_finished();
            let claimed = turn(&mut ends, node, &[], 1, now).claimed;
            for run in &claimed {
                let kind = OutcomeKind::Succeeded;
                turn(
                    &mut ends,
                    node,
                    &[record(run, node, Event::Complete, kind, now)],
                    0,
                    now,
                );
                ended += 1;
            }
            if claimed.is_empty() && is_done {
                return CONTESTED - ended;
            }
        }
    });
    assert_eq!(left, 0, "runs that wait for nothing");
}

/// The transaction that ends the last dead run pauses the schedule, whatever its overlap; a run that succeeds begins
/// the count again, and so does resuming. Runs for times of the past do not count.
pub fn the_last_dead_run_pauses_its_schedule(mut temp: TempStore) {
    let store = &mut temp.store;
    let (node, _guard) = node(store);
    for policy in [Overlap::Skip, Overlap::Allow, Overlap::Queue] {
        let mut spec = schedule(policy.as_str(), "@every 10s");
        (spec.overlap, spec.pause_after) = (policy, Some(2));
        spec.job.max_retries = Some(0);
        add(store, &spec);
    }
    let bystander = schedule("bystander", "@every 10s");
    add(store, &bystander);
    let mut at = NOW;
    let mut runs = |store: &mut Store, ends: &[bool]| {
        for succeeds in ends {
            at = at.after(Duration::from_secs(10));
            tick(store, at);
            let claimed = turn(store, node, &[], 10, at).claimed;
            let end = |job: &Claimed| match succeeds {
                true => record(job, node, Event::Complete, OutcomeKind::Succeeded, at),
                false => record(job, node, Event::Fail { retry_at: None }, OutcomeKind::Failed, at),
            };
            let ends: Vec<Record> = claimed.iter().map(end).collect();
            turn(store, node, &ends, 0, at);
        }
        at
    };
    let paused = |store: &mut Store, policy: Overlap| {
        let found = store.schedule(&name(policy.as_str())).expect("it is there");
        (found.paused.and_then(|paused| paused.reason), found.dead_in_a_row)
    };
    runs(store, &[false, true, false]);
    for policy in [Overlap::Skip, Overlap::Allow, Overlap::Queue] {
        assert_eq!(paused(store, policy), (None, 1), "{policy}");
    }
    let now = runs(store, &[false]);
    let reason = Some("2 dead run(s) in a row".to_owned());
    for policy in [Overlap::Skip, Overlap::Allow, Overlap::Queue] {
        assert_eq!(paused(store, policy), (reason.clone(), 2), "{policy}");
        store
            .resume_schedule(&name(policy.as_str()), now)
            .expect("resumed");
        assert_eq!(paused(store, policy), (None, 0), "{policy}");
    }
    let from = Timestamp(NOW.0 - 60_000);
    let past = store
        .backfill_schedule(&name("allow"), from, now, now)
        .expect("filled");
    assert_eq!(past.made, [], "the ticks since it was made have run");
    runs(store, &[false]);
    assert_eq!(paused(store, Overlap::Allow), (None, 1));
    let other = store.schedule(&name("bystander")).expect("it is there");
    assert_eq!((other.paused, other.dead_in_a_row), (None, 3));
}

/// A run that died and is retried by hand has not ended again: the next tick is skipped, or waits for it.
pub fn a_retried_run_counts_again(mut temp: TempStore) {
    use TickResult as T;
    let store = &mut temp.store;
    let (node, _guard) = node(store);
    for policy in [Overlap::Skip, Overlap::QueueOne] {
        let mut spec = schedule(policy.as_str(), "@every 10s");
        spec.overlap = policy;
        spec.job.max_retries = Some(0);
        add(store, &spec);
    }
    let ends = |store: &mut Store, now: Timestamp| {
        let claimed = turn(store, node, &[], 10, now).claimed;
        let died = |job: &Claimed| {
            record(
                job,
                node,
                Event::Fail { retry_at: None },
                OutcomeKind::Failed,
                now,
            )
        };
        let died: Vec<Record> = claimed.iter().map(died).collect();
        turn(store, node, &died, 0, now);
        claimed.len()
    };
    tick(store, later(10_000));
    assert_eq!(ends(store, later(11_000)), 2);
    tick(store, later(20_000));
    assert_eq!(ends(store, later(21_000)), 2);
    // The first runs are known to have ended for long.
    for policy in [Overlap::Skip, Overlap::QueueOne] {
        let first = ticks(store, policy.as_str())[0].job.expect("a job");
        store
            .retry(&JobRef::Number(first), &Only::default(), later(25_000))
            .expect("retried");
    }
    tick(store, later(30_000));
    assert_eq!(results(store, "skip")[2..], [(30, T::Overlap)]);
    let waiting = ticks(store, "queue-one")[2].job.expect("a job");
    assert_eq!(get(store, waiting).waits.first(), Some(BlockedBy::Overlap));
    assert_eq!(ends(store, later(31_000)), 2);
    assert_eq!(
        get(store, waiting).state,
        State::Pending,
        "the retried run has ended"
    );
    tick(store, later(40_000));
    assert_eq!(results(store, "skip")[3..], [(40, T::OnTime)]);
    let counts = store.check().expect("checked");
    assert_eq!((counts.damage.len(), counts.miscounted), (0, 0), "{counts:?}");
}
