//! `plugin:check` on the executors that come along, each against the real thing: an engine, a server, a program. What
//! is skipped is listed, so that nothing goes untried unnoticed. The shell is in `kit`, the examples are in `projects`.

use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};

use crate::conformance::check;
use crate::docker::scene;
use crate::http::open_queue;
use crate::http::server::{Server, answer};
use crate::support::engine::IMAGE;
use crate::support::{Queue, binary};
use crate::wasm::programs;

/// What only plugins with processes of the host have.
const PROCESSES: [&str; 1] = ["exited"];
/// What only plugins have whose work outlives a worker process.
const KEEPING: [&str; 5] = [
    "discard",
    "reap",
    "reattach",
    "worker-reattach",
    "worker-takeover",
];
/// What only plugins have that run commands.
const COMMANDS: [&str; 10] = [
    "command-argv",
    "command-bytes",
    "command-cwd",
    "command-env",
    "command-exit",
    "command-flood",
    "command-signal",
    "command-stdin",
    "command-stubborn",
    "command-tree",
];

/// How long a long job takes: until well after another has ended.
const LONG: Duration = Duration::from_secs(3);

/// Checks an executor's plugin, and that exactly these cases are skipped.
fn keeps_every_rule(queue: &Queue, executor: &str, quick: &Value, long: Option<&Value>, skips: &[&[&str]]) {
    let mut more = vec!["--job".into(), queue.write("quick.json", quick.to_string())];
    if let Some(long) = long {
        more.extend(["--long-job".into(), queue.write("long.json", long.to_string())]);
    }
    let mut more: Vec<&str> = more.iter().map(|path| path.to_str().unwrap()).collect();
    // A machine that runs many tests at a time is slow.
    more.extend(["--many", "20", "--timeout", "60s"]);
    let file = binary().with_file_name(format!("libqueuectl_plugin_{executor}.so"));
    let (status, cases) = check(queue, &file, &more);
    let with = |result: &str| {
        let some = cases.iter().filter(|(_, case)| case["result"] == result);
        some.map(|(name, _)| name.as_str()).collect::<Vec<_>>()
    };
    assert_eq!((status, with("failed")), (0, Vec::new()), "{cases:#?}");
    let mut skips = skips.concat();
    skips.sort_unstable();
    assert_eq!(with("skipped"), skips, "{cases:#?}");
}

#[test]
fn the_docker_plugin_keeps_every_rule_on_an_engine() {
    let Some(scene) = scene("the_docker_plugin_keeps_every_rule_on_an_engine") else {
        return;
    };
    let quick = json!({
        "executor": "docker", "command": ["true"], "payload": {"image": IMAGE, "network": "none"},
    });
    // Folders of the host mean nothing in a container, and its process is the engine's.
    keeps_every_rule(
        &scene.queue,
        "docker",
        &quick,
        None,
        &[&PROCESSES, &["command-cwd"]],
    );
    let left = scene.engine.containers("queuectl-bench-");
    assert!(left.is_empty(), "{left:#?}");
}

#[test]
fn the_http_plugin_keeps_every_rule_with_a_server() {
    let server = Server::start(|seen, stream| {
        if seen.path() == "/long" {
            sleep(LONG);
        }
        answer(stream, "200 OK", "", "done\n");
    });
    let job = |path: &str| json!({"executor": "http", "payload": {"url": server.url(path)}});
    keeps_every_rule(
        &open_queue(),
        "http",
        &job("/quick"),
        Some(&job("/long")),
        &[&PROCESSES, &KEEPING, &COMMANDS],
    );
}

#[test]
fn the_wasm_plugin_keeps_every_rule_with_a_program() {
    let queue = Queue::new();
    let job = |name: &str, program: String| {
        let module = queue.write(&format!("{name}.wat"), program);
        json!({"executor": "wasm", "payload": {"module": module}})
    };
    keeps_every_rule(
        &queue,
        "wasm",
        &job("quick", programs::hello()),
        Some(&job("long", programs::sleeps(LONG))),
        &[&PROCESSES, &KEEPING, &COMMANDS],
    );
}
