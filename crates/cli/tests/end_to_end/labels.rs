//! Labels and comments, from the command line to the screens.

use serde_json::json;

use crate::support::Queue;

#[test]
fn jobs_are_labelled_found_changed_and_counted() {
    let queue = Queue::quick();
    let web = queue.enqueue([
        "-l",
        "team=web",
        "--label",
        "urgent",
        "--comment",
        "asked for by Ann",
        "exit 0",
    ]);
    let db = queue.enqueue([r#"{"command":"exit 0","labels":{"team":"db"}}"#]);
    let bystander = queue.enqueue(["exit 0"]);
    let job = queue.job(&web);
    assert_eq!(job["labels"], json!({"team": "web", "urgent": ""}));
    assert_eq!(job["comment"], "asked for by Ann");
    assert_eq!(queue.job(&bystander)["labels"], json!({}));
    let shown = queue.ok(["show", &web]);
    assert!(
        shown.contains("team=web urgent") && shown.contains("asked for by Ann"),
        "{shown}"
    );
    let ids = |selector: &str| queue.ok(["list", selector, "--ids"]);
    assert_eq!(ids("label=team:web"), web);
    assert_eq!(ids("label=team"), format!("{web}\n{db}"));
    assert_eq!(ids("label=team:web,team:db"), format!("{web}\n{db}"));
    let table = queue.ok(["list", "--columns", "id,labels"]);
    assert!(table.contains("LABELS") && table.contains("team=db"), "{table}");
    // A printed job keeps them when it is stored again.
    let printed = queue.ok(["list", "label=team:db", "--json"]);
    let copy = queue
        .run_with(["enqueue", "--from", "-"], printed.as_bytes())
        .ok();
    assert_eq!(queue.job(&copy)["labels"], json!({"team": "db"}));
    queue.ok([
        "edit",
        &web,
        "--label",
        "team=ops",
        "--unset",
        "label.urgent",
        "--unset",
        "comment",
    ]);
    let job = queue.job(&web);
    assert_eq!(
        (&job["labels"], &job["comment"]),
        (&json!({"team": "ops"}), &json!(null))
    );
    assert_eq!(queue.ok(["cancel", "label=team:db", "--yes"]), "2 jobs cancelled");
    assert_eq!(queue.state(&bystander), "pending");
    assert_eq!(queue.drain(&[]), 0);
    let stats = queue.json(["stats", "--by", "label:team"]);
    let by = |at: usize| (stats["by"][at]["name"].clone(), stats["by"][at]["jobs"].clone());
    assert_eq!(
        (by(0), by(1)),
        ((json!("db"), json!(2)), (json!("ops"), json!(1)))
    );
    queue.ok(["rerun", &web]);
    assert_eq!(queue.ok(["list", "label=team:ops", "--ids"]).lines().count(), 2);
}

#[test]
fn jobs_of_a_schedule_have_its_labels() {
    let queue = Queue::new();
    queue.ok([
        "schedule:add",
        "nightly",
        "0 3 * * *",
        "--label",
        "team=web",
        "--comment",
        "nightly",
        "--",
        "true",
    ]);
    queue.ok(["schedule:run", "nightly"]);
    let job = &queue.jobs()[0];
    assert_eq!(
        (&job["labels"], &job["comment"]),
        (&json!({"team": "web"}), &json!("nightly"))
    );
}

#[test]
fn labels_that_are_none_are_refused() {
    let queue = Queue::new();
    let many: Vec<String> = (0..17).map(|n| format!("--label=k{n}=v")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).chain(["true"]).collect();
    for (args, wanted) in [
        (
            &["--label", "a b=c", "true"][..],
            "'a b' is not the key of a label",
        ),
        (&["--label", "=c", "true"], "'' is not the key of a label"),
        (&["--label", "a=b,c", "true"], "has a comma"),
        (&many, "17 labels; at most 16"),
        (&[r#"{"command":"true","labels":{"a":1}}"#], "an object of texts"),
        (&[r#"{"command":"true","tags":{}}"#], "\"labels\""),
    ] {
        let said = queue.fails(2, [&["enqueue"], args].concat());
        assert!(said.contains(wanted), "{args:?}: {said}");
    }
    queue.fails(2, ["list", "label=a b"]);
    queue.fails(2, ["stats", "--by", "label:a:b"]);
    assert!(!queue.exists() || queue.jobs().is_empty());
}
