//! Queues as a whole: pausing, resuming and draining them.

use std::process::Stdio;

use crate::support::jobs::FOREVER;
use crate::support::{GATED, Queue, wait_until};

fn marks(file: &str) -> String {
    format!("echo x>> {file}")
}

#[test]
fn a_paused_queue_starts_no_job_until_it_is_resumed() {
    let queue = Queue::quick();
    assert!(
        queue
            .ok(["queue:pause", "mail", "--reason", "disk full"])
            .ends_with("mail paused")
    );
    let node = queue.start(&[]);
    let mail = queue.enqueue(["--queue", "mail", &marks("mail")]);
    let bystander = queue.enqueue([&marks("other")]);
    queue.ok(["wait", &bystander]);
    // It survives a restart, and holds for nodes of that queue alone.
    drop(node);
    let node = queue.start(&["--queue", "mail", "--queue", "default"]);
    let bystander = queue.enqueue([&marks("other")]);
    queue.ok(["wait", &bystander]);
    let job = queue.job(&mail);
    assert_eq!(
        (job["state"].as_str(), job["attempts"].as_u64()),
        (Some("pending"), Some(0))
    );
    // Every screen says so.
    let listed = queue.ok(["queue:list"]);
    let line = listed.lines().find(|line| line.starts_with("mail")).unwrap();
    assert!(line.ends_with(": disk full"), "{listed}");
    for screen in [&["status"][..], &["show", &mail], &["queue:show", "mail"]] {
        let shown = queue.ok(screen);
        assert!(
            shown.contains("paused") && shown.contains(": disk full"),
            "{shown}"
        );
    }
    let waits = queue.fails(124, ["wait", &mail, "--timeout", "1ms"]);
    assert!(
        waits.contains("disk full; job '1' waits until `queuectl queue:resume mail`"),
        "{waits}"
    );
    assert_eq!(queue.ok(["queue:resume", "mail"]), "mail resumed");
    queue.ok(["wait", &mail]);
    assert_eq!(queue.ok(["queue:resume", "mail"]), "mail was not paused");
    assert!(!queue.ok(["status"]).contains("paused"));
    assert_eq!((queue.lines("mail").len(), queue.lines("other").len()), (1, 2));
    drop(node);
}

/// The node has nothing else that could wake it.
#[test]
fn a_pause_ends_by_itself_and_a_node_that_sleeps_wakes_for_it() {
    let queue = Queue::quick();
    queue.ok(["config:set", "poll_interval", "1h"]);
    queue.ok(["config:set", "lease", "1h"]);
    let _node = queue.start(&[]);
    let bystander = queue.enqueue(["exit 0"]);
    queue.ok(["wait", &bystander]);
    let paused = queue.json(["queue:pause", "default", "--for", "1s"]);
    assert!(paused["until"].is_string() && paused["running"] == 0, "{paused}");
    let job = queue.enqueue(["exit 0"]);
    queue.ok(["wait", &job]);
    let ended = queue.job(&job);
    assert!(
        ended["started_at"].as_str() >= paused["until"].as_str(),
        "{ended}"
    );
}

#[test]
fn draining_waits_for_running_jobs_and_starts_no_more() {
    let queue = Queue::quick();
    let gate = queue.gate("gate");
    let _node = queue.start(&[]);
    let runs = queue.enqueue(["--queue", "mail", GATED]);
    queue.wait_started(1);
    let timed_out = queue.fails(124, ["queue:drain", "mail", "--timeout", "1ms"]);
    assert!(
        timed_out.contains("jobs still run: mail (1); no more of them start"),
        "{timed_out}"
    );
    let waits = queue.enqueue(["--queue", "mail", "exit 0"]);
    let drain = queue
        .command(["queue:drain", "mail", "--reason", "upgrade"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until("the reason", || {
        queue.json(["queue:show", "mail"])["paused"]["reason"] == "upgrade"
    });
    assert_eq!(queue.state(&runs), "processing");
    gate.open();
    let output = drain.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && said.starts_with("mail drained"),
        "{said}"
    );
    assert_eq!(queue.state(&runs), "completed");
    assert_eq!(queue.state(&waits), "pending");
    queue.ok(["queue:resume", "mail"]);
    queue.ok(["wait", &waits]);
}

#[test]
fn mistakes_about_queues_change_nothing() {
    let queue = Queue::quick();
    for (args, said) in [
        (&["queue:pause"][..], "NAME"),
        (&["queue:pause", "no name"], "no name"),
        (
            &["queue:pause", "mail", "--reason", ""],
            "a reason cannot be empty",
        ),
        (
            &["queue:pause", "mail", "--for", "10ms"],
            "expected a time from 1 s to 365 d",
        ),
        (&["queue:drain", "mail", "--for", "1h"], "--for"),
    ] {
        let error = queue.fails(2, args);
        assert!(error.contains(said), "{args:?}: {error}");
    }
    assert_eq!(queue.json(["queue:list"]).as_array().unwrap().len(), 0);
}

#[test]
fn a_queue_has_settings_of_its_own_between_the_jobs_and_those_of_all() {
    let queue = Queue::quick();
    queue.ok(["config:set", "max_retries", "0"]);
    let node = queue.start(&[]);
    let taken_up = |times: usize| {
        wait_until("the node to take the settings up", || {
            node.log().matches("settings changed").count() >= times
        });
    };
    let set = queue.ok(["queue:set", "mail", "max_retries=1", "backoff-cap=10ms"]);
    taken_up(1);
    assert_eq!(
        set,
        "mail max_retries = 1 (queue)\nmail backoff_cap = 10 ms (queue)"
    );
    let attempts = |args: &[&str]| {
        let id = queue.enqueue([args, &["exit 3"]].concat());
        queue.fails(3, ["wait", &id]);
        let job = queue.job(&id);
        let source = job["sources"]["max_retries"].as_str().unwrap().to_owned();
        (
            job["attempts"].as_u64().unwrap(),
            job["max_retries"].as_u64().unwrap(),
            source,
        )
    };
    let own = |attempts: u64, source: &str| (attempts, attempts - 1, source.to_owned());
    assert_eq!(attempts(&["--queue", "mail"]), own(2, "queue"));
    assert_eq!(
        attempts(&["--queue", "mail", "--max-retries", "2"]),
        own(3, "job")
    );
    assert_eq!(attempts(&[]), own(1, "setting"));
    // Also what is used at the start of a job.
    queue.ok(["queue:set", "mail", "job_timeout=1ms", "max_retries=0"]);
    taken_up(2);
    let slow = queue.enqueue(["--queue", "mail", FOREVER]);
    assert_ne!(queue.run(["wait", &slow]).status, 0);
    assert_eq!(queue.job(&slow)["attempt_history"][0]["outcome"], "timed_out");
    let shown = queue.ok(["queue:show", "mail"]);
    let line = shown
        .lines()
        .find(|line| line.starts_with("job_timeout"))
        .unwrap();
    assert_eq!(
        line.split_whitespace().collect::<Vec<_>>(),
        ["job_timeout", "1", "ms", "queue"]
    );
    assert_eq!(
        queue.ok(["queue:unset", "mail", "max_retries"]),
        "mail max_retries = 0 (setting)"
    );
    let plain = queue.enqueue(["--queue", "mail", "exit 0"]);
    assert_eq!(queue.job(&plain)["sources"]["max_retries"], "setting");
    assert!(
        queue
            .ok(["queue:unset", "mail"])
            .contains("mail job_timeout = 7 d (default)")
    );
    let hook = queue.fails(2, ["queue:set", "mail", "on-death=exit 0"]);
    assert!(
        hook.contains("`queuectl hook:add --queue mail --on death COMMAND`"),
        "{hook}"
    );
    let refused = queue.fails(2, ["queue:set", "mail", "lease=5s"]);
    assert!(
        refused.contains("lease is for all queues; a queue can have"),
        "{refused}"
    );
    assert!(
        queue
            .fails(2, ["queue:set", "mail", "max_retries=many"])
            .contains("max_retries")
    );
}

#[test]
fn a_drain_ends_without_the_jobs_that_only_an_operator_lets_go_on() {
    let queue = Queue::new();
    queue.ok(["queue:pause", "mail"]);
    queue.enqueue(["--queue", "mail", "exit 0"]);
    queue.enqueue(["--hold", "exit 0"]);
    let bystander = queue.enqueue(["exit 0"]);
    let drained = queue.run(["worker:start", "--drain"]);
    assert_eq!(drained.status, 0, "{}", drained.err);
    assert!(
        drained.err.contains("2 jobs are left that cannot start"),
        "{}",
        drained.err
    );
    queue.wait_state(&bystander, "completed");
    queue.ok(["queue:resume", "mail"]);
    let drained = queue.run(["worker:start", "--drain"]);
    assert!(
        drained.err.contains("1 job is left that cannot start"),
        "{}",
        drained.err
    );
}

#[test]
fn a_drain_waits_for_limits_that_have_room_before_long() {
    let queue = Queue::new();
    queue.ok(["limit:set", "api", "--rate", "5/s", "--burst", "1"]);
    queue.ok(["limit:set", "closed", "--running", "0"]);
    let slow: Vec<String> = (0..4)
        .map(|_| queue.enqueue(["--limit", "api", "exit 0"]))
        .collect();
    let closed = queue.enqueue(["--limit", "closed", "exit 0"]);
    let drained = queue.run(["worker:start", "--drain", "--concurrency", "4"]);
    assert_eq!(drained.status, 0, "{}", drained.err);
    for id in slow {
        assert_eq!(queue.state(&id), "completed");
    }
    assert_eq!(queue.state(&closed), "blocked");
    assert!(
        drained.err.contains("1 job is left that cannot start"),
        "{}",
        drained.err
    );
}
