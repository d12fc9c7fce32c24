//! A disk that is full or read-only, or a file that is: clear errors, no false success, and work goes on when the cause
//! is gone.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::support::unix::{SmallDisk, within};
use crate::support::{Done, Queue, finish, history};

/// A queue on a small disk of its own; none, reported as skipped, where no disk can be mounted.
fn on_small_disk(test: &str) -> Option<(SmallDisk, Queue)> {
    let queue = Queue::new();
    let disk = SmallDisk::mount(queue.path("disk"), 2048);
    if disk.is_none() {
        queuectl_testkit::skipped(test, "this user cannot mount a tmpfs");
    }
    let disk = disk?;
    let queue = queue.with_db("disk/queue.db");
    queue.ok(["config:set", "backoff_cap", "20ms"]);
    Some((disk, queue))
}

/// Input that needs new pages in the database.
fn large() -> String {
    "i".repeat(100_000)
}

#[test]
fn a_full_disk_refuses_and_loses_nothing() {
    let Some((disk, queue)) = on_small_disk("a_full_disk_refuses_and_loses_nothing") else {
        return;
    };
    queue.enqueue(["--id", "before", "true"]);
    disk.fill();
    let said = queue.fails(6, ["enqueue", "--stdin", &large(), "cat"]);
    assert!(said.contains("the disk is full"), "{said}");
    let lines = format!("{{\"command\":\"cat\",\"stdin\":\"{}\"}}\n", large()).repeat(3);
    let said = queue
        .run_with(["enqueue", "--from", "-"], lines.as_bytes())
        .fails(6);
    assert!(said.contains("the disk is full"), "{said}");
    disk.free();
    let jobs = queue.jobs();
    assert_eq!((jobs.len(), &jobs[0]["id"]), (1, &"before".into()));
    let after = queue.enqueue(["--stdin", &large(), "wc -c"]);
    assert_eq!(queue.drain(&[]), 0);
    assert_eq!(queue.ok(["logs", &after]), "100000");
    assert_eq!(queue.json(["db:check"])["ok"], true);
}

#[test]
fn a_node_goes_on_when_there_is_space_again() {
    let Some((disk, queue)) = on_small_disk("a_node_goes_on_when_there_is_space_again") else {
        return;
    };
    let gate = queue.gate("gate");
    let mut node = queue.start(&["--count", "2"]);
    // Their output does not fit into what the log of the database has left.
    let printing = "read x < gate; head -c 60000 /dev/zero | tr '\\0' x; echo $QUEUECTL_JOB_ID >> ran";
    let ids = [queue.enqueue([printing]), queue.enqueue([printing])];
    let next = queue.enqueue(["--stdin", &large(), "wc -c"]);
    for id in &ids {
        queue.wait_state(id, "processing");
    }
    disk.fill();
    gate.open();
    gate.open();
    queue.wait_lines("ran", 2);
    node.wait_log("cannot use the store, trying again: the disk is full");
    for id in &ids {
        assert_eq!(queue.state(id), "processing", "no false success");
    }
    disk.free();
    node.wait_log("the store is available again");
    for id in &ids {
        let job = queue.wait_state(id, "completed");
        assert_eq!(history(&job), ["1 succeeded"]);
        assert_eq!(job["attempt_history"][0]["output_bytes"], 60000);
    }
    queue.wait_state(&next, "completed");
    assert_eq!(queue.lines("ran").len(), 2, "none ran twice");
    assert_eq!(
        node.log().matches("cannot use the store").count(),
        1,
        "said once: {}",
        node.log()
    );
    queue.ok(["worker:stop"]);
    assert_eq!(node.wait_exit(), 0);
    assert_eq!(queue.json(["db:check"])["ok"], true);
}

/// A node that is told to stop twice does not wait for the disk.
#[test]
fn a_node_can_be_stopped_while_the_disk_is_full() {
    let Some((disk, queue)) = on_small_disk("a_node_can_be_stopped_while_the_disk_is_full") else {
        return;
    };
    let gate = queue.gate("gate");
    let mut node = queue.start(&[]);
    let id =
        queue.enqueue(["read x < gate; head -c 60000 /dev/zero | tr '\\0' x; echo $QUEUECTL_ATTEMPT >> ran"]);
    queue.wait_state(&id, "processing");
    disk.fill();
    gate.open();
    queue.wait_lines("ran", 1);
    node.wait_log("cannot use the store");
    node.signal(nix::sys::signal::Signal::SIGTERM);
    node.wait_log("finishing running jobs");
    node.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(node.wait_exit(), 6);
    assert!(
        node.log().contains("1 outcomes could not be recorded"),
        "{}",
        node.log()
    );
    disk.free();
    // The outcome is lost, the job is not: it runs at least once.
    gate.open();
    assert_eq!(queue.drain(&[]), 0);
    assert_eq!(history(&queue.job(&id)), ["1 lost", "2 succeeded"]);
}

#[test]
fn a_read_only_disk_is_named() {
    let Some((disk, queue)) = on_small_disk("a_read_only_disk_is_named") else {
        return;
    };
    queue.enqueue(["--id", "mine", "true"]);
    let before = std::fs::read(queue.db()).unwrap();
    disk.read_only();
    // There is a log already, so that it can still be read.
    assert_eq!(queue.state("mine"), "pending");
    for command in [
        &["enqueue", "true"][..],
        &["config:set", "max_retries", "3"],
        &["cancel", "mine"],
    ] {
        let said = queue.fails(6, command);
        assert!(said.contains("cannot be written"), "{command:?}: {said}");
    }
    let said = queue.fails(6, ["worker:start", "--drain"]);
    assert!(said.contains("read-only"), "{said}");
    assert!(std::fs::read(queue.db()).unwrap() == before);
}

/// Runs the binary without the right of root to write everywhere; none if that is not possible here.
fn as_anybody(queue: &Queue, args: &[&str]) -> Option<Done> {
    let command = queue.command(args);
    if !nix::unistd::geteuid().is_root() {
        return Some(finish(command, None));
    }
    let mut outer = Command::new("setpriv");
    outer.args(["--bounding-set=-dac_override", "--inh-caps=-dac_override"]);
    let able = Command::new("setpriv").arg("--version").output();
    able.ok().map(|_| finish(within(outer, &command), None))
}

#[test]
fn a_read_only_file_can_be_looked_at_and_written_again_when_it_may_be() {
    let queue = Queue::new();
    queue.enqueue(["--id", "mine", "true"]);
    let mode = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    let run = |args: &[&str]| as_anybody(&queue, args);
    mode(queue.db(), 0o400);
    let before = std::fs::read(queue.db()).unwrap();
    let Some(listed) = run(&["list"]) else {
        let test = "a_read_only_file_can_be_looked_at_and_written_again_when_it_may_be";
        queuectl_testkit::skipped(test, "there is no setpriv(1)");
        return;
    };
    assert!(listed.ok().contains("mine"));
    for command in [
        &["enqueue", "true"][..],
        &["cancel", "mine"],
        &["config:set", "max_retries", "3"],
        &["worker:start", "--drain"],
        &["worker:start", "--detach"],
    ] {
        let said = run(command).unwrap().fails(6);
        assert!(said.contains("cannot be written"), "{command:?}: {said}");
    }
    assert!(std::fs::read(queue.db()).unwrap() == before);
    // Who looked has left files of SQLite's with the mode of then.
    mode(queue.db(), 0o600);
    run(&["enqueue", "true"]).unwrap().ok();
    run(&["worker:start", "--drain"]).unwrap().ok();
    assert_eq!(queue.state("mine"), "completed");
}
