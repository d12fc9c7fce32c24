//! What the machine lacks is not held against jobs: they wait until it is there.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use crate::support::{MARK, Node, Queue, history, on_postgres, wait_until};

/// Says that it runs, and ends when there is a file `go`.
const WAITS: &str = "echo x >> started; while [ ! -e go ]; do sleep 0.05; done";

/// A command that is started with a limit of the shell's, its log in the file `log`.
fn limited(queue: &Queue, ulimit: &str, args: &[&str]) -> std::process::Child {
    let inner = queue.command(args);
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("{ulimit}; exec \"$@\""), "sh"])
        .arg(inner.get_program())
        .args(inner.get_args());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let log = std::fs::File::create(queue.path("log")).unwrap();
    command
        .current_dir(queue.path(""))
        .env(MARK, queue.next_mark())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    command.spawn().unwrap()
}

#[test]
fn a_node_runs_as_many_jobs_as_it_has_descriptors_for() {
    let queue = Queue::quick();
    let jobs: Vec<String> = (0..40)
        .map(|_| queue.enqueue(["--max-retries", "0", WAITS]))
        .collect();
    let mut node = limited(
        &queue,
        "ulimit -n 40",
        &["worker:start", "--drain", "--concurrency", "100"],
    );
    // More than a few, and far fewer than were asked for.
    queue.wait_started(5);
    let log = queue.read("log");
    assert!(log.contains("fewer jobs at a time than asked for"), "{log}");
    queue.write("go", "");
    for id in &jobs {
        queue.wait_state(id, "completed");
        assert_eq!(history(&queue.job(id)), ["1 succeeded"]);
    }
    wait_until("the node's end", || node.try_wait().unwrap().is_some());
}

#[test]
fn a_node_takes_the_descriptors_it_may_have_and_jobs_get_the_limit_they_had() {
    let queue = Queue::quick();
    let jobs: Vec<String> = (0..60)
        .map(|_| queue.enqueue(["--max-retries", "0", &format!("ulimit -Sn; {WAITS}")]))
        .collect();
    let mut node = limited(&queue, "ulimit -Sn 64", &["worker:start", "--concurrency", "60"]);
    queue.wait_started(jobs.len());
    queue.write("go", "");
    for id in &jobs {
        queue.wait_state(id, "completed");
    }
    assert_eq!(queue.ok(["logs", &jobs[59]]), "64");
    node.kill().unwrap();
    node.wait().unwrap();
}

#[test]
fn jobs_wait_for_a_folder_for_temporary_files() {
    let queue = Queue::quick();
    let bystander = queue.enqueue(["--queue", "other", "true"]);
    let needs = queue.enqueue(["--max-retries", "0", "--stdin", "hello", "cat"]);
    let node = Node::start_command(&queue, &["worker:start", "--queue", "default"], |command| {
        command.env("TMPDIR", queue.path("temporary"));
    });
    node.wait_log("cannot start jobs");
    node.wait_log("cannot write the standard input to a temporary file");
    // At some moment: the node tries now and then.
    queue.wait_state(&needs, "pending");
    std::fs::create_dir(queue.path("temporary")).unwrap();
    node.wait_log("jobs can be started again");
    queue.wait_state(&needs, "completed");
    assert_eq!(history(&queue.job(&needs)), ["1 succeeded"]);
    assert_eq!(queue.state(&bystander), "pending");
    assert_eq!(node.log().matches("cannot start jobs").count(), 1);
}

#[test]
fn jobs_wait_while_the_shell_of_the_setting_is_not_there() {
    let queue = Queue::quick();
    let shell = queue.write("shell", "#!/bin/sh\nexec sh \"$@\"\n");
    std::fs::set_permissions(&shell, PermissionsExt::from_mode(0o755)).unwrap();
    queue.ok(["config:set", "shell", shell.to_str().unwrap()]);
    let moved = queue.path("moved");
    std::fs::rename(&shell, &moved).unwrap();
    let jobs: Vec<String> = (0..3)
        .map(|_| queue.enqueue(["--max-retries", "0", "echo ran"]))
        .collect();
    let own = queue.enqueue(["--max-retries", "0", "/nonexistent/program", "x"]);
    let node = queue.start(&[]);
    node.wait_log("cannot start the shell of the setting shell");
    queue.wait_state(&jobs[2], "pending");
    std::fs::rename(&moved, &shell).unwrap();
    for id in &jobs {
        queue.wait_state(id, "completed");
        assert_eq!(history(&queue.job(id)), ["1 succeeded"]);
    }
    queue.wait_state(&own, "dead");
    assert_eq!(
        history(&queue.job(&own)),
        ["1 failed"],
        "that was the job's fault"
    );
}

#[test]
fn a_shell_that_cannot_be_run_is_noticed_when_it_is_set() {
    let queue = Queue::new();
    let set = |shell: &str| queue.run(["config:set", "shell", shell]);
    let plain = queue.write("plain", "");
    for shell in ["/bin/bahs", "bahs", plain.to_str().unwrap(), "/"] {
        let done = set(shell);
        assert_eq!(done.status, if on_postgres() { 0 } else { 2 }, "{shell}");
        assert!(done.err.contains("cannot be run on this machine"), "{}", done.err);
    }
    set("/bin/sh").ok();
}

/// Under `ulimit -f`, a node waits until its files may grow; it does not end without a word.
#[test]
fn jobs_wait_until_the_file_may_grow() {
    let queue = Queue::quick();
    let bystander = queue.enqueue(["--queue", "other", "true"]);
    let line = r#"{"command":"head -c 3000 /dev/zero | tr '\\0' x"}"#;
    let jobs = queue.write("jobs", format!("{line}\n").repeat(100));
    queue.ok(["enqueue", "--from", jobs.to_str().unwrap()]);
    // A shell counts by 512 bytes. What the node needs for itself fits, and not what all these jobs print.
    let log = std::fs::metadata(queue.path("queue.db-wal")).unwrap().len();
    let limit = format!("ulimit -Sf {}", (log + 128 * 1024) / 512);
    let mut node = limited(&queue, &limit, &["worker:start", "--queue", "default"]);
    wait_until("a word about the limit", || {
        queue.read("log").contains("ulimit -f")
    });
    assert!(node.try_wait().unwrap().is_none(), "{}", queue.read("log"));
    assert!(
        queue
            .ok(["list", "--state", "pending", "--queue", "default"])
            .lines()
            .count()
            > 1
    );
    let enqueue = limited(&queue, "ulimit -f 1", &["enqueue", "true"])
        .wait()
        .unwrap();
    assert_eq!(enqueue.code(), Some(6));
    let raised = Command::new("prlimit")
        .args(["--pid", &node.id().to_string(), "--fsize=unlimited"])
        .status();
    assert!(raised.unwrap().success());
    wait_until("all jobs", || {
        !queue
            .ok(["list", "--queue", "default", "--json"])
            .contains("pending")
    });
    for id in ["2", "101"] {
        queue.wait_state(id, "completed");
        assert_eq!(history(&queue.job(id)), ["1 succeeded"]);
    }
    assert_eq!(queue.state(&bystander), "pending");
    node.kill().unwrap();
    node.wait().unwrap();
}
