//! Limits of queues, with real nodes.

use crate::support::{Queue, time_ms};

#[test]
fn a_queue_runs_no_more_jobs_than_its_limit() {
    let queue = Queue::quick();
    let set = queue.ok(["queue:set", "mail", "running=1", "max_retries=2"]);
    assert_eq!(set, "mail running = 1 (queue)\nmail max_retries = 2 (queue)");
    // A directory can be made once.
    let alone = "mkdir alone && sleep 0.1 && rmdir alone";
    let ids: Vec<String> = (0..6)
        .map(|_| queue.enqueue(["--queue", "mail", alone]))
        .collect();
    let bystander = queue.enqueue(["exit 0"]);
    let nodes = [
        queue.start(&["--concurrency", "4"]),
        queue.start(&["--concurrency", "4"]),
    ];
    for id in &ids {
        let job = queue.wait_state(id, "completed");
        assert_eq!(job["attempts"], 1, "{job}");
    }
    queue.wait_state(&bystander, "completed");
    drop(nodes);
    // The control: without the limit some of them meet.
    assert_eq!(
        queue.ok(["queue:unset", "mail", "running"]),
        "mail running = any number (default)"
    );
    queue.ok(["queue:set", "mail", "max_retries=0"]);
    let ids: Vec<String> = (0..6)
        .map(|_| queue.enqueue(["--queue", "mail", alone]))
        .collect();
    queue.drain(&["--concurrency", "6"]);
    assert!(ids.iter().any(|id| queue.state(id) == "dead"));
}

#[test]
fn every_screen_says_that_a_queue_has_no_room() {
    let queue = Queue::quick();
    queue.ok(["queue:set", "mail", "running=0", "rate=10/s", "burst=3"]);
    let job = queue.enqueue(["--queue", "mail", "exit 0"]);
    let _node = queue.start(&[]);
    let shown = queue.ok(["queue:show", "mail"]);
    assert!(shown.contains("0 running, 10/s (burst 3)"), "{shown}");
    assert!(
        queue
            .ok(["queue:list"])
            .contains("0 running, 10/s (burst 3): full")
    );
    assert!(queue.ok(["status"]).contains("full"));
    let said = queue.ok(["explain", &job]);
    assert!(
        said.contains("queue mail may run no jobs: `queuectl queue:unset mail running`"),
        "{said}"
    );
    let reasons = queue.json(["explain", &job]);
    assert_eq!(reasons["reasons"][0]["code"], "queue_limit", "{reasons}");
    let limit = &queue.json(["queue:show", "mail"])["limit"];
    assert_eq!((&limit["running"], &limit["full"]), (&0.into(), &true.into()));
    queue.ok(["queue:unset", "mail"]);
    queue.wait_state(&job, "completed");
    let said = queue.fails(2, ["queue:set", "mail", "burst=3"]);
    assert!(
        said.contains("has no rate that a burst could belong to"),
        "{said}"
    );
    let said = queue.fails(2, ["queue:set", "mail", "running=many"]);
    assert!(said.contains("invalid value 'many' for running"), "{said}");
}

#[test]
fn a_queue_starts_jobs_at_its_rate() {
    let queue = Queue::quick();
    queue.ok(["queue:set", "mail", "rate=5/s"]);
    let ids: Vec<String> = (0..4)
        .map(|_| queue.enqueue(["--queue", "mail", "exit 0"]))
        .collect();
    assert_eq!(queue.drain(&["--concurrency", "4"]), 0);
    let mut starts: Vec<i64> = ids
        .iter()
        .map(|id| time_ms(&queue.job(id)["started_at"]))
        .collect();
    starts.sort_unstable();
    // Claims are spread; a claimed job starts at once.
    assert!(starts[3] - starts[0] >= 550, "{starts:?}");
}
