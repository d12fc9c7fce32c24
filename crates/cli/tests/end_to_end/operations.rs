//! What commands did, on the command line: listed, undone, and gone on with after a kill.

use serde_json::json;
use std::process::Stdio;

use crate::support::{Queue, wait_until};

fn newest(queue: &Queue) -> serde_json::Value {
    queue.json(["op:list", "--limit", "1"])[0].clone()
}

fn states(queue: &Queue) -> Vec<String> {
    let jobs = queue.json(["list"]);
    let jobs = jobs.as_array().unwrap().iter();
    jobs.map(|job| job["state"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn what_commands_did_is_listed_and_undone() {
    let queue = Queue::quick();
    for line in ["a", "b", "c", "bystander"] {
        queue.enqueue(["--queue", "mail", line]);
    }
    queue.ok(["cancel", "1", "2"]);
    let cancel = newest(&queue);
    assert_eq!(
        [
            &cancel["kind"],
            &cancel["what"],
            &cancel["jobs"],
            &cancel["undoable"]
        ],
        [&json!("cancel"), &json!("1 2"), &json!(2), &json!(true)]
    );
    assert!(cancel["by"].as_str().unwrap().contains('@'), "{cancel}");
    let id = cancel["id"].to_string();
    assert_eq!(queue.ok(["op:undo", &id]), "2 jobs are as before");
    assert_eq!(states(&queue), ["pending"; 4]);
    let said = queue.fails(4, ["op:undo", &id]);
    assert!(
        said.contains(&format!("operation {id} was undone by operation")),
        "{said}"
    );
    assert!(
        queue
            .fails(3, ["op:show", "99999"])
            .contains("there is no operation 99999")
    );

    queue.ok(["move", "slow", "1-3", "--yes"]);
    let moved = newest(&queue);
    assert_eq!(
        [&moved["kind"], &moved["what"]],
        [&json!("move"), &json!("1-3: queue slow")]
    );
    queue.ok(["priority", "7", "2"]);
    queue.ok(["move", "third", "3"]);
    let said = queue.run(["op:undo", &moved["id"].to_string()]);
    assert_eq!(
        (said.status, said.text().as_str()),
        (1, "2 jobs are as before; 1 job was left alone\n"),
        "{}",
        said.err
    );
    assert!(said.err.contains("job 3 was changed again since"), "{}", said.err);
    let looks = queue.json(["list"]);
    let looks = looks.as_array().unwrap().iter();
    let looks: Vec<String> = looks
        .map(|job| format!("{} {}", job["queue"], job["priority"]))
        .collect();
    assert_eq!(looks, ["\"mail\" 0", "\"mail\" 7", "\"third\" 0", "\"mail\" 0"]);

    queue.ok(["cancel", "1-3", "--yes"]);
    let before = queue.json(["show", "1"]);
    assert_eq!(queue.ok(["purge", "--yes"]), "3 jobs purged");
    let purge = newest(&queue);
    assert_eq!(purge["what"], "state=completed,cancelled");
    assert_eq!(states(&queue), ["pending"]);
    assert_eq!(
        queue.ok(["op:undo", &purge["id"].to_string()]),
        "3 jobs are as before"
    );
    assert_eq!(queue.json(["show", "1"]), before);
    queue.ok(["db:check"]);

    queue.ok(["config:set", "max_retries", "9"]);
    let set = newest(&queue);
    assert_eq!(set["what"], "max_retries: unset -> 9");
    assert_eq!(queue.json(["op:show", "last"])["id"], set["id"]);
    assert_eq!(queue.ok(["op:undo", "last"]), "the setting is as before");
    assert_eq!(queue.json(["config:get", "max_retries"])["value"], "4");
    let table = queue.ok(["op:list"]);
    assert!(
        table.lines().count() > 8 && table.contains("state=completed,cancelled"),
        "{table}"
    );
    let shown = queue.ok(["op:show", &id]);
    assert!(shown.contains("was undone by operation"), "{shown}");
}

/// Killed by the system in the middle, a command's operation goes on: each job counts once, and no later job is changed.
#[test]
fn a_command_that_was_killed_goes_on() {
    const JOBS: usize = 4000;
    let queue = Queue::quick();
    // A job with a hook is changed by itself, so there is time for the kill.
    let lines = "{\"command\":\"exit 0\",\"queue\":\"many\",\"on_success\":\"exit 0\"}\n".repeat(JOBS);
    queue.write("jobs", &lines);
    queue.enqueue(["--queue", "other", "bystander"]);
    queue.ok(["enqueue", "--from", "jobs"]);
    for (words, undone) in [
        (["cancel", "queue=many", "--yes"], false),
        (["purge", "queue=many", "--yes"], true),
    ] {
        let mut command = queue.command(words);
        let mut killed = command.stdout(Stdio::null()).spawn().unwrap();
        let begun = || {
            let open = queue.json(["op:list", "--unfinished"]);
            open[0]["jobs"].as_u64().is_some_and(|jobs| jobs > 0)
        };
        wait_until("the change has begun", begun);
        killed.kill().unwrap();
        killed.wait().unwrap();
        let late = queue.enqueue(["--queue", "many", "late"]);
        let cut_off = newest(&queue);
        let done = cut_off["jobs"].as_u64().unwrap();
        assert_eq!(cut_off["ended"], false, "killed before its end: {cut_off}");
        assert!(done > 0 && done < JOBS as u64, "{cut_off}");
        let id = cut_off["id"].to_string();
        let said = queue.ok(["op:resume", &id]);
        assert_eq!(said, format!("operation {id} has ended: {JOBS} jobs changed"));
        assert!(queue.fails(4, ["op:resume", &id]).contains("has ended"));
        assert_eq!(queue.json(["show", &late])["state"], "pending");
        assert_eq!(queue.json(["show", "1"])["state"], "pending");
        queue.ok(["cancel", &late]);
        queue.ok(["purge", &late]);
        if undone {
            let said = queue.ok(["op:undo", &id]);
            assert_eq!(said, format!("{JOBS} jobs are as before"));
        }
        queue.ok(["db:check"]);
    }
}

/// Commands about groups and schedules are in the list, and those that can be undone are as before then.
#[test]
fn groups_and_schedules_are_operations() {
    let queue = Queue::quick();
    queue.ok(["schedule:add", "nightly", "0 3 * * *", "exit 0"]);
    queue.ok(["schedule:add", "bystander", "0 4 * * *", "exit 0"]);
    let before = queue.json(["schedule:show", "nightly"]);
    let bystander = queue.json(["schedule:show", "bystander"]);
    queue.ok(["schedule:edit", "nightly", "--when", "0 5 * * *"]);
    assert_ne!(queue.json(["schedule:show", "nightly"])["when"], before["when"]);
    queue.ok(["op:undo", &newest(&queue)["id"].to_string()]);
    assert_eq!(queue.json(["schedule:show", "nightly"])["when"], before["when"]);
    queue.ok(["schedule:remove", "nightly"]);
    queue.fails(3, ["schedule:show", "nightly"]);
    queue.ok(["op:undo", &newest(&queue)["id"].to_string()]);
    let back = queue.json(["schedule:show", "nightly"]);
    assert_eq!((&back["when"], &back["job"]), (&before["when"], &before["job"]));
    queue.ok(["schedule:pause", "nightly"]);
    // That it is paused already is no operation.
    queue.ok(["schedule:pause", "nightly"]);
    queue.ok(["group:create", "batch"]);
    let member = queue.enqueue(["--group", "batch", "exit 0"]);
    let other = queue.enqueue(["exit 0"]);
    queue.ok(["group:cancel", "batch"]);
    assert_eq!(queue.state(&member), "cancelled");
    queue.ok(["op:undo", &newest(&queue)["id"].to_string()]);
    assert_eq!(queue.state(&member), "pending");
    queue.ok(["group:cancel", "batch"]);
    queue.ok(["group:retry", "batch"]);
    assert_eq!(
        (queue.state(&member), queue.state(&other)),
        ("pending".into(), "pending".into())
    );
    let listed = queue.json(["op:list"]);
    let kinds: Vec<&str> = listed
        .as_array()
        .expect("a list")
        .iter()
        .map(|operation| operation["kind"].as_str().expect("a kind"))
        .collect();
    let expected = [
        "group:retry",
        "group:cancel",
        "undo",
        "group:cancel",
        "schedule:pause",
        "undo",
        "schedule:remove",
        "undo",
        "schedule:edit",
        "schedule:add",
        "schedule:add",
    ];
    // A new queue has been set up by commands before.
    assert_eq!(kinds[..expected.len()], expected);
    assert_eq!(queue.json(["schedule:show", "bystander"]), bystander);
}
