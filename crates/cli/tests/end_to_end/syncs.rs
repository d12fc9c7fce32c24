//! How often commands wait for the disk.

use std::process::Command;

use crate::support::unix::within;
use crate::support::{Queue, finish};

/// The syncs of one `enqueue`, by what they were of; none where they cannot be counted.
fn syncs_of_enqueue(queue: &Queue) -> Option<Vec<String>> {
    let trace = queue.path("trace");
    let mut strace = Command::new("strace");
    strace
        .args(["-f", "-y", "-e", "trace=fsync,fdatasync", "-o"])
        .arg(&trace);
    let inner = queue.command(["enqueue", "true"]);
    let able = Command::new("strace").args(["-o", "/dev/null", "true"]).output();
    if !able.is_ok_and(|output| output.status.success()) {
        return None;
    }
    assert_eq!(finish(within(strace, &inner), None).status, 0);
    let lines = queue.lines("trace").into_iter();
    Some(lines.filter(|line| line.contains("sync(")).collect())
}

#[test]
fn storing_a_job_waits_for_the_disk_once() {
    let queue = Queue::new();
    // The first ones have the log begin.
    for _ in 0..2 {
        queue.enqueue(["true"]);
    }
    let Some(alone) = syncs_of_enqueue(&queue) else {
        queuectl_testkit::skipped("storing_a_job_waits_for_the_disk_once", "strace does not work");
        return;
    };
    assert_eq!(alone.len(), 1, "{alone:#?}");
    assert!(alone[0].contains("queue.db-wal"), "{alone:?}");
    let node = queue.start(&["--queue", "other"]);
    let beside = syncs_of_enqueue(&queue).expect("strace works");
    assert_eq!(beside.len(), 1, "{beside:#?}");
    assert!(beside[0].contains("queue.db-wal"), "{beside:?}");
    drop(node);
    assert_eq!(queue.jobs().len(), 4);
    assert_eq!(queue.json(["db:check"])["ok"], true);
}

/// A node that ends in order leaves everything in the file: it can be moved or copied alone then.
#[test]
fn a_node_that_ended_leaves_nothing_in_the_log() {
    let queue = Queue::new();
    let id = queue.enqueue(["true"]);
    let log = queue.path("queue.db-wal");
    assert_ne!(
        log.metadata().unwrap().len(),
        0,
        "it is kept as long as it is short"
    );
    assert_eq!(queue.drain(&[]), 0);
    assert_eq!(log.metadata().unwrap().len(), 0);
    let alone = queue.path("alone.db");
    std::fs::copy(queue.db(), alone).unwrap();
    assert_eq!(queue.with_db("alone.db").state(&id), "completed");
}
