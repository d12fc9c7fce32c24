//! Jobs from lines and from rows of a CSV file, and variables from here and from files.

use serde_json::json;

use crate::support::Queue;

/// What a shell would take for its own.
const HOSTILE: &str = "a b; touch owned; \"$(touch owned)\" 'c' `touch owned` {}";

#[test]
fn lines_are_commands_or_single_arguments() {
    let queue = Queue::new();
    let bystander = queue.enqueue(["true"]);
    queue.write("commands", "make all\n\n# not now\n  echo '#'\n");
    let ids = queue.ok(["enqueue", "-f", "commands", "--lines", "-q", "build"]);
    assert_eq!(ids, "2\n3");
    assert_eq!(queue.job("2")["command"], "make all");
    assert_eq!(queue.job("3")["command"], "  echo '#'");
    assert_eq!(queue.job("3")["queue"], "build");
    let lines = format!("{HOSTILE}\r\n\n#1\n");
    let piped = |words: &[&str]| {
        let words = [&["enqueue", "--from", "-", "--lines"], words].concat();
        queue.run_with(words, lines.as_bytes())
    };
    assert_eq!(piped(&["--", "printf", "%s", "<{}>"]).ok(), "4\n5");
    assert_eq!(
        queue.job("4")["argv"],
        json!(["printf", "%s", format!("<{HOSTILE}>")])
    );
    assert_eq!(queue.job("5")["argv"], json!(["printf", "%s", "<#1>"]));
    assert_eq!(piped(&["gzip"]).ok(), "6\n7", "the line is the last argument");
    assert_eq!(queue.job("7")["argv"], json!(["gzip", "#1"]));
    for (args, wanted) in [
        (
            &["--lines", "--from", "commands", "cat {} | wc"][..],
            "shell line",
        ),
        (&["--lines", "true"], "--from"),
        (&["--from", "commands", "true"], "--lines and --csv"),
        (&["--from", "commands", "--lines", "--csv", "x"], "cannot be used"),
    ] {
        let said = queue.fails(2, [&["enqueue"], args].concat());
        assert!(said.contains(wanted), "{args:?}: {said}");
    }
    assert_eq!(queue.jobs().len(), 7);
    assert_eq!(queue.state(&bystander), "pending");
}

#[cfg(unix)]
#[test]
fn what_a_line_contains_is_not_run() {
    let queue = Queue::quick();
    let _node = queue.start(&[]);
    let words = ["enqueue", "--from", "-", "--lines", "--", "printf", "%s\n", "{}"];
    let id = queue.run_with(words, format!("{HOSTILE}\n").as_bytes()).ok();
    queue.wait_state(&id, "completed");
    assert_eq!(queue.ok(["logs", &id]), HOSTILE);
    assert!(!queue.path("owned").exists());
    // The control: a shell does run it, and fails at what is no command.
    let line = format!("echo {HOSTILE}");
    let id = queue.enqueue(["--max-retries", "0", line.as_str()]);
    queue.wait_state(&id, "dead");
    assert!(queue.path("owned").exists());
}

#[test]
fn rows_fill_in_a_command_and_a_bad_one_stores_nothing() {
    let queue = Queue::new();
    let bystander = queue.enqueue(["true"]);
    queue.write("users.csv", "name,mail\n\"Ann, A.\",a@x\nBob; id,b@x\n");
    let words = [
        "enqueue",
        "--from",
        "users.csv",
        "--csv",
        "--",
        "./mail",
        "--to={mail}",
        "{name}",
    ];
    assert_eq!(queue.ok(words), "2\n3");
    assert_eq!(queue.job("2")["argv"], json!(["./mail", "--to=a@x", "Ann, A."]));
    assert_eq!(queue.job("3")["argv"], json!(["./mail", "--to=b@x", "Bob; id"]));
    // The bad rows come after more rows than a batch has: they are found before the first batch is stored.
    let mut rows = "a,b\n".to_owned() + &"1,2\n".repeat(1500);
    rows += "1\n1,2,3\n";
    queue.write("ragged.csv", &rows);
    let piped = queue.run_with(["enqueue", "--from", "-", "--csv", "x", "{a}"], rows.as_bytes());
    let from_file = queue.run(["enqueue", "--from", "ragged.csv", "--csv", "x", "{a}"]);
    for said in [piped.fails(2), from_file.fails(2)] {
        for wanted in [
            "line 1502: the row has 1 field, but the first row names 2",
            "line 1503: the row has 3 fields",
            "2 bad lines; no job was stored",
        ] {
            assert!(said.contains(wanted), "{wanted}\n{said}");
        }
    }
    let unknown = ["enqueue", "--from", "users.csv", "--csv", "x", "{phone}"];
    let said = queue.fails(2, unknown);
    assert!(said.contains("no column 'phone', only name, mail"), "{said}");
    queue.fails(2, ["enqueue", "--from", "users.csv", "--csv"]);
    assert_eq!(queue.jobs().len(), 3);
    assert_eq!(queue.state(&bystander), "pending");
    // The control: the same rows without the bad ones.
    let good = rows.lines().take(1501).collect::<Vec<_>>().join("\n");
    let stored = queue.run_with(["enqueue", "--from", "-", "--csv", "x", "{a}"], good.as_bytes());
    assert_eq!(stored.ok().lines().count(), 1500);
}

#[test]
fn variables_come_from_here_and_from_files() {
    let queue = Queue::new();
    let enqueue = |args: &[&str]| {
        let mut command = queue.command([&["enqueue"], args].concat());
        command.env("TOKEN", "from here");
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let id = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        (output.status.code(), id, said)
    };
    queue.write("env", "# of the service\nexport A='1 2'\nTOKEN\nB=3\n");
    let (status, id, said) = enqueue(&["-e", "TOKEN", "--env", "B=4", "--env-file", "env", "true"]);
    assert_eq!(status, Some(0), "{said}");
    let job = queue.json(["show", &id, "--secrets"]);
    assert_eq!(job["env"], json!({"A": "1 2", "B": "4", "TOKEN": "from here"}));
    queue.write("bad", "A=1\nB=\"2\n");
    for (args, wanted) in [
        (
            &["--env", "NOT_SET_ANYWHERE", "true"][..],
            "NOT_SET_ANYWHERE is not set here",
        ),
        (
            &["--env-file", "bad", "true"],
            "bad, line 2: the value has no closing \"",
        ),
        (&["--env-file", "missing", "true"], "cannot read missing"),
    ] {
        let (status, _, said) = enqueue(args);
        assert_eq!(status, Some(2), "{args:?}: {said}");
        assert!(said.contains(wanted), "{args:?}: {said}");
    }
    assert_eq!(queue.jobs().len(), 1);
}
