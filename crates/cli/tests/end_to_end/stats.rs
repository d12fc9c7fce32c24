//! How jobs fared, as `stats` says it.

use crate::support::Queue;

#[test]
fn jobs_are_counted_by_queue_and_by_program() {
    let queue = Queue::quick();
    assert_eq!(queue.ok(["stats"]).lines().count(), 1, "nothing has ended");
    for _ in 0..3 {
        queue.enqueue(["--queue", "mail", "exit 0"]);
    }
    queue.enqueue(["--max-retries", "0", "exit 3"]);
    queue.enqueue(["--queue", "mail", "--delay", "1h", "echo bystander"]);
    let cancelled = queue.enqueue(["--queue", "later", "--delay", "1h", "echo cancelled"]);
    queue.ok(["cancel", &cancelled]);
    let node = queue.start(&[]);
    let total = crate::support::wait_for("five ended jobs", || {
        let stats = queue.json(["stats"]);
        (stats["total"]["jobs"] == 5).then(|| stats["total"].clone())
    });
    drop(node);
    assert_eq!(
        (&total["completed"], &total["dead"], &total["cancelled"]),
        (&3.into(), &1.into(), &1.into())
    );
    assert!(total["ran"]["p99_ms"].as_u64() >= total["ran"]["p50_ms"].as_u64());
    let stats = queue.json(["stats", "--by", "queue"]);
    let names: Vec<&str> = stats["by"]
        .as_array()
        .unwrap()
        .iter()
        .map(|sum| sum["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["mail", "default", "later"]);
    assert_eq!(stats["by"][2]["ran"], serde_json::Value::Null, "it never ran");
    let ended: u64 = stats["ended"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| part.as_u64().unwrap())
        .sum();
    assert_eq!(ended, 5);
    let page = queue.ok(["stats", "--by", "command", "--since", "2h"]);
    assert!(page.starts_with("5 jobs ended in 2 h"), "{page}");
    assert!(page.contains("COMMAND") && page.contains("exit"), "{page}");
    assert_eq!(queue.json(["stats", "--queue", "mail"])["total"]["jobs"], 3);
    assert_eq!(queue.json(["stats", "text~cancelled"])["total"]["jobs"], 1);
    let limited = queue.json(["stats", "--by", "queue", "--limit", "1"]);
    assert_eq!(limited["by"].as_array().unwrap().len(), 1);
    let one = queue.ok(["stats", "--queue", "default"]);
    assert!(
        one.starts_with("1 job ended") && one.contains("; 0 retries"),
        "{one}"
    );
    assert!(one.contains("the highest 1 job\n"), "{one}");
    for (words, said) in [
        (["--since", "1h", "--until", "2h"], "--since has to be before"),
        (
            ["--since", "99999999999h", "--by", "queue"],
            "at most 36525 d ago",
        ),
        (
            ["state=pending,failed", "--by", "queue", "--json"],
            "only jobs that have ended",
        ),
    ] {
        let refused = queue.fails(2, [&["stats"], &words[..]].concat());
        assert!(refused.contains(said), "{refused}");
    }
}

/// Jobs that were removed are known from the history, which has no commands; the others are counted with them, once.
#[test]
fn removed_jobs_are_still_counted() {
    let queue = Queue::quick();
    for line in ["exit 0", "exit 0", "exit 3"] {
        queue.enqueue(["--queue", "mail", "--max-retries", "1", line]);
    }
    queue.drain(&[]);
    let before = queue.json(["stats"]);
    assert_eq!(
        (&before["source"], &before["removed_until"]),
        (&"jobs".into(), &serde_json::Value::Null)
    );
    assert_eq!(before["total"]["failures"], serde_json::json!({"failed": 2}));
    queue.ok(["purge", "1"]);
    queue.enqueue(["exit 0"]);
    queue.drain(&[]);
    let after = queue.json(["stats", "--by", "queue"]);
    assert_eq!(
        (&after["source"], &after["total"]["jobs"]),
        (&"history".into(), &4.into()),
        "{after}"
    );
    assert_eq!(
        (&after["by"][0]["name"], &after["by"][0]["jobs"]),
        (&"mail".into(), &3.into())
    );
    assert_eq!(after["total"]["failures"], serde_json::json!({"failed": 2}));
    let died: u64 = after["died"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| part.as_u64().unwrap())
        .sum();
    assert_eq!(died, 1);
    assert_eq!(queue.json(["stats", "--queue", "mail"])["total"]["jobs"], 3);
    let by_command = queue.json(["stats", "--by", "command"]);
    assert_eq!(
        (&by_command["source"], &by_command["total"]["jobs"]),
        (&"jobs".into(), &3.into())
    );
    let page = queue.run(["stats"]);
    assert!(page.err.contains("from the history"), "{}", page.err);
    queue.ok(["config:set", "history_retention", "0"]);
    queue.drain(&[]);
    assert_eq!(queue.json(["stats"])["total"]["jobs"], 3, "without it");
}
