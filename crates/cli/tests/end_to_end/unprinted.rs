//! Standard output that cannot be written: what was done is done, the rest follows, and nothing looks as if it had failed.
//! What was only to be read is not.

use std::fs::File;
use std::process::{Command, Stdio};

use crate::support::{Queue, wait_for};

/// How a command ended, and what it said on standard error.
fn ended(mut command: Command) -> (i32, String) {
    let output = command.stderr(Stdio::piped()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().unwrap_or(-1), said)
}

/// Runs a command whose output goes to a full disk.
fn full(queue: &Queue, args: &[&str]) -> (i32, String) {
    let mut command = queue.command(args);
    command.stdout(File::options().write(true).open("/dev/full").unwrap());
    ended(command)
}

/// Runs a command whose reader is gone.
fn left(queue: &Queue, args: &[&str]) -> (i32, String) {
    let mut command = queue.command(args);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    command.stdout(writer);
    ended(command)
}

/// It must have been done, and said so on standard error.
#[track_caller]
fn done(ended: (i32, String), wanted: &[&str]) {
    assert_eq!(ended.0, 0, "{}", ended.1);
    for wanted in wanted {
        assert!(
            ended
                .1
                .contains(&format!("{wanted} (standard output cannot be written: No space")),
            "{wanted}\n{}",
            ended.1
        );
    }
}

fn states(queue: &Queue) -> Vec<String> {
    let jobs = queue.jobs();
    let states = jobs.iter().map(|job| job["state"].as_str().unwrap().to_owned());
    states.collect()
}

#[test]
fn a_job_is_stored_once_though_its_id_cannot_be_printed() {
    let queue = Queue::quick();
    done(
        full(&queue, &["enqueue", "true"]),
        &["warning: job '1' is stored"],
    );
    done(
        full(&queue, &["enqueue", "--json", "true"]),
        &["job '2' is stored"],
    );
    assert_eq!(left(&queue, &["enqueue", "true"]), (0, String::new()));
    assert_eq!(queue.jobs().len(), 3);
    // Two batches, each of them whole.
    let lines = "\"true\"\n".repeat(1500);
    queue.write("jobs", lines);
    let (status, said) = full(&queue, &["enqueue", "--from", "jobs"]);
    assert_eq!(status, 0, "{said}");
    assert!(
        said.contains("1000 jobs are stored so far (standard output"),
        "{said}"
    );
    assert!(
        said.contains("all 1500 jobs are stored; the ids of 1500 of them could not be printed"),
        "{said}"
    );
    assert_eq!(queue.json(["status"])["total"]["pending"], 1503);
    assert_eq!(left(&queue, &["enqueue", "--from", "jobs"]), (0, String::new()));
    assert_eq!(queue.json(["status"])["total"]["pending"], 3003);
}

#[test]
fn what_is_done_to_several_jobs_is_done_to_all_of_them() {
    let queue = Queue::quick();
    for id in ["a", "b", "c", "bystander"] {
        queue.enqueue(["--id", id, "--max-retries", "0", "exit 1"]);
    }
    let cancelled = ["cancelled", "cancelled", "cancelled", "pending"];
    done(
        full(&queue, &["cancel", "a", "b", "c"]),
        &["a cancelled", "b cancelled", "c cancelled"],
    );
    assert_eq!(states(&queue), cancelled);
    done(
        full(&queue, &["--json", "retry", "a", "b", "c"]),
        &["a pending", "b pending", "c pending"],
    );
    assert_eq!(states(&queue), ["pending"; 4]);
    assert_eq!(left(&queue, &["cancel", "a", "b", "c"]), (0, String::new()));
    assert_eq!(states(&queue), cancelled);
    // A job that refuses still gives the status.
    let (status, said) = full(&queue, &["retry", "a", "nobody", "b", "c"]);
    assert_eq!(status, 3, "{said}");
    assert_eq!(states(&queue), ["pending"; 4]);
    assert_eq!(queue.drain(&[]), 1);
    done(
        full(&queue, &["dlq:retry", "a", "b"]),
        &["a pending", "b pending"],
    );
    done(full(&queue, &["dlq:purge", "c"]), &["c purged"]);
    assert_eq!(states(&queue), ["pending", "pending", "dead"]);
    done(full(&queue, &["dlq:retry", "--all"]), &["1 job will run again"]);
    done(
        full(&queue, &["cancel", "a", "b", "bystander"]),
        &["bystander cancelled"],
    );
    done(full(&queue, &["purge", "--yes"]), &["3 jobs purged"]);
    assert_eq!(states(&queue), Vec::<String>::new());
}

#[test]
fn settings_copies_and_stops_are_done_too() {
    let queue = Queue::quick();
    done(
        full(&queue, &["config:set", "max_retries", "7"]),
        &["max_retries = 7"],
    );
    assert_eq!(queue.ok(["config:get", "max_retries"]), "7");
    done(
        full(&queue, &["config:unset", "max_retries"]),
        &["max_retries = 4 (default)"],
    );
    let copy = queue.path("copy.db");
    if !crate::support::on_postgres() {
        done(
            full(&queue, &["db:backup", copy.to_str().unwrap()]),
            &[&format!("copied to {}", copy.display())],
        );
        assert!(copy.exists());
    }
    let mut nodes = [queue.start(&[]), queue.start(&[])];
    let numbers = wait_for("both nodes", || {
        let found = queue.json(["worker:list"]);
        let numbers = found
            .as_array()
            .unwrap()
            .iter()
            .map(|node| node["id"].to_string());
        Some(numbers.collect::<Vec<_>>()).filter(|numbers| numbers.len() == 2)
    });
    // The second is asked though there is no such node as the one before.
    let (status, said) = full(&queue, &["worker:stop", &numbers[0], "999999", &numbers[1]]);
    assert_eq!(status, 3, "{said}");
    for number in &numbers {
        assert!(
            said.contains(&format!("node {number} is asked to stop (standard output")),
            "{said}"
        );
    }
    for node in &mut nodes {
        assert_eq!(node.wait_exit(), 0);
    }
}

#[test]
fn what_was_only_to_be_read_has_failed() {
    let queue = Queue::quick();
    queue.enqueue(["--delay", "1day", "true"]);
    for args in [
        &["--help"][..],
        &["list", "--help"],
        &["--version"],
        &["list"],
        &["list", "--json"],
        &["show", "1"],
        &["status"],
        &["config:list"],
        &["config:get", "max_retries"],
        &["db:path"],
        &["db:check"],
        &["dlq:list"],
        &["worker:list"],
        &["plugin:list"],
    ] {
        let (status, said) = full(&queue, args);
        assert_eq!(status, 1, "{args:?}: {said}");
        assert!(
            said.contains("cannot write to standard output: No space"),
            "{args:?}: {said}"
        );
        assert_eq!(left(&queue, args), (0, String::new()), "{args:?}");
    }
}
