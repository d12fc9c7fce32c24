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
