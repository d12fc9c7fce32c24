//! Jobs that wait for others, by the commands and under kills.

#[cfg(target_os = "linux")]
use std::collections::{BTreeMap, BTreeSet};
#[cfg(target_os = "linux")]
use std::fmt::Write as _;

use crate::support::Queue;
use crate::support::jobs::{succeeds_with, variable};

/// A diamond from a file: all or none, each after those it waits for.
#[test]
fn a_graph_runs_in_its_order() {
    let queue = Queue::quick();
    let job = |id: &str, after: &str| {
        // Windows leaves a variable as it is that is not there.
        let parents = match after {
            "null" => String::new(),
            _ => format!(" {}", variable("QUEUECTL_PARENTS")),
        };
        format!(r#"{{"id":"{id}","command":"echo {id}{parents}>> ran","after":{after}}}"#)
    };
    let graph = [
        job("load", r#"["left","right:any"]"#),
        job("left", r#""extract""#),
        job("right", r#"["extract:ok"]"#),
        job("extract", "null"),
    ]
    .join("\n");
    queue.write("graph", &graph);
    assert_eq!(
        queue.ok(["enqueue", "--from", "graph"]),
        "load\nleft\nright\nextract"
    );
    let load = queue.job("load");
    assert_eq!(
        (&load["state"], &load["blocked_by"]),
        (&"blocked".into(), &"dependency".into())
    );
    assert_eq!(load["parents"][1]["condition"], "any");
    assert!(load["parents"][1]["met"].is_null());
    assert_eq!(queue.job("extract")["dependants"][1]["id"], "right");
    let shown = queue.ok(["show", "load"]);
    assert!(
        shown.contains("WAITS FOR") && shown.contains("not yet"),
        "{shown}"
    );
    assert_eq!(queue.drain(&["--count", "1", "--concurrency", "1"]), 0);
    let ran = queue.lines("ran");
    assert_eq!(ran, ["extract", "left 4", "right 4", "load 2,3"]);
    // A job that is ended already is no reason to wait; an unknown one is a mistake.
    let late = queue.enqueue(["--after", "load,4:any", "exit 0"]);
    assert_eq!(queue.state(&late), "pending");
    let chained = queue.enqueue(["--after", "last:any,load", "exit 0"]);
    assert_eq!(queue.job(&chained)["parents"][1]["id"], late.as_str());
    assert_eq!(queue.state(&chained), "blocked");
    let said = queue.fails(3, ["enqueue", "--after", "nobody", "exit 0"]);
    assert!(said.contains("there is no job 'nobody' to wait for"), "{said}");
    let said = queue.fails(3, ["enqueue", "--after", "load:bad", "exit 0"]);
    assert!(
        said.contains("how job 'load' has to end: that is ok, failed or any"),
        "{said}"
    );
    let said = queue.fails(2, ["enqueue", "--debounce", "5s", "exit 0"]);
    assert!(
        said.contains("gathers calls that have a unique key in common"),
        "{said}"
    );
}

/// The graph around a job: what it waits for and what waits for it, with states; nothing that only has an ancestor in common.
#[test]
fn a_graph_is_shown_from_any_of_its_jobs() {
    let queue = Queue::quick();
    queue.enqueue(["--id", "first", "--max-retries", "0", "exit 1"]);
    queue.enqueue(["--id", "left", "--after", "first:any", "exit 0"]);
    queue.enqueue(["--id", "right", "--after", "first", "--unmet", "hold", "exit 0"]);
    queue.enqueue(["--id", "end", "--after", "left,right", "exit 0"]);
    queue.enqueue(["--id", "aside", "--after", "first:failed", "--hold", "exit 0"]);
    // One of them dies, and others are held.
    assert_eq!(queue.drain(&["--count", "1", "--concurrency", "1"]), 1);
    assert_eq!(
        queue.ok(["show", "end", "--graph"]),
        "end blocked\n\
         waits for\n\
         |- left completed\n\
         |  `- first dead (any)\n\
         `- right blocked\n   \
            `- first dead (ok: not met)"
    );
    assert_eq!(
        queue.ok(["show", "left", "--graph"]),
        "left completed\nwaits for\n`- first dead (any)\nis waited for by\n`- end blocked"
    );
    queue.ok(["dlq:purge", "first"]);
    let dot = queue.ok(["show", "end", "--graph", "dot"]);
    assert_eq!(
        dot,
        "digraph jobs {\n  rankdir=LR;\n  node [shape=box];\n  1 [label=\"1\\ndead, removed\"];\n  \
         2 [label=\"left\\ncompleted\"];\n  3 [label=\"right\\nblocked\"];\n  4 [label=\"end\\nblocked\"];\n  \
         1 -> 2 [label=\"any\"];\n  1 -> 3 [label=\"ok\", color=red];\n  2 -> 4 [label=\"ok\"];\n  \
         3 -> 4 [label=\"ok\", style=dashed];\n}"
    );
    let graph = queue.json(["show", "aside", "--graph"]);
    assert_eq!(graph["jobs"].as_array().map(Vec::len), Some(2));
    // More than are shown: the nearest, and a note.
    let mut chain = String::from("{\"id\":\"n0\",\"command\":\"exit 0\",\"hold\":true}\n");
    for n in 1..1200 {
        let parent = n - 1;
        chain.push_str(&format!(
            "{{\"id\":\"n{n}\",\"command\":\"exit 0\",\"after\":\"n{parent}\"}}\n"
        ));
    }
    queue.write("chain", chain);
    queue.ok(["enqueue", "--from", "chain"]);
    let graph = queue.json(["show", "n0", "--graph"]);
    assert_eq!(
        (graph["jobs"].as_array().map(Vec::len), &graph["more"]),
        (Some(1000), &true.into())
    );
    let shown = queue.ok(["show", "n0", "--graph"]);
    assert!(
        shown.ends_with("n40 blocked, and so on: `queuectl show n40 --graph`"),
        "{shown}"
    );
}

/// Nothing of a file is stored if a job of it waits for an unknown one, or jobs wait for each other, however long it is.
#[test]
fn a_bad_graph_is_refused_whole() {
    let queue = Queue::quick();
    let plain = "\"exit 0\"\n".repeat(2500);
    let waits =
        |id: &str, after: &str| format!("{{\"id\":\"{id}\",\"command\":\"exit 0\",\"after\":\"{after}\"}}\n");
    queue.write(
        "round",
        format!("{plain}{}{}", waits("a", "b:any"), waits("b", "a")),
    );
    let said = queue.fails(2, ["enqueue", "--from", "round"]);
    assert!(said.contains("a -> b -> a"), "{said}");
    assert!(said.contains("no job was stored"), "{said}");
    queue.write("unknown", format!("{plain}{}", waits("a", "nobody")));
    let said = queue.fails(3, ["enqueue", "--from", "unknown"]);
    assert!(
        said.contains("line 2501") && said.contains("no job was stored"),
        "{said}"
    );
    assert_eq!(queue.jobs().len(), 0);
    // The control: without a job that waits, earlier batches stay.
    queue.write("plain", format!("{plain}{{\n"));
    queue.fails(2, ["enqueue", "--from", "plain"]);
    assert_eq!(queue.jobs().len(), 2000);
}

/// Dead, then fixed: what was cancelled for it runs after all.
#[test]
fn a_pipeline_goes_on_when_its_dead_job_is_fixed() {
    let queue = Queue::quick();
    let first = queue.enqueue(["--id", "first", "--max-retries", "0", &succeeds_with("fixed")]);
    let second = queue.enqueue(["--after", "first", "echo x> second"]);
    let third = queue.enqueue(["--after", &second, "--unmet", "hold", "echo x> third"]);
    let clean_up = queue.enqueue(["--after", "first:failed", "echo x> clean-up"]);
    assert_eq!(queue.drain(&[]), 1);
    assert_eq!(queue.state(&first), "dead");
    let unmet = queue.job(&second);
    assert_eq!(
        (
            &unmet["state"],
            &unmet["unmet_by"]["number"],
            &unmet["unmet_by"]["state"]
        ),
        (&"cancelled".into(), &1.into(), &"dead".into())
    );
    assert!(queue.ok(["show", &second]).contains("job first is dead"));
    let held = queue.job(&third);
    assert_eq!(
        (&held["state"], &held["blocked_by"], &held["unmet_by"]["state"]),
        (&"blocked".into(), &"held".into(), &"cancelled".into())
    );
    assert!(queue.path("clean-up").exists());
    assert_eq!(queue.state(&clean_up), "completed");
    queue.write("fixed", "");
    queue.ok(["retry", "first"]);
    assert_eq!(queue.drain(&[]), 0);
    for id in [&first, &second, &third] {
        assert_eq!(queue.state(id), "completed");
    }
    assert!(queue.path("second").exists() && queue.path("third").exists());
    assert_eq!(queue.json(["db:check"])["ok"], true);
}

#[cfg(target_os = "linux")]
const LAYERS: usize = 20;
#[cfg(target_os = "linux")]
const WIDTH: usize = 50;

/// The jobs that job `n` of a layer waits for.
#[cfg(target_os = "linux")]
fn parents(layer: usize, n: usize) -> BTreeSet<String> {
    match layer {
        0 => BTreeSet::new(),
        _ => [n, (n * 7 + layer) % WIDTH, (n + 1) % WIDTH]
            .map(|parent| format!("j{}-{parent}", layer - 1))
            .into(),
    }
}

/// Stores a graph whose jobs write when they begin and when they have done their work.
#[cfg(target_os = "linux")]
fn store_layers(queue: &Queue) {
    let mut text = String::new();
    for layer in (0..LAYERS).rev() {
        for n in 0..WIDTH {
            let after: Vec<String> = parents(layer, n).into_iter().collect();
            let after = serde_json::to_string(&after).unwrap();
            writeln!(
                text,
                r#"{{"id":"j{layer}-{n}","command":"echo s $QUEUECTL_JOB_ID >> log; echo e $QUEUECTL_JOB_ID >> log","max_retries":1000,"after":{after}}}"#
            )
            .unwrap();
        }
    }
    queue.write("layers", &text);
    queue.ok(["enqueue", "--from", "layers"]);
}

/// The jobs that began before one that they wait for had done its work, by what they wrote.
#[cfg(target_os = "linux")]
fn too_early(queue: &Queue) -> Vec<String> {
    let mut ended = BTreeSet::new();
    let mut early = Vec::new();
    let waits: BTreeMap<String, BTreeSet<String>> = (0..LAYERS)
        .flat_map(|layer| (0..WIDTH).map(move |n| (format!("j{layer}-{n}"), parents(layer, n))))
        .collect();
    for line in queue.lines("log") {
        match line.split_once(' ') {
            Some(("e", job)) => _ = ended.insert(job.to_owned()),
            Some(("s", job)) if !waits[job].is_subset(&ended) => early.push(job.to_owned()),
            _ => {}
        }
    }
    early
}

/// A thousand jobs in twenty layers, while dispatchers are killed: none begins before those it waits for, and none is left.
#[test]
#[cfg(target_os = "linux")]
fn a_large_graph_keeps_its_order_under_kills() {
    use crate::support::wait_until;

    let queue = Queue::quick();
    store_layers(&queue);
    let start = || queue.start(&["--count", "2", "--concurrency", "4"]);
    let mut nodes = [start(), start()];
    for round in 1..=6 {
        queue.wait_lines("log", round * 250);
        let victim = &mut nodes[round % 2];
        victim.kill_dispatcher();
        *victim = start();
    }
    let all = LAYERS * WIDTH;
    wait_until("all jobs to complete", || {
        queue.json(["status"])["total"]["completed"] == all
    });
    assert_eq!(too_early(&queue), [""; 0]);
    assert_eq!(queue.json(["db:check"])["ok"], true);
}

/// The control: where the end of a job settles nothing, what waits for it is left; and jobs that wait for none do not keep
/// the order.
#[test]
#[cfg(target_os = "linux")]
fn without_settling_dependants_are_left() {
    let queue = Queue::quick();
    store_layers(&queue);
    let drain = ["worker:start", "--drain", "-q", "--count", "2"];
    let status = queue
        .command(drain)
        .env("QUEUECTL_TEST_WITHOUT", "dependencies")
        .status()
        .unwrap();
    assert!(status.success());
    let total = &queue.json(["status"])["total"];
    assert_eq!(
        (&total["completed"], &total["blocked"]),
        (&WIDTH.into(), &(WIDTH * (LAYERS - 1)).into())
    );
    assert_eq!(too_early(&queue), [""; 0]);
    queue.write("log", "s j1-0\n");
    assert_eq!(too_early(&queue), ["j1-0"]);
}
