//! A queue's file that is emptied, removed or replaced: what is beside it is another queue's then, and nothing serves
//! it.

use std::fs;

use crate::support::unix::wait_gone;
use crate::support::{Queue, wait_until};

fn remove_file(queue: &Queue) {
    for end in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(queue.path(&format!("queue.db{end}")));
    }
}

#[test]
fn a_new_queue_shows_no_output_of_an_old_one() {
    let queue = Queue::new();
    queue.ok(["config:set", "output_limit", "1KiB"]);
    queue.enqueue(["seq -f 'OLD %g' 1000"]);
    assert_eq!(queue.drain(&[]), 0);
    assert!(queue.ok(["logs", "1"]).ends_with("OLD 1000"));
    remove_file(&queue);
    queue.enqueue(["echo NEW"]);
    // Not even before it has run.
    assert_eq!(queue.ok(["logs", "1"]), "");
    assert_eq!(queue.drain(&[]), 0);
    assert_eq!(queue.ok(["logs", "1"]), "NEW");
    queue.enqueue(["seq -f 'LONG %g' 1000"]);
    queue.ok(["config:set", "output_limit", "1KiB"]);
    assert_eq!(queue.drain(&[]), 0);
    assert_eq!(queue.ok(["logs", "2"]).lines().count(), 1000);
}

#[test]
fn an_emptied_file_is_no_new_queue() {
    let queue = Queue::new();
    queue.enqueue(["true"]);
    fs::write(queue.db(), "").unwrap();
    for command in [
        &["list"][..],
        &["enqueue", "true"],
        &["worker:start", "--drain"],
        &["db:check"],
    ] {
        let said = queue.fails(5, command);
        assert!(
            said.contains("the file is empty") && said.contains("queue.db.d"),
            "{command:?}: {said}"
        );
    }
    assert_eq!(fs::read(queue.db()).unwrap(), b"");
    // As mktemp(1) makes one.
    let new = queue.with_db("new.db");
    new.write("new.db", "");
    new.enqueue(["true"]);
    assert_eq!(new.drain(&[]), 0);
}

#[test]
fn a_node_whose_file_was_removed_stops_its_jobs_and_ends() {
    let queue = Queue::new();
    queue.enqueue(["echo $$ > pid; exec sleep 1000"]);
    let mut node = queue.start(&[]);
    let pid = queue.wait_pid("pid");
    remove_file(&queue);
    // It does not have to be gone yet.
    let id = queue.enqueue(["echo new"]);
    assert_eq!(queue.drain(&[]), 0);
    assert_eq!(queue.ok(["logs", &id]), "new");
    assert_eq!(node.wait_exit(), 5);
    node.wait_log("the file was");
    wait_gone(pid, "the job of the old queue");
}

#[test]
fn a_node_whose_file_was_replaced_by_a_backup_ends_and_spoils_nothing() {
    let queue = Queue::new();
    let id = queue.enqueue(["echo one"]);
    let mut node = queue.start(&[]);
    queue.wait_state(&id, "completed");
    queue.ok(["db:backup", "backup.db"]);
    // In the old file's log alone.
    let lost = queue.enqueue(["echo two"]);
    queue.wait_state(&lost, "completed");
    fs::rename(queue.path("backup.db"), queue.db()).unwrap();
    assert_eq!(node.wait_exit(), 5);
    node.wait_log("the file was replaced");
    assert_eq!(queue.jobs().len(), 1);
    assert_eq!(queue.json(["db:check"])["ok"], true);
    let next = queue.enqueue(["echo three"]);
    assert_eq!(queue.drain(&[]), 0);
    assert_eq!(queue.ok(["logs", &next]), "three");
}

/// A command that waits for a job of a queue that is gone says so.
#[test]
fn a_wait_for_a_job_of_a_removed_queue_ends() {
    let queue = Queue::new();
    let id = queue.enqueue(["true"]);
    let mut wait = queue.command(["wait", &id]).spawn().unwrap();
    let held = || {
        fs::read_dir(format!("/proc/{}/fd", wait.id())).is_ok_and(|fds| {
            let mut fds = fds.flatten().filter_map(|fd| fs::read_link(fd.path()).ok());
            fds.any(|file| file.ends_with("queue.db-shm"))
        })
    };
    wait_until("the command to have the queue open", held);
    remove_file(&queue);
    assert_eq!(
        crate::support::done::wait_exit(&mut wait, "the waiting command"),
        5
    );
}
