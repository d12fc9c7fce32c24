//! Limits.

use std::time::Duration;

use queuectl_core::{JobSpec, LimitChange, Timestamp, ValidJob};
use queuectl_storage::{Cycle, Queues, Store};
use queuectl_testkit::{new_node, valid};

use super::{NOW, on_both};

fn limited(limit: &str) -> ValidJob {
    valid(JobSpec {
        limit: vec![limit.parse().unwrap()],
        ..JobSpec::line("true")
    })
}

fn cycle(store: &mut Store, node: queuectl_core::NodeId, now: Timestamp) -> usize {
    let queues = &Queues::All;
    let cycle = Cycle {
        node,
        records: &[],
        claim: 10,
        queues,
        now,
    };
    store.cycle(&cycle).unwrap().claimed.len()
}

/// `db:check` finds every way in which jobs and what is kept of their limits can differ.
#[test]
fn misplaced_jobs_are_found() {
    on_both("limits::misplaced_jobs_are_found", |store, beside| {
        let change = LimitChange {
            running: Some(Some(1)),
            per_key: true,
            ..LimitChange::default()
        };
        store.set_limit(&"disk".parse().unwrap(), &change, NOW).unwrap();
        let (node, _guard, _) = store.enter_node(&new_node("a"), NOW).unwrap();
        let running = store.enqueue(&[limited("disk:1")], NOW).unwrap()[0];
        assert_eq!(cycle(store, node, NOW), 1);
        let others = [
            limited("disk:1"),
            limited("disk:2"),
            valid(JobSpec::line("bystander")),
        ];
        let ids = store.enqueue(&others, NOW).unwrap();
        let (parked, ready, bystander) = (ids[0], ids[1], ids[2]);
        let mut misplaced = || store.check().unwrap().misplaced;
        assert_eq!(misplaced(), 0);
        for (damage, repair) in [
            (
                format!("UPDATE job_limits SET phase = 3 WHERE job_id = {parked}"),
                format!("UPDATE job_limits SET phase = 1 WHERE job_id = {parked}"),
            ),
            (
                format!("UPDATE job_limits SET phase = 2 WHERE job_id = {ready}"),
                format!("UPDATE job_limits SET phase = 3 WHERE job_id = {ready}"),
            ),
            (
                format!("DELETE FROM job_limits WHERE job_id = {parked}"),
                format!("INSERT INTO job_limits VALUES ({parked}, 'disk:1', 0, 1)"),
            ),
            (
                format!("INSERT INTO job_limits VALUES ({parked}, 'disk:2', 0, 1)"),
                format!("DELETE FROM job_limits WHERE job_id = {parked} AND key = 'disk:2'"),
            ),
            (
                format!("DELETE FROM job_limits WHERE job_id = {running}"),
                format!("INSERT INTO job_limits VALUES ({running}, 'disk:1', 0, 2)"),
            ),
            (
                format!("INSERT INTO job_limits VALUES ({bystander}, 'disk:1', 0, 3)"),
                format!("DELETE FROM job_limits WHERE job_id = {bystander}"),
            ),
            (
                format!("UPDATE jobs SET state = 1, waits = 0 WHERE id = {parked}"),
                format!("UPDATE jobs SET state = 0, waits = 4 WHERE id = {parked}"),
            ),
        ] {
            beside.execute(&damage);
            assert!(misplaced() > 0, "{damage}");
            beside.execute(&repair);
            assert_eq!(misplaced(), 0, "{repair}");
        }
    });
}

/// What is kept of a key goes once its starts have been paid for, and not before.
#[test]
fn keys_are_forgotten_once_their_starts_are_paid_for() {
    on_both(
        "keys_are_forgotten_once_their_starts_are_paid_for",
        |store, beside| {
            let change = LimitChange {
                rate: Some(Some("1/s".parse().unwrap())),
                per_key: true,
                ..LimitChange::default()
            };
            store.set_limit(&"api".parse().unwrap(), &change, NOW).unwrap();
            let (node, _guard, _) = store.enter_node(&new_node("a"), NOW).unwrap();
            let jobs: Vec<ValidJob> = (0..600).map(|key| limited(&format!("api:{key}"))).collect();
            store.enqueue(&jobs, NOW).unwrap();
            while cycle(store, node, NOW) > 0 {}
            assert_eq!(beside.count("limit_keys"), 600);
            let after = |ms| NOW.after(Duration::from_millis(ms));
            cycle(store, node, after(990));
            assert_eq!(beside.count("limit_keys"), 600, "they are still to be paid for");
            // A look covers 500 keys; the first one covered the first of them.
            for (seconds, left) in [(5, 500), (10, 0)] {
                cycle(store, node, after(1000 * seconds));
                assert_eq!(beside.count("limit_keys"), left);
            }
        },
    );
}
