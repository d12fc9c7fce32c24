//! Processes that are stopped: a dispatcher that renews nothing, reports nothing, and does not even notice; a worker
//! process that finds a job when another machine has it.

use nix::sys::signal::Signal;

use super::{STUBBORN, by_proxy};
use crate::support::unix::{lives, send};
use crate::support::{Node, Queue, history};

fn quick(name: &str) -> Option<Queue> {
    Some(by_proxy(name, &[("lease", "5s"), ("backoff_cap", "20ms")])?.0)
}

/// A node with a folder of its own, as on another machine.
fn start(queue: &Queue, data: &str, without: &str) -> Node {
    let data = queue.path(data);
    let node = Node::start_command(queue, &["worker:start"], |command| {
        command
            .env("XDG_DATA_HOME", data)
            .env("QUEUECTL_TEST_WITHOUT", without);
    });
    node.wait_log("node started");
    node
}

/// Stops a dispatcher whose node runs a job, until another machine has the job. Says whether it ran twice at that
/// moment.
fn hold(name: &str, without: &str) -> Option<bool> {
    let queue = quick(name)?;
    let node = start(&queue, "one", without);
    let id = queue.enqueue([STUBBORN]);
    let pid = queue.wait_pid("pids");
    // Another machine: it sees no process of the first, so it can kill none.
    let _other = start(&queue, "two", "sweep");
    send(node.pid(), Signal::SIGSTOP);
    queue.wait_lines("pids", 2);
    let twice = lives(pid);
    send(node.pid(), Signal::SIGCONT);
    node.wait_log("registering again");
    let job = queue.job(&id);
    assert_eq!(history(&job), ["1 lost"], "{job}");
    Some(twice)
}

#[test]
fn jobs_of_a_dispatcher_that_is_stopped_end_before_its_lease_is_over() {
    let name = "postgres::held::jobs_of_a_dispatcher_that_is_stopped_end_before_its_lease_is_over";
    std::thread::scope(|scope| {
        let control = scope.spawn(|| hold(name, "deadline"));
        let Some(twice) = hold(name, "") else { return };
        assert!(!twice, "it ran on while another machine had it");
        assert_eq!(control.join().unwrap(), Some(true), "the control");
    });
}

/// Stops a worker process before it has read of a job, and its dispatcher, until another machine has run the job. Says
/// under which fences it ran.
fn begin_late(name: &str, without: &str) -> Option<Vec<String>> {
    let queue = quick(name)?;
    let node = start(&queue, "one", without);
    let worker = node.workers(1)[0];
    send(worker, Signal::SIGSTOP);
    let id = queue.enqueue(["echo $QUEUECTL_FENCE >> ran"]);
    queue.wait_state(&id, "processing");
    send(node.pid(), Signal::SIGSTOP);
    let _other = start(&queue, "two", "sweep");
    queue.wait_lines("ran", 1);
    send(worker, Signal::SIGCONT);
    if !without.is_empty() {
        queue.wait_lines("ran", 2);
    }
    send(node.pid(), Signal::SIGCONT);
    node.wait_log("registering again");
    assert_eq!(history(&queue.job(&id)), ["1 lost", "2 succeeded"]);
    Some(queue.lines("ran"))
}

#[test]
fn a_worker_process_begins_nothing_when_the_lease_is_over() {
    let name = "postgres::held::a_worker_process_begins_nothing_when_the_lease_is_over";
    std::thread::scope(|scope| {
        let control = scope.spawn(|| begin_late(name, "deadline"));
        let Some(fences) = begin_late(name, "") else {
            return;
        };
        assert_eq!(fences, ["2"]);
        let control = control.join().unwrap().unwrap();
        assert_eq!(control, ["2", "1"], "the control");
    });
}
