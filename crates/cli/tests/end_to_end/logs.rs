//! `logs` of several jobs, line by line, and followed at the same time. One job's output as it is: `inspection`.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};

use crate::support::{PATIENCE, Queue, wait_for};

/// Job 1 fails twice, 2 prints a progress bar and colours, `third` prints many lines, 4 has not run.
fn some() -> Queue {
    let queue = Queue::quick();
    queue.enqueue([
        "--max-retries",
        "1",
        "echo try $QUEUECTL_ATTEMPT; echo why >&2; exit 3",
    ]);
    queue.enqueue([r"printf '10%%\r50%%\r100%%\r\nend \033[31mred\033[0m\033[2J'"]);
    queue.enqueue(["--id", "third", "seq 1 1000"]);
    assert_eq!(queue.drain(&[]), 1);
    queue.enqueue(["--delay", "1day", "true"]);
    queue
}

#[test]
fn several_jobs_are_printed_with_their_ids() {
    let queue = some();
    assert_eq!(
        queue.ok(["logs", "1-4", "--lines", "2"]),
        "1 | try 2\n1 | why\n2 | 100%\n2 | end \\x1b[31mred\\x1b[0m\\x1b[2J\nthird | 999\nthird | 1000"
    );
    assert_eq!(
        queue.ok(["logs", "third", "--lines", "2"]),
        "999\n1000",
        "one has no prefix"
    );
    assert_eq!(
        queue.ok(["logs", "third", "1", "--grep", "^(why|77.)$", "--lines", "1"]),
        "third | 779\n1 | why"
    );
    assert_eq!(
        queue.ok(["logs", "2", "--grep", "^end .*red"]),
        "end \\x1b[31mred\\x1b[0m\\x1b[2J"
    );
    assert_eq!(
        queue.ok(["logs", "1", "--all-attempts"]),
        "try 1\nwhy\ntry 2\nwhy"
    );
    assert_eq!(
        queue.ok(["logs", "state=dead", "--all-attempts", "--grep", "try"]),
        "1 | try 1\n1 | try 2"
    );
    let whole = queue.run(["logs", "2"]);
    assert!(
        whole.text().starts_with("10%\\r50%"),
        "one job as it is: {}",
        whole.text()
    );
    let coloured = queue
        .run(["logs", "2", "3", "--color", "always", "--grep", "red"])
        .text();
    assert_eq!(
        coloured, "\u{1b}[32m2 |\u{1b}[0m end \u{1b}[31mred\u{1b}[0m\\x1b[2J\u{1b}[0m\n",
        "colours, and nothing that moves the cursor"
    );
    let documents = queue.ok(["logs", "1-2", "--all-attempts", "--format", "jsonl"]);
    assert_eq!(documents.lines().count(), 3, "{documents}");
    for (status, words, said) in [
        (2, &["1-2", "--attempt", "1"][..], "--attempt is for one job"),
        (2, &["1", "--grep", "("], "'--grep <REGEX>': found open group"),
        (
            2,
            &["1", "--grep", "a{1000}{1000}"],
            "compiled regex exceeded size limit",
        ),
        (2, &["1", "--json", "--lines", "1"], "programs get documents"),
        (2, &[], "<JOB>"),
        (2, &["-f", "state=dead"], "only running jobs can be followed"),
        (3, &["1", "nobody"], "there is no job 'nobody'"),
    ] {
        let error = queue.fails(status, [&["logs"], words].concat());
        assert!(error.contains(said), "{words:?}: {error}");
    }
}

/// Job 1 printed to both streams, with a line that both are in; a file holds more of it than the store. 2 fits into the store.
#[test]
fn streams_are_told_apart_and_have_times() {
    let queue = Queue::quick();
    queue.ok(["config:set", "output_limit", "40"]);
    let line = "printf 'to out '; echo first problem >&2; seq 1 30; echo second problem >&2; printf 'last'";
    queue.enqueue([line]);
    queue.enqueue(["echo plain; echo other >&2"]);
    queue.drain(&[]);
    let apart = |words: &[&str]| queue.ok([&["logs", "1"], words].concat());
    let numbers: Vec<String> = (1..=30).map(|number: u32| number.to_string()).collect();
    let numbers = numbers.join("\n");
    assert_eq!(apart(&["--stdout"]), format!("to out {numbers}\nlast"));
    assert_eq!(apart(&["--stderr"]), "first problem\nsecond problem");
    assert_eq!(apart(&["--stderr", "--lines", "1"]), "second problem");
    assert_eq!(
        apart(&["--stderr", "--grep", "out"]),
        "",
        "lines of one stream alone"
    );
    // In which order the last two were read is not sure.
    let whole = queue.run(["logs", "1"]).text();
    let length = "to out first problem\nsecond problem\nlast".len() + numbers.len() + 1;
    assert_eq!(whole.len(), length, "{whole}");
    // The same from the store, with its middle left out.
    let both = queue.ok(["logs", "1-2", "--stderr", "--timestamps"]);
    let times: Vec<&str> = both.lines().map(|line| line.split(' ').nth(2).unwrap()).collect();
    assert!(
        times.iter().all(|time| time.len() == 24 && time.ends_with('Z')),
        "{both}"
    );
    assert!(times.is_sorted(), "{both}");
    assert!(
        both.lines().last().unwrap().starts_with("2 | ") && both.ends_with("Z other"),
        "{both}"
    );
    assert_eq!(queue.ok(["logs", "2", "--until", "1h"]), "");
    assert_eq!(queue.ok(["logs", "2", "--since", "1h", "--stdout"]), "plain");
    let document = queue.json(["logs", "2"]);
    let parts: Vec<_> = document["parts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| (&part["offset"], &part["stream"]))
        .collect();
    assert_eq!(parts.len(), 2, "{document}");
    for (status, words, said) in [
        (2, &["1", "--stdout", "--stderr"][..], "cannot be used with"),
        (
            2,
            &["1", "--since", "1h", "--until", "2h"],
            "--since has to be before --until",
        ),
        (2, &["1", "--json", "--stderr"], "programs get documents"),
    ] {
        let error = queue.fails(status, [&["logs"], words].concat());
        assert!(error.contains(said), "{words:?}: {error}");
    }
}

/// The lines that a process prints, as they come.
fn lines(child: &mut Child) -> Receiver<String> {
    let (to, from) = channel();
    let printed = BufReader::new(child.stdout.take().unwrap());
    std::thread::spawn(move || {
        printed
            .lines()
            .map_while(Result::ok)
            .try_for_each(|line| to.send(line))
    });
    from
}

fn follow(queue: &Queue, words: &[&str]) -> (Child, Receiver<String>) {
    let mut command = queue.command([&["logs", "-f"], words].concat());
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let printed = lines(&mut child);
    (child, printed)
}

#[test]
fn jobs_that_are_named_are_followed_until_all_have_ended() {
    let queue = Queue::quick();
    let gates = ["a", "b"].map(|name| queue.gate(name));
    queue.enqueue([
        "--max-retries",
        "1",
        "echo one $QUEUECTL_ATTEMPT; read x < a; exit 1",
    ]);
    queue.enqueue(["echo two; read x < b; printf 'no end'"]);
    let _node = queue.start(&["--concurrency", "2"]);
    let (mut follower, printed) = follow(&queue, &["1-2"]);
    let next = || printed.recv_timeout(PATIENCE).unwrap();
    let mut first = [next(), next()];
    first.sort();
    assert_eq!(first, ["1 | one 1", "2 | two"]);
    gates[0].open();
    assert_eq!(next(), "1 | one 2");
    gates[1].open();
    assert_eq!(next(), "2 | no end");
    assert!(follower.try_wait().unwrap().is_none(), "one of them still runs");
    gates[0].open();
    let status = wait_for("the follower to end", || follower.try_wait().unwrap());
    assert!(status.success());
}

#[test]
fn jobs_that_start_later_join_those_that_are_followed() {
    let queue = Queue::quick();
    let gate = queue.gate("gate");
    queue.enqueue(["--queue", "mail", "echo first; read x < gate; echo end"]);
    let _node = queue.start(&["--concurrency", "2"]);
    let (mut follower, printed) = follow(&queue, &["--running", "queue=mail"]);
    let next = || printed.recv_timeout(PATIENCE).unwrap();
    assert_eq!(next(), "1 | first");
    queue.enqueue(["--queue", "other", "echo bystander"]);
    queue.wait_state("2", "completed");
    // It may have ended before anybody looks.
    queue.enqueue(["--queue", "mail", "--id", "quick", "echo second"]);
    assert_eq!(next(), "quick | second");
    gate.open();
    assert_eq!(next(), "1 | end");
    follower.kill().unwrap();
    follower.wait().unwrap();
}
