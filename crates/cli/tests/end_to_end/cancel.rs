//! Cancelling jobs and retrying them.

#[cfg(unix)]
use nix::sys::signal::Signal;

use crate::support::jobs::succeeds_with;
#[cfg(unix)]
use crate::support::unix::{lives, send, wait_gone};
use crate::support::{Queue, history};

#[test]
fn a_waiting_job_is_cancelled_at_once() {
    let queue = Queue::quick();
    let pending = queue.enqueue(["echo x> ran"]);
    let scheduled = queue.enqueue(["--delay", "1h", "echo x> ran"]);
    let bystander = queue.enqueue(["exit 0"]);
    assert_eq!(
        queue.ok(["cancel", &pending, &scheduled]),
        "1 cancelled\n2 cancelled"
    );
    let said = queue.fails(4, ["cancel", &pending]);
    assert!(said.contains("job '1' is cancelled; only jobs"), "{said}");
    let done = queue.run(["cancel", "999", &bystander]);
    assert_eq!((done.status, done.text().as_str()), (3, "3 cancelled\n"));
    queue.ok(["retry", &bystander]);
    assert_eq!(queue.drain(&[]), 0);
    assert_eq!(queue.state(&bystander), "completed");
    assert_eq!(queue.state(&scheduled), "cancelled");
    assert!(!queue.path("ran").exists());
}

#[test]
fn a_job_that_waits_for_its_retry_is_cancelled() {
    let queue = Queue::new();
    let id = queue.enqueue(["exit 1"]);
    let _node = queue.start(&[]);
    queue.wait_state(&id, "failed");
    queue.ok(["cancel", &id]);
    let job = queue.job(&id);
    assert_eq!(
        (history(&job), &job["state"]),
        (vec!["1 failed".to_owned()], &"cancelled".into())
    );
    assert!(job["run_at"].is_null());
}

#[test]
#[cfg(unix)]
fn a_running_job_is_stopped_with_all_it_started() {
    let queue = Queue::quick();
    let _node = queue.start(&["--count", "2"]);
    let id = queue.enqueue(["sleep 1000 & echo $! > child; echo $$ > main; wait"]);
    let gate = queue.gate("gate");
    let bystander = queue.enqueue(["echo $$ > bystander; read x < gate"]);
    let (child, main) = (queue.wait_pid("child"), queue.wait_pid("main"));
    let bystander_pid = queue.wait_pid("bystander");
    let said = queue.ok(["cancel", "--wait", &id]);
    assert_eq!(said, "1 cancelled");
    let job = queue.job(&id);
    assert_eq!(
        (job["state"].as_str(), history(&job)),
        (Some("cancelled"), vec!["1 cancelled".to_owned()])
    );
    assert!(!lives(child) && !lives(main));
    assert!(lives(bystander_pid));
    gate.open();
    queue.wait_state(&bystander, "completed");
}

/// The job that starts in its place fits the filter, too, but was not asked to stop.
#[test]
#[cfg(unix)]
fn a_running_job_is_stopped_and_waited_for_but_not_the_next() {
    let queue = Queue::quick();
    let _node = queue.start(&["--count", "1"]);
    let runs = queue.enqueue(["echo $$ > first; sleep 1000"]);
    queue.wait_pid("first");
    let gate = queue.gate("gate");
    let next = queue.enqueue(["echo $$ > next; read x < gate"]);
    let said = queue.ok(["cancel", "state=processing", "--yes", "--wait"]);
    assert_eq!(said, "1 job cancelled; 1 was running");
    assert_eq!(queue.state(&runs), "cancelled");
    queue.wait_pid("next");
    gate.open();
    queue.wait_state(&next, "completed");
}

#[test]
#[cfg(unix)]
fn a_job_that_ignores_sigterm_is_killed_after_its_grace() {
    let queue = Queue::quick();
    queue.ok(["config:set", "kill_grace", "300ms"]);
    let _node = queue.start(&[]);
    let stubborn = "trap '' TERM; echo $$ > main; while :; do sleep 1000; done";
    let id = queue.enqueue([stubborn]);
    let pid = queue.wait_pid("main");
    queue.ok(["cancel", "--wait", &id]);
    assert!(!lives(pid));
    let attempt = &queue.job(&id)["attempt_history"][0];
    assert_eq!(
        (&attempt["outcome"], &attempt["signal"]),
        (&"cancelled".into(), &9.into())
    );
    // The same by its time limit.
    std::fs::remove_file(queue.path("main")).unwrap();
    let id = queue.enqueue(["--timeout", "100ms", "--max-retries", "0", stubborn]);
    let job = queue.wait_state(&id, "dead");
    assert!(!lives(queue.wait_pid("main")));
    let attempt = &job["attempt_history"][0];
    assert_eq!(
        (&attempt["outcome"], &attempt["signal"]),
        (&"timed_out".into(), &9.into())
    );
    assert!(attempt["duration_ms"].as_u64() >= Some(400), "{attempt}");
}

/// The node is held still, so that the job fails between the request and the moment the node hears of it.
#[test]
#[cfg(unix)]
fn a_job_that_fails_after_it_was_cancelled_is_not_retried() {
    let queue = Queue::quick();
    let node = queue.start(&[]);
    let gate = queue.gate("gate");
    let id = queue.enqueue(["echo $$ >> main; read x < gate; exit 1"]);
    let pid = queue.wait_pid("main");
    node.signal(Signal::SIGSTOP);
    assert_eq!(queue.ok(["cancel", &id]), "1 is being stopped");
    gate.open();
    wait_gone(pid, "the job");
    node.signal(Signal::SIGCONT);
    let _ = queue.run(["wait", &id, "--timeout", "20s"]);
    let job = queue.job(&id);
    assert_eq!(job["state"], "cancelled", "{job}");
    assert_eq!(queue.lines("main").len(), 1, "it ran again: {job}");
}

/// Stopping the node comes first, cancelling second: the job is cancelled all the same, and does not run again.
#[test]
#[cfg(unix)]
fn a_job_can_be_cancelled_while_its_node_stops_it() {
    let queue = Queue::quick();
    queue.ok(["config:set", "kill_grace", "20s"]);
    let mut node = queue.start(&[]);
    let id = queue.enqueue(["trap '' TERM; echo $$ > main; while :; do sleep 1000; done"]);
    let pid = queue.wait_pid("main");
    queue.ok(["worker:stop", "--now"]);
    node.wait_log("stopping running jobs");
    assert_eq!(queue.ok(["cancel", &id]), "1 is being stopped");
    // Its whole group, or what is left of it would have its grace.
    send(-pid, Signal::SIGKILL);
    assert_eq!(node.wait_exit(), 0);
    let job = queue.job(&id);
    assert_eq!(job["state"], "cancelled", "{job}");
}

#[test]
fn dead_and_cancelled_jobs_go_round_again_with_fresh_attempts() {
    let queue = Queue::quick();
    let dead = queue.enqueue(["--max-retries", "1", &succeeds_with("fixed")]);
    let bystander = queue.enqueue(["--max-retries", "0", "exit 5"]);
    let completed = queue.enqueue(["exit 0"]);
    assert_eq!(queue.drain(&[]), 1);
    let said = queue.fails(4, ["dlq:retry", &completed]);
    assert!(said.contains("completed"), "{said}");
    queue.fails(4, ["retry", &completed]);
    queue.fails(3, ["dlq:retry", "nobody"]);
    queue.write("fixed", "");
    assert_eq!(queue.ok(["dlq:retry", &dead]), "1 pending");
    let job = queue.job(&dead);
    assert_eq!((&job["attempts"], &job["state"]), (&0.into(), &"pending".into()));
    assert!(job["finished_at"].is_null());
    assert_eq!(
        queue.drain(&[]),
        0,
        "the old dead job does not count for this node"
    );
    let job = queue.job(&dead);
    assert_eq!(history(&job), ["1 failed", "2 failed", "3 succeeded"]);
    assert_eq!(queue.state(&bystander), "dead");
    assert_eq!(queue.json(["dlq:purge", "--all", "--yes"])["jobs"], 1);
    queue.fails(3, ["show", &bystander]);
    assert_eq!(queue.state(&dead), "completed");
}
