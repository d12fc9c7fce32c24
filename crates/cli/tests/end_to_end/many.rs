//! Many jobs, several nodes, and somebody who enqueues meanwhile: every job exactly once.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::support::{Node, Queue, wait_until};

const BEFORE: usize = 2000;
const MEANWHILE: usize = 3000;

#[test]
fn every_job_runs_exactly_once() {
    let queue = Queue::quick();
    let line = r#""echo $QUEUECTL_JOB_ID $QUEUECTL_ATTEMPT >> ran""#;
    let lines = |count: usize| {
        let mut text = String::new();
        (0..count).for_each(|_| writeln!(text, "{line}").unwrap());
        text
    };
    queue
        .run_with(["enqueue", "--from", "-"], lines(BEFORE).as_bytes())
        .ok();
    let nodes = [(); 2].map(|()| Node::start(&queue, &["-q", "--count", "4"]));
    for _ in 0..10 {
        queue
            .run_with(["enqueue", "--from", "-"], lines(MEANWHILE / 10).as_bytes())
            .ok();
    }
    let all = BEFORE + MEANWHILE;
    wait_until("all jobs to complete", || {
        queue.json(["status"])["total"]["completed"] == all
    });
    let ran = queue.lines("ran");
    let wanted: BTreeSet<String> = (1..=all).map(|id| format!("{id} 1")).collect();
    assert_eq!(ran.len(), all, "each line is one attempt");
    assert_eq!(ran.into_iter().collect::<BTreeSet<_>>(), wanted);
    for node in &nodes {
        assert!(!node.log().contains("stale"), "{}", node.log());
    }
    let shares: BTreeSet<String> = queue
        .jobs()
        .iter()
        .step_by(100)
        .map(|job| queue.job(job["id"].as_str().unwrap())["attempt_history"][0]["node"].to_string())
        .collect();
    assert_eq!(shares.len(), 2, "both nodes had their share");
    assert_eq!(queue.json(["db:check"])["ok"], true);
}
