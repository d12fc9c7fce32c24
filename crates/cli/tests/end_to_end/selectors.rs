//! Selectors on the command line: one grammar for every command that takes jobs.

use crate::support::Queue;

/// Jobs 1 to 6: mail, mail, default, default in a group, default in the group, held.
fn some() -> Queue {
    let queue = Queue::quick();
    queue.enqueue(["--queue", "mail", "echo first"]);
    queue.enqueue(["--queue", "mail", "--id", "backup", "echo second"]);
    queue.enqueue(["echo third"]);
    queue.enqueue(["--group", "g", "echo fourth"]);
    queue.enqueue(["--group", "g", "echo fifth"]);
    queue.enqueue(["--hold", "echo sixth"]);
    queue
}

fn listed(queue: &Queue, words: &[&str]) -> Vec<String> {
    let jobs = queue.json([&["list"], words].concat());
    let jobs = jobs.as_array().unwrap().iter();
    jobs.map(|job| job["number"].to_string()).collect()
}

#[test]
fn a_list_has_the_jobs_of_a_selector() {
    let queue = some();
    for (words, numbers) in [
        (&["2-4"][..], &["2", "3", "4"][..]),
        (&["last~1", "backup"], &["2", "5"]),
        (&["@g"], &["4", "5"]),
        (&["--group", "g"], &["4", "5"]),
        (&["group=g", "4"], &["4"]),
        (&["queue=mail", "text~SECOND"], &["2"]),
        (&["--queue", "mail", "1-9"], &["1", "2"]),
        (
            &["state=blocked,pending", "--queue", "default"],
            &["3", "4", "5", "6"],
        ),
        (&["--state", "blocked,dead"], &["6"]),
        (&["newer=1h", "last"], &["6"]),
        (&["older=1h"], &[]),
    ] {
        assert_eq!(listed(&queue, words), numbers, "{words:?}");
    }
    for (status, words, said) in [
        (2, &["state=ded"][..], "'ded' is not a job state"),
        (2, &["colour=red"], "unknown key"),
        (2, &["9-2"], "two numbers, the smaller one first, as in 12-20"),
        (
            2,
            &["--queue", "a", "queue=b"],
            "--queue and queue= narrow the same; give one of them",
        ),
        (3, &["last~6"], "there is no job 'last~6'"),
        (3, &["nobody"], "there is no job 'nobody'"),
        (3, &["@nowhere"], "there is no group 'nowhere'"),
    ] {
        let error = queue.fails(status, [&["list"], words].concat());
        assert!(error.contains(said), "{words:?}: {error}");
    }
}

#[test]
fn many_jobs_are_changed_only_when_that_is_meant() {
    let queue = some();
    let before = queue.json(["list"]);
    for words in [
        &["1-3"][..],
        &["@g"],
        &["queue=mail"],
        &["1", "queue=mail", "2-3"],
    ] {
        for command in ["cancel", "hold", "retry", "release"] {
            let said = queue.fails(2, [&[command], words].concat());
            assert!(
                said.contains("needs --yes without a terminal; nothing was"),
                "{command}: {said}"
            );
        }
    }
    let dry = queue.json(["cancel", "@g", "3", "--dry-run"]);
    assert_eq!(dry, serde_json::json!({"jobs": 3, "first": ["3", "4", "5"]}));
    assert_eq!(
        queue.ok(["cancel", "1-3", "--dry-run"]),
        "3 jobs would be cancelled:\n  1 (pending, queue mail)\n  backup (pending, queue mail)\n  3 (pending, queue default)"
    );
    assert_eq!(queue.json(["list"]), before, "nothing was changed");
    assert_eq!(queue.ok(["hold", "@g", "--yes"]), "2 jobs held");
    assert_eq!(queue.ok(["hold", "@g", "--yes"]), "0 jobs held");
    assert_eq!(listed(&queue, &["state=blocked"]), ["4", "5", "6"]);
    assert_eq!(queue.ok(["release", "state=blocked", "--yes"]), "3 jobs released");
    assert_eq!(
        queue.json(["cancel", "queue=mail", "--yes"]),
        serde_json::json!({"jobs": 2, "stopping": 0})
    );
    assert_eq!(listed(&queue, &["state=cancelled"]), ["1", "2"]);
    assert_eq!(
        queue.ok(["retry", "1-9", "text~second", "--yes"]),
        "1 job will run again"
    );
    assert_eq!(listed(&queue, &["state=pending"]), ["2", "3", "4", "5", "6"]);
    let said = queue.fails(2, ["cancel", "state=cancelled,dead", "--yes"]);
    assert!(
        said.contains("jobs that are dead or cancelled cannot be cancelled"),
        "{said}"
    );
}

#[test]
fn a_filter_beside_ids_narrows_them() {
    let queue = some();
    let said = queue.run(["cancel", "1", "3", "last", "queue=default", "state=pending"]);
    assert_eq!(
        (said.status, said.text().as_str()),
        (4, "3 cancelled\n"),
        "{}",
        said.err
    );
    assert!(
        said.err
            .contains("job '1' does not fit queue=default; it was left alone"),
        "{}",
        said.err
    );
    assert!(
        said.err
            .contains("job '6' does not fit state=pending; it was left alone"),
        "{}",
        said.err
    );
    assert_eq!(listed(&queue, &["state=cancelled"]), ["3"]);
    let said = queue.fails(4, ["retry", "3", "queue=mail"]);
    assert!(said.contains("does not fit queue=mail"), "{said}");
    assert_eq!(queue.ok(["retry", "3", "queue=default"]), "3 pending");
}

#[test]
fn jobs_are_found_by_how_they_ended() {
    let queue = Queue::quick();
    for line in ["exit 3", "exit 4", "exit 0"] {
        queue.enqueue(["--max-retries", "0", line]);
    }
    assert_eq!(queue.drain(&[]), 1);
    assert_eq!(listed(&queue, &["exit=4"]), ["2"]);
    assert_eq!(listed(&queue, &["exit=0,3"]), ["1", "3"]);
    assert_eq!(listed(&queue, &["error~STATUS"]), ["1", "2"]);
    assert_eq!(listed(&queue, &["state=dead", "older=0s"]), ["1", "2"]);
    assert_eq!(
        queue.ok(["retry", "error~status", "exit=3", "--yes"]),
        "1 job will run again"
    );
    assert_eq!(listed(&queue, &["state=dead"]), ["2"]);
}

#[test]
fn an_id_that_reads_like_something_else_is_named_with_its_key() {
    let queue = some();
    queue.enqueue(["--id", "last", "exit 0"]);
    queue.enqueue(["--id", "1-2", "exit 0"]);
    assert_eq!(listed(&queue, &["last"]), ["8"]);
    assert_eq!(listed(&queue, &["id=last", "id=1-2"]), ["7", "8"]);
    assert_eq!(queue.ok(["cancel", "id=last"]), "id=last cancelled");
    assert!(queue.ok(["help", "selectors"]).contains("last~2"));
}

#[test]
fn commands_that_look_take_the_newest_job() {
    let queue = some();
    assert_eq!(queue.json(["show", "last"])["number"], 6);
    assert_eq!(queue.json(["show", "last~4"])["id"], "backup");
    assert!(queue.ok(["explain", "last"]).contains("job 6 is blocked"));
    let said = queue.run(["logs", "last"]);
    assert!(
        said.err.contains("job '6' is blocked and has not run yet"),
        "{}",
        said.err
    );
    let said = queue.fails(2, ["show", "1-2"]);
    assert!(said.contains("'1-2' can mean several jobs"), "{said}");
}

#[test]
fn what_is_waited_for_and_copied_is_selected() {
    let queue = some();
    let said = queue.fails(124, ["wait", "@g", "--timeout", "10ms"]);
    assert!(
        said.contains("2 of 2 jobs have not ended: 4 (pending), 5 (pending)"),
        "{said}"
    );
    queue.ok(["cancel", "6"]);
    assert_eq!(queue.drain(&[]), 0);
    queue.ok(["wait", "@g"]);
    queue.ok(["wait", "queue=mail", "1-3"]);
    queue.fails(1, ["wait", "last"]);
    let said = queue.fails(4, ["wait", "1", "queue=default"]);
    assert!(said.contains("does not fit queue=default"), "{said}");
    let said = queue.fails(2, ["rerun", "@g"]);
    assert!(
        said.contains("needs --yes without a terminal; nothing was rerun"),
        "{said}"
    );
    assert_eq!(queue.ok(["rerun", "@g", "4", "--yes"]), "7\n8");
    assert_eq!(queue.ok(["rerun", "last~7", "queue=mail"]), "9");
    assert_eq!(listed(&queue, &["state=pending"]), ["7", "8", "9"]);
}

#[test]
fn a_purge_takes_a_selector() {
    let queue = some();
    queue.ok(["cancel", "1-6", "--yes"]);
    assert_eq!(
        queue.json(["purge", "@g", "--dry-run"])["first"],
        serde_json::json!(["4", "5"])
    );
    let said = queue.fails(2, ["purge", "@g"]);
    assert!(said.contains("nothing was removed"), "{said}");
    let said = queue.fails(2, ["purge", "state=pending", "--yes"]);
    assert!(said.contains("jobs that are pending cannot be purged"), "{said}");
    assert_eq!(
        queue.ok(["purge", "2-4", "--queue", "mail", "--yes"]),
        "1 job purged"
    );
    assert_eq!(queue.ok(["purge", "6"]), "6 purged");
    assert_eq!(queue.ok(["purge", "older=1h", "--yes"]), "0 jobs purged");
    assert_eq!(listed(&queue, &[]), ["1", "3", "4", "5"]);
    // The second one is meant as it was before the first was removed.
    assert_eq!(
        queue.ok(["purge", "last", "last~1"]),
        "last purged\nlast~1 purged"
    );
    assert_eq!(listed(&queue, &[]), ["1", "3"]);
}
