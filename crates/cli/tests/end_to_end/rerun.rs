//! `rerun`: a copy of an ended job.

use serde_json::Value;

use crate::support::Queue;

/// What was given with a job.
fn given(job: &Value) -> Value {
    let mut job = job.as_object().unwrap().clone();
    for happened in [
        "id",
        "number",
        "state",
        "attempts",
        "attempt_history",
        "node",
        "created_at",
        "updated_at",
        "started_at",
        "finished_at",
        "error",
        "last_line",
        "run_at",
        "last_attempt",
        "reason",
    ] {
        job.remove(happened);
    }
    Value::Object(job)
}

#[test]
fn a_copy_has_everything_that_was_given() {
    let queue = Queue::quick();
    let full = [
        "--id=full",
        "--queue=mail",
        "--priority=7",
        "--delay=1ms",
        "--timeout=90s",
        "--max-retries=3",
        "--backoff-base=1.5",
        "--env=TOKEN=a b",
        "--cwd=.",
        "--stdin=input",
        if cfg!(unix) {
            "--payload={\"errexit\":true}"
        } else {
            "--payload={}"
        },
        "exit 0",
    ];
    queue.enqueue(full);
    let plain = queue.enqueue(["--max-retries=0", "exit 1"]);
    let bystander = queue.enqueue(["--hold", "exit 0"]);
    queue.drain(&[]);
    let before = [queue.job("full"), queue.job(&plain)];
    assert_eq!(
        (&before[0]["state"], &before[1]["state"]),
        (&"completed".into(), &"dead".into())
    );

    assert_eq!(queue.ok(["rerun", "full", &plain]), "4\n5");
    for (old, copy) in before.iter().zip(["4", "5"]) {
        let copy = queue.job(copy);
        assert_eq!(given(&copy), given(old));
        assert_eq!(
            (&copy["state"], &copy["attempts"]),
            (&"pending".into(), &0.into())
        );
        assert_eq!(copy["attempt_history"], Value::Array(Vec::new()));
    }
    assert_eq!(
        [queue.job("full"), queue.job(&plain)],
        before,
        "they stay as they are"
    );
    assert_eq!(queue.state(&bystander), "blocked");
    // Like `enqueue`, it prints a document for programs, and the copy of a copy is one, too.
    queue.ok(["cancel", "5"]);
    let stored = serde_json::json!({"id": "6", "existing": false, "replaced": null});
    assert_eq!(queue.json(["rerun", "5"]), stored);
    assert_eq!(given(&queue.job("6")), given(&before[1]));
}

#[test]
fn a_job_that_has_not_ended_is_not_copied() {
    let queue = Queue::quick();
    let done = queue.enqueue(["exit 0"]);
    queue.drain(&[]);
    let waiting = queue.enqueue(["--delay=1h", "exit 0"]);
    let all = queue.run(["rerun", &waiting, &done, "none"]);
    all.expect(4);
    assert_eq!(all.text(), "3\n", "the others are copied");
    let said = format!("job '{waiting}' is scheduled; only jobs that have ended can be run again as a copy");
    assert!(
        all.err.contains(&said) && all.err.contains("`queuectl wait`"),
        "{}",
        all.err
    );
    assert!(all.err.contains("no job 'none'"), "{}", all.err);
    assert_eq!(queue.jobs().len(), 3);
    queue.fails(3, ["rerun", "none"]);

    // What cannot be retried is told of copies, and a job that waits for its retry of `retry`.
    let said = queue.fails(4, ["retry", &done]);
    assert!(said.contains("`queuectl rerun` stores a copy"), "{said}");
    queue.ok(["config:set", "backoff_cap", "1h"]);
    let failed = queue.enqueue(["exit 1"]);
    let _node = queue.start(&[]);
    queue.wait_state(&failed, "failed");
    let said = queue.fails(4, ["rerun", &failed]);
    assert!(said.contains("`queuectl retry` runs it now"), "{said}");
}
