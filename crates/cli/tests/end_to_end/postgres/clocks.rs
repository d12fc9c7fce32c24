//! Machines whose clocks are hours apart: leases, due times and retries go by the server's.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use super::LEASE;
use crate::support::{Node, Queue, finish, history, time_ms, wait_until};

/// Has a program believe in another time; none where that is not installed.
fn faketime() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").unwrap().flatten();
    let mut files = folders.map(|folder| folder.path().join("faketime/libfaketime.so.1"));
    files.find(|file| file.exists())
}

/// The wall clock is off by that much, and nothing else.
fn off(command: &mut Command, library: &Path, by: &str) {
    command
        .env("LD_PRELOAD", library)
        .env("FAKETIME", by)
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
}

const AHEAD: &str = "+2h";
const BEHIND: &str = "-2h";
/// How much later than it is due a job may start: a look of the node, and a busy machine.
const LATE_MOST: i64 = 3000;

#[test]
fn clocks_that_are_hours_apart_start_nothing_early_and_rescue_nobody() {
    let name = "postgres::clocks::clocks_that_are_hours_apart_start_nothing_early_and_rescue_nobody";
    let Some(library) = faketime() else {
        queuectl_testkit::skipped(name, "there is no libfaketime; install it");
        return;
    };
    let Some(queue) = Queue::postgres(name) else {
        return;
    };
    for (key, value) in [("lease", "5s"), ("backoff_cap", "1s"), ("poll_interval", "200ms")] {
        queue.ok(["config:set", key, value]);
    }
    // The control: a clock that is off makes a job early where this machine's own clock is what counts.
    let file = Queue::new().with_db("control.db");
    file.ok(["enqueue", "--delay", "1h", "true"]);
    let early = Node::start_command(&file, &["worker:start", "--drain"], |command| {
        off(command, &library, AHEAD)
    });
    wait_until("a job that is early on SQLite", || file.state("1") == "completed");
    drop(early);

    let node = |by: &str, queues: &str| {
        // A slot for every job: none waits for another.
        let words = ["worker:start", "--concurrency", "6", "--queue", queues];
        let node = Node::start_command(&queue, &words, |command| off(command, &library, by));
        node.wait_log("node started");
        node
    };
    let nodes = [node(AHEAD, "a"), node(BEHIND, "b")];
    let entered = Instant::now();
    let right = queue.start(&["--concurrency", "6", "--queue", "c"]);
    // Storing is done by clocks that are off, too.
    let enqueue = |by: &str, words: &[&str]| {
        let mut command = queue.command(["enqueue"]);
        off(&mut command, &library, by);
        command.args(words);
        finish(command, None).ok()
    };
    let mut all = Vec::new();
    for by in [AHEAD, BEHIND] {
        for target in ["a", "b", "c"] {
            // Longer than a lease.
            let long = enqueue(by, &["--queue", target, "sleep 7"]);
            let later = enqueue(
                by,
                &["--queue", target, "--delay", "2s", "--priority", "1", "true"],
            );
            let again = "[ -e $QUEUECTL_JOB_ID ] || { touch $QUEUECTL_JOB_ID; exit 1; }";
            let again = enqueue(by, &["--queue", target, "--priority", "2", again]);
            all.push((long, later, again));
        }
    }
    let mut starts = Vec::new();
    for (long, later, again) in &all {
        let job = queue.wait_state(later, "completed");
        let due = time_ms(&job["created_at"]) + 2000;
        starts.push(time_ms(&job["attempt_history"][0]["started_at"]) - due);
        let job = queue.wait_state(again, "completed");
        assert_eq!(history(&job), ["1 failed", "2 succeeded"], "{job}");
        let due = time_ms(&job["attempt_history"][0]["finished_at"]) + 1000;
        starts.push(time_ms(&job["attempt_history"][1]["started_at"]) - due);
        assert_eq!(history(&queue.wait_state(long, "completed")), ["1 succeeded"]);
    }
    assert!(
        starts.iter().all(|late| (0..LATE_MOST).contains(late)),
        "{starts:?}"
    );
    // Several leases later no node took another for dead.
    wait_until("two leases to pass", || entered.elapsed() > LEASE * 2);
    for node in nodes.iter().chain([&right]) {
        let log = node.log();
        assert!(!log.contains("rescued"), "{log}");
    }
    let listed = queue.json(["worker:list"]);
    let states: Vec<&str> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|node| node["state"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["running"; 3], "{listed}");
    let now = jiff::Timestamp::now().as_millisecond();
    for node in listed.as_array().unwrap() {
        let beat = time_ms(&node["heartbeat_at"]);
        assert!((now - beat).abs() < 60_000, "by the server's clock: {node}");
    }
}
