//! `list`: columns, orders, times and ids. That every key sorts is tested in the store's conformance suite.

use crate::support::Queue;

/// Jobs 1 to 4: pending, scheduled in an hour, scheduled in a minute, pending with a priority.
fn some() -> Queue {
    let queue = Queue::quick();
    queue.enqueue(["echo first"]);
    queue.enqueue(["--delay", "1h", "echo second"]);
    queue.enqueue(["--delay", "1m", "--id", "soon", "echo, third"]);
    queue.enqueue(["--priority", "7", "--queue", "mail", "echo fourth"]);
    queue
}

#[test]
fn columns_are_those_that_are_asked_for_in_every_format() {
    let queue = some();
    let table = queue.ok(["list", "--columns", "queue,id,exit", "1", "soon"]);
    assert_eq!(table, "QUEUE    ID    EXIT\ndefault  1\ndefault  soon");
    let csv = queue.ok([
        "list",
        "soon",
        "--format",
        "csv",
        "--columns",
        "command,id,attempts,exit",
    ]);
    let csv: Vec<&str> = csv.lines().map(|line| line.trim_end_matches('\r')).collect();
    assert_eq!(
        csv,
        [
            "command,id,attempts,max_retries,exit_code",
            "\"echo, third\",soon,0,4,"
        ]
    );
    let lines = queue.ok(["list", "1-2", "--format", "jsonl", "--columns", "number,state"]);
    assert_eq!(
        lines,
        "{\"number\":1,\"state\":\"pending\"}\n{\"number\":2,\"state\":\"scheduled\"}"
    );
    for (words, said) in [
        (
            &["--columns", "id,colour"][..],
            "'colour' is not a column; the columns are id, number",
        ),
        (&["--columns", "id,id"], "'id' is there twice"),
        (
            &["--sort", "colour"],
            "'colour' is not a key to sort by; the keys are number, state",
        ),
        (
            &["--sort", "state", "--limit", "100001"],
            "--sort sorts at most 100000 jobs",
        ),
        (&["--ids", "--json"], "cannot be used with"),
        (&["--since", "soon"], "invalid value 'soon' for '--since"),
        (&["--since", "-1h"], "'-1h' is not a time; write 2h (ago)"),
        (
            &["--since", "1h", "--until", "2h"],
            "--since has to be before --until",
        ),
        (&["--watch"], "draws on a terminal"),
        (&["--watch=1ms"], "expected a time from 100 ms to 1 h"),
    ] {
        let error = queue.fails(2, [&["list"], words].concat());
        assert!(error.contains(said), "{words:?}: {error}");
    }
    let nobody = queue.run(["list", "nobody", "--json"]);
    assert_eq!(
        (nobody.status, nobody.text().as_str()),
        (3, ""),
        "no half of a document"
    );
}

#[test]
fn jobs_come_in_the_order_that_is_asked_for() {
    let queue = some();
    for (words, ids) in [
        (&["--ids"][..], "1 2 soon 4"),
        (&["--ids", "--sort", "-priority,-number"], "4 soon 2 1"),
        (&["--ids", "--sort", "-number", "--limit", "2"], "4 soon"),
        (&["--ids", "--sort", "number", "--limit", "2"], "1 2"),
        (&["--ids", "--limit", "2"], "soon 4"),
        (&["--ids", "--since", "1h"], "1 2 soon 4"),
        (&["--ids", "--until", "1h"], ""),
        (&["--ids", "--until", "2020-01-01 00:00"], ""),
        (&["--ids", "newer=2h", "--since", "1h", "@none", "4"], "-"),
    ] {
        if ids == "-" {
            queue.fails(3, [&["list"], words].concat());
            continue;
        }
        let found = queue.ok([&["list"], words].concat());
        assert_eq!(found.lines().collect::<Vec<_>>().join(" "), ids, "{words:?}");
    }
    let by_time = queue.ok(["list", "--state", "scheduled", "--columns", "id"]);
    assert_eq!(by_time, "ID\nsoon\n2", "in the order of their time");
    let limited = queue.run(["list", "--sort", "priority", "--limit", "3"]);
    assert!(
        limited
            .err
            .contains("these are the first 3 jobs; --limit N shows more"),
        "{}",
        limited.err
    );
}

#[test]
#[cfg(target_os = "linux")]
fn a_watched_list_is_drawn_again_until_ctrl_c() {
    use std::io::Write;

    let queue = some();
    let test = "a_watched_list_is_drawn_again_until_ctrl_c";
    let words = ["list", "--watch=100ms", "--columns", "id,state,command"];
    let Some(mut terminal) = crate::support::unix::in_a_terminal(&queue, &words, test) else {
        return;
    };
    let drawn = |text: &str| {
        crate::support::wait_until("the list to be drawn", || queue.read("typescript").contains(text));
    };
    drawn("echo, third");
    queue.enqueue(["echo \u{1b}]0;title\u{7}late"]);
    drawn("\\x1b]0;title\\x07late");
    terminal.stdin.as_mut().unwrap().write_all(b"\x03").unwrap();
    let status = crate::support::wait_for("the end of the terminal", || terminal.try_wait().unwrap());
    let screen = queue.read("typescript");
    assert_eq!(status.code(), Some(0), "{screen}");
    let (before, after) = screen.split_once("\x1b[?1049h").unwrap();
    assert!(!before.contains("echo"), "{screen}");
    assert!(
        after.starts_with("\x1b[?25l\x1b[?7l") && after.contains("\x1b[?7h"),
        "long lines do not go on in the next: {screen}"
    );
    assert!(
        after.contains("\x1b[?1049l"),
        "the terminal is as it was: {screen}"
    );
    assert!(!after.contains("\x1b]0;title"), "{screen}");
}
