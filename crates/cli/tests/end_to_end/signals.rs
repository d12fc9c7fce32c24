//! Signals to a node: the first lets jobs finish, the second gives them back, the third kills them; and none of them
//! reaches a job by way of the terminal.

use std::os::unix::process::CommandExt;

use nix::sys::signal::Signal;

#[cfg(target_os = "linux")]
use crate::support::unix::in_a_terminal;
use crate::support::unix::{lives, send};
use crate::support::{GATED, Node, Queue, history};

#[test]
fn the_first_signal_lets_running_jobs_finish() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let queue = Queue::quick();
        let gate = queue.gate("gate");
        let mut node = queue.start(&[]);
        let running = queue.enqueue([GATED]);
        queue.wait_lines("started", 1);
        node.signal(signal);
        node.wait_log("finishing running jobs");
        let new = queue.enqueue(["true"]);
        gate.open();
        assert_eq!(node.wait_exit(), 0, "{signal}");
        assert_eq!(history(&queue.job(&running)), ["1 succeeded"], "{signal}");
        let new = queue.job(&new);
        assert_eq!(
            (&new["state"], &new["attempts"]),
            (&"pending".into(), &0.into()),
            "{signal}"
        );
    }
}

#[test]
fn the_second_signal_gives_running_jobs_back() {
    let queue = Queue::quick();
    let _gate = queue.gate("gate");
    let mut node = queue.start(&[]);
    let id = queue.enqueue(["--max-retries", "0", "echo $$ > pid; read x < gate"]);
    let pid = queue.wait_pid("pid");
    node.signal(Signal::SIGTERM);
    node.wait_log("finishing running jobs");
    assert!(lives(pid), "the first signal stops nothing");
    node.signal(Signal::SIGTERM);
    assert_eq!(node.wait_exit(), 0);
    assert!(!lives(pid));
    let job = queue.job(&id);
    assert_eq!(
        (&job["state"], &job["attempts"], history(&job)),
        (&"pending".into(), &0.into(), vec!["1 returned".to_owned()])
    );
}

#[test]
fn the_third_signal_kills_what_does_not_want_to_stop() {
    let queue = Queue::quick();
    queue.ok(["config:set", "kill_grace", "1h"]);
    let mut node = queue.start(&[]);
    let id = queue.enqueue(["trap '' TERM INT; echo $$ > pid; while :; do sleep 1000; done"]);
    let pid = queue.wait_pid("pid");
    node.signal(Signal::SIGINT);
    node.wait_log("finishing running jobs");
    node.signal(Signal::SIGINT);
    node.wait_log("stopping running jobs");
    node.signal(Signal::SIGINT);
    assert_eq!(node.wait_exit(), 0);
    assert!(!lives(pid));
    let job = queue.job(&id);
    assert_eq!(
        (&job["state"], &job["attempts"]),
        (&"pending".into(), &0.into()),
        "{job}"
    );
}

/// Ctrl-C reaches every process of the terminal's foreground group. The node leads that group here.
#[test]
fn ctrl_c_does_not_kill_jobs() {
    let queue = Queue::quick();
    let gate = queue.gate("gate");
    let mut node = Node::start_command(&queue, &["worker:start", "--count", "2"], |command| {
        command.process_group(0);
    });
    let ids = [queue.enqueue([GATED]), queue.enqueue([GATED])];
    queue.wait_lines("started", 2);
    send(-node.pid(), Signal::SIGINT);
    node.wait_log("finishing running jobs");
    gate.open();
    gate.open();
    assert_eq!(node.wait_exit(), 0);
    for id in ids {
        assert_eq!(history(&queue.job(&id)), ["1 succeeded"]);
    }
    assert!(!node.log().contains("died"), "{}", node.log());
}

/// A terminal with a shell in it: the node is a job of that shell, and Ctrl-C comes from the terminal's driver.
#[test]
#[cfg(target_os = "linux")]
fn ctrl_c_in_a_terminal_does_not_kill_jobs() {
    use std::io::Write;

    let queue = Queue::quick();
    let gate = queue.gate("gate");
    let test = "ctrl_c_in_a_terminal_does_not_kill_jobs";
    let Some(mut terminal) = in_a_terminal(&queue, &["worker:start"], test) else {
        return;
    };
    let id = queue.enqueue([GATED]);
    queue.wait_lines("started", 1);
    terminal.stdin.as_mut().unwrap().write_all(b"\x03").unwrap();
    crate::support::wait_until("the node to hear of Ctrl-C", || {
        queue.read("typescript").contains("finishing running jobs")
    });
    gate.open();
    let status = crate::support::wait_for("the end of the terminal", || terminal.try_wait().unwrap());
    assert_eq!(status.code(), Some(0), "{}", queue.read("typescript"));
    assert_eq!(history(&queue.job(&id)), ["1 succeeded"]);
}

/// A job that could open the terminal could type into it, as the user who started the node; and one that only reads from
/// it would be stopped by the terminal's driver, and hold its slot.
#[test]
#[cfg(target_os = "linux")]
fn a_job_does_not_reach_the_terminal_of_its_node() {
    let queue = Queue::quick();
    let unreachable = "if (: </dev/tty) 2>error; then exit 9; else cat error; fi";
    let bare = queue.enqueue(["--max-retries", "0", unreachable]);
    // One with limits is started another way.
    let limited = format!(r#"{{"command":"{unreachable}","max_retries":0,"payload":{{"umask":"022"}}}}"#);
    let limited = queue.enqueue([limited.as_str()]);
    let session = queue.enqueue(["cut -d' ' -f5-7 /proc/$$/stat; echo $$ $PPID"]);
    let test = "a_job_does_not_reach_the_terminal_of_its_node";
    let Some(mut terminal) = in_a_terminal(&queue, &["worker:start", "--drain"], test) else {
        return;
    };
    let status = crate::support::wait_for("the end of the node", || terminal.try_wait().unwrap());
    assert_eq!(status.code(), Some(0), "{}", queue.read("typescript"));
    for id in [bare, limited] {
        assert!(queue.ok(["logs", &id]).contains("No such device"), "{id}");
    }
    let told = queue.ok(["logs", &session]);
    let [group, its_session, terminal, pid, worker] = told.split_whitespace().collect::<Vec<_>>()[..] else {
        panic!("{told}");
    };
    assert_eq!(
        (group, its_session, terminal),
        (pid, worker, "0"),
        "it leads its group, not the session, which has no terminal"
    );
}

/// Without a stop of the node, too: its job is a failed attempt, and what comes after it runs.
#[test]
#[cfg(target_os = "linux")]
fn a_worker_process_that_does_not_answer_is_replaced() {
    let queue = Queue::quick();
    let gate = queue.gate("gate");
    let mut node = queue.start(&["--count", "2"]);
    let stops = "echo $$ > pid; kill -STOP $PPID; exec sleep 1000";
    let held = queue.enqueue(["--max-retries", "0", stops]);
    let pid = queue.wait_pid("pid");
    // A worker process that is merely busy for as long is left alone.
    let bystander = queue.enqueue([GATED]);
    queue.wait_started(1);
    queue.wait_state(&held, "dead");
    assert!(!lives(pid));
    gate.open();
    queue.wait_state(&bystander, "completed");
    node.signal(Signal::SIGTERM);
    assert_eq!(node.wait_exit(), 0, "{}", node.log());
    let job = queue.job(&held);
    assert_eq!(history(&job), ["1 crashed"]);
    assert!(job.to_string().contains("it did not answer"), "{job}");
    assert_eq!(history(&queue.job(&bystander)), ["1 succeeded"]);
}

/// A worker process that is stopped hears nothing and says nothing. The node does not wait for it for ever.
#[test]
#[cfg(target_os = "linux")]
fn a_worker_process_that_does_not_answer_is_killed_in_the_end() {
    let queue = Queue::quick();
    let mut node = queue.start(&[]);
    let id = queue.enqueue(["echo $$ $PPID > pids; exec sleep 1000"]);
    queue.wait_lines("pids", 1);
    let pids: Vec<i32> = queue
        .read("pids")
        .split_whitespace()
        .map(|pid| pid.parse().unwrap())
        .collect();
    send(pids[1], Signal::SIGSTOP);
    for said in [
        "finishing running jobs",
        "stopping running jobs",
        "killing running jobs",
    ] {
        node.signal(Signal::SIGTERM);
        node.wait_log(said);
    }
    assert_eq!(node.wait_exit(), 0);
    assert!(node.log().contains("does not answer"), "{}", node.log());
    assert!(pids.iter().all(|pid| !lives(*pid)));
    let job = queue.job(&id);
    assert_eq!(history(&job), ["1 returned"]);
    assert_eq!(job["attempts"], 0, "it cost none");
}
