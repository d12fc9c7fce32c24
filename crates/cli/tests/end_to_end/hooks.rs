//! Hooks, by the commands and with real processes.

use crate::support::Queue;
use crate::support::jobs::variable;

/// Hooks of a job, of a queue and of all jobs run once for each end, and know what ended.
#[test]
fn hooks_run_as_jobs_that_know_what_ended() {
    let queue = Queue::quick();
    let say = |what: &str| {
        let [id, outcome] = ["QUEUECTL_HOOK_JOB_ID", "QUEUECTL_HOOK_OUTCOME"].map(variable);
        format!("echo {what} {id} {outcome}>> ran")
    };
    queue.ok(["hook:add", "--name", "any", &say("any")]);
    queue.ok(["hook:add", "--queue", "mail", "--on", "success", &say("mail")]);
    let options = [
        "--on-failure",
        &say("failure"),
        "--on-death",
        &say("death"),
        "--max-retries",
        "1",
    ];
    let bad = queue.enqueue([&options[..], &["exit 1"]].concat());
    let good = queue.enqueue([&options[..], &["--queue", "mail", "--id", "good", "exit 0"]].concat());
    let plain = queue.enqueue(["exit 0"]);
    assert_eq!(queue.drain(&["--count", "1", "--concurrency", "1"]), 1);
    let mut ran = queue.lines("ran");
    ran.sort();
    let [any, death, failure] = ["any", "death", "failure"].map(|what| format!("{what} {bad} failed"));
    assert_eq!(
        ran,
        [
            any,
            death,
            failure.clone(),
            failure,
            "mail good succeeded".to_owned()
        ]
    );
    let shown = queue.job(&bad);
    let on: Vec<&str> = shown["hooks"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|hook| hook["on"].as_str())
        .collect();
    assert_eq!(on, ["failure", "failure", "death", "death"]);
    let hook = queue.job(&shown["hooks"][2]["number"].to_string());
    assert_eq!(hook["hook_of"].to_string(), bad);
    assert_eq!(
        (&hook["hook"], &hook["state"]),
        (&"death".into(), &"completed".into())
    );
    assert_eq!(queue.job(&good)["hooks"][0]["on"], "success");
    assert_eq!(queue.job(&plain)["hooks"].as_array().map(Vec::len), Some(0));
    assert!(queue.ok(["hook:list"]).contains("queue mail"));
    let said = queue.fails(4, ["hook:add", "--name", "any", "exit 0"]);
    assert!(said.contains("there is already a hook 'any'"), "{said}");
    queue.ok(["hook:remove", "any"]);
    let said = queue.fails(3, ["hook:show", "any"]);
    assert!(said.contains("there is no hook 'any'"), "{said}");
    assert_eq!(queue.json(["db:check"])["ok"], true);
}

/// What a job enqueues records it, a hook's jobs fire hooks as well, and a hook that dies fires none.
#[test]
#[cfg(unix)]
fn jobs_record_which_job_enqueued_them() {
    let queue = Queue::quick();
    let binary = crate::support::binary();
    let enqueue = format!(
        "{} enqueue --id child --max-retries 0 'exit 1'; exit 1",
        binary.display()
    );
    queue.ok(["hook:add", "echo $QUEUECTL_HOOK_JOB_ID >> dead"]);
    let parent = queue.enqueue(["--max-retries", "0", &enqueue]);
    queue.enqueue(["--id", "bystander", "exit 0"]);
    assert_eq!(queue.drain(&["--count", "1"]), 1);
    let printed = queue.ok(["logs", &parent]);
    assert_eq!(printed, "child");
    assert_eq!(queue.job("child")["enqueued_by"].to_string(), parent);
    assert!(queue.job("bystander")["enqueued_by"].is_null());
    let mut dead = queue.lines("dead");
    dead.sort();
    assert_eq!(dead, [parent.as_str(), "child"]);
    // In another queue's store it records nothing.
    let other = format!("{} --db other.db", binary.display());
    let there = format!("{other} enqueue --id there 'exit 0'; {other} --json show there > other.json");
    queue.enqueue([&there]);
    queue.drain(&["--count", "1"]);
    let text = queue.read("other.json");
    assert!(text.contains(r#""enqueued_by":null"#), "{text}");
}

/// A node that is killed leaves its last attempt to another, which fires the hooks of the job: once.
#[test]
#[cfg(target_os = "linux")]
fn the_end_of_a_dead_nodes_attempt_fires_hooks() {
    use crate::support::jobs::GATED;
    let queue = Queue::quick();
    let options = [
        "--max-retries",
        "0",
        "--on-death",
        "echo $QUEUECTL_HOOK_OUTCOME >> dead",
    ];
    let id = queue.enqueue([&options[..], &[GATED]].concat());
    queue.enqueue(["--id", "bystander", "--hold", "exit 0"]);
    let mut node = queue.start(&["--count", "1"]);
    queue.wait_lines("started", 1);
    node.kill_dispatcher();
    let _next = queue.start(&["--count", "1"]);
    // Its worker may still see the job end that it stops.
    let outcomes = queue.wait_lines("dead", 1);
    assert!(outcomes == ["lost"] || outcomes == ["failed"], "{outcomes:?}");
    assert_eq!(queue.state(&id), "dead");
    assert_eq!(queue.job(&id)["hooks"].as_array().map(Vec::len), Some(1));
    assert_eq!(queue.state("bystander"), "blocked");
}

/// The control: where the transaction that records an end stores no hooks, none runs later.
#[test]
#[cfg(unix)]
fn without_the_transaction_there_is_no_hook() {
    let queue = Queue::quick();
    let id = queue.enqueue(["--max-retries", "0", "--on-death", "echo x >> dead", "exit 1"]);
    let drain = ["worker:start", "--drain", "-q", "--count", "1"];
    let mut drain = queue.command(drain);
    drain.env("QUEUECTL_TEST_WITHOUT", "hooks").status().unwrap();
    assert_eq!(queue.state(&id), "dead");
    queue.drain(&["--count", "1"]);
    assert_eq!((queue.jobs().len(), queue.path("dead").exists()), (1, false));
}

/// A hook for a number of dead jobs runs once, also if the node that reaches it is killed, and once more when it is armed again.
#[test]
#[cfg(unix)]
fn an_alert_runs_once_whatever_is_killed() {
    let queue = Queue::quick();
    let say = format!("echo {}>> ran", variable("QUEUECTL_HOOK_WHEN_DEAD"));
    let add = [
        "hook:add",
        "--name",
        "many",
        "--when-dead",
        "20",
        "--to-queue",
        "alerts",
    ];
    let view = queue.json([&add[..], &[&say]].concat());
    assert_eq!(
        (&view["when_dead"], &view["fired_at"]),
        (&20.into(), &serde_json::Value::Null)
    );
    queue.enqueue(["--id", "bystander", "--hold", "exit 0"]);
    for _ in 0..40 {
        queue.enqueue(["--max-retries", "0", "exit 3"]);
    }
    let mut nodes: Vec<_> = (0..2).map(|_| queue.start(&["--queue", "default"])).collect();
    let dead = || queue.json(["status"])["total"]["dead"].as_u64().unwrap();
    crate::support::wait_until("some jobs to be dead", || dead() >= 10);
    for node in &mut nodes {
        node.kill_dispatcher();
    }
    drop(nodes);
    queue.drain(&["--queue", "default"]);
    assert_eq!(dead(), 40);
    let alerts = || {
        let jobs = queue.json(["list", "--queue", "alerts"]);
        jobs.as_array().unwrap().len()
    };
    assert_eq!(alerts(), 1, "stored once");
    queue.drain(&["--queue", "alerts"]);
    assert_eq!(queue.lines("ran"), ["20"]);
    assert!(queue.ok(["hook:list"]).contains("20 dead"));
    // Fewer are dead, and then as many again.
    queue.ok(["dlq:retry", "--all", "--yes"]);
    queue.drain(&["--queue", "default"]);
    assert_eq!(alerts(), 2);
    assert_eq!(queue.state("bystander"), "blocked");
    let said = queue.fails(2, ["hook:add", "--when-dead", "2", "--on", "success", "exit 0"]);
    assert!(said.contains("--when-dead is about deaths"), "{said}");
    queue.fails(2, ["hook:add", "--again-after", "1h", "exit 0"]);
}
