//! Signals to running jobs.

use serde_json::json;

use crate::support::{Queue, history, wait_until};

/// A job that says when it is up, and what signal it got, in files of that name.
fn trapping(name: &str, then: &str) -> String {
    format!(
        "trap 'echo got >> {name}.got; {then}' USR1; echo up >> {name}.up; while [ ! -e stop ]; do sleep 0.05; done"
    )
}

#[test]
fn a_signal_reaches_the_processes_of_a_running_job() {
    let queue = Queue::quick();
    queue.ok(["config:set", "event_retention", "7d"]);
    let child = trapping("child", "exit 0").replace('\'', "\"");
    queue.enqueue([format!(
        "sh -c '{child}' & {}; wait",
        trapping("parent", "wait; exit 0")
    )]);
    queue.enqueue([trapping("bystander", "true")]);
    queue.enqueue(["--hold", "true"]);
    let _node = queue.start(&["--count", "2"]);
    for name in ["parent.up", "child.up", "bystander.up"] {
        queue.wait_lines(name, 1);
    }
    assert_eq!(queue.ok(["kill", "-s", "USR1", "1"]), "1 sent");
    queue.wait_state("1", "completed");
    assert_eq!(
        (queue.lines("parent.got"), queue.lines("child.got")),
        (vec!["got".into()], vec!["got".into()])
    );
    assert!(!queue.path("bystander.got").exists());
    let refused = queue.fails(4, ["kill", "1", "3"]);
    assert!(
        refused.contains("job '1' is completed; only running jobs can be sent a signal"),
        "{refused}"
    );
    assert!(refused.contains("job '3' is blocked"), "{refused}");
    // Many at once.
    let refused = queue.fails(2, ["kill", "state=processing"]);
    assert!(refused.contains("would send SIGTERM to all jobs"), "{refused}");
    assert!(refused.contains("nothing was sent\n"), "{refused}");
    assert_eq!(
        queue.ok(["kill", "state=processing", "queue=none", "--yes"]),
        "0 jobs will get SIGTERM"
    );
    assert_eq!(
        queue.json(["kill", "--signal", "sigusr1", "state=processing", "--yes"]),
        json!({"jobs": 1})
    );
    queue.wait_lines("bystander.got", 1);
    assert_eq!(queue.state("2"), "processing");
    let events = queue.json(["events", "--job", "1"]);
    let kinds: Vec<_> = events
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["kind"].clone())
        .collect();
    assert!(kinds.contains(&json!("signal requested")), "{kinds:?}");
    queue.write("stop", "");
    queue.wait_state("2", "completed");
}

#[test]
fn a_job_that_a_signal_ends_has_failed_and_is_retried() {
    let queue = Queue::quick();
    queue.enqueue(["--max-retries", "1", "echo up >> up; exec sleep 600"]);
    let _node = queue.start(&[]);
    for attempt in 1..=2 {
        queue.wait_lines("up", attempt);
        assert_eq!(
            queue.json(["kill", "--signal", "KILL", "1"]),
            json!({"id": "1", "result": "sent"})
        );
    }
    let job = queue.wait_state("1", "dead");
    assert_eq!(history(&queue.json(["show", "1"])).len(), 2, "{job}");
    let error = queue.json(["show", "1"])["error"].to_string();
    assert!(error.contains("signal 9"), "{error}");
    // The control: without a signal, it runs.
    queue.ok(["retry", "1"]);
    queue.wait_lines("up", 3);
    assert_eq!(queue.state("1"), "processing");
    queue.ok(["cancel", "1"]);
    wait_until("it is cancelled", || queue.state("1") == "cancelled");
}
