//! Each situation in which a job does not run: `explain` says to the letter what it is, the command that it names is carried
//! out, and the job runs.

use super::explain::{explained, follow};
#[cfg(target_os = "linux")]
use super::plugin::add_plugin;
use crate::support::jobs::succeeds_with;
use crate::support::{GATED, Node, Queue, wait_until};

/// A job that does not run, what has to live meanwhile, and what else has to happen for it to run after all.
struct Arranged {
    job: String,
    nodes: Vec<Node>,
    then: Box<dyn FnOnce(&Queue)>,
}

impl Arranged {
    fn new(job: impl Into<String>, nodes: Vec<Node>) -> Arranged {
        Arranged {
            job: job.into(),
            nodes,
            then: Box::new(|_| ()),
        }
    }

    fn then(self, then: impl FnOnce(&Queue) + 'static) -> Arranged {
        Arranged {
            then: Box::new(then),
            ..self
        }
    }
}

/// What it is, how it comes about, and what is said of it: `T` stands for times, `{by}` for who paused the queue. The command
/// of the last line is carried out; if that is `explain`, the command of what that says, and so on.
type Situation = (&'static str, fn(&Queue) -> Arranged, &'static [&'static str]);

const NEVER: &str = "it cannot start before that has changed";

/// A job that died, and would succeed now.
fn dies(queue: &Queue) -> String {
    let dead = queue.enqueue(["--id", "first", "--max-retries", "0", &succeeds_with("there")]);
    queue.wait_state(&dead, "dead");
    queue.write("there", "");
    dead
}

/// A job that runs until `gate` is opened.
fn runs(queue: &Queue, args: &[&str]) -> String {
    let id = queue.enqueue(args.iter().copied().chain([GATED]));
    queue.wait_started(1);
    id
}

const SITUATIONS: &[Situation] = &[
    (
        "no node is running",
        |queue| Arranged::new(queue.enqueue(["exit 0"]), vec![]),
        &[
            "- no node is running: `queuectl worker:start --queue default`",
            NEVER,
        ],
    ),
    (
        "no node serves the queue",
        |queue| {
            let node = queue.start(&["--queue", "other"]);
            Arranged::new(queue.enqueue(["exit 0"]), vec![node])
        },
        &[
            "- no node serves queue default: `queuectl worker:start --queue default`",
            NEVER,
        ],
    ),
    (
        "the queue is paused",
        |queue| {
            queue.ok(["queue:pause", "default", "--reason", "disk full"]);
            let node = queue.start(&[]);
            Arranged::new(queue.enqueue(["exit 0"]), vec![node])
        },
        &[
            "- queue default is paused by {by}: disk full (for T): `queuectl queue:resume default`",
            NEVER,
        ],
    ),
    (
        "it is held",
        |queue| Arranged::new(queue.enqueue(["--hold", "exit 0"]), vec![queue.start(&[])]),
        &["- it is held (for T): `queuectl release 1`", NEVER],
    ),
    (
        "it is held for a dead parent",
        |queue| {
            let node = queue.start(&[]);
            let first = dies(queue);
            let id = queue.enqueue(["--after", &first, "--unmet", "hold", "exit 0"]);
            Arranged::new(id, vec![node])
        },
        &[
            "- it is held because job first is dead (for T): `queuectl release 2`",
            NEVER,
        ],
    ),
    (
        "it waits for another job",
        |queue| {
            let node = queue.start(&[]);
            queue.enqueue(["--id", "first", "--hold", "exit 0"]);
            Arranged::new(queue.enqueue(["--after", "first", "exit 0"]), vec![node])
        },
        &[
            "- it waits for job first (for T): `queuectl explain first`",
            NEVER,
        ],
    ),
    (
        "it was cancelled for a dead parent",
        |queue| {
            let node = queue.start(&[]);
            let first = dies(queue);
            Arranged::new(queue.enqueue(["--after", &first, "exit 0"]), vec![node])
        },
        &["- it was cancelled because job first is dead (T ago): `queuectl retry first`"],
    ),
    (
        "its parent was retried",
        |queue| {
            let node = queue.start(&[]);
            let first = dies(queue);
            let id = queue.enqueue(["--after", &first, "exit 0"]);
            queue.ok(["queue:pause", "default"]);
            queue.ok(["retry", "first"]);
            Arranged::new(id, vec![node])
        },
        &[
            "- it was cancelled for job first, which was retried; it goes on if that ends as it needs (T ago): `queuectl explain first`",
        ],
    ),
    (
        "its parent succeeded, and another job has its unique key",
        |queue| {
            let node = queue.start(&[]);
            let first = dies(queue);
            let id = queue.enqueue(["--after", &first, "--unique", "key", "exit 0"]);
            let holder = queue.enqueue(["--hold", "--unique", "key", "exit 0"]);
            queue.ok(["retry", "first"]);
            queue.wait_state("first", "completed");
            Arranged::new(id.clone(), vec![node]).then(move |queue| {
                queue.wait_state(&holder, "completed");
                queue.ok(["retry", &id]);
            })
        },
        &[
            "- it was cancelled for job first, which has succeeded since; job 3 has its unique key (T ago): \
             `queuectl explain 3`",
        ],
    ),
    (
        "a limit has no room",
        |queue| {
            let gate = queue.gate("gate");
            queue.ok(["limit:set", "disk", "--running", "1"]);
            let node = queue.start(&["--concurrency", "2"]);
            runs(queue, &["--id", "holder", "--limit", "disk"]);
            let id = queue.enqueue(["--limit", "disk", "exit 0"]);
            Arranged::new(id, vec![node]).then(move |_| drop(gate))
        },
        &[
            "- limit disk has no room, with 1 of 1 running (job holder) (for T): `queuectl limit:set disk --running 2`",
            NEVER,
        ],
    ),
    (
        "a limit lets no job run",
        |queue| {
            queue.ok(["limit:set", "disk", "--per-key", "--running", "0"]);
            let node = queue.start(&[]);
            Arranged::new(queue.enqueue(["--limit", "disk:a", "exit 0"]), vec![node])
        },
        &[
            "- limit disk:a lets no job run (for T): `queuectl limit:set disk --running 1`",
            NEVER,
        ],
    ),
    (
        "a rate has no room",
        |queue| {
            queue.ok(["limit:set", "api", "--rate", "1/1h"]);
            let node = queue.start(&[]);
            let first = queue.enqueue(["--limit", "api", "exit 0"]);
            queue.wait_state(&first, "completed");
            let id = queue.enqueue(["--limit", "api", "exit 0"]);
            queue.wait_state(&id, "blocked");
            Arranged::new(id, vec![node]).then(|queue| {
                queue.ok(["limit:remove", "api"]);
            })
        },
        &[
            "- limit api lets the next job start in T (for T)",
            "it can start in T",
        ],
    ),
    (
        "it waits for its retry",
        |queue| {
            queue.ok(["config:set", "backoff_cap", "1h"]);
            let node = queue.start(&[]);
            let id = queue.enqueue(["--backoff-base", "3600", &succeeds_with("there")]);
            queue.wait_state(&id, "failed");
            queue.write("there", "");
            Arranged::new(id, vec![node])
        },
        &[
            "- attempt 1 failed (exit status 1); the next is due in T: `queuectl retry 1`",
            "it can start in T",
        ],
    ),
    (
        "the nodes are full",
        |queue| {
            let gate = queue.gate("gate");
            let node = queue.start(&[]);
            runs(queue, &[]);
            Arranged::new(queue.enqueue(["exit 0"]), vec![node]).then(move |_| drop(gate))
        },
        &[
            "- node 1 is full, with 1 of 1 slots in use by job 1: `queuectl worker:start --queue default`",
            NEVER,
        ],
    ),
    (
        "the node is stopping",
        |queue| {
            let gate = queue.gate("gate");
            let node = queue.start(&[]);
            runs(queue, &[]);
            queue.ok(["worker:stop", "1"]);
            node.wait_log("finishing");
            Arranged::new(queue.enqueue(["exit 0"]), vec![node]).then(move |_| gate.open())
        },
        &[
            "- node 1 is stopping and takes no more jobs: `queuectl worker:start --queue default`",
            NEVER,
        ],
    ),
    (
        "it follows the running job with its unique key",
        |queue| {
            let gate = queue.gate("gate");
            let node = queue.start(&[]);
            runs(queue, &["--unique", "key"]);
            let id = queue.enqueue(["--unique", "key", "--on-conflict", "replace", "exit 0"]);
            Arranged::new(id, vec![node]).then(move |_| gate.open())
        },
        &[
            "- it runs after job 1, which has its unique key (for T): `queuectl explain 1`",
            NEVER,
        ],
    ),
    (
        "an earlier run of its schedule has not ended",
        |queue| {
            let gate = queue.gate("gate");
            let node = queue.start(&[]);
            queue.ok([
                "schedule:add",
                "often",
                "@every 1s",
                "--overlap",
                "queue-one",
                "--",
                GATED,
            ]);
            wait_until("a run to wait", || {
                queue.jobs().len() == 2 && queue.state("2") == "blocked"
            });
            Arranged::new("2", vec![node]).then(move |_| {
                gate.leave_open();
                gate.open();
            })
        },
        &[
            "- it runs after job 1, an earlier run of its schedule (for T): `queuectl explain 1`",
            NEVER,
        ],
    ),
    (
        "its node is dead",
        |queue| {
            let gate = queue.gate("gate");
            let mut node = queue.start(&[]);
            let id = runs(queue, &[]);
            node.kill_dispatcher();
            wait_until("the node to be known as dead", || {
                queue.ok(["explain", &id]).contains("is dead")
            });
            Arranged::new(id, vec![]).then(move |_| gate.leave_open())
        },
        &[
            "- node 1, which ran it, is dead; the next node that looks takes the job back (for T): \
             `queuectl worker:start --queue default`",
        ],
    ),
];

#[test]
fn every_situation_is_explained_and_its_command_makes_the_job_run() {
    for (what, arrange, says) in SITUATIONS {
        println!("{what}");
        let queue = Queue::quick();
        let mut arranged = arrange(&queue);
        let by = queue.json(["queue:show", "default"])["paused"]["by"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let mut lines = explained(&queue, &arranged.job);
        let said: Vec<&str> = lines[1..].iter().map(String::as_str).collect();
        let expected: Vec<String> = says.iter().map(|line| line.replace("{by}", &by)).collect();
        assert_eq!(said, expected, "{what}");
        while let Some(line) = lines.iter().rfind(|line| line.contains('`')) {
            let command = line.split('`').nth(1).unwrap_or_default();
            let words: Vec<&str> = command.split(' ').collect();
            match words[1] {
                "explain" => lines = explained(&queue, words[2]),
                // It would print for as long as the job runs.
                "logs" => break,
                _ => {
                    arranged.nodes.extend(follow(&queue, line));
                    break;
                }
            }
        }
        (arranged.then)(&queue);
        queue.wait_state(&arranged.job, "completed");
    }
}

/// The folders that a plugin was looked for in differ from machine to machine.
#[cfg(target_os = "linux")]
#[test]
fn a_missing_executor_is_explained_and_its_command_makes_the_job_run() {
    let queue = Queue::new();
    queue.ok(["config:set", "backoff_base", "60"]);
    if !add_plugin(
        &queue,
        "a_missing_executor_is_explained_and_its_command_makes_the_job_run",
    ) {
        return;
    }
    let plugins = queue.path("plugins");
    let plugin = plugins.join("libqueuectl_plugin_fatal.so");
    std::fs::rename(&plugin, queue.path("aside")).unwrap();
    let _node = queue.start(&["--plugin-dir", plugins.to_str().unwrap()]);
    let id = queue.enqueue([r#"{"executor":"fatal","payload":{"do":"nothing"}}"#]);
    queue.wait_state(&id, "failed");
    let mut lines = explained(&queue, &id);
    let (before, after) = lines[1].split_once("folders ").expect("the folders");
    let (folders, after) = after.split_once("; put it").expect("what to do");
    assert!(folders.contains(plugins.to_str().unwrap()), "{folders}");
    lines[1] = format!("{before}folders F; put it{after}");
    assert_eq!(
        lines,
        [
            "job 1 is failed, in queue default:",
            "- its executor could not run it (no plugin for the executor 'fatal': libqueuectl_plugin_fatal.so is in none of \
             the folders F; put it into one of them, or name its folder with --plugin-dir or QUEUECTL_PLUGIN_PATH); the next \
             is due in T: `queuectl retry 1`",
            "it can start in T",
        ]
    );
    std::fs::rename(queue.path("aside"), &plugin).unwrap();
    follow(&queue, &lines[1]);
    queue.wait_state(&id, "completed");
}
