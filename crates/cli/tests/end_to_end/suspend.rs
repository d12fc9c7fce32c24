//! Running jobs that are suspended and go on: all their processes, and what else a job can meet meanwhile.

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::unix::{lives, send, wait_gone};
use crate::support::{Queue, history, wait_until};

/// Starts a child in its group and one in a session of its own, says who they are in a file of that name, and waits.
fn family(name: &str) -> String {
    format!(
        "sleep 1000 & echo $! >> {name}; setsid sh -c 'echo $$ >> {name}; exec sleep 1000' & \
         while [ $(grep -c . {name}) -lt 2 ]; do sleep 0.01; done; echo $$ >> {name}; \
         while [ ! -e stop ]; do sleep 0.05; done; kill 0"
    )
}

fn pids(queue: &Queue, name: &str) -> Vec<i32> {
    let lines = queue.wait_lines(name, 3);
    lines.iter().map(|line| line.parse().unwrap()).collect()
}

/// Whether a process is stopped.
fn is_stopped(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let rest = stat.rsplit_once(") ").map(|(_, rest)| rest.to_owned());
    rest.is_some_and(|rest| rest.starts_with('T'))
}

fn is_suspended(queue: &Queue, id: &str) -> bool {
    queue.job(id)["suspended_since"] != Value::Null
}

#[test]
fn all_processes_of_a_suspended_job_stop_and_go_on() {
    let queue = Queue::quick();
    queue.ok(["config:set", "event_retention", "7d"]);
    for name in ["one", "bystander"] {
        queue.enqueue([family(name)]);
    }
    queue.enqueue(["--hold", "true"]);
    let _node = queue.start(&["--count", "2"]);
    let (one, bystander) = (pids(&queue, "one"), pids(&queue, "bystander"));
    assert_eq!(queue.ok(["suspend", "1"]), "1 suspended");
    wait_until("they are stopped", || one.iter().all(|pid| is_stopped(*pid)));
    assert!(!bystander.iter().any(|pid| is_stopped(*pid)));
    assert!(is_suspended(&queue, "1") && !is_suspended(&queue, "2"));
    assert_eq!(queue.state("1"), "processing");
    assert_eq!(queue.ok(["suspend", "1"]), "1 is suspended already");
    let shown = queue.ok(["show", "1"]);
    assert!(shown.contains("suspended") && shown.contains("since"), "{shown}");
    assert_eq!(queue.job("1")["reason"], "suspended");
    let listed = queue.ok(["list", "--state", "processing"]);
    assert!(
        listed.contains("REASON") && listed.contains("suspended"),
        "{listed}"
    );
    let explained = queue.ok(["explain", "1"]);
    assert!(explained.contains("queuectl resume 1"), "{explained}");
    let refused = queue.fails(4, ["suspend", "3"]);
    assert!(
        refused.contains("only running jobs can be suspended"),
        "{refused}"
    );
    // Not what runs.
    assert_eq!(queue.ok(["resume", "2"]), "2 was not suspended");
    assert!(is_suspended(&queue, "1"));

    assert_eq!(queue.ok(["resume", "1"]), "1 resumed");
    wait_until("they go on", || !one.iter().any(|pid| is_stopped(*pid)));
    assert!(!is_suspended(&queue, "1"));
    // So does a signal that continues them.
    queue.ok(["suspend", "1"]);
    assert_eq!(queue.ok(["kill", "--signal", "CONT", "1"]), "1 sent");
    wait_until("it is known", || !is_suspended(&queue, "1"));
    assert!(!one.iter().any(|pid| is_stopped(*pid)));
    // Many at once.
    let said = queue.ok(["suspend", "state=processing", "--yes"]);
    assert_eq!(said, "2 jobs will be suspended");
    wait_until("all are", || {
        is_suspended(&queue, "1") && is_suspended(&queue, "2")
    });
    queue.ok(["resume", "state=processing", "--yes"]);
    wait_until("none is", || {
        !is_suspended(&queue, "1") && !is_suspended(&queue, "2")
    });
    let events = queue.json(["events", "--job", "1"]);
    let kinds: Vec<&str> = events
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|event| event["kind"].as_str())
        .collect();
    for kind in ["suspend requested", "suspended", "resume requested", "resumed"] {
        assert!(kinds.contains(&kind), "{kinds:?}");
    }
    queue.write("stop", "");
}

/// The bystander starts later and is not suspended: its end shows that the time has passed.
#[test]
fn suspended_time_does_not_count_for_the_timeout() {
    let queue = Queue::quick();
    let sleeper = |name: &str| {
        vec![
            "--timeout".to_owned(),
            "5s".to_owned(),
            "--max-retries".to_owned(),
            "0".to_owned(),
            format!("echo $$ > {name}; sleep 1000"),
        ]
    };
    queue.enqueue(sleeper("one"));
    let _node = queue.start(&["--count", "2"]);
    queue.wait_pid("one");
    assert_eq!(queue.ok(["suspend", "1"]), "1 suspended");
    queue.enqueue(sleeper("bystander"));
    queue.wait_state("2", "dead");
    assert_eq!(queue.state("1"), "processing");
    assert_eq!(queue.ok(["resume", "1"]), "1 resumed");
    queue.wait_state("1", "dead");
    let job = queue.json(["show", "1"]);
    assert_eq!(history(&job), ["1 timed_out"], "{job}");
}

#[test]
fn a_suspended_job_is_cancelled_and_killed() {
    let queue = Queue::quick();
    for name in ["cancelled", "killed"] {
        queue.enqueue([
            "--max-retries".to_owned(),
            "0".to_owned(),
            format!("trap 'echo told >> {name}.told; exit 1' TERM; {}", family(name)),
        ]);
    }
    let _node = queue.start(&["--count", "2"]);
    let (cancelled, killed) = (pids(&queue, "cancelled"), pids(&queue, "killed"));
    queue.ok(["suspend", "1", "2"]);
    queue.ok(["cancel", "--wait", "1"]);
    assert_eq!(queue.state("1"), "cancelled");
    // It was told as always, and had its time.
    assert_eq!(queue.lines("cancelled.told"), ["told"]);
    assert!(is_suspended(&queue, "2") && !is_suspended(&queue, "1"));
    queue.ok(["kill", "--signal", "KILL", "2"]);
    queue.wait_state("2", "dead");
    assert!(!queue.path("killed.told").exists());
    for pid in cancelled.into_iter().chain(killed) {
        assert!(!lives(pid), "{pid} lives");
    }
}

#[test]
fn a_node_that_stops_gives_a_suspended_job_back() {
    let queue = Queue::quick();
    queue.enqueue([family("one")]);
    let mut node = queue.start(&[]);
    let first = pids(&queue, "one");
    queue.ok(["suspend", "1"]);
    queue.ok(["worker:stop", "--now"]);
    assert_eq!(node.wait_exit(), 0);
    assert_eq!(queue.state("1"), "pending");
    assert!(!is_suspended(&queue, "1"));
    for pid in first {
        assert!(!lives(pid), "{pid} lives");
    }
}

#[test]
fn after_a_crash_of_its_node_a_suspended_job_starts_anew() {
    let queue = Queue::quick();
    queue.enqueue([format!(
        "[ -e one ] || {{ {}; }}; echo again > again",
        family("one")
    )]);
    let mut node = queue.start(&[]);
    let first = pids(&queue, "one");
    queue.ok(["suspend", "1"]);
    let workers = node.workers(1);
    node.kill_dispatcher();
    workers.into_iter().for_each(|pid| send(pid, Signal::SIGKILL));
    let _next = queue.start(&[]);
    queue.wait_state("1", "completed");
    assert!(queue.path("again").exists() && !is_suspended(&queue, "1"));
    for pid in first {
        wait_gone(pid, "a process of the first attempt");
    }
}
