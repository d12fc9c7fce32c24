//! Groups of jobs, by the commands.

use crate::support::Queue;
use crate::support::jobs::variable;

/// The callback runs when the group is closed and all of its jobs have ended, and is told how.
#[test]
fn a_callback_runs_once_all_jobs_have_ended() {
    let queue = Queue::quick();
    let say = format!(
        "echo {} {}> said",
        variable("QUEUECTL_GROUP"),
        variable("QUEUECTL_GROUP_COMPLETED")
    );
    let create = ["group:create", "nightly", "--then", &say, "--queue", "ops"];
    assert_eq!(queue.ok(create), "group nightly created");
    let member = format!("echo {}> member", variable("QUEUECTL_GROUP"));
    let first = queue.enqueue(["--group", "nightly", &member]);
    queue.enqueue(["--group", "nightly", "exit 0"]);
    assert_eq!(queue.job(&first)["groups"][0], "nightly");
    assert!(queue.ok(["show", &first]).contains("nightly"));
    assert_eq!(queue.drain(&[]), 0);
    assert!(!queue.path("said").exists(), "more jobs could come");
    let status = queue.ok(["status"]);
    assert!(
        status.contains("group nightly: open, 2 of 2 jobs have ended"),
        "{status}"
    );
    assert_eq!(
        queue.ok(["group:close", "nightly"]),
        "group nightly is complete; job 3 follows"
    );
    assert_eq!(queue.drain(&[]), 0);
    assert_eq!(queue.lines("said")[0].trim(), "nightly 2");
    assert_eq!(queue.lines("member")[0].trim(), "nightly");
    assert_eq!(queue.job("3")["queue"], "ops");
    assert_eq!(queue.json(["group:list"])[0]["callback"], 3);
    queue.ok(["group:wait", "nightly"]);
    let said = queue.fails(4, ["enqueue", "--group", "nightly", "exit 0"]);
    assert!(said.contains("takes no further jobs"), "{said}");
}

/// A file makes, fills and closes a group in one transaction, and a failure chooses the other callback.
#[test]
fn a_file_fills_and_closes_a_group() {
    let queue = Queue::quick();
    queue.ok([
        "group:create",
        "import",
        "--then",
        "echo x> good",
        "--then-failed",
        "echo x> bad",
    ]);
    queue.write("jobs", "\"exit 0\"\n{\"command\":\"exit 3\",\"max_retries\":0}\n");
    let fill = ["enqueue", "--from", "jobs", "--group", "import", "--close-group"];
    assert_eq!(queue.ok(fill), "1\n2");
    assert_eq!(queue.json(["group:show", "import"])["state"], "closed");
    assert_eq!(queue.drain(&[]), 1);
    assert!(queue.path("bad").exists() && !queue.path("good").exists());
    let said = queue.fails(1, ["group:wait", "import"]);
    assert!(
        said.contains("group 'import': 1 of 2 jobs did not complete: 1 dead; `queuectl group:show import`"),
        "{said}"
    );
    // A second one is refused as a whole.
    let said = queue.fails(4, fill);
    assert!(
        said.contains("import") && said.contains("no job was stored"),
        "{said}"
    );
    assert_eq!(
        queue.ok(["group:retry", "import", "--failed"]),
        "group import: 1 job will run again"
    );
    let shown = queue.ok(["group:show", "import"]);
    assert!(
        shown.contains("retrying") && shown.contains("1 not ended"),
        "{shown}"
    );
    queue.drain(&[]);
    assert_eq!(queue.jobs().len(), 3, "no second callback");
}

/// What is given up, and what is refused.
#[test]
fn a_group_is_cancelled_and_removed() {
    let queue = Queue::quick();
    let held = queue.enqueue(["--hold", "--group", "one", "exit 0"]);
    let said = queue.fails(4, ["group:create", "one"]);
    assert!(said.contains("there is already a group 'one'"), "{said}");
    let said = queue.fails(124, ["group:wait", "one", "--timeout", "10ms"]);
    assert!(said.contains("0 of 1 job has ended"), "{said}");
    let said = queue.fails(4, ["group:remove", "one"]);
    assert!(said.contains("has jobs that have not ended (1)"), "{said}");
    assert_eq!(queue.ok(["group:cancel", "one"]), "group one: 1 job cancelled");
    assert_eq!(queue.state(&held), "cancelled");
    assert_eq!(queue.json(["group:show", "one"])["state"], "complete");
    assert_eq!(queue.ok(["group:remove", "one"]), "group one removed");
    let said = queue.fails(3, ["group:show", "one"]);
    assert!(said.contains("there is no group 'one'"), "{said}");
    assert_eq!(queue.state(&held), "cancelled");
    let said = queue.fails(
        2,
        ["group:create", "two", "--then", r#"{"command":"x","id":"a"}"#],
    );
    assert!(said.contains("leave \"id\" out"), "{said}");
    let said = queue.fails(2, ["enqueue", "--close-group", "exit 0"]);
    assert!(said.contains("close_group is about a group"), "{said}");
}

/// The graph has the members as trees, with jobs outside the group that they have to do with.
#[test]
fn the_graph_of_a_group_shows_which_jobs_wait_for_which() {
    let queue = Queue::new();
    queue.enqueue(["--id", "fetch", "--group", "g", "exit 0"]);
    queue.enqueue(["--id", "load", "--group", "g", "--after", "fetch", "exit 0"]);
    queue.enqueue(["--id", "outside", "--after", "load:any", "exit 0"]);
    queue.enqueue(["--id", "alone", "--group", "g", "--hold", "exit 0"]);
    queue.enqueue(["--id", "bystander", "exit 0"]);
    assert_eq!(
        queue.ok(["group:graph", "g"]),
        "fetch pending\n`- load blocked\n   `- outside blocked (any)\nalone blocked"
    );
    let dot = queue.ok(["group:graph", "g", "--dot"]);
    assert!(dot.contains("1 -> 2 [label=\"ok\", style=dashed];"), "{dot}");
    let said = queue.fails(3, ["group:graph", "nothing"]);
    assert!(said.contains("nothing"), "{said}");
}
