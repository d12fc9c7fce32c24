//! Dead jobs in a file, and in another queue: `dlq:export` and `dlq:import`.

use std::io::Write;
use std::process::Stdio;

use serde_json::Value;

use crate::support::{Queue, finish, wait_until};

/// Three dead jobs, and one that waits.
fn dead() -> Queue {
    let queue = Queue::quick();
    queue.ok(["limit:set", "disk", "--running", "4"]);
    let once = ["--max-retries", "0"];
    for options in [
        &[
            "--id",
            "ann",
            "--queue",
            "mail",
            "--env",
            "TOKEN=s3cret",
            "--unique",
            "k1",
        ][..],
        &["--label", "team=web", "--comment", "of ann", "--priority", "3"],
        &["--limit", "disk", "--timeout", "1h", "--on-death", "exit 0"],
    ] {
        queue.enqueue([options, &once, &["echo user 17 was refused && exit 3"]].concat());
    }
    queue.enqueue(["--id", "waits", "--hold", "exit 0"]);
    assert_eq!(queue.drain(&[]), 1);
    queue
}

fn dead_ids(queue: &Queue) -> Vec<String> {
    let dead = queue.json(["dlq:list"]);
    let ids = dead.as_array().unwrap().iter();
    ids.map(|job| job["id"].as_str().unwrap().to_owned()).collect()
}

/// What must be the same of a dead job wherever it is.
fn told(job: &Value) -> Value {
    let mut told = job.clone();
    let object = told.as_object_mut().unwrap();
    for own in ["number", "updated_at", "labels", "id"] {
        object.remove(own);
    }
    let last = object["last_attempt"].as_object_mut().unwrap();
    for own in ["attempt", "fence", "node", "worker"] {
        last.remove(own);
    }
    told
}

#[test]
fn dead_jobs_go_to_another_queue_once() {
    let queue = dead();
    let file = queue.path("dead.jsonl");
    assert_eq!(queue.json(["dlq:export", "--to", "dead.jsonl"])["jobs"], 3);
    let said = queue.fails(2, ["dlq:export", "--to", "dead.jsonl"]);
    assert!(said.contains("dead.jsonl exists already"), "{said}");
    let lines = queue.read("dead.jsonl");
    assert_eq!(
        lines,
        queue.ok(["dlq:export"]) + "\n",
        "the same as on standard output"
    );
    assert_eq!(lines.lines().count(), 3);
    assert!(lines.contains("s3cret"), "else it could not run again");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    // In another queue, with a bystander that has an id of one of them, and another with its key.
    let other = Queue::quick();
    other.ok(["limit:set", "disk", "--running", "4"]);
    other.enqueue(["--id", "ann", "--hold", "exit 0"]);
    other.enqueue(["--id", "holder", "--hold", "--unique", "k1", "exit 0"]);
    let file = file.to_str().unwrap();
    let done = other.json(["dlq:import", file]);
    let counts =
        ["jobs", "already", "name_taken", "key_taken", "wrong"].map(|name| done[name].as_u64().unwrap());
    assert_eq!(counts, [3, 0, 1, 1, 0], "{done}");
    let again = other.json(["dlq:import", file]);
    assert_eq!((&again["jobs"], &again["already"]), (&0.into(), &3.into()));
    let (here, there) = (
        queue.json(["dlq:list", "--secrets"]),
        other.json(["dlq:list", "--secrets"]),
    );
    let (here, there) = (here.as_array().unwrap(), there.as_array().unwrap());
    assert_eq!((here.len(), there.len()), (3, 3));
    for (was, is) in here.iter().zip(there) {
        assert_eq!(told(was), told(is));
        let from = is["labels"]["imported-from"].as_str().unwrap();
        assert!(from.ends_with(&format!("/{}/1", was["number"])), "{from}");
    }
    assert!(there.iter().any(|job| job["labels"]["team"] == "web"));
    assert_eq!(other.json(["dlq:causes"])[0]["jobs"], 3);
    // It is an operation, and nothing else has happened: no hook has run.
    let operations = other.json(["op:list"]);
    let import = &operations[0];
    assert_eq!(
        (&import["kind"], &import["jobs"]),
        (&"dlq:import".into(), &3.into())
    );
    assert_eq!(other.jobs().len(), 5);
    assert!(other.ok(["db:check"]).contains("ok"));
    // A letter that went through another queue is the same letter.
    other.ok(["dlq:export", "--to", "again.jsonl"]);
    let through = other.path("again.jsonl");
    let through = through.to_str().unwrap();
    for (imports, stored) in [(&queue, [0, 3]), (&Queue::quick(), [3, 0])] {
        imports.ok(["limit:set", "disk", "--running", "4"]);
        let done = imports.json(["dlq:import", through]);
        assert_eq!(
            ["jobs", "already"].map(|name| done[name].as_u64().unwrap()),
            stored
        );
        let done = imports.json(["dlq:import", file]);
        assert_eq!(
            ["jobs", "already"].map(|name| done[name].as_u64().unwrap()),
            [0, 3]
        );
    }
    // They run again when they are told to, but for the one whose key is taken.
    let retried = other.json(["dlq:retry", "--all"]);
    assert_eq!((&retried["jobs"], &retried["skipped"]), (&2.into(), &1.into()));
    other.drain(&[]);
    for job in there {
        assert_eq!(other.job(&job["number"].to_string())["state"], "dead");
    }
    let again = other.json(["dlq:import", file]);
    assert_eq!((&again["jobs"], &again["already"]), (&0.into(), &3.into()));
    assert_eq!(other.state("ann"), "blocked");
    // Nothing has happened to them here.
    assert_eq!(queue.json(["dlq:list", "--secrets"]).as_array().unwrap(), here);
    assert_eq!(queue.state("waits"), "blocked");
}

#[test]
fn purged_jobs_come_back_from_a_file() {
    let queue = dead();
    queue.ok(["dlq:export", "--to", "dead.jsonl"]);
    let done = queue.json(["dlq:import", "dead.jsonl"]);
    assert_eq!(
        (&done["jobs"], &done["already"]),
        (&0.into(), &3.into()),
        "they are there"
    );
    let ids = dead_ids(&queue);
    queue.ok(["dlq:purge", &ids[1], "--yes"]);
    let done = queue.json(["dlq:import", "dead.jsonl"]);
    assert_eq!((&done["jobs"], &done["already"]), (&1.into(), &2.into()));
    assert_eq!(dead_ids(&queue).len(), 3);
    assert_eq!(queue.state("ann"), "dead");
    assert_eq!(queue.state("waits"), "blocked");
    assert!(queue.ok(["db:check"]).contains("ok"));
}

#[test]
fn what_is_exported_can_be_narrowed() {
    let queue = dead();
    let count = |words: &[&str]| {
        let text = queue.ok([&["dlq:export"], words].concat());
        text.lines().count()
    };
    assert_eq!(count(&["queue=mail"]), 1);
    assert_eq!(count(&["--queue", "mail"]), 1);
    assert_eq!(count(&["ann", "state=dead"]), 1);
    assert_eq!(count(&["--cause", "1"]), 3);
    assert_eq!(count(&["--cause", "1", "label=team:web"]), 1);
    assert_eq!(count(&["--older", "2d"]), 0);
    let said = queue.fails(4, ["dlq:export", "waits"]);
    assert!(said.contains("waits"), "{said}");
    let said = queue.fails(2, ["dlq:export", "state=pending"]);
    assert!(said.contains("only dead jobs can be exported"), "{said}");
    queue.fails(3, ["dlq:export", "nobody"]);
    // A line is a job for `enqueue`, too.
    let line = queue.ok(["dlq:export", "ann"]).replace("\"ann\"", "\"eva\"");
    queue.write("line.json", line);
    queue.ok(["enqueue", "--from", "line.json"]);
    assert_eq!(queue.job("eva")["env"]["TOKEN"], "s3cret");
}

#[test]
fn a_wrong_line_is_named_and_loses_no_other() {
    let queue = dead();
    let all = queue.ok(["dlq:export"]);
    let (limited, plain): (Vec<&str>, Vec<&str>) = all.lines().partition(|line| line.contains("\"limit\""));
    let other = Queue::quick();
    other.enqueue(["--id", "bystander", "--hold", "exit 0"]);
    // One names a limit that is not there; the last is cut off.
    let text = format!(
        "{}\nnothing\n\n{}\n{}\n{{\"command\":\"x\"}}\n{}",
        plain[0],
        plain[1],
        limited[0],
        &plain[0][..80]
    );
    other.write("wrong.jsonl", text);
    let said = other.fails(2, ["dlq:import", "wrong.jsonl"]);
    for wanted in [
        "line 2: \"nothing\" is not JSON",
        "line 5: there is no limit 'disk'",
        "line 6: this is a job and not a dead letter",
        "line 7: ",
        "4 lines are wrong and were left out",
    ] {
        assert!(said.contains(wanted), "{wanted}\n{said}");
    }
    assert_eq!(dead_ids(&other).len(), 2);
    other.ok(["limit:set", "disk", "--running", "1"]);
    let done = finish(other.command(["--json", "dlq:import", "-"]), Some(all.as_bytes())).json();
    assert_eq!((&done["jobs"], &done["already"]), (&1.into(), &2.into()));
    assert_eq!(other.state("bystander"), "blocked");
}

#[test]
fn an_import_that_was_killed_goes_on() {
    let queue = dead();
    let line = queue.ok(["dlq:export", "ann"]).replace("\"id\":\"ann\",", "");
    let store = line
        .split("\"from\":\"")
        .nth(1)
        .unwrap()
        .split('/')
        .next()
        .unwrap();
    let lines: Vec<String> = (1..=700)
        .map(|number| {
            let from = format!("\"from\":\"{store}/{number}00/1\"");
            let old = line.split("\"from\":").nth(1).unwrap().split(',').next().unwrap();
            line.replace(&format!("\"from\":{old}"), &from) + "\n"
        })
        .collect();
    let other = Queue::quick();
    other.enqueue(["--id", "bystander", "--hold", "exit 0"]);
    let mut command = other.command(["dlq:import", "-"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // The first 500 are stored together; the rest waits for more.
    stdin.write_all(lines[..600].concat().as_bytes()).unwrap();
    stdin.flush().unwrap();
    let stored = || other.json(["status"])["total"]["dead"].as_u64();
    wait_until("500 jobs to be stored", || stored() == Some(500));
    child.kill().unwrap();
    child.wait().unwrap();
    drop(stdin);
    assert_eq!(stored(), Some(500));
    other.write("all.jsonl", lines.concat());
    let done = other.json(["dlq:import", "all.jsonl"]);
    assert_eq!((&done["jobs"], &done["already"]), (&200.into(), &500.into()));
    assert_eq!(stored(), Some(700));
    assert_eq!(other.state("bystander"), "blocked");
    assert!(other.ok(["db:check"]).contains("ok"));
}
