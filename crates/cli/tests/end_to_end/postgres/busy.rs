//! A node with many short jobs, which it records over a second connection, in parallel with its cycles.

use super::by_proxy;
use super::proxy::{Loss, Mode};
use crate::plugin::add_plugin;
use crate::support::{Node, wait_until};

const JOBS: usize = 12_000;

/// Commits and their answers are lost on either connection, and then the server is away for a moment: every job runs
/// and is recorded once.
#[test]
fn a_busy_node_loses_and_doubles_nothing() {
    let name = "postgres::busy::a_busy_node_loses_and_doubles_nothing";
    let Some((queue, proxy)) = by_proxy(name, &[("poll_interval", "50ms")]) else {
        return;
    };
    if !add_plugin(&queue, name) {
        return;
    }
    let bystander = queue.enqueue(["--queue", "other", "true"]);
    let jobs = "{\"executor\":\"fatal\",\"payload\":{\"do\":\"succeed\"}}\n".repeat(JOBS);
    queue.run_with(["enqueue", "--from", "-"], jobs.as_bytes()).ok();
    let location = proxy.location(queue.location().to_str().unwrap());
    let plugins = queue.path("plugins");
    let words = [
        "worker:start",
        "--queue",
        "default",
        "--plugin-dir",
        plugins.to_str().unwrap(),
    ];
    let node = Node::start_command(&queue, &words, |command| {
        command
            .env("QUEUECTL_DB", location)
            .env("QUEUECTL_LOG", "info,queuectl_worker=debug");
    });
    node.wait_log("outcomes are recorded over a connection of their own");
    for loss in [Loss::Answer, Loss::Commit, Loss::Answer, Loss::Commit] {
        proxy.lose(loss);
        wait_until("a commit to be lost", || proxy.has_lost());
        node.wait_log("the store is available again");
    }
    let completed = || queue.json(["status"])["total"]["completed"].as_u64().unwrap_or(0);
    proxy.set(Mode::Closed);
    assert!(
        completed() < JOBS as u64,
        "all of that was to happen in the middle"
    );
    proxy.set(Mode::Open);
    wait_until("all jobs to be completed", || completed() == JOBS as u64);
    node.wait_log("the last cycle was committed although its reply was lost");
    assert!(!node.log().contains("stale"), "{}", node.log());
    let limit = JOBS.to_string();
    let jobs = queue.json(["list", "--state", "completed", "--limit", &limit]);
    let jobs = jobs.as_array().unwrap();
    assert_eq!(jobs.len(), JOBS);
    assert!(jobs.iter().all(|job| job["attempts"] == 1), "none ran twice");
    assert_eq!(queue.json(["db:check"])["ok"], true);
    assert_eq!(queue.state(&bystander), "pending");
}
