//! Looking at jobs: lists, details, output, counts; for people and as JSON.

use std::io::Read;
use std::process::Stdio;

use serde_json::Value;

use crate::support::jobs::variable;
use crate::support::{Queue, finish, history, time_ms, wait_until};

/// How the shell of this system ends a line.
const LINE_END: &str = if cfg!(windows) { "\r\n" } else { "\n" };

/// A queue in which one job completed, one is dead, one waits and one is scheduled.
fn varied() -> Queue {
    let queue = Queue::quick();
    queue.enqueue(["--id", "good", "echo fine"]);
    queue.enqueue([
        "--id",
        "bad",
        "--max-retries",
        "1",
        &format!("echo attempt {}&& exit 3", variable("QUEUECTL_ATTEMPT")),
    ]);
    assert_eq!(queue.drain(&["--queue", "default"]), 1);
    queue.enqueue(["--id", "later", "--queue", "own", "--delay", "1day", "exit 0"]);
    queue.enqueue(["--id", "now", "exit 0"]);
    queue
}

#[test]
fn jobs_have_the_documented_fields() {
    let queue = varied();
    let jobs = queue.jobs();
    let ids: Vec<_> = jobs.iter().map(|job| job["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["good", "bad", "later", "now"], "oldest first");
    for job in &jobs {
        for field in ["id", "command", "state", "created_at", "updated_at"] {
            assert!(job[field].is_string(), "{field}: {job}");
        }
        for field in ["attempts", "max_retries"] {
            assert!(job[field].is_u64(), "{field}: {job}");
        }
        assert!(time_ms(&job["created_at"]) <= time_ms(&job["updated_at"]));
        assert!(job["created_at"].as_str().unwrap().ends_with('Z'), "{job}");
    }
    let bad = &jobs[1];
    assert_eq!(
        (
            &bad["state"],
            &bad["attempts"],
            &bad["max_retries"],
            &bad["error"]
        ),
        (&"dead".into(), &2.into(), &1.into(), &"exit status 3".into())
    );
    let shown = queue.job("bad");
    assert_eq!(history(&shown), ["1 failed", "2 failed"]);
    assert_eq!(shown["attempt_history"][1]["exit_code"], 3);
    assert_eq!(
        shown["attempt_history"][1]["output_bytes"],
        10 + LINE_END.len() - 1
    );
    let letters = queue.json(["dlq:list"]);
    assert_eq!(letters.as_array().unwrap().len(), 1);
    assert_eq!(letters[0]["last_attempt"]["attempt"], 2);
}

#[test]
fn lists_can_be_narrowed_down() {
    let queue = varied();
    let ids = |args: &[&str]| -> Vec<String> {
        let found = queue.json([&["list"], args].concat());
        let found = found.as_array().unwrap().iter();
        found.map(|job| job["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&["--state", "dead"]), ["bad"]);
    assert_eq!(ids(&["--state", "SCHEDULED"]), ["later"]);
    assert_eq!(ids(&["--state", "failed"]), Vec::<String>::new());
    assert_eq!(ids(&["--queue", "own"]), ["later"]);
    assert_eq!(ids(&["--limit", "2"]), ["later", "now"]);
    assert_eq!(ids(&["--queue", "default", "--limit", "1"]), ["now"]);
    let done = queue.run(["list", "--limit", "1"]);
    assert!(
        done.err.contains("this is the newest job; --limit N"),
        "{}",
        done.err
    );
    assert!(!done.text().contains("later"), "{}", done.text());
}

#[test]
fn every_command_prints_one_json_document_and_nothing_else() {
    let queue = varied();
    let backup = queue.path("copy.db");
    let object = |args: &[&str]| {
        let value = queue.json(args);
        assert!(value.is_object(), "{args:?}: {value}");
        value
    };
    assert_eq!(object(&["enqueue", "--id", "more", "exit 0"])["id"], "more");
    assert_eq!(object(&["cancel", "more"])["id"], "more");
    assert_eq!(object(&["retry", "more"])["id"], "more");
    assert_eq!(object(&["logs", "good"])["head"], format!("fine{LINE_END}"));
    assert_eq!(object(&["dlq:show", "bad"])["id"], "bad");
    let status = object(&["status"]);
    assert_eq!(status["total"]["dead"], 1);
    assert_eq!(status["total"]["processing"], 0);
    assert_eq!(status["queues"]["own"]["scheduled"], 1);
    object(&["config:get", "shell"]);
    object(&["config:set", "shell", if cfg!(windows) { "cmd" } else { "sh" }]);
    object(&["config:unset", "shell"]);
    assert_eq!(object(&["db:check"])["ok"], true);
    object(&["db:backup", backup.to_str().unwrap()]);
    object(&["dlq:retry", "bad"]);
    assert_eq!(object(&["dlq:retry", "--all"])["jobs"], 0);
    assert_eq!(object(&["dlq:purge", "--all", "--yes"])["jobs"], 0);
    for args in [&["list"][..], &["dlq:list"], &["config:list"], &["worker:list"]] {
        assert!(queue.json(args).is_array(), "{args:?}");
    }
    // An error is no document.
    let failed = queue.run(["show", "nobody", "--json"]);
    assert_eq!((failed.status, failed.out.len()), (3, 0), "{}", failed.err);
    // The copy is a queue of its own.
    let copy = queue.with_db("copy.db");
    assert_eq!(copy.state("bad"), "dead");
}

/// What a format changes is how documents are written, never which documents and fields there are.
#[test]
fn every_format_for_programs_has_the_same_documents() {
    let queue = varied();
    let print = |args: &[&str], format: &str| {
        let done = queue.run([&["--format", format], args].concat());
        assert_eq!(done.status, 0, "{args:?}: {}", done.err);
        done.text()
    };
    for args in [
        &["list"][..],
        &["list", "--state", "dead"],
        &["dlq:list"],
        &["config:list"],
        &["worker:list"],
        &["db:path"],
        &["show", "bad"],
        &["config:get", "shell"],
    ] {
        let documents = match queue.json(args) {
            serde_json::Value::Array(items) => items,
            document => vec![document],
        };
        let lines = print(args, "jsonl");
        let lines: Vec<serde_json::Value> = lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines, documents, "{args:?}");
        let rows = print(args, "csv");
        let mut rows = rows.lines();
        let Some(first) = documents.first() else {
            assert_eq!(rows.next(), None, "{args:?}");
            continue;
        };
        let mut header: Vec<&str> = rows.next().unwrap().split(',').collect();
        let mut fields: Vec<&str> = first.as_object().unwrap().keys().map(String::as_str).collect();
        header.sort_unstable();
        fields.sort_unstable();
        assert_eq!(header, fields, "{args:?}");
        assert_eq!(rows.count(), documents.len(), "{args:?}");
    }
    let changed = print(&["cancel", "later"], "csv");
    // The row ends are tested with the encoder; here they depend on the system.
    assert_eq!(changed.replace("\r\n", "\n"), "id,result\nlater,cancelled\n");
    let said = queue.fails(2, ["list", "--json", "--format", "csv"]);
    assert!(said.contains("cannot be used with"), "{said}");
    queue.fails(2, ["logs", "-f", "bad", "--format", "jsonl"]);
}

#[test]
fn output_is_kept_per_attempt() {
    let queue = Queue::quick();
    let id = queue.enqueue([
        "--max-retries",
        "2",
        // Without blanks at the ends, which `cmd` would print.
        &format!(
            "echo out {}&& >&2 echo err&& exit 1",
            variable("QUEUECTL_ATTEMPT")
        ),
    ]);
    let silent = queue.enqueue(["exit 0"]);
    let waiting = queue.enqueue(["--delay", "1day", "--queue", "other", "exit 0"]);
    assert_eq!(queue.drain(&["--queue", "default"]), 1);
    assert_eq!(printed(&queue, &["logs", &id]), ["out 3", "err"], "the newest");
    assert_eq!(
        printed(&queue, &["logs", &id, "--attempt", "2"]),
        ["out 2", "err"]
    );
    let said = queue.fails(3, ["logs", &id, "--attempt", "4"]);
    assert!(said.contains("no attempt 4"), "{said}");
    assert_eq!(queue.ok(["logs", &silent]), "");
    let done = queue.run(["logs", &waiting]);
    assert!(done.err.contains("has not run yet"), "{}", done.err);
    assert_eq!(done.status, 0);
    queue.fails(2, ["logs", "-f", &id, "--json"]);
    // A retry by hand gives new attempts and keeps what was; the numbers go on.
    queue.ok(["dlq:retry", &id]);
    assert_eq!(queue.drain(&["--queue", "default"]), 1);
    assert_eq!(queue.job(&id)["attempt_history"].as_array().unwrap().len(), 6);
    assert_eq!(
        history(&queue.job(&id)),
        [
            "1 failed", "2 failed", "3 failed", "4 failed", "5 failed", "6 failed"
        ]
    );
    for (number, out) in [("1", "out 1"), ("3", "out 3"), ("4", "out 1"), ("6", "out 3")] {
        let logs = ["logs", &id, "--attempt", number];
        assert_eq!(printed(&queue, &logs), [out, "err"]);
        let told = queue.json(logs);
        assert_eq!(told["attempt"].to_string(), number);
        let head = told["head"].as_str().unwrap().replace("\r\n", "\n");
        // Two threads read the two streams there, and `cmd` writes a line in two parts.
        if cfg!(windows) {
            assert_eq!(head.len(), format!("{out}\nerr\n").len(), "{head:?}");
        } else {
            assert_eq!(head, format!("{out}\nerr\n"));
        }
    }
    for number in ["7", "4294967295"] {
        let said = queue.fails(3, ["logs", &id, "--attempt", number]);
        assert!(said.contains(&format!("no attempt {number}")), "{said}");
    }
    assert_eq!(queue.json(["dlq:list"])[0]["last_attempt"]["attempt"], 6);
}

/// What `logs` prints of each stream. Where the order of the two is kept, they are also seen together.
fn printed(queue: &Queue, logs: &[&str]) -> [String; 2] {
    let apart = ["--stdout", "--stderr"].map(|stream| queue.ok([logs, &[stream]].concat()));
    if !cfg!(windows) {
        assert_eq!(queue.ok(logs), apart.join("\n"));
    }
    apart
}

#[test]
fn a_running_job_can_be_followed() {
    let queue = Queue::quick();
    let gate = queue.gate("gate");
    let line = if cfg!(windows) {
        "echo one %QUEUECTL_ATTEMPT%& cmd /c \"for /l %i in (1,0,2) do @if exist gate exit 0\"& \
         echo two& if %QUEUECTL_ATTEMPT%==1 (exit 1) else exit 0"
    } else {
        "echo one $QUEUECTL_ATTEMPT; read x < gate; echo two; exit $((1 - QUEUECTL_ATTEMPT / 2))"
    };
    let id = queue.enqueue(["--max-retries", "1", line]);
    let _node = queue.start(&[]);
    let mut follower = queue
        .command(["logs", "-f", &id])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut printed = follower.stdout.take().unwrap();
    let mut read = |text: &str| {
        let mut bytes = vec![0; text.len()];
        printed.read_exact(&mut bytes).unwrap();
        assert_eq!(String::from_utf8_lossy(&bytes), text);
    };
    read("one 1\n");
    let done = queue.run(["logs", &id]);
    assert_eq!((done.text().as_str(), done.status), ("one 1\n", 0));
    assert!(done.err.contains("still running"), "{}", done.err);
    gate.open();
    read("two\none 2\n");
    gate.open();
    read("two\n");
    wait_until("the follower to end with the job", || {
        follower
            .try_wait()
            .unwrap()
            .is_some_and(|status| status.success())
    });
    assert_eq!(queue.state(&id), "completed");
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    let queue = Queue::quick();
    let bytes = b"\x1b[31mred\x07\t\xc3\xa4\xc2\x9b\xff\n";
    queue.write("bytes", bytes);
    let (print, comment) = if cfg!(windows) {
        ("type bytes", "& rem")
    } else {
        ("cat bytes", "#")
    };
    let id = queue.enqueue([format!("{print} {comment} \u{1b}]0;title\u{7}")]);
    assert_eq!(queue.drain(&[]), 0);
    assert_eq!(queue.ok(["logs", &id]), "\\x1b[31mred\\x07\tä\\u{9b}\\xff");
    let raw = queue.run(["logs", &id, "--raw"]);
    assert_eq!(raw.out, bytes);
    let is_control = |done: &crate::support::Done| {
        done.text()
            .contains(|c: char| c.is_control() && c != '\n' && c != '\t')
    };
    for args in [
        &["list"][..],
        &["show", &id],
        &["list", "--json"],
        &["show", &id, "--json"],
        &["logs", &id, "--json"],
    ] {
        let done = queue.run(args);
        assert!(!is_control(&done), "{args:?}: {}", done.text());
    }
    assert!(is_control(&raw), "the control");
    let kept: Value = queue.job(&id);
    assert!(
        kept["command"].as_str().unwrap().contains('\u{1b}'),
        "JSON says the same"
    );
}

#[test]
fn tables_have_no_colour_unless_asked_for_and_readers_may_leave() {
    let queue = varied();
    assert!(!queue.ok(["list"]).contains('\u{1b}'));
    assert!(queue.ok(["list", "--color", "always"]).contains('\u{1b}'));
    // A reader that leaves at once is no error.
    let mut command = queue.command(["list", "--json"]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    command.stdout(writer).stderr(Stdio::piped());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    assert_eq!(
        finish(queue.command(["list", "--json"]), None)
            .json()
            .as_array()
            .unwrap()
            .len(),
        4
    );
}

#[test]
fn waiting_has_a_limit() {
    let queue = varied();
    let said = queue.fails(124, ["wait", "good", "now", "--timeout", "50ms"]);
    assert!(
        said.contains("timed out after 50 ms; 1 of 2 jobs has not ended: now (pending)"),
        "{said}"
    );
    // A job that ends before its turn does not count as one that has not.
    let said = queue.fails(124, ["wait", "now", "good", "later", "--timeout", "50ms"]);
    assert!(
        said.contains("2 of 3 jobs have not ended: now (pending), later (scheduled)"),
        "{said}"
    );
    let said = queue.fails(124, ["wait", "now", "--timeout", "50ms"]);
    assert!(said.contains("1 of 1 job has not ended"), "{said}");
    assert_eq!(queue.run(["wait", "bad"]).status, 3, "the status of the job");
    queue.ok(["cancel", "now"]);
    assert_eq!(queue.run(["wait", "now"]).status, 1);
}
