//! What a job was given in confidence is shown only on explicit request.

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
        for command in [
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
            let done = queue.run(command);
            never(command[0], &format!("{}{}", done.text(), done.err));
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
        (&serde_json::Value::Null, &serde_json::Value::Null)
    );
    assert_eq!(shown["hidden"], serde_json::json!(["/env/TOKEN", "/stdin"]));
    let table = queue.ok(["show", &id]);
    assert!(table.contains("TOKEN=(hidden)"), "{table}");
    // The controls: the job had it, and who asks for it is told.
    let told = queue.json(["dlq:show", "--secrets", &id]);
    assert_eq!(told["attempt_history"][0]["exit_code"], 3);
    assert_eq!(
        (&told["env"]["TOKEN"], &told["stdin"]),
        (&CANARY.into(), &CANARY.into())
    );
    for list in [&["list", "--secrets"][..], &["dlq:list", "--secrets"]] {
        let told = &queue.json(list)[0];
        assert_eq!(
            (&told["env"]["TOKEN"], &told["stdin"], &told["hidden"]),
            (&CANARY.into(), &CANARY.into(), &serde_json::json!([])),
            "{list:?}"
        );
    }
    let table = queue.ok(["show", "--secrets", &id]);
    assert!(table.contains(&format!("TOKEN={CANARY}")), "{table}");
    assert!(!queue.ok(["retry", &id]).contains(CANARY));
}

/// What is printed in place of a secret never becomes the secret.
#[test]
fn what_is_hidden_is_not_stored_again_as_if_it_were_the_secret() {
    let queue = Queue::quick();
    let secret = format!("TOKEN={CANARY}");
    queue.enqueue(["--env", &secret, "--stdin", CANARY, "true"]);
    queue.write(
        "own.jsonl",
        format!("{{\"executor\":\"mine\",\"payload\":{{\"api_token\":\"{CANARY}\",\"n\":123456789012345678901234567890}}}}\n"),
    );
    queue.run(["enqueue", "--from", "own.jsonl"]).expect(0);
    let printed = queue.jobs();
    let fields = |job: &serde_json::Value, names: &[&str]| {
        let kept = names.iter().map(|name| ((*name).to_owned(), job[*name].clone()));
        serde_json::Value::Object(kept.collect()).to_string()
    };
    for (input, wanted) in [
        (
            fields(&printed[0], &["command", "env", "stdin"]),
            "\"TOKEN\" must be text, not null",
        ),
        (
            fields(&printed[0], &["command", "stdin", "hidden"]),
            "(/env/TOKEN, /stdin); print it with --secrets",
        ),
        (
            fields(&printed[1], &["executor", "payload", "hidden"]),
            "(/payload/api_token)",
        ),
        (
            fields(&printed[1], &["command"]),
            "which stands for a secret that was not printed",
        ),
        (
            r#"{"command":"true","env":{"A":"(hidden)"}}"#.to_owned(),
            "the value of A in the environment is",
        ),
        (
            r#"{"command":"true","stdin":"(hidden)"}"#.to_owned(),
            "the input is",
        ),
        (
            r#"{"payload":{"a":[{"b":"(hidden)"}]}}"#.to_owned(),
            "a member of the payload is",
        ),
        (
            r#"{"payload":{"url":"http://u:(hidden)@a/"}}"#.to_owned(),
            "a member of the payload is",
        ),
        (
            r#"{"payload":{"url":"http://a/?token=(hidden)&n=1"}}"#.to_owned(),
            "a member of the payload is",
        ),
        (
            r#"{"payload":{"headers":["Authorization: (hidden)"]}}"#.to_owned(),
            "a member of the payload is",
        ),
    ] {
        let said = queue
            .run_with(["enqueue", "--from", "-"], input.as_bytes())
            .fails(2);
        assert!(
            said.contains(wanted) && said.contains("--secrets"),
            "{input}: {said}"
        );
    }
    let said = queue.fails(2, ["enqueue", "--env", "A=(hidden)", "true"]);
    assert!(said.contains("the value of A in the environment is"), "{said}");
    assert_eq!(queue.jobs().len(), 2);
    // With its secrets a job is stored as it was, to the last digit.
    let text = queue.ok(["list", "--json", "--secrets"]);
    assert!(
        text.contains(&format!(
            r#""payload":{{"api_token":"{CANARY}","n":123456789012345678901234567890}},"hidden":[]"#
        )),
        "{text}"
    );
    // Somebody whose own words are those is not kept from them.
    queue.enqueue(["--env", "A=a (hidden) place", "echo", "(hidden)"]);
}

/// A job that is a payload alone is shown as that, but for what is called like a secret. It crashes its worker process,
/// and nothing of that shows it either: neither the node's log, however much it says, nor the reason.
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
    for command in [
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
        let done = queue.run(command);
        let text = format!("{}{}", done.text(), done.err);
        assert!(!text.contains(CANARY), "{command:?} shows it: {text}");
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

/// Only the owner can read a queue's files, whatever the umask.
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
