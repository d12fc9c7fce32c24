//! What is refused before anything is stored: mistakes in the command line, and what is beyond the limits.

use crate::support::Queue;

/// Options and words that make no job, and what is said about them.
const REFUSED: &[(&[&str], &str)] = &[
    (&[], "required"),
    (&[""], "command"),
    (&["--id", "5", "x"], "all digits"),
    (&["--id", "a b", "x"], "' '"),
    (&["--id", "", "x"], "empty"),
    (&["--queue", "a b", "x"], "' '"),
    (&["--executor", "../x", "x"], "executor name"),
    (&["--priority", "1000001", "x"], "1000000"),
    (&["--priority", "high", "x"], "high"),
    (&["--max-retries", "1001", "x"], "1000"),
    (&["--max-retries", "-1", "x"], "-1"),
    (&["--backoff-base", "0.5", "x"], "1 to 3600"),
    (&["--backoff-base", "nan", "x"], "1 to 3600"),
    (&["--timeout", "soon", "x"], "a number of seconds"),
    (&["--timeout", "0", "x"], "timeout"),
    (&["--delay", "5 6", "x"], "a number of seconds"),
    (
        &["--delay", "1s", "--run-at", "18:00", "x"],
        "cannot be used with",
    ),
    (&["--delay", "101years", "x"], "100 years"),
    (&["--run-at", "soon", "x"], "is not a time"),
    (&["--env", "A", "x"], "write A=VALUE"),
    (&["{\"command\":5}"], "must be text"),
    (&["{\"command\":[]}"], "command"),
    (&["{ echo a; }"], "JSON"),
    (
        &["exit 1", "--max-retries", "0", "more"],
        "words after the command and its options",
    ),
    (&["--nonsense", "x"], "--nonsense"),
];

#[test]
fn mistakes_are_named_and_leave_no_queue_behind() {
    let queue = Queue::new();
    let mut wrong = Vec::new();
    for (words, wanted) in REFUSED {
        let done = queue.run([&["enqueue"], *words].concat());
        if done.status != 2 || !done.err.contains(wanted) || !done.out.is_empty() || queue.exists() {
            let exists = queue.exists();
            wrong.push(format!(
                "{words:?}: wanted {wanted:?}, status {}, queue made: {exists}, said: {}{}",
                done.status,
                done.text(),
                done.err
            ));
            let _ = std::fs::remove_file(queue.db());
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_too_large_is_refused() {
    let queue = Queue::new();
    let bystander = queue.enqueue(["small"]);
    let megabyte = vec![b'x'; 1024 * 1024];
    let said = queue
        .run_with(["enqueue", "--stdin", "-", "cat"], &megabyte)
        .fails(2);
    assert!(
        said.contains("1048576"),
        "the payload is what counts, not its parts: {said}"
    );
    let more = vec![b'x'; 3 * 1024 * 1024];
    let said = queue.run_with(["enqueue", "--stdin", "-", "cat"], &more).fails(2);
    assert!(said.contains("longer than"), "{said}");
    let long = "n".repeat(129);
    for option in ["--id", "--queue", "--executor"] {
        let said = queue.fails(2, ["enqueue", option, &long, "x"]);
        assert!(said.contains("128"), "{option}: {said}");
    }
    // The largest that fits: control.
    queue
        .run_with(
            ["enqueue", "--stdin", "-", "cat"],
            &megabyte[..1024 * 1024 - 1000],
        )
        .ok();
    queue.enqueue(["--id", &long[..128], "x"]);
    assert_eq!(queue.jobs().len(), 3);
    assert_eq!(queue.state(&bystander), "pending");
}

#[test]
fn unknown_commands_and_no_command_are_mistakes() {
    let queue = Queue::new();
    queue.fails(2, ["enqeue", "x"]);
    queue.fails(2, ["list", "--state", "lost"]);
    queue.fails(2, ["list", "--limit", "0"]);
    queue.fails(2, ["worker:start", "--count", "0"]);
    queue.fails(2, ["worker:start", "--count", "1025"]);
    assert_eq!(crate::support::finish(queue.bare(), None).status, 2);
    assert!(!queue.exists());
    let said = queue.fails(7, ["worker:run"]);
    assert!(said.contains("worker:start"), "{said}");
}

/// A number below its range is a number below its range, not an unknown option.
#[test]
fn numbers_and_times_out_of_range_are_told_their_range() {
    let queue = Queue::new();
    queue.enqueue(["exit 0"]);
    let time = "is not a length of time";
    for (args, said) in [
        (
            &["enqueue", "--priority=-2147483648", "x"][..],
            "expected a whole number from -1000000 to 1000000",
        ),
        (
            &["enqueue", "--priority", "2147483647", "x"],
            "from -1000000 to 1000000",
        ),
        (
            &["enqueue", r#"{"command":"x","priority":-2147483648}"#],
            "\"priority\" must be a whole number from -1000000 to 1000000, not -2147483648",
        ),
        (
            &["enqueue", r#"{"command":"x","priority":99999999999}"#],
            "from -1000000 to 1000000",
        ),
        (
            &["enqueue", "--max-retries", "-1", "x"],
            "expected a whole number from 0 to 1000",
        ),
        (
            &["enqueue", "--max-retries=1001", "x"],
            "expected a whole number from 0 to 1000",
        ),
        (
            &["enqueue", "--max-retries", "many", "x"],
            "expected a whole number from 0 to 1000",
        ),
        (
            &["enqueue", r#"{"command":"x","max_retries":99999999999}"#],
            "from 0 to 1000",
        ),
        (
            &["enqueue", "--backoff-base", "-1", "x"],
            "invalid value '-1' for '--backoff-base <BASE>': expected a number from 1 to 3600",
        ),
        (&["enqueue", "--delay", "-5s", "x"], time),
        (&["enqueue", "--delay=-5", "x"], time),
        (&["enqueue", "--timeout", "-1h", "x"], time),
        (&["enqueue", "--run-at", "-5m", "x"], "'-5m' is not a time"),
        (&["config:set", "backoff_cap", "-5s"], "a time from 0 s to 30 d"),
        (&["config:set", "max_retries", "-1"], "0 to 1000"),
        (
            &["list", "--limit", "-1"],
            "expected a whole number from 1 to 1000000",
        ),
        (
            &["dlq:list", "--limit", "0"],
            "expected a whole number from 1 to 1000000",
        ),
        (
            &["logs", "1", "--attempt", "-1"],
            "expected a whole number, 1 or more",
        ),
        (
            &["logs", "1", "--attempt", "0"],
            "expected a whole number, 1 or more",
        ),
        (
            &["worker:start", "--count", "-1"],
            "expected a whole number from 1 to 1024",
        ),
        (&["worker:stop", "--wait", "--timeout", "-1s"], time),
        (&["purge", "--older-than", "-5days", "--yes"], time),
        (&["dlq:purge", "--all", "--older-than", "-5days"], time),
        (&["wait", "1", "--timeout", "-1s"], time),
    ] {
        let error = queue.fails(2, args);
        assert!(error.contains(said), "{args:?}\n  said: {error}\n  want: {said}");
        assert!(!error.contains("unexpected argument"), "{args:?}: {error}");
        assert!(!error.contains("4294967295"), "{args:?}: {error}");
    }
    assert_eq!(queue.jobs().len(), 1);
    // What looks like an option and is one stays one.
    assert_eq!(queue.json(["config:set", "max_retries", "5"])["value"], "5");
    queue.ok(["config:set", "max_retries", "--json", "6"]);
    assert_eq!(queue.ok(["config:get", "max_retries"]), "6");
    queue.ok(["enqueue", "--priority", "-1000000", "x"]);
}
