//! The life of a node: started in several ways, asked to stop, drained, limited to queues and slots.

use serde_json::Value;

use crate::support::jobs::succeeds_at;
#[cfg(unix)]
use crate::support::unix::{lives, wait_gone};
use crate::support::{GATED, Node, Queue, history, wait_for, wait_until};

#[test]
fn a_node_that_is_asked_to_stop_finishes_what_runs_and_takes_nothing_new() {
    let queue = Queue::quick();
    let gate = queue.gate("gate");
    let mut node = queue.start(&[]);
    let running = queue.enqueue([GATED]);
    let others: Vec<String> = (0..3).map(|_| queue.enqueue(["echo x> ran"])).collect();
    queue.wait_started(1);
    assert_eq!(queue.ok(["worker:stop"]), "node 1 is asked to stop");
    node.wait_log("finishing running jobs");
    assert_eq!(queue.json(["worker:list"])[0]["state"], "stopping");
    let said = queue.fails(124, ["worker:stop", "--wait", "--timeout", "50ms"]);
    assert!(said.contains("node 1 has not stopped yet"), "{said}");
    gate.open();
    assert_eq!(node.wait_exit(), 0);
    assert_eq!(history(&queue.job(&running)), ["1 succeeded"]);
    for id in others {
        let job = queue.job(&id);
        assert_eq!(
            (&job["state"], &job["attempts"], history(&job).len()),
            (&"pending".into(), &0.into(), 0)
        );
    }
    assert!(!queue.path("ran").exists());
    assert_eq!(queue.json(["worker:list"]), Value::Array(Vec::new()));
    assert!(
        queue
            .run(["worker:stop", "--wait"])
            .err
            .contains("no node is running")
    );
    queue.fails(3, ["worker:stop", "1"]);
}

#[test]
fn a_node_can_be_stopped_now_and_its_jobs_lose_no_attempt() {
    let queue = Queue::quick();
    let gate = queue.gate("gate");
    let mut node = queue.start(&["--concurrency", "2"]);
    let ids = [
        queue.enqueue([GATED]),
        queue.enqueue(["--max-retries", "0", GATED]),
    ];
    queue.wait_started(2);
    queue.ok(["worker:stop", "--now", "--wait"]);
    assert_eq!(node.wait_exit(), 0);
    for id in &ids {
        let job = queue.job(id);
        assert_eq!(
            (&job["state"], &job["attempts"], history(&job)),
            (&"pending".into(), &0.into(), vec!["1 returned".to_owned()]),
            "{job}"
        );
    }
    gate.leave_open();
    assert_eq!(queue.drain(&[]), 0);
    for id in &ids {
        assert_eq!(history(&queue.job(id)), ["1 returned", "2 succeeded"]);
    }
}

#[test]
fn the_grace_of_a_stopping_node_ends() {
    let queue = Queue::quick();
    let _gate = queue.gate("gate");
    queue.ok(["config:set", "shutdown_grace", "100ms"]);
    let mut node = queue.start(&[]);
    let id = queue.enqueue([GATED]);
    queue.wait_started(1);
    queue.ok(["worker:stop", "--wait"]);
    assert_eq!(node.wait_exit(), 0);
    let job = queue.job(&id);
    assert_eq!(
        (&job["state"], &job["attempts"]),
        (&"pending".into(), &0.into()),
        "{job}"
    );
}

#[test]
fn one_of_several_nodes_can_be_stopped() {
    let queue = Queue::quick();
    let mut first = queue.start(&["--count", "2", "--concurrency", "3"]);
    let mut second = queue.start(&["--queue", "a", "--queue", "b"]);
    let nodes = queue.json(["worker:list"]);
    let shown: Vec<_> = nodes
        .as_array()
        .unwrap()
        .iter()
        .map(|node| {
            (
                node["id"].as_i64(),
                node["pid"].as_i64(),
                node["workers"].as_i64(),
                node["concurrency"].as_i64(),
                node["queues"].to_string(),
                node["state"].as_str(),
            )
        })
        .collect();
    let (pid1, pid2) = (Some(first.pid().into()), Some(second.pid().into()));
    assert_eq!(
        shown,
        [
            (Some(1), pid1, Some(2), Some(3), "[]".to_owned(), Some("running")),
            (
                Some(2),
                pid2,
                Some(1),
                Some(1),
                "[\"a\",\"b\"]".to_owned(),
                Some("running")
            ),
        ]
    );
    queue.ok(["worker:stop", "1", "--wait"]);
    assert_eq!(first.wait_exit(), 0);
    assert!(second.runs());
    assert_eq!(queue.json(["worker:list"])[0]["id"], 2);
    assert_eq!(queue.json(["status"])["nodes"][0]["id"], 2);
    second.kill_dispatcher();
    assert_eq!(queue.json(["worker:list"])[0]["state"], "dead");
    let done = queue.run(["worker:stop", "--wait"]);
    assert!(
        done.status == 0 && done.err.contains("node 2 is dead"),
        "{}",
        done.err
    );
}

#[test]
fn a_node_serves_its_queues_only() {
    let queue = Queue::quick();
    let mine = [
        queue.enqueue(["--queue", "a", "exit 0"]),
        queue.enqueue(["--queue", "b", "exit 0"]),
    ];
    let other = queue.enqueue(["exit 0"]);
    let bad = queue.enqueue(["--queue", "c", "--max-retries", "0", "exit 1"]);
    assert_eq!(queue.drain(&["--queue", "a", "--queue", "b"]), 0);
    assert!(mine.iter().all(|id| queue.state(id) == "completed"));
    assert_eq!(
        (queue.state(&other).as_str(), queue.state(&bad).as_str()),
        ("pending", "pending")
    );
    assert_eq!(
        queue.drain(&[]),
        1,
        "the control: a node for all queues takes them"
    );
    assert_eq!(
        (queue.state(&other).as_str(), queue.state(&bad).as_str()),
        ("completed", "dead")
    );
}

#[test]
fn a_worker_process_runs_as_many_jobs_as_it_is_told() {
    let queue = Queue::quick();
    let gate = queue.gate("gate");
    for _ in 0..5 {
        queue.enqueue([GATED]);
    }
    let _node = queue.start(&["--count", "2", "--concurrency", "2"]);
    queue.wait_started(4);
    let running = || queue.json(["status"])["total"]["processing"].as_u64();
    assert_eq!(running(), Some(4));
    gate.open();
    // The fifth starts only now that there is a free slot.
    queue.wait_started(5);
    (0..4).for_each(|_| gate.open());
    wait_until("all five to complete", || {
        queue.json(["status"])["total"]["completed"] == 5
    });
    let workers: std::collections::BTreeSet<u64> = (1..=5)
        .map(|id| {
            queue.job(&id.to_string())["attempt_history"][0]["worker"]
                .as_u64()
                .unwrap()
        })
        .collect();
    assert_eq!(workers.into_iter().collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn draining_waits_for_retries_and_reports_what_went_wrong() {
    let queue = Queue::quick();
    assert_eq!(queue.drain(&[]), 0, "an empty queue is drained");
    let twice = queue.enqueue([succeeds_at(3)]);
    let later = queue.enqueue(["--delay", "300ms", "exit 0"]);
    assert_eq!(queue.drain(&[]), 0);
    assert_eq!(
        history(&queue.job(&twice)),
        ["1 failed", "2 failed", "3 succeeded"]
    );
    assert_eq!(queue.state(&later), "completed");
    queue.enqueue(["--max-retries", "0", "exit 1"]);
    assert_eq!(queue.drain(&[]), 1);
    queue.enqueue(["exit 0"]);
    assert_eq!(queue.drain(&[]), 0, "dead jobs of before do not count");
    let gate = queue.gate("gate");
    let cancelled = queue.enqueue([GATED]);
    let mut node = Node::start(&queue, &["--drain"]);
    queue.wait_started(1);
    queue.ok(["cancel", "--wait", &cancelled]);
    assert_eq!(node.wait_exit(), 1, "a cancelled job did not complete");
    drop(gate);
}

#[test]
fn a_node_can_run_in_the_background() {
    let queue = Queue::quick();
    let started = queue.json(["worker:start", "--detach", "--count", "2"]);
    assert_eq!(started["node"], 1);
    #[cfg(unix)]
    let pid = i32::try_from(started["pid"].as_i64().unwrap()).unwrap();
    #[cfg(unix)]
    assert!(lives(pid));
    let id = queue.enqueue(["echo from the background"]);
    queue.wait_state(&id, "completed");
    // The end of a job is logged behind its commit.
    let log = || std::fs::read_to_string(started["log_file"].as_str().unwrap()).unwrap();
    crate::support::wait_until("the end of the job in the log", || {
        log().contains("job succeeded")
    });
    let log = log();
    assert!(
        log.contains("node started") && log.contains("job succeeded"),
        "{log}"
    );
    #[cfg(unix)]
    {
        // It is no longer of this session, so closing the terminal does not end it.
        let session = nix::unistd::getsid(Some(nix::unistd::Pid::from_raw(pid))).unwrap();
        assert_eq!(session.as_raw(), pid);
    }
    queue.ok(["worker:stop", "--wait"]);
    #[cfg(unix)]
    wait_gone(pid, "the node in the background");
    let said = queue.ok(["worker:start", "--detach", "--log-file", "my.log"]);
    assert!(said.starts_with("node 2 runs in the background"), "{said}");
    wait_until("the log to say so", || {
        queue.read("my.log").contains("node started")
    });
    queue.ok(["worker:stop", "--wait"]);
    queue.fails(2, ["worker:start", "--log-file", "my.log"]);
    // What cannot start says so at once, with its status.
    queue.write(
        "noise",
        "this is no database, and long enough for a header of one hundred bytes, which is what is read of it",
    );
    let other = queue.with_db("noise");
    let said = other.fails(5, ["worker:start", "--detach"]);
    assert!(said.contains("not an SQLite database"), "{said}");
}

#[test]
#[cfg(target_os = "linux")]
fn an_idle_node_wakes_at_once_and_costs_nothing() {
    let queue = Queue::quick();
    // So slow a poll that only the wake-up can be the reason.
    queue.ok(["config:set", "poll_interval", "1h"]);
    let node = queue.start(&[]);
    let id = queue.enqueue(["exit 0"]);
    queue.wait_state(&id, "completed");
    let used = || -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", node.pid())).unwrap_or_default();
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
        // User and system time, in ticks of a hundredth of a second.
        fields.get(11).map_or(0, |t| t.parse().unwrap()) + fields.get(12).map_or(0, |t| t.parse().unwrap())
    };
    let before = used();
    let later = queue.enqueue(["--delay", "1500ms", "exit 0"]);
    queue.wait_state(&later, "completed");
    assert!(
        used() - before < 50,
        "half a second of work in a second and a half of idling"
    );
}

#[test]
fn a_second_node_takes_half_of_the_work() {
    let queue = Queue::quick();
    let gate = queue.gate("gate");
    let _nodes: Vec<Node> = (0..2).map(|_| queue.start(&[])).collect();
    let ids = [queue.enqueue([GATED]), queue.enqueue([GATED])];
    queue.wait_started(2);
    gate.open();
    gate.open();
    let nodes = ids.map(|id| {
        wait_for("the job to complete", || {
            let job = queue.job(&id);
            (job["state"] == "completed").then(|| job["attempt_history"][0]["node"].as_i64())
        })
    });
    assert_ne!(nodes[0], nodes[1]);
}

#[test]
fn a_log_can_be_for_machines() {
    let queue = Queue::quick();
    queue.enqueue(["--id", "mine", "--max-retries", "0", "exit 1"]);
    let mut node = Node::start(&queue, &["--drain", "--log-format", "json"]);
    assert_eq!(node.wait_exit(), 1);
    let events: Vec<Value> = node
        .log()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
        .collect();
    let dead = events.iter().find(|event| event["level"] == "error").unwrap();
    assert_eq!((&dead["job"], &dead["attempt"]), (&"mine".into(), &1.into()));
    assert!(
        dead["message"].as_str().unwrap().contains("dlq:show mine"),
        "{dead}"
    );
    let said = queue
        .command(["list"])
        .env("QUEUECTL_LOG", "a=b=c")
        .output()
        .unwrap();
    assert_eq!(said.status.code(), Some(2));
}
