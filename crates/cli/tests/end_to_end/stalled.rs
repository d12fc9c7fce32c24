//! A node whose log is not read keeps all its promises.

use std::io::Read;
use std::process::{Child, Stdio};

use crate::support::unix::send;
use crate::support::{GATED, MARK, Queue, history, wait_until};
use nix::sys::signal::Signal;

/// Lines that a pipe does not hold, by far.
const JOBS: usize = 700;

/// A node whose standard error is a pipe that is full before its first job has ended.
fn unread(queue: &Queue, args: &[&str]) -> Child {
    let words = [&["worker:start", "-v"], args].concat();
    let mut command = queue.command(words);
    command.env(MARK, queue.next_mark());
    let node = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    node.unwrap()
}

fn completed(queue: &Queue) -> usize {
    queue.json(["status"])["total"]["completed"].as_u64().unwrap() as usize
}

fn wait_end(node: &mut Child) {
    wait_until("the node's end", || node.try_wait().unwrap().is_some());
}

#[test]
fn a_node_whose_log_nobody_reads_keeps_its_promises() {
    let queue = Queue::quick();
    let gate = queue.gate("gate");
    let mut node = unread(&queue, &["--count", "2"]);
    queue.write("jobs", "\"true\"\n".repeat(JOBS));
    queue.ok(["enqueue", "--from", "jobs"]);
    wait_until("the end of all jobs", || completed(&queue) == JOBS);
    // A timeout, a request to cancel, a request to stop.
    let late = queue.enqueue(["--timeout", "50ms", "--max-retries", "0", "sleep 600"]);
    queue.wait_state(&late, "dead");
    let cancelled = queue.enqueue([GATED]);
    queue.wait_started(1);
    queue.ok(["cancel", "--wait", &cancelled]);
    let last = queue.enqueue([GATED]);
    queue.wait_started(2);
    queue.ok(["worker:stop"]);
    gate.open();
    wait_end(&mut node);
    assert_eq!(history(&queue.job(&last)), ["1 succeeded"]);
    let mut log = String::new();
    node.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert!(
        log.contains("node started") && !log.contains("node stopped"),
        "{log}"
    );
}

#[test]
fn a_signal_ends_a_node_whose_log_nobody_reads() {
    let queue = Queue::quick();
    let mut node = unread(&queue, &[]);
    queue.write("jobs", "\"true\"\n".repeat(JOBS));
    queue.ok(["enqueue", "--from", "jobs"]);
    wait_until("the end of all jobs", || completed(&queue) == JOBS);
    send(i32::try_from(node.id()).unwrap(), Signal::SIGTERM);
    wait_end(&mut node);
}

#[test]
fn a_reader_that_goes_on_gets_every_line() {
    let queue = Queue::quick();
    let mut node = unread(&queue, &[]);
    queue.write("jobs", "\"true\"\n".repeat(JOBS));
    queue.ok(["enqueue", "--from", "jobs"]);
    wait_until("the end of all jobs", || completed(&queue) == JOBS);
    let mut stderr = node.stderr.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut log = String::new();
        stderr.read_to_string(&mut log).map(|_| log)
    });
    queue.ok(["worker:stop"]);
    wait_end(&mut node);
    let log = reader.join().unwrap().unwrap();
    assert_eq!(log.matches("job succeeded").count(), JOBS);
    assert!(log.trim_end().ends_with("node stopped node=1"), "{log}");
}
