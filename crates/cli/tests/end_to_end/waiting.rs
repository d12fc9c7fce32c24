//! Waiting for jobs: mistakes are said first, and that nothing will happen is said, too.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::support::Queue;

/// A command that waits, and the lines that it says on standard error.
struct Waiting {
    child: std::process::Child,
    said: std::io::Lines<BufReader<std::process::ChildStderr>>,
}

impl Waiting {
    fn start(queue: &Queue, args: &[&str]) -> Waiting {
        let mut command = queue.command(args);
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stderr.take().unwrap()).lines();
        Waiting { child, said }
    }

    fn next_line(&mut self) -> String {
        self.said.next().unwrap().unwrap()
    }

    /// Its status, and what else it said.
    fn end(mut self) -> (i32, Vec<String>) {
        let rest = self.said.map(Result::unwrap).collect();
        (self.child.wait().unwrap().code().unwrap(), rest)
    }
}

#[test]
fn jobs_that_do_not_exist_are_named_before_anything_is_waited_for() {
    let queue = Queue::quick();
    let id = queue.enqueue(["--delay", "1day", "exit 0"]);
    // It would never end otherwise.
    let said = queue.fails(3, ["wait", &id, "77", "nobody"]);
    assert!(
        said.contains("no job '77'") && said.contains("no job 'nobody'"),
        "{said}"
    );
    assert!(!said.contains("no node"), "{said}");
}

#[test]
fn waiting_for_a_queue_without_a_node_is_said() {
    let queue = Queue::quick();
    let mail = queue.enqueue(["--queue", "mail", "exit 0"]);
    let gone = format!("no node serves queue 'mail'; job '{mail}' waits until");
    let waits = |args: &[&str]| {
        let mut waiting = Waiting::start(&queue, args);
        assert!(waiting.next_line().contains(&gone), "{args:?}");
        waiting
    };
    let all = [waits(&["wait", &mail]), waits(&["logs", "-f", &mail])];
    let mut enqueue = Waiting::start(&queue, &["enqueue", "--queue", "mail", "--wait", "exit 3"]);
    assert!(
        enqueue
            .next_line()
            .contains("no node serves queue 'mail'; job '2'")
    );
    // A node of another queue is none, and a job that has ended waits for none.
    let other = queue.start(&["--queue", "other"]);
    let done = queue.run(["enqueue", "--queue", "other", "--wait", "exit 0"]);
    assert_eq!((done.status, done.err.as_str()), (0, ""));
    let both = waits(&["wait", &mail, "3"]);
    queue.ok(["config:set", "max_retries", "0"]);
    let _node = queue.start(&["--queue", "mail"]);
    for waiting in all.into_iter().chain([both]) {
        assert_eq!(waiting.end(), (0, Vec::new()));
    }
    assert_eq!(enqueue.end(), (3, Vec::new()));
    drop(other);
}

#[cfg(unix)]
#[test]
fn a_node_that_dies_under_a_job_is_missed() {
    use nix::sys::signal::Signal;
    let queue = Queue::quick();
    let gate = queue.gate("gate");
    let id = queue.enqueue(["echo up > up; read x < gate"]);
    let node = queue.start(&[]);
    queue.wait_lines("up", 1);
    let mut followed = [
        Waiting::start(&queue, &["wait", &id]),
        Waiting::start(&queue, &["logs", "-f", &id]),
    ];
    crate::support::unix::send(node.pid(), Signal::SIGKILL);
    for waiting in &mut followed {
        assert!(waiting.next_line().contains("no node serves queue 'default'"));
    }
    queue.ok(["cancel", &id]);
    let mut cancel = Waiting::start(&queue, &["cancel", "--wait", &id]);
    assert!(cancel.next_line().contains("no node serves queue 'default'"));
    let _node = queue.start(&[]);
    for waiting in followed {
        waiting.end();
    }
    assert_eq!(cancel.end().0, 0);
    drop(gate);
}

#[cfg(unix)]
#[test]
fn a_program_that_cannot_be_started_has_the_status_of_a_shell() {
    let queue = Queue::quick();
    queue.ok(["config:set", "max_retries", "0"]);
    queue.write("script", "#!/bin/sh\n");
    let _node = queue.start(&[]);
    for (args, status) in [
        (&["./nonexist", "x"][..], 127),
        (&["no-such-program-anywhere", "x"], 127),
        (&["./script", "x"], 126),
        (&["no-such-program-anywhere"], 127),
    ] {
        let done = queue.run([&["enqueue", "--wait"], args].concat());
        assert_eq!(done.status, status, "{args:?}: {}", done.err);
        let job = queue.job(done.text().trim());
        assert_eq!(job["attempt_history"][0]["exit_code"], status, "{job}");
    }
}
