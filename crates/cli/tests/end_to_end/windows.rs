//! What is particular to Windows: command lines for `cmd`, process trees in Job Objects, nodes that are ended.
//!
//! Who is alive is told without process numbers: a job has a file open, and while any process has it open, no other can
//! open it for himself alone.

use std::fs::OpenOptions;
use std::os::windows::fs::OpenOptionsExt;

use crate::support::windows::own_console;
use crate::support::{GATED, Node, Queue, history, wait_until};

/// A program that runs for long and has a file open, and in the background another one with another file.
const TREE: &str = "start /b cmd /c \"ping -n 1000 127.0.0.1 > child\" & ping -n 1000 127.0.0.1 > main";

/// The same, but the main program is over as soon as the other runs.
const LEAVES: &str = "start /b cmd /c \"ping -n 1000 127.0.0.1 > child\" & \
                      for /l %i in (1,0,2) do @if exist child exit 0";

/// Whether any process has the file open.
fn held(queue: &Queue, name: &str) -> bool {
    let path = queue.path(name);
    path.exists() && OpenOptions::new().read(true).share_mode(0).open(path).is_err()
}

fn wait_held(queue: &Queue, names: &[&str]) {
    for name in names {
        wait_until(&format!("a process that has {name} open"), || held(queue, name));
    }
}

fn logs(queue: &Queue, id: &str) -> String {
    queue.ok(["logs", id])
}

#[test]
fn command_lines_mean_what_they_mean_to_cmd() {
    let queue = Queue::quick();
    let quiet = queue.enqueue(["ping 127.0.0.1 -n 2 > nul"]);
    let quoted = queue.enqueue([r#"echo "a  b" c&& if "x y"=="x y" echo same"#]);
    let joined = queue.enqueue(["echo one& echo two| find \"two\""]);
    let variable = queue.enqueue(["echo %QUEUECTL_JOB_ID%/%QUEUECTL_ATTEMPT%/%QUEUECTL_QUEUE%"]);
    let status = queue.enqueue(["--max-retries", "0", "exit 7"]);
    let missing = queue.enqueue(["--max-retries", "0", "no-such-program-at-all"]);
    assert_eq!(queue.drain(&["--count", "2"]), 1);
    assert_eq!(logs(&queue, &quiet), "");
    assert_eq!(logs(&queue, &quoted), "\"a  b\" c\nsame");
    assert_eq!(logs(&queue, &joined), "one\ntwo");
    assert_eq!(logs(&queue, &variable), format!("{variable}/1/default"));
    assert_eq!(queue.job(&status)["error"], "exit status 7");
    assert_eq!(queue.state(&missing), "dead");
}

#[test]
fn argument_vectors_keep_their_words() {
    let queue = Queue::quick();
    let words = ["a  b", "\"q\"", "%PATH%", "&", "back\\", "", "ä€"];
    // `config:set` prints its value as it got it, and is a program of ours.
    let program = crate::support::binary();
    let echo = queue.enqueue(["echo", "a  b", "\"q\"", "&"]);
    let mut ids = Vec::new();
    for word in words.iter().filter(|word| !word.is_empty()) {
        let id = queue.enqueue([program.to_str().unwrap(), "--db", "other.db", "show", word]);
        ids.push((id, *word));
    }
    queue.drain(&[]);
    assert_eq!(logs(&queue, &echo), "a  b \"q\" &");
    for (id, word) in ids {
        let job = queue.job(&id);
        assert_ne!(job["state"], "completed", "{word}");
        assert_eq!(job["argv"][4], *word, "{job}");
    }
}

#[test]
fn a_program_that_is_missing_is_named() {
    let queue = Queue::quick();
    let id = queue.enqueue(["--max-retries", "0", "no-such-program", "x"]);
    assert_eq!(queue.drain(&[]), 1);
    let why = queue.job(&id)["error"].as_str().unwrap().to_owned();
    assert!(why.starts_with("cannot start 'no-such-program': "), "{why}");
}

#[test]
fn a_job_that_takes_too_long_is_ended_with_all_it_started() {
    let queue = Queue::quick();
    queue.ok(["config:set", "kill_grace", "200ms"]);
    let _node = queue.start(&["--count", "2"]);
    let bystander = queue.enqueue(["ping -n 1000 127.0.0.1 > bystander"]);
    wait_held(&queue, &["bystander"]);
    let id = queue.enqueue(["--timeout", "3s", "--max-retries", "0", TREE]);
    wait_held(&queue, &["child", "main"]);
    let job = queue.wait_state(&id, "dead");
    assert_eq!(history(&job), ["1 timed_out"]);
    assert!(!held(&queue, "child") && !held(&queue, "main"), "{job}");
    assert!(held(&queue, "bystander"), "another job's process");
    assert_eq!(queue.state(&bystander), "processing");
    queue.ok(["cancel", "--wait", &bystander]);
    assert!(!held(&queue, "bystander"));
}

#[test]
fn what_a_job_leaves_behind_ends_with_it_unless_it_may_stay() {
    let queue = Queue::quick();
    let mut node = queue.start(&[]);
    let id = queue.enqueue([LEAVES]);
    queue.wait_state(&id, "completed");
    assert!(!held(&queue, "child"));
    // The control, in which it lives on.
    std::fs::remove_file(queue.path("child")).unwrap();
    queue.ok(["config:set", "leftovers", "leave"]);
    node.wait_log("settings changed");
    let id = queue.enqueue([LEAVES]);
    queue.wait_state(&id, "completed");
    assert!(held(&queue, "child"));
    queue.ok(["worker:stop", "--wait"]);
    assert_eq!(node.wait_exit(), 0);
    assert!(held(&queue, "child"), "after the node stopped");
    let _ = std::process::Command::new("taskkill")
        .args(["/F", "/IM", "ping.exe"])
        .output();
}

#[test]
fn nothing_outlives_a_dispatcher_that_is_ended_and_its_jobs_run_again() {
    let queue = Queue::quick();
    let mut node = queue.start(&["--count", "2"]);
    let id = queue.enqueue([TREE]);
    wait_held(&queue, &["child", "main"]);
    node.kill_dispatcher();
    wait_until("the end of all that the node had started", || {
        !held(&queue, "child") && !held(&queue, "main")
    });
    assert_eq!(queue.json(["worker:list"])[0]["state"], "dead");
    assert_eq!(queue.state(&id), "processing", "until a node finds it");
    let other = queue.start(&[]);
    wait_held(&queue, &["child", "main"]);
    assert!(
        other.log().contains("rescued a dead node's jobs"),
        "{}",
        other.log()
    );
    assert_eq!(history(&queue.job(&id)), ["1 lost"]);
    queue.ok(["cancel", "--wait", &id]);
    assert!(!held(&queue, "child") && !held(&queue, "main"));
    assert_eq!(queue.json(["worker:list"]).as_array().unwrap().len(), 1);
}

#[test]
fn a_live_node_takes_over_from_one_that_is_ended() {
    let queue = Queue::quick();
    let gate = queue.gate("gate");
    let mut node = queue.start(&[]);
    let id = queue.enqueue([GATED]);
    queue.wait_started(1);
    let other = queue.start(&[]);
    node.kill_dispatcher();
    gate.open();
    let job = queue.wait_state(&id, "completed");
    assert_eq!(history(&job), ["1 lost", "2 succeeded"]);
    assert!(other.log().contains("rescued a dead node's jobs"));
}

#[test]
fn what_a_node_stops_now_ends_with_all_it_started() {
    let queue = Queue::quick();
    queue.ok(["config:set", "kill_grace", "200ms"]);
    let mut node = queue.start(&[]);
    let id = queue.enqueue([TREE]);
    wait_held(&queue, &["child", "main"]);
    queue.ok(["worker:stop", "--now", "--wait"]);
    assert_eq!(node.wait_exit(), 0);
    assert!(!held(&queue, "child") && !held(&queue, "main"));
    let job = queue.job(&id);
    assert_eq!((&job["state"], &job["attempts"]), (&"pending".into(), &0.into()));
}

#[test]
fn an_idle_node_is_woken_at_once() {
    let queue = Queue::quick();
    // So slow a poll that only the wake-up can be the reason.
    queue.ok(["config:set", "poll_interval", "1h"]);
    let _node = queue.start(&[]);
    let id = queue.enqueue(["echo woken"]);
    queue.wait_state(&id, "completed");
    assert_eq!(logs(&queue, &id), "woken");
}

/// A node with a console of its own, and a job for it.
fn in_a_console(queue: &Queue, line: &str) -> (Node, String) {
    let node = Node::start_command(queue, &["worker:start"], own_console);
    (node, queue.enqueue([line]))
}

#[test]
fn the_first_ctrl_c_lets_running_jobs_finish() {
    let queue = Queue::quick();
    let gate = queue.gate("gate");
    let (mut node, running) = in_a_console(&queue, GATED);
    queue.wait_started(1);
    node.ctrl_c();
    node.wait_log("finishing running jobs");
    let new = queue.enqueue(["exit 0"]);
    gate.open();
    assert_eq!(node.wait_exit(), 0);
    assert_eq!(history(&queue.job(&running)), ["1 succeeded"]);
    let new = queue.job(&new);
    assert_eq!((&new["state"], &new["attempts"]), (&"pending".into(), &0.into()));
}

#[test]
fn the_second_ctrl_c_gives_running_jobs_back() {
    let queue = Queue::quick();
    queue.ok(["config:set", "kill_grace", "200ms"]);
    let (mut node, id) = in_a_console(&queue, TREE);
    wait_held(&queue, &["child", "main"]);
    node.ctrl_c();
    node.wait_log("finishing running jobs");
    assert!(
        held(&queue, "child") && held(&queue, "main"),
        "the first stops nothing"
    );
    node.ctrl_c();
    assert_eq!(node.wait_exit(), 0);
    assert!(!held(&queue, "child") && !held(&queue, "main"));
    let job = queue.job(&id);
    assert_eq!((&job["state"], &job["attempts"]), (&"pending".into(), &0.into()));
    assert_eq!(history(&job), ["1 returned"]);
}

/// More than is kept in memory, and more than a pipe holds.
#[test]
fn much_output_is_cut_in_the_middle() {
    const LINES: usize = 20_000;
    let queue = Queue::quick();
    let text: String = (0..LINES).map(|number| format!("{number:08}\n")).collect();
    queue.write("text", &text);
    let id = queue.enqueue(["type text& type text 1>&2"]);
    assert_eq!(queue.drain(&[]), 0);
    assert_eq!(
        queue.job(&id)["attempt_history"][0]["output_bytes"],
        2 * text.len()
    );
    let log = queue.json(["logs", &id]);
    assert!(log["head"].as_str().unwrap().starts_with("00000000\n00000001\n"));
    assert!(log["tail"].as_str().unwrap().ends_with("00019998\n00019999\n"));
    assert_eq!(log["omitted_bytes"], 2 * text.len() - 64 * 1024);
    assert_eq!(queue.run(["logs", &id, "--raw"]).out, text.repeat(2).into_bytes());
}

#[test]
fn two_nodes_share_the_work_and_do_nothing_twice() {
    let queue = Queue::quick();
    let lines = "\"echo %QUEUECTL_JOB_ID% %QUEUECTL_ATTEMPT%\"\n".repeat(60);
    queue.run_with(["enqueue", "--from", "-"], lines.as_bytes()).ok();
    let mut nodes = [(); 2].map(|()| Node::start(&queue, &["--drain", "--count", "2"]));
    nodes.iter_mut().for_each(|node| assert_eq!(node.wait_exit(), 0));
    for id in 1..=60 {
        let id = id.to_string();
        assert_eq!(history(&queue.job(&id)), ["1 succeeded"]);
        assert_eq!(logs(&queue, &id), format!("{id} 1"));
    }
    assert_eq!(queue.json(["db:check"])["ok"], true);
}
