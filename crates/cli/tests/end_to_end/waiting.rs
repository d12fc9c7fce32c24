//! Waiting for jobs: mistakes are said first, and that nothing will happen is said, too.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::support::Queue;
use crate::support::jobs::succeeds_with;

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
    assert_eq!(enqueue.next_line(), "job 2");
    assert!(
        enqueue
            .next_line()
            .contains("no node serves queue 'mail'; job '2'")
    );
    // A node of another queue is none, and a job that has ended waits for none.
    let other = queue.start(&["--queue", "other"]);
    let done = queue.run(["enqueue", "--queue", "other", "--wait", "exit 0"]);
    assert_eq!((done.status, done.err.as_str()), (0, "job 3\n"));
    let both = waits(&["wait", &mail, "3"]);
    queue.ok(["config:set", "max_retries", "0"]);
    let _node = queue.start(&["--queue", "mail"]);
    for waiting in all.into_iter().chain([both]) {
        assert_eq!(waiting.end(), (0, Vec::new()));
    }
    let (status, said) = enqueue.end();
    assert_eq!((status, said.len()), (3, 1), "{said:?}");
    assert!(said[0].starts_with("job 2 is dead (exit status 3)"), "{said:?}");
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

/// A job that was cancelled for one which was retried since has not ended: it goes on with that one, or with one before.
#[test]
fn a_wait_is_for_jobs_that_will_be_revived() {
    let queue = Queue::quick();
    queue.ok(["config:set", "max_retries", "0"]);
    queue.enqueue(["--id", "load", &succeeds_with("there")]);
    queue.enqueue(["--id", "clean", "--after", "load", "exit 0"]);
    queue.enqueue(["--id", "report", "--after", "clean", "exit 0"]);
    assert_eq!(queue.drain(&[]), 1, "load is dead");
    // The control: it stays cancelled.
    assert_eq!(queue.fails(1, ["wait", "report"]), "");
    assert!(queue.job("report")["revived_by"].is_null());
    queue.ok(["retry", "load"]);
    let said = queue.fails(124, ["wait", "report", "--timeout", "1ms"]);
    assert!(
        said.contains(
            "job 'report' is cancelled, but goes on if job 'load', which was retried, ends as it needs"
        ) && said.contains("report (cancelled until job 1 ends as it needs)"),
        "{said}"
    );
    let report = queue.job("report");
    assert_eq!(
        (&report["state"], &report["revived_by"]),
        (&"cancelled".into(), &1.into())
    );
    let shown = queue.ok(["show", "clean"]);
    assert!(shown.contains("job load was dead and was retried"), "{shown}");
    let shown = queue.ok(["show", "report"]);
    assert!(shown.contains("goes on if job 1, which was retried"), "{shown}");
    // It fails again: that is the end.
    let waiting = Waiting::start(&queue, &["wait", "report"]);
    assert_eq!(queue.drain(&[]), 1);
    assert_eq!(waiting.end().0, 1);
    queue.write("there", "");
    queue.ok(["retry", "load"]);
    let waiting = Waiting::start(&queue, &["wait", "clean", "report"]);
    let any = Waiting::start(&queue, &["wait", "--any", "report"]);
    let _node = queue.start(&[]);
    assert_eq!(waiting.end().0, 0);
    assert_eq!(any.end().0, 0);
    assert_eq!(queue.state("report"), "completed");
}

/// The node hears neither of the end nor of the request before both are there.
#[cfg(unix)]
#[test]
fn jobs_that_ended_before_they_could_be_stopped_are_told() {
    use nix::sys::signal::Signal;

    let queue = Queue::quick();
    let gate = queue.gate("gate");
    let id = queue.enqueue(["echo up > up; read x < gate; echo done > done"]);
    let node = queue.start(&[]);
    queue.wait_lines("up", 1);
    crate::support::unix::send(node.pid(), Signal::SIGSTOP);
    gate.open();
    queue.wait_lines("done", 1);
    let cancel = Waiting::start(&queue, &["cancel", "queue=default", "--yes", "--wait"]);
    crate::support::wait_until("the request", || queue.job(&id)["cancel_requested"] == true);
    crate::support::unix::send(node.pid(), Signal::SIGCONT);
    let (status, said) = cancel.end();
    assert_eq!(queue.state(&id), "completed");
    assert_eq!(status, 1, "{said:?}");
    assert!(
        said.contains(&"1 job ended before it could be stopped".to_owned()),
        "{said:?}"
    );
    // The control: one that is stopped.
    queue.enqueue(["echo up >> up; read x < gate"]);
    queue.wait_lines("up", 2);
    let cancel = Waiting::start(&queue, &["cancel", "queue=default", "--yes", "--wait"]);
    assert_eq!(cancel.end().0, 0);
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
        let id = done.err.lines().next().and_then(|line| line.strip_prefix("job "));
        let job = queue.job(id.unwrap());
        assert_eq!(job["attempt_history"][0]["exit_code"], status, "{job}");
    }
}

#[test]
fn jobs_that_did_not_complete_are_named_when_the_wait_ends() {
    let queue = Queue::quick();
    queue.ok(["config:set", "max_retries", "0"]);
    queue.enqueue(["exit 0"]);
    queue.enqueue(["--id", "bad", "exit 3"]);
    queue.enqueue(["--delay", "1day", "exit 0"]);
    queue.ok(["cancel", "3"]);
    assert_eq!(queue.drain(&[]), 1);
    let waited = queue.run(["wait", "3", "1", "bad"]);
    assert_eq!(waited.status, 1, "that of the first: {}", waited.err);
    assert_eq!(
        waited.err.trim_end(),
        "2 of 3 jobs did not complete: 3 (cancelled), bad (dead: exit status 3)"
    );
    assert_eq!(queue.run(["wait", "bad"]).err, "", "one needs no name");
    for _ in 0..6 {
        queue.enqueue(["exit 4"]);
    }
    assert_eq!(queue.drain(&[]), 1);
    let waited = queue.run(["wait", "state=dead"]);
    assert_eq!(waited.status, 3);
    assert!(
        waited.err.contains("7 of 7 jobs did not complete: 2 (dead"),
        "{}",
        waited.err
    );
    assert!(waited.err.contains("and 2 more"), "{}", waited.err);
}

#[cfg(unix)]
#[test]
fn any_ends_with_the_first_of_the_jobs() {
    let queue = Queue::quick();
    queue.ok(["config:set", "max_retries", "0"]);
    let gate = queue.gate("gate");
    queue.enqueue([crate::support::GATED]);
    queue.enqueue(["--id", "quick", "exit 3"]);
    let _node = queue.start(&["--concurrency", "2"]);
    let waited = queue.run(["wait", "--any", "1", "quick"]);
    assert_eq!(
        (waited.status, waited.text().as_str()),
        (3, "quick dead\n"),
        "{}",
        waited.err
    );
    let document = queue.run(["wait", "--any", "1-2", "--json"]);
    assert_eq!(
        (document.status, document.text().as_str()),
        (3, "{\"id\":\"quick\",\"result\":\"dead\"}\n")
    );
    assert_eq!(queue.run(["wait", "--any", "1", "--timeout", "10ms"]).status, 124);
    gate.open();
    assert_eq!(queue.run(["wait", "--any", "1"]).status, 0);
}

#[cfg(target_os = "linux")]
#[test]
fn a_terminal_shows_how_many_jobs_have_ended() {
    let queue = Queue::quick();
    let gates = ["a", "b"].map(|name| queue.gate(name));
    queue.enqueue(["read x < a"]);
    queue.enqueue(["read x < b"]);
    let _node = queue.start(&["--concurrency", "2"]);
    let test = "a_terminal_shows_how_many_jobs_have_ended";
    let waits = |words: &[&str]| crate::support::unix::in_a_terminal(&queue, words, test);
    let Some(mut terminal) = waits(&["wait", "1", "2"]) else {
        return;
    };
    let shows = |text: &str| {
        crate::support::wait_until(text, || queue.read("typescript").contains(text));
    };
    shows("0/2");
    gates[0].open();
    shows("1/2");
    gates[1].open();
    let status = crate::support::wait_for("the end", || terminal.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
    queue.enqueue(["read x < a"]);
    for (words, is_shown) in [(&["--quiet"][..], false), (&[], true)] {
        let mut quiet = waits(&[&["wait", "1", "3", "--timeout", "1s"], words].concat()).unwrap();
        let status = crate::support::wait_for("the end", || quiet.try_wait().unwrap());
        assert_eq!(status.code(), Some(124));
        let screen = queue.read("typescript");
        assert_eq!(
            screen.contains("waiting for jobs ["),
            is_shown,
            "{words:?}: {screen}"
        );
    }
    gates[0].open();
}
