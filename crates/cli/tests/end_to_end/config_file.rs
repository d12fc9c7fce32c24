//! The user's configuration file.

use crate::support::{Queue, on_postgres};

/// A queue that only the file names, where there is one file a queue.
fn with_file(text: &str) -> (Queue, std::path::PathBuf) {
    let queue = Queue::new();
    let file = queue.write("config.toml", text);
    (queue, file)
}

#[test]
fn it_names_the_queue_and_the_format_unless_an_option_or_a_variable_does() {
    let (queue, file) = with_file("");
    let db = if on_postgres() {
        queue.path("q.db")
    } else {
        queue.db().to_owned()
    };
    let other = queue.path("other.db");
    std::fs::write(
        &file,
        format!("db = '{}'\nformat = 'json'\ncolor = 'never'\n", db.display()),
    )
    .unwrap();
    let run = |words: &[&str], variables: &[(&str, &std::path::Path)]| {
        let mut command = queue.bare();
        command.env("QUEUECTL_CONFIG", &file).args(words);
        for (name, value) in variables {
            command.env(name, value);
        }
        let output = command.output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    };
    let shown = |path: &std::path::Path| serde_json::to_string(&path.display().to_string()).unwrap();
    assert!(run(&["db:path"], &[]).contains(&shown(&db)));
    assert!(run(&["db:path"], &[("QUEUECTL_DB", &other)]).contains(&shown(&other)));
    let option = ["db:path", "--db", other.to_str().unwrap()];
    assert!(run(&option, &[("QUEUECTL_DB", &db)]).contains(&shown(&other)));
    let plain = ["db:path", "--format", "table"];
    assert_eq!(run(&plain, &[]).trim_end(), db.display().to_string());
    let table = run(
        &["db:path"],
        &[("QUEUECTL_OUTPUT", std::path::Path::new("table"))],
    );
    assert_eq!(table.trim_end(), db.display().to_string());
}

#[test]
fn a_profile_starts_a_node_and_options_count_before_it() {
    let (queue, file) =
        with_file("[profile.build]\ncount = 2\nconcurrency = 3\nqueue = ['build', 'deploy']\ndrain = true\n");
    let start = |words: &[&str]| {
        let mut command = queue.command(["worker:start", "--profile", "build"]);
        command
            .env("QUEUECTL_CONFIG", &file)
            .args(words)
            .output()
            .unwrap()
    };
    queue.enqueue(["--id", "mine", "--queue", "build", "exit 0"]);
    queue.enqueue(["--id", "bystander", "exit 0"]);
    let done = start(&[]);
    let log = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{log}");
    assert!(log.contains("workers=2 concurrency=3"), "{log}");
    assert_eq!(queue.state("mine"), "completed");
    assert_eq!(queue.state("bystander"), "pending");
    let done = start(&["--queue=default", "-c1"]);
    let log = String::from_utf8_lossy(&done.stderr);
    assert!(log.contains("workers=1 concurrency=3"), "{log}");
    assert_eq!(queue.state("bystander"), "completed");
    let said = queue.fails(2, ["worker:start", "--profile", "build"]);
    assert!(said.contains("there is no profile 'build'"), "{said}");
}

#[test]
fn mistakes_are_named_with_the_file_and_the_line() {
    let (queue, file) = with_file("");
    let said = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let output = queue
            .command(["list"])
            .env("QUEUECTL_CONFIG", &file)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        String::from_utf8(output.stderr).unwrap()
    };
    for (text, why) in [
        ("color = 'never'\nqueue = 'x'\n", "line 2: unknown field `queue`"),
        ("format = 'xml'\n", "line 1: "),
        ("db = ", "line 1: "),
        ("db = 'queue.db'\n", "'queue.db' has to be an absolute path"),
        (&"#".repeat(70_000), "more than 65536 bytes"),
    ] {
        let said = said(text);
        assert!(
            said.contains("config.toml") && said.contains(why),
            "{text}: {said}"
        );
    }
    std::fs::remove_file(&file).unwrap();
    let output = queue
        .command(["list"])
        .env("QUEUECTL_CONFIG", &file)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "a file that is named must exist");
    let output = queue
        .command(["list"])
        .env("QUEUECTL_OUTPUT", "xml")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    queue.ok(["list"]);
}
