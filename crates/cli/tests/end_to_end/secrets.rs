//! What a job was given in confidence is shown to who asks for just that, and to nobody else.

use crate::support::unix::Gate;
use crate::support::{Queue, wait_until};

const CANARY: &str = "c4n4ry-7f3a9b";

fn queue_with_a_secret(queue: &Queue) -> (String, Gate) {
    let gate = queue.gate("gate");
    let secret = format!("TOKEN={CANARY}");
    let job = "test -n \"$TOKEN\" && cat > /dev/null && echo up > up && read x < gate; exit 3";
    let job = ["--max-retries", "0", "--env", &secret, "--stdin", CANARY, job];
    (queue.enqueue(job), gate)
}

/// The values of `--env` and `--stdin` are in the queue's file, which is its owner's alone, and in the environment and
/// input of the job. They are in no list, no log, no arguments of any process, and no reason of a failure.
#[test]
fn what_a_job_is_given_is_not_shown_in_passing() {
    let queue = Queue::new();
    let (id, gate) = queue_with_a_secret(&queue);
    let node = queue.start(&["--count", "1"]);
    queue.wait_lines("up", 1);
    let never = |what: &str, text: &str| assert!(!text.contains(CANARY), "{what} shows it: {text}");
    for pid in std::fs::read_dir("/proc").unwrap().flatten() {
        let arguments = std::fs::read(pid.path().join("cmdline")).unwrap_or_default();
        let ours = std::fs::read(pid.path().join("environ")).unwrap_or_default();
        let mark = queue.mark();
        if ours.windows(mark.len()).any(|part| part == mark.as_bytes()) {
            never("the arguments of a process", &String::from_utf8_lossy(&arguments));
        }
    }
    let look = || {
        for verb in [
            &["list"][..],
            &["--json", "list"],
            &["show", &id],
            &["--json", "show", &id],
            &["status"],
            &["dlq:list"],
            &["--json", "dlq:list"],
            &["dlq:show", &id],
            &["--json", "dlq:show", &id],
            &["worker:list"],
            &["logs", &id],
            &["--json", "logs", &id],
            &["config:list"],
            &["db:check"],
            &["-v", "-v", "list"],
            &["wait", &id, "--timeout", "1ms"],
            &["--json", "wait", &id, "--timeout", "1ms"],
            &["--log-format", "json", "status"],
        ] {
            let done = queue.run(verb);
            never(verb[0], &format!("{}{}", done.text(), done.err));
        }
        never("the log", &node.log());
    };
    look();
    gate.open();
    queue.wait_state(&id, "dead");
    look();
    let shown = queue.json(["show", &id]);
    assert_eq!(
        (&shown["env"]["TOKEN"], &shown["stdin"]),
        (&"(hidden)".into(), &"(hidden)".into())
    );
    // The controls: the job had it, and who asks for it is told.
    let told = queue.json(["dlq:show", "--secrets", &id]);
    assert_eq!(told["attempt_history"][0]["exit_code"], 3);
    assert_eq!(
        (&told["env"]["TOKEN"], &told["stdin"]),
        (&CANARY.into(), &CANARY.into())
    );
    let table = queue.ok(["show", "--secrets", &id]);
    assert!(table.contains(&format!("TOKEN={CANARY}")), "{table}");
    assert!(!queue.ok(["retry", &id]).contains(CANARY));
}

/// A job that is a payload alone is shown as that, but for what is called like a secret. It crashes its worker process, and
/// nothing of that shows it either: neither the node's log, however much it says, nor the reason.
#[test]
fn secrets_of_a_payload_are_not_shown_when_its_plugin_crashes() {
    let test = "secrets::secrets_of_a_payload_are_not_shown_when_its_plugin_crashes";
    let queue = Queue::quick();
    if !crate::plugin::add_plugin(&queue, test) {
        return;
    }
    let payload = serde_json::json!({"do": "abort", "headers": {"Authorization": CANARY}, "api_key": CANARY});
    let job = serde_json::json!({
        "executor": "fatal", "max_retries": 1, "payload": payload, "env": {"A": CANARY}, "stdin": CANARY,
    });
    let id = queue.enqueue([job.to_string()]);
    let plugins = queue.path("plugins");
    let node = queue.start(&["-v", "-v", "--plugin-dir", plugins.to_str().unwrap()]);
    let ended = queue.wait_state(&id, "dead");
    assert_eq!(crate::support::history(&ended), ["1 crashed", "2 crashed"]);
    for verb in [
        &["list"][..],
        &["--json", "list"],
        &["show", &id],
        &["--json", "show", &id],
        &["dlq:list"],
        &["--json", "dlq:list"],
        &["status"],
        &["logs", &id],
        &["wait", &id],
        &["-v", "-v", "db:check"],
    ] {
        let done = queue.run(verb);
        let text = format!("{}{}", done.text(), done.err);
        assert!(!text.contains(CANARY), "{verb:?} shows it: {text}");
    }
    assert!(!node.log().contains(CANARY), "{}", node.log());
    let listed = queue.ok(["list"]);
    assert!(
        listed.contains("hidden"),
        "the control: the payload is what is listed: {listed}"
    );
    assert_eq!(
        queue.job(&id)["payload"]["api_key"],
        CANARY,
        "who asks for it is told"
    );
}

/// The URL of a server, with its password, in the environment of a node that was told another place.
#[test]
fn jobs_do_not_inherit_the_password_of_another_place() {
    let queue = Queue::new();
    let id = queue.enqueue(["echo at $QUEUECTL_DB"]);
    let mut node = queue.command(["worker:start", "--drain"]);
    node.env("QUEUECTL_DB", format!("postgres://ann:{CANARY}@db.example/x"));
    crate::support::finish(node, None).ok();
    let printed = queue.ok(["logs", &id]);
    assert_eq!(printed, format!("at {}", queue.db().display()));
    wait_until("the end", || queue.state(&id) == "completed");
}

/// Nobody but the owner may read what a queue keeps, whatever the umask is.
#[test]
fn everything_of_a_queue_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let queue = Queue::new().with_db("home/queue.db");
    let mut first = std::process::Command::new("sh");
    first.args(["-c", "umask 0; exec \"$@\"", "sh"]);
    let enqueue = queue.command(["enqueue", "head -c 200000 /dev/zero | tr '\\0' x"]);
    let done = crate::support::finish(crate::support::unix::within(first, &enqueue), None);
    done.ok();
    let mut first = std::process::Command::new("sh");
    first.args(["-c", "umask 0; exec \"$@\"", "sh"]);
    let node = queue.command(["worker:start", "--drain"]);
    crate::support::finish(crate::support::unix::within(first, &node), None).ok();
    let mut seen = 0;
    let mut folders = vec![queue.path("home")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let mode = entry.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{} has mode {mode:o}", entry.path().display());
            seen += 1;
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            }
        }
    }
    assert!(seen > 4, "{seen}");
}
