//! The story that the product is made for, to the letter and with all settings at their defaults.

use crate::support::{Node, Queue, history, time_ms, wait_for};

/// Takes half a minute, because the back-off does: 2, 4, 8 and 16 seconds.
#[test]
fn the_story_with_the_default_back_off() {
    let queue = Queue::new();
    let _node = queue.start(&["--count", "2"]);
    assert_eq!(queue.enqueue(["echo", "Hello Queue"]), "1");
    assert_eq!(queue.enqueue(["exit 1"]), "2");
    let listed = queue.ok(["list"]);
    assert!(
        listed.contains("echo 'Hello Queue'") && listed.contains("exit 1"),
        "{listed}"
    );
    queue.wait_state("1", "completed");
    assert_eq!(queue.ok(["logs", "1"]), "Hello Queue");

    let mut due = Vec::new();
    for attempt in 1..=4 {
        let job = wait_for(&format!("failure {attempt} of job 2"), || {
            let job = queue.job("2");
            (job["state"] == "failed" && job["attempts"] == attempt).then_some(job)
        });
        let ended = &job["attempt_history"][attempt - 1];
        let wait = time_ms(&job["run_at"]) - time_ms(&ended["finished_at"]);
        assert_eq!(wait, 1000 << attempt, "wait after attempt {attempt}");
        due.push(time_ms(&job["run_at"]));
    }
    let dead = queue.wait_state("2", "dead");
    assert_eq!(
        history(&dead),
        ["1 failed", "2 failed", "3 failed", "4 failed", "5 failed"]
    );
    for (retry, due) in due.into_iter().enumerate() {
        let late = time_ms(&dead["attempt_history"][retry + 1]["started_at"]) - due;
        assert!(
            (0..2000).contains(&late),
            "retry {} started {late} ms after it was due",
            retry + 1
        );
    }

    let completed = queue.ok(["list", "--state", "completed"]);
    assert!(
        completed.contains("Hello Queue") && !completed.contains("exit 1"),
        "{completed}"
    );
    let listed = queue.ok(["list", "--state", "dead"]);
    assert!(
        listed.contains("exit 1") && !listed.contains("Hello Queue"),
        "{listed}"
    );
    assert_eq!(queue.ok(["config:set", "max_retries", "5"]), "max_retries = 5");
    assert_eq!(queue.ok(["config:get", "max_retries"]), "5");
    let letters = queue.ok(["dlq:list"]);
    assert!(
        letters.contains("exit status 1") && !letters.contains("Hello"),
        "{letters}"
    );
    assert_eq!(queue.ok(["dlq:retry", "2"]), "2 pending");
    let again = wait_for("the first attempt after the retry", || {
        let job = queue.job("2");
        (job["state"] == "failed").then_some(job)
    });
    assert_eq!(
        (again["attempts"].as_u64(), again["max_retries"].as_u64()),
        (Some(1), Some(5))
    );
    assert_eq!(history(&again).len(), 6, "the history of before stays: {again}");
    assert_eq!(queue.job("1")["state"], "completed");
}

#[test]
fn the_same_commands_in_two_words() {
    let queue = Queue::quick();
    let id = queue.enqueue(["--max-retries", "0", "exit 1"]);
    queue.enqueue(["exit 0"]);
    let mut node = Node::start_command(&queue, &["worker", "start", "--count", "2", "--drain"], |_| {});
    assert_eq!(node.wait_exit(), 1, "one job is dead");
    assert_eq!(queue.ok(["dlq", "list"]), queue.ok(["dlq:list"]));
    assert!(queue.ok(["dlq", "show", &id]).contains("exit status 1"));
    assert_eq!(queue.ok(["config", "set", "max_retries", "5"]), "max_retries = 5");
    assert_eq!(queue.ok(["config", "get", "max_retries"]), "5");
    assert_eq!(
        queue.ok(["config", "unset", "max_retries"]),
        "max_retries = 4 (default)"
    );
    assert_eq!(queue.ok(["config", "list"]), queue.ok(["config:list"]));
    assert_eq!(queue.ok(["dlq", "retry", &id]), "1 pending");
    assert_eq!(queue.state(&id), "pending");
    assert_eq!(queue.ok(["worker", "list"]), queue.ok(["worker:list"]));
    assert!(queue.run(["worker", "stop"]).err.contains("no node is running"));
    assert!(queue.ok(["db", "check"]).starts_with("ok"));
}
