//! Unique jobs on the command line: what is printed about a key that is taken, and the exit statuses.

use serde_json::json;

use super::support::Queue;
use super::support::jobs::FOREVER;

#[test]
fn a_taken_key_stands_for_the_job_that_has_it() {
    let queue = Queue::new();
    let bystander = queue.enqueue(["--unique", "other", "exit 0"]);
    let first = queue.enqueue(["--unique", "customer 7", "--delay", "1h", "exit 0"]);
    let again = queue.run(["enqueue", "--unique", "customer 7", "exit 1"]);
    let said = again.err.clone();
    assert_eq!(again.ok(), first, "the id of the job that is there");
    assert_eq!(
        said,
        format!("note: nothing was stored; job '{first}', which is scheduled, has the unique key\n")
    );
    let printed = queue.json(["enqueue", "--unique", "customer 7", "exit 1"]);
    assert_eq!(printed, json!({"id": first, "existing": true, "replaced": null}));
    let new = queue.json([
        "enqueue",
        r#"{"command":"exit 0","unique":"new","unique_for":"1h"}"#,
    ]);
    assert_eq!(new["existing"], false);
    let job = queue.job(new["id"].as_str().unwrap());
    assert_eq!(
        (&job["unique"], &job["unique_for_ms"]),
        (&json!("new"), &json!(3_600_000))
    );
    let shown = queue.ok(["show", &first]);
    assert!(
        shown.contains("unique key") && shown.contains("customer 7"),
        "{shown}"
    );

    let refused = queue.fails(
        4,
        [
            "enqueue",
            "--unique",
            "customer 7",
            "--on-conflict",
            "reject",
            "exit 1",
        ],
    );
    assert_eq!(
        refused,
        format!(
            "error: the unique key 'customer 7' is taken by job '{first}', which is scheduled; nothing was stored \
             (--on-conflict return takes that job, replace takes its place)\n"
        )
    );
    let replace = queue.run([
        "enqueue",
        "--unique",
        "customer 7",
        "--on-conflict",
        "replace",
        "exit 0",
    ]);
    let said = replace.err.clone();
    let second = replace.ok();
    assert_eq!(said, format!("note: it takes the place of job '{first}'\n"));
    assert_eq!(
        (queue.state(&first), queue.state(&second)),
        ("cancelled".to_owned(), "pending".to_owned())
    );
    let refused = queue.fails(4, ["retry", &first]);
    assert_eq!(
        refused,
        format!(
            "error: job '{first}' cannot run again while job '{second}', which is pending, has its unique key \
             'customer 7'; wait for that one, or cancel it (`queuectl cancel {second}`)\n"
        )
    );
    assert_eq!(queue.state(&bystander), "pending");
}

#[test]
fn what_is_wrong_about_a_key_is_named() {
    let queue = Queue::new();
    for (words, said) in [
        (&["--unique", "a\tb"][..], "printable characters are allowed"),
        (&["--unique", &"k".repeat(201)], "at most 200 are allowed"),
        (
            &["--unique-for", "1h"],
            "the job has none; give it one (--unique KEY",
        ),
        (
            &["--unique", "k", "--max-wait", "1h"],
            "give it one (--debounce 30s)",
        ),
        (
            &["--unique", "k", "--debounce", "31d"],
            "expected a time from 1 ms to 30 d",
        ),
        (
            &["--unique", "k", "--debounce", "1s", "--on-conflict", "reject"],
            "cannot be used with",
        ),
        (
            &["--unique", "k", "--on-conflict", "keep"],
            "'keep' is not one of return, reject and replace",
        ),
    ] {
        let refused = queue.fails(2, [&["enqueue"], words, &["exit 0"]].concat());
        assert!(
            refused.contains(said),
            "{words:?}\n  said: {refused}\n  want: {said}"
        );
    }
    assert!(!queue.exists(), "a mistake makes no queue");
}

#[test]
fn a_file_of_jobs_may_have_keys_twice() {
    let queue = Queue::new();
    let there = queue.enqueue(["--unique", "there", "exit 0"]);
    let lines = r#"{"command":"exit 0","unique":"a"}
{"command":"exit 0"}
{"command":"exit 0","unique":"there"}
{"command":"exit 0","unique":"a"}
"#;
    queue.write("jobs.jsonl", lines);
    let stored = queue.run(["enqueue", "--from", "jobs.jsonl"]);
    let said = stored.err.clone();
    let ids: Vec<String> = stored.ok().lines().map(str::to_owned).collect();
    assert_eq!((&ids[2], &ids[3]), (&there, &ids[0]));
    assert_eq!(
        said,
        "note: 2 of these 4 jobs were there already: others have their unique keys\n"
    );
    assert_eq!(queue.jobs().len(), 3);
    queue.write(
        "more.jsonl",
        r#""exit 0"
{"command":"exit 0","unique":"a","on_conflict":"reject"}
"#,
    );
    let refused = queue.fails(4, ["enqueue", "--from", "more.jsonl"]);
    assert!(
        refused.contains("line 2: the unique key 'a' is taken by job"),
        "{refused}"
    );
    assert!(refused.contains("no job was stored"), "{refused}");
    assert_eq!(queue.jobs().len(), 3);
}

#[test]
fn dead_jobs_whose_keys_are_taken_stay_dead() {
    let queue = Queue::quick();
    let dead = queue.enqueue(["--unique", "k", "--max-retries", "0", "exit 1"]);
    let other = queue.enqueue(["--max-retries", "0", "exit 1"]);
    queue.drain(&[]);
    let holder = queue.enqueue(["--unique", "k", "--delay", "1h", "exit 0"]);
    let refused = queue.fails(4, ["dlq:retry", &dead]);
    assert!(
        refused.contains(&format!("while job '{holder}', which is scheduled")),
        "{refused}"
    );
    let retried = queue.run(["dlq:retry", "--all"]);
    let said = retried.err.clone();
    assert_eq!(retried.ok(), "1 job will run again");
    assert_eq!(
        said,
        "1 job stays dead: other jobs have their unique keys; retry them when those have ended\n"
    );
    assert_eq!(
        (queue.state(&dead), queue.state(&other)),
        ("dead".to_owned(), "pending".to_owned())
    );
    let counted = queue.json(["dlq:retry", "--all"]);
    assert_eq!(counted, json!({"jobs": 0, "skipped": 1}));
}

#[test]
fn calls_put_a_job_off() {
    let queue = Queue::new();
    let first = queue.enqueue(["--unique", "k", "--debounce", "1h", "exit 0"]);
    let due = queue.job(&first)["run_at"].clone();
    let again = queue.json(["enqueue", "--unique", "k", "--debounce", "2h", "exit 0"]);
    assert_eq!((&again["id"], &again["existing"]), (&json!(first), &json!(true)));
    let later = super::support::time_ms(&queue.job(&first)["run_at"]) - super::support::time_ms(&due);
    assert!((3_600_000..3_660_000).contains(&later), "{later}");
    assert_eq!(queue.jobs().len(), 1);
}

/// A running job is left to end; its successor runs then, and the newest one only.
#[test]
fn of_a_running_job_there_is_one_successor() {
    let queue = Queue::quick();
    let replace = |line: &str| {
        let words = [
            "--json",
            "enqueue",
            "--unique",
            "k",
            "--on-conflict",
            "replace",
            line,
        ];
        let done = queue.run(words);
        done.json()
    };
    let bystander = queue.enqueue(["--queue", "other", "exit 0"]);
    let first = queue.enqueue(["--unique", "k", FOREVER]);
    let _node = queue.start(&["--queue", "default"]);
    queue.wait_state(&first, "processing");
    let second = replace("exit 1");
    assert_eq!(second["replaced"], json!(first));
    let second = second["id"].as_str().unwrap().to_owned();
    let job = queue.job(&second);
    assert_eq!(
        (&job["state"], &job["blocked_by"]),
        (&json!("blocked"), &json!("unique"))
    );
    let third = replace("exit 0");
    assert_eq!(third["replaced"], json!(second));
    let third = third["id"].as_str().unwrap().to_owned();
    assert_eq!(queue.state(&second), "cancelled");
    assert_eq!(queue.state(&first), "processing");
    queue.ok(["cancel", &first]);
    queue.wait_state(&third, "completed");
    assert_eq!(
        (queue.state(&first), queue.state(&second)),
        ("cancelled".to_owned(), "cancelled".to_owned())
    );
    assert_eq!(queue.state(&bystander), "pending");
}
