//! A queue is copied from one database to the other.

use queuectl_core::{Timestamp, ValidJob};
use queuectl_storage::{Queues, StoreError};
use queuectl_testkit::{TempStore, job, new_node};

use super::open;

/// From one database to the other and back, with everything in it.
#[test]
fn a_store_can_be_copied_to_the_other_database_and_back() {
    let Some((mut temp, _, _)) = open("a_store_can_be_copied_to_the_other_database_and_back") else {
        return;
    };
    let (mut origin, mut back) = (TempStore::sqlite(), TempStore::sqlite());
    let jobs: Vec<ValidJob> = (0..450).map(|n| job(&format!("echo {n} 'ü\u{1}'"))).collect();
    let ids = origin.store.enqueue(&jobs, Timestamp(1)).unwrap();
    origin
        .store
        .set_setting(queuectl_core::settings::Key::find("lease").unwrap(), "5s")
        .unwrap()
        .unwrap();
    let node = new_node("mark");
    let (node, guard, _) = origin.store.enter_node(&node, Timestamp(1)).unwrap();
    let now = Timestamp(2);
    let cycle = |records, claim| queuectl_storage::Cycle {
        node,
        records,
        claim,
        queues: &Queues::All,
        now,
    };
    let claimed = origin.store.cycle(&cycle(&[], 3)).unwrap().claimed;
    let mut record = queuectl_testkit::record(
        &claimed[0],
        node,
        queuectl_core::Event::Fail { retry_at: None },
        queuectl_core::OutcomeKind::Failed,
        now,
    );
    // What PostgreSQL cannot store in a text.
    record.attempt.as_mut().unwrap().outcome.message = "a\0b".into();
    origin.store.cycle(&cycle(&[record], 0)).unwrap();
    drop(guard);
    let copied = origin.store.copy_to(&mut temp.store).unwrap();
    assert_eq!(
        (
            copied.jobs,
            copied.attempts,
            copied.outputs,
            copied.settings,
            copied.nodes
        ),
        (450, 1, 1, 1, 1)
    );
    assert!(matches!(
        origin.store.copy_to(&mut temp.store),
        Err(StoreError::NotEmpty)
    ));
    let again = temp.store.copy_to(&mut back.store).unwrap();
    assert_eq!(again, copied);
    for store in [&mut temp.store, &mut back.store] {
        let report = store.check().unwrap();
        assert_eq!((report.dangling, report.miscounted), (0, 0));
        assert_eq!(store.attempts(ids[0]).unwrap()[0].outcome.message, "a\u{fffd}b");
        assert_eq!(store.attempts(ids[0]).unwrap()[0].output.head, b"out\xff");
        assert_eq!(
            store.job(&"450".parse().unwrap()).unwrap().payload,
            jobs[449].payload
        );
        // The dead node's jobs can be rescued, and its processes cannot be found by its mark.
        assert_ne!(store.nodes().unwrap()[0].cookie, "mark");
        assert!(store.take_over(node).unwrap().is_some());
        assert_eq!(
            store.enqueue(&[job("next")], now).unwrap()[0].0,
            451,
            "numbers go on"
        );
    }
}
