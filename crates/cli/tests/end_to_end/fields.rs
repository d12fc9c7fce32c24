//! `--fields` and templates of `--format`, on commands of every kind: lists, documents, results one by one.

use crate::support::Queue;

fn some() -> Queue {
    let queue = Queue::new();
    queue.enqueue(["--id", "first", "--queue", "mail", "exit 0"]);
    queue.enqueue(["--id", "second", "echo \u{1b}[31m"]);
    queue
}

#[test]
fn fields_are_chosen_in_every_format() {
    let queue = some();
    let list = |words: &[&str]| queue.ok([&["list"], words].concat());
    assert_eq!(
        list(&["--fields", "id,queue"]),
        "ID      QUEUE\nfirst   mail\nsecond  default"
    );
    assert_eq!(
        list(&["--format", "jsonl", "--fields", "queue,id"]),
        "{\"queue\":\"mail\",\"id\":\"first\"}\n{\"queue\":\"default\",\"id\":\"second\"}"
    );
    let csv = list(&["--format", "csv", "--fields", "id,command"]).replace('\r', "");
    assert_eq!(csv, "id,command\nfirst,exit 0\nsecond,echo \\x1b[31m");
    assert_eq!(list(&["--json", "--fields", "id", "queue=none"]), "[]");
    assert_eq!(
        queue.ok(["show", "first", "--fields", "id,state"]),
        "id     first\nstate  pending"
    );
    assert_eq!(
        queue.json(["status", "--fields", "total.pending"])["total.pending"],
        2
    );
}

#[test]
fn a_template_makes_a_line_of_each_document() {
    let queue = some();
    assert_eq!(
        queue.ok(["list", "--format", r"{id}\t{run_at}{{{number}}}\\{command}"]),
        "first\t{1}\\exit 0\nsecond\t{2}\\echo \\x1b[31m"
    );
    assert_eq!(
        queue.ok(["list", "--raw", "--format", "{command}", "second"]),
        "echo \u{1b}[31m"
    );
    assert_eq!(
        queue.ok(["show", "first", "--format", "{sources.max_retries}"]),
        "default"
    );
    assert_eq!(
        queue.ok(["cancel", "first", "second", "--format", "{id} is {result}"]),
        "first is cancelled\nsecond is cancelled"
    );
    assert_eq!(
        queue.ok(["enqueue", "--id", "third", "--format", "new: {id}", "exit 0"]),
        "new: third"
    );
}

#[test]
fn a_field_that_is_not_there_is_a_mistake() {
    let queue = some();
    for words in [
        &["--fields", "id,stat"][..],
        &["--format", "{stat}"],
        &["--json", "--fields", "stat"],
    ] {
        let done = queue.run([&["list"], words].concat());
        let said = done.fails(2);
        assert!(
            said.contains("no field 'stat'; the fields are id, number"),
            "{said}"
        );
    }
    assert_eq!(
        queue.run(["list", "--json", "--fields", "stat"]).text(),
        "",
        "nothing before the mistake"
    );
    for (words, why) in [
        (&["--fields", "id", "--format", "{id}"][..], "leave out --fields"),
        (&["--fields", "id", "--columns", "id"], "cannot be used with"),
        (&["--fields", "id,id"], "'id' is there twice"),
        (&["--format", "{id"], "has no '}'"),
        (
            &["--format", "yaml"],
            "expected table, json, jsonl, csv, or a template",
        ),
    ] {
        let said = queue.fails(2, [&["list"], words].concat());
        assert!(said.contains(why), "{words:?}: {said}");
    }
    // What was done is said, and is not undone by a mistake in how it is printed.
    let done = queue.run(["cancel", "first", "--fields", "resul"]);
    assert_eq!(done.status, 0);
    assert!(
        done.err.contains("first cancelled (there is no field 'resul'"),
        "{}",
        done.err
    );
    assert_eq!(
        (queue.state("first"), queue.state("second")),
        ("cancelled".into(), "pending".into())
    );
}
