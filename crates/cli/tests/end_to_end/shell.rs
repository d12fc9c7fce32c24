//! What a job of the shell executor can ask for beyond its command, from `enqueue` to its outcome. That each limit
//! holds is tested in the executor crate; here it is that they get there, and that mistakes do not.

use serde_json::{Value, json};

use crate::support::{Queue, wait_until};

/// Stores a job with a payload.
fn job(queue: &Queue, command: &str, payload: Value) -> String {
    let job = json!({ "command": command, "payload": payload, "max_retries": 0 });
    queue.enqueue([job.to_string()])
}

/// The output of a job that must succeed.
fn output(queue: &Queue, id: &str) -> String {
    queue.wait_state(id, "completed");
    queue.ok(["logs", id])
}

/// Payloads that make no job, and what is said about them.
const REFUSED: &[(&str, &str)] = &[
    (r#"{"umaks":"022"}"#, "unknown field `umaks`"),
    (r#"{"umask":"999"}"#, "'999' is not a umask"),
    (r#"{"umask":22}"#, "expected a string"),
    (r#"{"nice":20}"#, "-20 (first) to 19 (last)"),
    (r#"{"rlimits":{"files":1}}"#, "no rlimit 'files'"),
    (r#"{"rlimits":{"nofile":-1}}"#, "not negative"),
    (r#"{"rlimits":{"as":{"soft":2,"hard":1}}}"#, "above the hard one"),
    (r#"{"memory":"lots"}"#, "invalid value 'lots' for memory"),
    (r#"{"pids":0}"#, "lets nothing run"),
    (r#"{"user":"no-such-user"}"#, "there is no user 'no-such-user'"),
    (
        r#"{"user":"root:no-such-group"}"#,
        "there is no group 'no-such-group'",
    ),
    (r#"{"env":["A=B"]}"#, "'A=B' is not the name"),
    (r#"{"env":"none"}"#, "inherit, clear, or a list"),
    (r#"{"script":"true"}"#, "both a command and a script"),
    (r#"{"args":[]}"#, "args are those of a script"),
    (r#"{"shell":"fish","errexit":true}"#, "'fish'"),
];

#[test]
fn mistakes_in_a_payload_are_named_and_nothing_is_stored() {
    let queue = Queue::new();
    let bystander = queue.enqueue([r#"{"command":"x","payload":{"umask":"022","rlimits":{"core":0}}}"#]);
    let mut wrong = Vec::new();
    for (payload, wanted) in REFUSED {
        let done = queue.run(["enqueue", &format!(r#"{{"command":"true","payload":{payload}}}"#)]);
        if done.status != 2 || !done.err.contains(wanted) {
            wrong.push(format!(
                "{payload}: wanted {wanted:?}, said: {}{}",
                done.text(),
                done.err
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let said = queue.fails(2, ["enqueue", r#"{"command":["a"],"payload":{"errexit":true}}"#]);
    assert!(said.contains("no shell runs it"), "{said}");
    assert_eq!(queue.jobs().len(), 1);
    assert_eq!(queue.state(&bystander), "pending");
}

#[test]
fn the_environment_of_the_node_is_inherited_or_not() {
    let queue = Queue::quick();
    let mut node = queue.command(["worker:start", "--drain"]);
    node.env("CANARY", "sings");
    let line = "echo ${CANARY:-silent} $QUEUECTL_JOB_ID $QUEUECTL_ATTEMPT ${QUEUECTL_COOKIE:+marked} $OWN";
    let env = |policy: Value| {
        let job = json!({ "command": line, "env": { "OWN": "own" }, "payload": { "env": policy } });
        queue.enqueue([job.to_string()])
    };
    let plain = queue.enqueue([line]);
    let (inherit, clear, some) = (
        env(json!("inherit")),
        env(json!("clear")),
        env(json!(["CAN*", "PATH"])),
    );
    assert_eq!(crate::support::finish(node, None).status, 0);
    assert_eq!(output(&queue, &plain), format!("sings {plain} 1 marked"));
    assert_eq!(output(&queue, &inherit), format!("sings {inherit} 1 marked own"));
    assert_eq!(output(&queue, &clear), format!("silent {clear} 1 marked own"));
    assert_eq!(output(&queue, &some), format!("sings {some} 1 marked own"));
}

#[test]
fn a_large_script_runs_with_its_arguments_and_its_input() {
    let queue = Queue::quick();
    let script = format!(
        "#!/bin/sh\n{}read line\necho \"$1 $line\"\n",
        "# filler\n".repeat(40_000)
    );
    assert!(script.len() > 300 * 1024);
    let job = json!({ "stdin": "in\n", "payload": { "script": script, "args": ["first"] } });
    queue.write("job.json", format!("{job}\n"));
    queue.ok(["enqueue", "--from", "job.json"]);
    // A command line of that length is beyond what the system takes.
    let line = queue.enqueue(["--max-retries", "0", &format!(":{}", " ".repeat(100_000))]);
    let long = json!({ "command": format!(":{}", " ".repeat(300_000)), "max_retries": 0 });
    queue.write("long.json", format!("{long}\n"));
    queue.ok(["enqueue", "--from", "long.json"]);
    assert_eq!(queue.drain(&[]), 1);
    assert_eq!(queue.ok(["logs", "1"]), "first in");
    assert_eq!(queue.state(&line), "completed");
    assert!(
        queue.job("3")["error"].as_str().unwrap().contains("too long"),
        "{}",
        queue.job("3")
    );
}

#[test]
fn limits_reach_the_process_and_failures_say_which() {
    let queue = Queue::quick();
    let node = queue.start(&[]);
    let limits = json!({ "umask": "027", "nice": 3, "rlimits": { "nofile": 64, "core": 0 } });
    let limited = job(&queue, "umask; nice; ulimit -n; ulimit -c", limits);
    assert_eq!(output(&queue, &limited), "0027\n3\n64\n0");
    let spinner = job(&queue, "while :; do :; done", json!({ "rlimits": { "cpu": 1 } }));
    let dead = queue.wait_state(&spinner, "dead");
    assert_eq!(dead["error"], "killed by signal 24 (SIGXCPU)");
    let strict = job(&queue, "false; echo on", json!({ "errexit": true }));
    assert_eq!(queue.wait_state(&strict, "dead")["error"], "exit status 1");
    let lax = job(&queue, "false; echo on", json!({}));
    assert_eq!(output(&queue, &lax), "on");
    drop(node);
}

#[test]
fn defaults_of_the_queue_hold_for_jobs_that_do_not_say() {
    let queue = Queue::quick();
    let node = queue.start(&[]);
    queue.ok(["config:set", "shell.umask", "077"]);
    queue.ok(["config:set", "shell.errexit", "true"]);
    queue.ok(["config:set", "shell.rlimits", "nofile=99,core=0"]);
    wait_until("the node to take up the settings", || {
        node.log().matches("settings changed").count() > 0 && {
            let id = queue.enqueue(["ulimit -n"]);
            output(&queue, &id) == "99"
        }
    });
    let id = queue.enqueue(["umask; ulimit -n"]);
    assert_eq!(output(&queue, &id), "0077\n99");
    let own = job(
        &queue,
        "umask; ulimit -n; false; echo on",
        json!({ "umask": "022", "errexit": false, "rlimits": { "nofile": 50 } }),
    );
    assert_eq!(output(&queue, &own), "0022\n50\non");
    // A mistake changes nothing.
    let said = queue.fails(2, ["config:set", "shell.umask", "rwx"]);
    assert!(said.contains("shell.umask: 'rwx' is not a umask"), "{said}");
}

#[test]
fn a_job_runs_as_another_user() {
    let queue = Queue::quick();
    let node = queue.start(&[]);
    let job = json!({ "command": "id -un; echo $USER", "cwd": "/", "payload": { "user": "nobody" }, "max_retries": 0 });
    let id = queue.enqueue([job.to_string()]);
    if nix::unistd::geteuid().is_root() {
        assert_eq!(output(&queue, &id), "nobody\nnobody");
    } else {
        let dead = queue.wait_state(&id, "dead");
        assert!(
            dead["error"].as_str().unwrap().contains("only a node of root"),
            "{dead}"
        );
    }
    let own = queue.enqueue(["id -u"]);
    assert_eq!(output(&queue, &own), nix::unistd::geteuid().to_string());
    drop(node);
}
