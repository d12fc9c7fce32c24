//! Forms that people type because other tools take them.

use serde_json::json;

use crate::support::{Queue, on_postgres};

#[test]
fn settings_are_listed_by_every_name_that_people_try() {
    let queue = Queue::new();
    let made = queue.ok(["init"]);
    if on_postgres() {
        assert!(made.starts_with("created the queue postgres://"), "{made}");
    } else {
        assert_eq!(made, format!("created the queue {}", queue.db().display()));
    }
    assert!(queue.exists());
    queue.ok(["config:set", "max_retries", "7"]);
    let list = queue.ok(["config:list"]);
    for words in [
        &["config"][..],
        &["config", "get"],
        &["config", "show"],
        &["config:get"],
        &["config-list"],
    ] {
        assert_eq!(queue.ok(words), list, "{words:?}");
    }
    for words in [
        &["config", "show", "max_retries"][..],
        &["config-get", "max_retries"],
    ] {
        assert_eq!(queue.ok(words), "7", "{words:?}");
    }
    assert!(queue.ok(["init"]).ends_with("already exists"));
    assert_eq!(queue.ok(["config:get", "max_retries"]), "7", "it stays as it is");
}

#[test]
fn lists_have_other_names() {
    let queue = Queue::new();
    queue.enqueue(["--id", "waits", "exit 0"]);
    queue.enqueue(["--id", "given-up", "exit 0"]);
    queue.ok(["cancel", "given-up"]);
    let ids = |state: &str| {
        let jobs = queue.json(["list", "--state", state]);
        let ids = jobs
            .as_array()
            .unwrap()
            .iter()
            .map(|job| job["id"].as_str().unwrap().to_owned());
        ids.collect::<Vec<_>>()
    };
    assert_eq!(ids("all"), ["waits", "given-up"]);
    assert_eq!(ids("canceled"), ["given-up"]);
    assert_eq!(ids("PENDING"), ["waits"]);
    let dead = queue.ok(["dlq:list"]);
    for words in [
        &["dlq"][..],
        &["dlq-list"],
        &["dlq", "list"],
        &["dlq", "--limit", "3"],
    ] {
        assert_eq!(queue.ok(words), dead, "{words:?}");
    }
    let nodes = queue.ok(["worker:list"]);
    for words in [
        &["worker"][..],
        &["worker", "status"],
        &["worker-list"],
        &["worker:status"],
    ] {
        assert_eq!(queue.ok(words), nodes, "{words:?}");
    }
    assert_eq!(queue.run(["worker", "start", "-c", "2", "--drain"]).status, 0);
}

#[test]
fn commands_have_the_names_that_hands_type() {
    let queue = Queue::new();
    assert_eq!(queue.ok(["add", "--id", "one", "exit 0"]), "one");
    // What `enqueue` understands beyond its grammar, too.
    assert_eq!(queue.ok(["add", "exit 0", "--id", "two"]), "two");
    assert_eq!(queue.ok(["add", "-q", "mail", "--id", "three", "x"]), "three");
    assert_eq!(queue.json(["ls"]), queue.json(["list"]));
    assert_eq!(queue.run(["log", "one"]).err, queue.run(["logs", "one"]).err);
    // What would act on jobs or remove them is said and not done.
    for word in ["rm", "abort", "restart", "stash", "ps", "tail"] {
        let said = queue.fails(2, [word, "one"]);
        assert!(
            said.contains("tip:") && said.contains("queuectl"),
            "{word}: {said}"
        );
    }
    assert_eq!(
        (queue.state("one"), queue.jobs().len()),
        ("pending".to_owned(), 3)
    );
}

#[test]
fn help_and_version_are_commands_too() {
    let queue = Queue::new();
    let same = |words: &[&str], option: &[&str]| assert_eq!(queue.ok(words), queue.ok(option), "{words:?}");
    same(&["help"], &["--help"]);
    same(&["help", "enqueue"], &["enqueue", "--help"]);
    same(&["help", "dlq", "list"], &["dlq", "list", "--help"]);
    same(&["help", "worker:start"], &["worker:start", "--help"]);
    same(&["version"], &["--version"]);
    queue.fails(2, ["help", "nonsense"]);
    assert!(!queue.exists());
}

#[test]
fn options_follow_a_command_that_is_no_program() {
    let queue = Queue::new();
    let json = queue.enqueue([
        r#"{"command":"true","priority":1}"#,
        "--priority",
        "5",
        "--id",
        "a",
    ]);
    let line = queue.enqueue(["sleep 2", "--max-retries", "0", "--queue", "mail"]);
    let both = queue.enqueue(["--priority", "3", "exit 1", "--id=both"]);
    assert_eq!((json.as_str(), both.as_str()), ("a", "both"));
    assert_eq!(queue.job("a")["priority"], 5);
    let job = queue.job(&line);
    assert_eq!(
        (&job["command"], &job["max_retries"], &job["queue"]),
        (&json!("sleep 2"), &json!(0), &json!("mail"))
    );
    assert_eq!(queue.job("both")["priority"], 3);
    // Global options, too.
    let printed = queue.ok(["enqueue", "exit 0", "--json"]);
    assert!(printed.starts_with("{\"id\":"), "{printed}");
    // What is none of ours, or comes after the options, is refused.
    for words in [
        &["sleep 2", "--nonsense"][..],
        &["sleep 2", "-x"],
        &["sleep 2", "--priority", "5", "more"],
    ] {
        queue.fails(2, [&["enqueue"], words].concat());
    }
    assert_eq!(queue.jobs().len(), 4);
    // Behind `--`, it is a program of that name.
    let exact = queue.enqueue(["--", "a b", "--max-retries", "0"]);
    assert_eq!(queue.job(&exact)["argv"], json!(["a b", "--max-retries", "0"]));
}

#[test]
fn an_argument_like_an_option_of_ours_is_noted() {
    let queue = Queue::new();
    let done = queue.run(["enqueue", "false", "--max-retries", "0"]);
    assert!(
        done.err.contains("note: --max-retries is an argument of false"),
        "{}",
        done.err
    );
    assert_eq!(
        queue.job(&done.ok())["argv"],
        json!(["false", "--max-retries", "0"])
    );
    for quiet in [
        &["ls", "--color=never", "-q"][..],
        &["--", "false", "--max-retries", "0"],
    ] {
        let done = queue.run([&["enqueue"], quiet].concat());
        assert_eq!((done.status, done.err.as_str()), (0, ""), "{quiet:?}");
    }
}

#[test]
fn short_options_of_a_job_name_its_parts() {
    let queue = Queue::new();
    let id = queue.ok([
        "enqueue", "-q", "mail", "-p", "-3", "-d", "1h", "-t", "5m", "-g", "night", "-e", "A=b", "echo", "-q",
    ]);
    let job = queue.job(&id);
    let shown = [&job["queue"], &job["priority"], &job["timeout_ms"], &job["argv"]];
    assert_eq!(
        shown,
        [
            &json!("mail"),
            &json!(-3),
            &json!(300_000),
            &json!(["echo", "-q"])
        ]
    );
    assert_eq!(job["state"], "scheduled");
    // Before the command, and in its long form, it is the option for less log.
    for quiet in [
        &["-q", "enqueue", "echo", "hi"][..],
        &["enqueue", "--quiet", "echo", "hi"],
    ] {
        let id = queue.ok(quiet);
        assert_eq!(queue.job(&id)["queue"], "default", "{quiet:?}");
    }
}

#[test]
fn jobs_come_from_files_by_every_name_and_shape() {
    let queue = Queue::new();
    queue.ok(["init"]);
    queue.write("lines", "{\"command\":\"a\"}\n\"b c\"\n");
    queue.write(
        "array",
        "[{\"command\":\"a\"},\n {\n \"command\": \"b\",\n \"env\": {}\n}]\n",
    );
    queue.write(
        "pretty",
        "{\n  \"command\": [\n    \"a\"\n  ]\n}\n{\n  \"command\": \"b\"\n}\n",
    );
    for words in [
        &["--file", "lines"][..],
        &["-f", "lines"],
        &["@lines"],
        &["@array", "--queue", "mail"],
        &["--from", "array"],
        &["--from", "pretty"],
        &[r#"[{"command":"a"},{"command":"b"}]"#],
        &[r#"[{"command":"a"},{"command":"b"}]"#, "--queue", "mail"],
        &[r#"["a b","c d"]"#],
    ] {
        let before = queue.jobs().len();
        let ids = queue.enqueue(words);
        assert_eq!(ids.lines().count(), 2, "{words:?}");
        assert_eq!(queue.jobs().len(), before + 2, "{words:?}");
        if words.contains(&"mail") {
            assert_eq!(queue.jobs()[before + 1]["queue"], "mail", "{words:?}");
        }
    }
    let line = queue.enqueue(["--command", "echo hi", "--max-retries", "0"]);
    assert_eq!(queue.job(&line)["command"], "echo hi");
    let jobs = queue.jobs().len();
    for words in [
        // One bad job keeps all of its batch out.
        &[r#"[{"command":"a"},{"comand":"b"}]"#][..],
        &[r#"["echo","hi"]"#],
        &[r#"[{"command":"a"}"#],
        &[r#"[{"command":"a"}]"#, "--id", "x"],
        &["@missing"],
        &["--command", "a", "b"],
    ] {
        queue.fails(2, [&["enqueue"], words].concat());
        assert_eq!(queue.jobs().len(), jobs, "{words:?}");
    }
    queue.write("array", "[{\"command\":\"a\"},\n{\"comand\":\"b\"}]\n");
    let said = queue.fails(2, ["enqueue", "@array"]);
    assert!(
        said.contains("line 2, job 2 of the array: there is no field \"comand\""),
        "{said}"
    );
}

#[test]
fn what_is_printed_can_be_stored_again() {
    let queue = Queue::quick();
    queue.enqueue(["--id", "named", "--priority", "4", "--timeout", "90", "exit 0"]);
    queue.enqueue(["--max-retries", "0", "printf", "%s", "a  b"]);
    queue.enqueue(["--queue", "mail", "--delay", "1day", "exit 0"]);
    queue.enqueue([
        "--max-retries",
        "9",
        "--backoff-base",
        "3",
        "--id",
        "fails",
        "exit 1",
    ]);
    let node = queue.start(&[]);
    queue.wait_state("named", "completed");
    queue.wait_state("2", if cfg!(windows) { "dead" } else { "completed" });
    drop(node);
    let printed = queue.run(["list", "--json"]);
    let other = Queue::new();
    let done = other.run_with(["enqueue", "--from", "-"], &printed.out);
    assert!(
        done.err.contains("4 jobs are taken as new: ignored attempts, "),
        "{}",
        done.err
    );
    assert!(
        done.err.contains("created_at") && done.err.contains("state"),
        "{}",
        done.err
    );
    let ids = done.ok();
    assert_eq!(ids.lines().collect::<Vec<_>>(), ["named", "2", "3", "fails"]);
    for (old, new) in queue.jobs().iter().zip(other.jobs()) {
        for same in [
            "id",
            "command",
            "argv",
            "queue",
            "priority",
            "max_retries",
            "backoff_base",
            "timeout_ms",
            "cwd",
        ] {
            assert_eq!(old[same], new[same], "{same}");
        }
        assert_eq!(new["attempts"], 0);
        let state = if old["state"] == "scheduled" {
            "scheduled"
        } else {
            "pending"
        };
        assert_eq!(new["state"], state);
        assert_eq!(
            old["run_at"] == new["run_at"],
            old["id"] != "fails" || old["run_at"].is_null()
        );
    }
    // One job, as `show` prints it, and as the assignment writes it.
    let shown = other.run(["show", "--json", "2"]);
    let again = Queue::new();
    again.run_with(["enqueue", "--from", "-"], &shown.out).ok();
    assert_eq!(again.jobs()[0]["argv"], json!(["printf", "%s", "a  b"]));
    let done = again.run([
        "enqueue",
        r#"{"id":"job1","command":"exit 0","state":"pending","attempts":0,"max_retries":3,
            "created_at":"2025-11-04T10:30:00Z","updated_at":"2025-11-04T10:30:00Z"}"#,
    ]);
    assert!(
        done.err
            .contains("ignored attempts, created_at, state, updated_at"),
        "{}",
        done.err
    );
    assert_eq!(done.ok(), "job1");
    let job = again.job("job1");
    assert_eq!(
        (&job["state"], &job["max_retries"]),
        (&json!("pending"), &json!(3))
    );
    again.fails(2, ["enqueue", r#"{"command":"x","timeout":1,"timeout_ms":1}"#]);
}

#[test]
fn the_last_line_says_why_wherever_a_dead_job_is_shown() {
    let queue = Queue::quick();
    let dead = queue.enqueue([
        "--max-retries",
        "0",
        if cfg!(windows) {
            "echo first& echo profile.icc missing& exit 4"
        } else {
            "echo first; echo profile.icc missing; exit 4"
        },
    ]);
    let silent = queue.enqueue(["--max-retries", "0", "exit 4"]);
    assert_eq!(queue.drain(&[]), 1);
    let last = "profile.icc missing";
    assert_eq!(queue.job(&dead)["last_line"], last);
    assert_eq!(queue.json(["dlq:show", &dead])["last_line"], last);
    let letters = queue.json(["dlq:list"]);
    assert_eq!(
        (&letters[0]["last_line"], &letters[1]["last_line"]),
        (&json!(last), &json!(null))
    );
    assert!(
        queue
            .ok(["show", &dead])
            .contains(&format!("last line     {last}"))
    );
    assert!(!queue.ok(["show", &silent]).contains("last line"));
}

#[test]
fn a_status_counts_the_files_beside_the_queue() {
    let queue = Queue::quick();
    queue.ok(["config:set", "output_limit", "1KiB"]);
    let before = queue.json(["status"])["folder_bytes"].as_u64().unwrap();
    queue.write("large", "x".repeat(50_000));
    queue.enqueue([if cfg!(windows) { "type large" } else { "cat large" }]);
    assert_eq!(queue.drain(&[]), 0);
    let after = queue.json(["status"])["folder_bytes"].as_u64().unwrap();
    assert!(after >= before + 50_000, "{before} {after}");
    assert!(queue.ok(["status"]).contains("of long outputs and logs)"));
}

#[test]
fn a_stop_says_what_it_cut_off() {
    let queue = Queue::quick();
    let node = queue.start(&["--count", "2"]);
    for _ in 0..2 {
        queue.enqueue([crate::support::jobs::FOREVER]);
    }
    queue.wait_state("1", "processing");
    queue.wait_state("2", "processing");
    assert_eq!(
        queue.ok(["worker:stop", "--now", "--wait"]),
        "node 1 stopped; 2 jobs were cut off and are back in the queue"
    );
    drop(node);
    assert_eq!(
        (queue.state("1"), queue.state("2")),
        ("pending".to_owned(), "pending".to_owned())
    );
    let other = queue.start(&["--queue", "other"]);
    assert_eq!(queue.ok(["worker:stop", "--wait"]), "node 2 stopped");
    drop(other);
}
