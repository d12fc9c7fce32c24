//! `explain` says to the letter why a job does not run, and the command that it names makes it run.

use crate::support::jobs::{FOREVER, succeeds_with};
use crate::support::{GATED, Node, Queue, wait_until};

/// What `explain` prints but for its last line, with `T` for every length of time and moment.
pub fn explained(queue: &Queue, id: &str) -> Vec<String> {
    let text = queue.ok(["explain", id]);
    let mut lines: Vec<String> = text.lines().map(timeless).collect();
    let last = lines.pop().unwrap();
    // Programs are told the same, by codes.
    let document = queue.json(["explain", id]);
    let has_ended = ["completed", "dead", "cancelled"].contains(&document["state"].as_str().unwrap());
    let waited = if has_ended {
        "it waited T"
    } else {
        "so far it waited T"
    };
    assert!(last.starts_with(waited), "{text}");
    let reasons = document["reasons"].as_array().unwrap().len();
    // What starts a job past its reasons is no way to have one go.
    let start = document["start_command"].as_str();
    let start = start.map(|command| format!("to start it next, past all of that: `{command}`"));
    let said = lines.iter().position(|line| line.starts_with("to start it next"));
    assert_eq!(said.map(|at| lines.remove(at)), start, "{text}");
    let shown = lines.iter().filter(|line| line.starts_with("- ")).count();
    assert_eq!(reasons, shown, "{text}");
    lines
}

/// The line without what differs from run to run.
fn timeless(line: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in line.split(' ') {
        let bare = word.trim_end_matches([')', ';', ':', ',']);
        let is_unit = ["ms", "s", "m", "h", "d"].contains(&bare);
        let is_number = |word: &String| word.trim_start_matches('(').parse::<f64>().is_ok();
        match words.last_mut() {
            Some(last) if is_unit && is_number(last) => {
                let open = if last.starts_with('(') { "(" } else { "" };
                *last = format!("{open}T{}", &word[bare.len()..]);
            }
            _ => words.push(word.to_owned()),
        }
    }
    let line = words.join(" ");
    line.split_once(", at ")
        .map_or(line.clone(), |(before, _)| before.to_owned())
}

/// Runs the command that a line names. A node is returned.
pub fn follow(queue: &Queue, line: &str) -> Option<Node> {
    let command = line
        .split('`')
        .nth(1)
        .unwrap_or_else(|| panic!("a command in {line}"));
    let words: Vec<&str> = command.split(' ').collect();
    assert_eq!(words[0], "queuectl");
    if words[1] == "worker:start" {
        return Some(queue.start(&words[2..]));
    }
    queue.ok(&words[1..]);
    None
}

/// Checks what is said of a job, follows the command of one line, and waits until the job has completed.
fn says_and_follows(queue: &Queue, id: &str, expected: &[&str], at: usize) -> Option<Node> {
    let lines = explained(queue, id);
    assert_eq!(lines, expected);
    let node = follow(queue, &lines[at]);
    queue.wait_state(id, "completed");
    node
}

#[test]
fn a_job_that_no_node_takes() {
    let queue = Queue::quick();
    let id = queue.enqueue(["--queue", "mail", "exit 0"]);
    let listed = queue.ok(["list"]);
    assert!(
        listed.contains("REASON") && listed.contains("no node"),
        "{listed}"
    );
    let none = says_and_follows(
        &queue,
        &id,
        &[
            "job 1 is pending, in queue mail:",
            "- no node is running: `queuectl worker:start --queue mail`",
            "it cannot start before that has changed",
        ],
        1,
    );
    let id = queue.enqueue(["exit 0"]);
    let unserved = says_and_follows(
        &queue,
        &id,
        &[
            "job 2 is pending, in queue default:",
            "- no node serves queue default: `queuectl worker:start --queue default`",
            "it cannot start before that has changed",
        ],
        1,
    );
    // The second name of the command; and where nothing waits for a reason, no column says so.
    assert!(queue.ok(["why", &id]).contains("\n- it is completed ("));
    assert!(!queue.ok(["list"]).contains("REASON"));
    drop((none, unserved));
}

#[test]
fn a_job_of_a_paused_queue_and_one_that_is_held() {
    let queue = Queue::quick();
    let _node = queue.start(&[]);
    queue.ok(["queue:pause", "default", "--reason", "disk full"]);
    let by = queue.json(["queue:show", "default"])["paused"]["by"]
        .as_str()
        .unwrap()
        .to_owned();
    let id = queue.enqueue(["exit 0"]);
    let paused =
        format!("- queue default is paused by {by}: disk full (for T): `queuectl queue:resume default`");
    let never = "it cannot start before that has changed";
    says_and_follows(
        &queue,
        &id,
        &["job 1 is pending, in queue default:", &paused, never],
        1,
    );
    queue.ok(["queue:pause", "default", "--for", "1h"]);
    let id = queue.enqueue(["exit 0"]);
    let paused =
        format!("- queue default is paused by {by} for another T (for T): `queuectl queue:resume default`");
    let lines = [
        "job 2 is pending, in queue default:",
        &paused,
        "it can start in T",
    ];
    says_and_follows(&queue, &id, &lines, 1);
    let id = queue.enqueue(["--hold", "exit 0"]);
    let held = "- it is held (for T): `queuectl release 3`";
    says_and_follows(
        &queue,
        &id,
        &["job 3 is blocked, in queue default:", held, never],
        1,
    );
}

#[test]
fn a_job_whose_time_has_not_come() {
    let queue = Queue::new();
    let _node = queue.start(&[]);
    let id = queue.enqueue(["--delay", "1h", "exit 0"]);
    let scheduled = [
        "job 1 is scheduled, in queue default:",
        "- it is scheduled and due in T",
        "it can start in T",
    ];
    assert_eq!(explained(&queue, &id), scheduled);
    let start = &queue.json(["explain", &id])["start_command"];
    assert_eq!(start, "queuectl start 1 --now");
    // It failed, and is tried again after an hour; what it lacks is there now.
    let retried = queue.enqueue(["--backoff-base", "3600", &succeeds_with("there")]);
    queue.wait_state(&retried, "failed");
    queue.write("there", "");
    let lines = [
        "job 2 is failed, in queue default:",
        "- attempt 1 failed (exit status 1); the next is due in T: `queuectl retry 2`",
        "it can start in T",
    ];
    says_and_follows(&queue, &retried, &lines, 1);
    let odd = queue.enqueue(["--executor", "odd", "--backoff-base", "3600", "x"]);
    queue.wait_state(&odd, "failed");
    let said = explained(&queue, &odd);
    assert!(
        said[1].starts_with("- its executor could not run it (") && said[1].contains("odd"),
        "{said:?}"
    );
    assert!(
        said[1].ends_with("; the next is due in T: `queuectl retry 3`"),
        "{said:?}"
    );
    let code = &queue.json(["explain", &odd])["reasons"][0]["code"];
    assert_eq!(code, "executor");
}

#[test]
fn a_job_for_which_nodes_have_no_room() {
    let queue = Queue::quick();
    let gate = queue.gate("gate");
    let first = queue.start(&[]);
    let busy = queue.enqueue([GATED]);
    queue.wait_started(1);
    let running = [
        "job 1 is processing, in queue default:",
        "- it runs on node 1 (for T): `queuectl logs -f 1`",
    ];
    assert_eq!(explained(&queue, &busy), running);
    let next = queue.enqueue(["exit 0"]);
    let id = queue.enqueue(["exit 0"]);
    let full = "- node 1 is full, with 1 of 1 slots in use by job 1; 1 job of its queue comes first: \
                `queuectl worker:start --queue default`";
    let never = "it cannot start before that has changed";
    let lines = ["job 3 is pending, in queue default:", full, never];
    let second = says_and_follows(&queue, &id, &lines, 1);
    queue.wait_state(&next, "completed");
    queue.ok(["worker:stop", "2", "--wait"]);
    drop(second);
    // Only the first is left, which stops when its job has ended.
    queue.ok(["worker:stop", "1"]);
    first.wait_log("finishing");
    let id = queue.enqueue(["exit 0"]);
    let stopping = "- node 1 is stopping and takes no more jobs: `queuectl worker:start --queue default`";
    let lines = ["job 4 is pending, in queue default:", stopping, never];
    let _third = says_and_follows(&queue, &id, &lines, 1);
    gate.open();
    queue.wait_state(&busy, "completed");
}

#[test]
fn a_job_that_has_ended() {
    let queue = Queue::quick();
    queue.ok(["config:set", "max_retries", "0"]);
    let _node = queue.start(&[]);
    let dead = queue.enqueue([&succeeds_with("there")]);
    queue.wait_state(&dead, "dead");
    queue.write("there", "");
    let lines = [
        "job 1 is dead, in queue default:",
        "- it is dead: exit status 1 (T ago): `queuectl dlq:retry 1`",
    ];
    says_and_follows(&queue, &dead, &lines, 1);
    let lines = [
        "job 1 is completed, in queue default:",
        "- it is completed (T ago): `queuectl rerun 1`",
    ];
    assert_eq!(explained(&queue, &dead), lines);
    follow(&queue, lines[1]);
    queue.wait_state("2", "completed");
    let cancelled = queue.enqueue(["--hold", "exit 0"]);
    queue.ok(["cancel", &cancelled]);
    let lines = [
        "job 3 is cancelled, in queue default:",
        "- it was cancelled (T ago): `queuectl retry 3`",
    ];
    says_and_follows(&queue, &cancelled, &lines, 1);
    // Two attempts, one of them by hand.
    assert!(queue.ok(["explain", &dead]).ends_with(" in 2 attempts"));
    let running = queue.enqueue([FOREVER]);
    wait_until("the job to run", || queue.state(&running) == "processing");
    assert_eq!(queue.json(["explain", &running])["attempts"], 1);
    queue.fails(3, ["explain", "77"]);
}

#[test]
fn a_job_that_waits_for_another() {
    let queue = Queue::quick();
    let _node = queue.start(&[]);
    let parent = queue.enqueue(["--hold", "exit 0"]);
    let id = queue.enqueue(["--after", &parent, "exit 0"]);
    let lines = [
        "job 2 is blocked, in queue default:",
        "- it waits for job 1 (for T): `queuectl explain 1`",
        "it cannot start before that has changed",
    ];
    assert_eq!(explained(&queue, &id), lines);
    let said = explained(&queue, &parent);
    assert_eq!(said[1], "- it is held (for T): `queuectl release 1`");
    follow(&queue, &said[1]);
    queue.wait_state(&id, "completed");
}

#[test]
fn a_job_of_a_group() {
    let queue = Queue::quick();
    let _node = queue.start(&[]);
    queue.ok(["group:create", "nightly", "--then", "exit 0"]);
    let id = queue.enqueue(["--group", "nightly", "--hold", "exit 0"]);
    queue.enqueue(["--group", "nightly", "--hold", "exit 0"]);
    let lines = [
        "job 1 is blocked, in queue default:",
        "- it is held (for T): `queuectl release 1`",
        "it cannot start before that has changed",
        "group nightly is open; 2 of its 2 jobs have not ended; its callback waits for them and for the group to be closed: \
         `queuectl group:close nightly`",
    ];
    assert_eq!(explained(&queue, &id), lines);
    follow(&queue, lines[3]);
    let closed = "group nightly is closed; 2 of its 2 jobs have not ended; its callback waits for them";
    assert_eq!(explained(&queue, &id)[3], closed);
    queue.ok(["release", "1", "2"]);
    queue.wait_state("1", "completed");
    queue.wait_state("2", "completed");
    let complete = "group nightly is complete; its callback is job 3";
    assert_eq!(explained(&queue, &id).last().map(String::as_str), Some(complete));
    assert_eq!(queue.json(["explain", &id])["groups"][0]["callback"], 3);
}
