//! `run`: the job's output while it runs, its status at the end, and its cancellation by Ctrl-C.

use std::io::{BufRead, BufReader, Lines, Read};
use std::process::{Child, ChildStderr, ChildStdout, Stdio};

use nix::sys::signal::Signal;

use crate::support::unix::{hear_signals, lives, send};
use crate::support::{Queue, history};

/// A `run` that goes on.
struct Running {
    child: Child,
    out: Lines<BufReader<ChildStdout>>,
    err: Lines<BufReader<ChildStderr>>,
}

impl Running {
    fn start(queue: &Queue, args: &[&str]) -> Running {
        let mut command = queue.command([&["run"], args].concat());
        hear_signals(&mut command);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap()).lines();
        let err = BufReader::new(child.stderr.take().unwrap()).lines();
        Running { child, out, err }
    }

    fn signal(&self, signal: Signal) {
        send(self.child.id().try_into().unwrap(), signal);
    }

    fn next_out(&mut self) -> String {
        self.out.next().unwrap().unwrap()
    }

    fn next_err(&mut self) -> String {
        self.err.next().unwrap().unwrap()
    }

    /// The id of its job, which is the first that it says.
    fn id(&mut self) -> String {
        let said = self.next_err();
        said.strip_prefix("job ")
            .unwrap_or_else(|| panic!("{said}"))
            .to_owned()
    }

    /// Its status, and what else it printed and said.
    fn end(mut self) -> (i32, Vec<String>, Vec<String>) {
        let status = self.child.wait().unwrap().code().unwrap_or(-1);
        let out = self.out.map(Result::unwrap).collect();
        (status, out, self.err.map(Result::unwrap).collect())
    }
}

#[test]
fn output_and_status_are_those_of_the_job() {
    let queue = Queue::quick();
    let _node = queue.start(&[]);
    let done = queue.run([
        "run",
        "--id",
        "first",
        "--env",
        "A=b c",
        "printf '%s\\n' \"$A\" two; echo three >&2",
    ]);
    done.expect(0);
    assert_eq!(done.text(), "b c\ntwo\nthree\n");
    assert_eq!(done.err, "job first\n");

    let done = queue.run(["run", "--max-retries=0", "sh", "-c", "printf %s out; exit 3"]);
    done.expect(3);
    assert_eq!(done.text(), "out");
    assert_eq!(
        done.err,
        "job 2\njob 2 is dead (exit status 3); `queuectl show 2` has its attempts\n"
    );
    queue
        .run(["run", "--max-retries=0", "no-such-program", "x"])
        .expect(127);

    // All attempts are printed, and the last one counts.
    let done = queue.run([
        "run",
        "--max-retries=1",
        "echo $QUEUECTL_ATTEMPT; test $QUEUECTL_ATTEMPT = 2",
    ]);
    done.expect(0);
    assert_eq!(done.text(), "1\n2\n");
    assert_eq!(history(&queue.job("4")), ["1 failed", "2 succeeded"]);
}

#[test]
fn output_comes_while_the_job_runs() {
    let queue = Queue::quick();
    let gate = queue.gate("gate");
    let _node = queue.start(&[]);
    let mut run = Running::start(&queue, &["echo begun; read x < gate; echo ended"]);
    assert_eq!(run.next_out(), "begun");
    let id = run.id();
    assert_eq!(queue.state(&id), "processing");
    gate.open();
    assert_eq!(run.end(), (0, vec!["ended".to_owned()], vec![]));
}

#[test]
fn the_first_signal_cancels_the_job_and_waits_for_its_end() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let queue = Queue::quick();
        let gate = queue.gate("gate");
        let _node = queue.start(&["--count=2"]);
        let other = queue.enqueue(["echo $$ > other; read x < gate"]);
        let other_pid = queue.wait_pid("other");
        // It says that it stops, and stops later.
        let mut run = Running::start(
            &queue,
            &[
                "trap 'echo stopping; read x < gate2; exit 1' TERM; echo $$ > pid; echo begun; while :; do sleep 0.01; done",
            ],
        );
        let gate2 = queue.gate("gate2");
        assert_eq!(run.next_out(), "begun");
        let id = run.id();
        let pid = queue.wait_pid("pid");
        run.signal(signal);
        assert!(
            run.next_err().starts_with("cancelling the job; Ctrl-C again"),
            "{signal}"
        );
        // What it prints at its end is printed; the shell may say that its child was terminated.
        while run.next_out() != "stopping" {}
        assert!(
            run.child.try_wait().unwrap().is_none(),
            "{signal}: it waits for the end"
        );
        gate2.open();
        let (status, _, err) = run.end();
        assert_eq!(status, 1, "{signal}: {err:?}");
        assert!(!lives(pid), "{signal}");
        assert_eq!(
            err,
            [format!(
                "job {id} is cancelled; `queuectl show {id}` has its attempts"
            )]
        );
        assert_eq!(queue.state(&id), "cancelled");
        assert!(lives(other_pid), "{signal}: another job goes on");
        assert_eq!(queue.state(&other), "processing");
        gate.open();
    }
}

/// The control of the test above: what is no signal to stop cancels nothing.
#[test]
fn the_job_goes_on_if_the_command_is_killed() {
    let queue = Queue::quick();
    let gate = queue.gate("gate");
    let _node = queue.start(&[]);
    let mut run = Running::start(&queue, &["echo begun; read x < gate"]);
    assert_eq!(run.next_out(), "begun");
    let id = run.id();
    run.signal(Signal::SIGKILL);
    assert_eq!(run.end().0, -1);
    let job = queue.job(&id);
    assert_eq!(
        (&job["state"], &job["cancel_requested"]),
        (&"processing".into(), &false.into())
    );
    gate.open();
    queue.wait_state(&id, "completed");
}

#[test]
fn the_second_signal_leaves_the_job_to_its_node() {
    let queue = Queue::quick();
    queue.ok(["config:set", "kill_grace", "1h"]);
    let _node = queue.start(&[]);
    let mut run = Running::start(&queue, &["trap '' TERM; echo begun; while :; do sleep 1; done"]);
    assert_eq!(run.next_out(), "begun");
    let id = run.id();
    run.signal(Signal::SIGINT);
    assert!(run.next_err().starts_with("cancelling the job"));
    run.signal(Signal::SIGINT);
    assert_eq!(run.end().0, 130);
    let job = queue.job(&id);
    assert_eq!(
        (&job["state"], &job["cancel_requested"]),
        (&"processing".into(), &true.into())
    );
}

#[test]
fn a_queue_without_a_node_is_said_and_a_waiting_job_is_cancelled_at_once() {
    let queue = Queue::quick();
    let mut run = Running::start(&queue, &["--queue", "mail", "true"]);
    let id = run.id();
    assert_eq!(
        run.next_err(),
        format!("no node serves queue 'mail'; job '{id}' waits until `queuectl worker:start` starts one")
    );
    assert_eq!(queue.state(&id), "pending");
    run.signal(Signal::SIGINT);
    let (status, _, err) = run.end();
    assert_eq!((status, err.len()), (1, 1), "{err:?}");
    assert_eq!(queue.state(&id), "cancelled");
}

#[test]
fn mistakes_store_nothing() {
    let queue = Queue::new();
    queue.write("jobs.jsonl", "\"true\"\n");
    for (args, wanted) in [
        (&["--json", "run", "true"][..], "leave out --json"),
        (&["run", r#"["a b","c d"]"#], "`run` takes one job"),
        (&["run", "@jobs.jsonl"], "`queuectl enqueue @jobs.jsonl`"),
        (&["run", "--from", "jobs.jsonl"], "--from"),
        (&["run"], "required"),
    ] {
        let said = queue.fails(2, args);
        assert!(said.contains(wanted), "{args:?}: {said}");
    }
    if queue.db().exists() {
        panic!("a mistake made a queue");
    }
    // After `--`, a program may have any name.
    let mut run = Running::start(&queue, &["--max-retries=0", "--", "@none", "x"]);
    let id = run.id();
    assert_eq!(queue.job(&id)["argv"], serde_json::json!(["@none", "x"]));
    run.signal(Signal::SIGTERM);
    run.out.by_ref().for_each(drop);
    assert_eq!(run.end().0, 1);
}

#[test]
fn a_reader_that_has_seen_enough_ends_it() {
    let queue = Queue::quick();
    let gate = queue.gate("gate");
    let _node = queue.start(&[]);
    let mut command = queue.command(["run", "echo one; read x < gate; echo two; echo three"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut out = child.stdout.take().unwrap();
    let mut first = [0; 4];
    out.read_exact(&mut first).unwrap();
    drop(out);
    gate.open();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    queue.wait_state("1", "completed");
}

/// Attempts that begin and end while the command does not look are printed, too.
#[test]
fn no_attempt_is_left_out() {
    let queue = Queue::quick();
    let line = "echo $QUEUECTL_ATTEMPT; test $QUEUECTL_ATTEMPT = 3";
    let mut run = Running::start(&queue, &["--max-retries=2", line]);
    let id = run.id();
    run.signal(Signal::SIGSTOP);
    let _node = queue.start(&[]);
    queue.wait_state(&id, "completed");
    run.signal(Signal::SIGCONT);
    let (status, out, _) = run.end();
    assert_eq!(
        (status, out),
        (0, vec!["1".to_owned(), "2".to_owned(), "3".to_owned()])
    );
    // The control: what begins with the newest attempt has no other.
    assert_eq!(queue.ok(["logs", "-f", &id]), "3");
}
