//! What a job starts and leaves behind: it is dead when the job has ended, unless the setting says otherwise.

use crate::support::unix::{lives, wait_gone};
use crate::support::{Queue, wait_until};

/// Starts one child in the job's group and one that escapes from it, and ends when both run.
const LEAVES: &str = "\
(exec sleep 1000) & echo $! > child
setsid sh -c 'echo $$ > escaped; exec sleep 1000' &
until [ -s escaped ]; do :; done";

/// The same with their output elsewhere, as a well-behaved daemon has it.
const DAEMON: &str = "setsid sh -c 'echo $$ > daemon; exec sleep 1000' > /dev/null 2>&1 &
until [ -s daemon ]; do :; done";

#[test]
fn what_a_job_leaves_behind_is_dead_when_it_has_ended() {
    let queue = Queue::quick();
    let node = queue.start(&[]);
    let id = queue.enqueue([LEAVES]);
    queue.wait_state(&id, "completed");
    for file in ["child", "escaped"] {
        assert!(!lives(queue.wait_pid(file)), "{file}");
    }
    // A failed job is no exception.
    let id = queue.enqueue(["--max-retries", "0", &format!("rm escaped\n{LEAVES}\nexit 1")]);
    queue.wait_state(&id, "dead");
    for file in ["child", "escaped"] {
        assert!(!lives(queue.wait_pid(file)), "{file}");
    }
    drop(node);
}

#[test]
fn leftovers_may_be_left() {
    let queue = Queue::quick();
    queue.ok(["config:set", "leftovers", "leave"]);
    let mut node = queue.start(&[]);
    let id = queue.enqueue([LEAVES]);
    // They hold the job's output open; the job has ended all the same.
    queue.wait_state(&id, "completed");
    let daemon = queue.enqueue([DAEMON]);
    queue.wait_state(&daemon, "completed");
    let pids = ["child", "escaped", "daemon"].map(|file| (file, queue.wait_pid(file)));
    for (file, pid) in pids {
        assert!(lives(pid), "{file}");
    }
    // The end of other jobs is no reason either, nor is the end of the node.
    let next = queue.enqueue(["true"]);
    queue.wait_state(&next, "completed");
    queue.ok(["worker:stop", "--wait"]);
    assert_eq!(node.wait_exit(), 0);
    for (file, pid) in pids {
        assert!(lives(pid), "{file} after the node stopped");
    }
}

#[test]
fn the_setting_holds_from_the_next_job_on() {
    let queue = Queue::quick();
    queue.ok(["config:set", "leftovers", "leave"]);
    let node = queue.start(&[]);
    let id = queue.enqueue([DAEMON]);
    queue.wait_state(&id, "completed");
    let left = queue.wait_pid("daemon");
    std::fs::remove_file(queue.path("daemon")).unwrap();
    queue.ok(["config:set", "leftovers", "kill"]);
    wait_until("the node to take up the setting", || {
        node.log().contains("settings changed")
    });
    let id = queue.enqueue([DAEMON]);
    queue.wait_state(&id, "completed");
    wait_gone(queue.wait_pid("daemon"), "what the second job left");
    assert!(lives(left), "what the first job was allowed to leave");
}
