//! What happened, on the command line.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;

use super::support::Queue;
use super::support::jobs::succeeds_at;

/// Kinds of events, with their jobs.
fn kinds(events: &Value) -> Vec<String> {
    let events = events.as_array().unwrap().iter();
    events
        .map(|event| {
            format!(
                "{} {}",
                event["id"].as_str().unwrap(),
                event["kind"].as_str().unwrap()
            )
        })
        .collect()
}

#[test]
fn what_happened_is_listed_and_shown() {
    let queue = Queue::quick();
    queue.enqueue(["exit 0"]);
    let said = queue.run(["events"]);
    assert_eq!(
        said.err,
        "nothing is recorded; `queuectl config:set event_retention 7d` has it recorded from then on\n"
    );
    assert_eq!(said.ok().lines().count(), 1, "only the heading");
    assert_eq!(queue.json(["events"]), serde_json::json!([]));
    assert_eq!(
        queue.ok(["config:set", "event_retention", "7d"]),
        "event_retention = 7 d"
    );
    let bystander = queue.enqueue(["--delay", "1h", "exit 0"]);
    queue.ok(["cancel", &bystander]);
    let job = queue.enqueue(["--id", "job", &succeeds_at(2)]);
    queue.ok(["hold", &job]);
    queue.ok(["release", &job]);
    queue.drain(&[]);
    let expected = [
        "job enqueued",
        "job held",
        "job released",
        "job started",
        "job failed",
        "job due",
        "job started",
        "job succeeded",
    ];
    // On a server, events are held back while transactions of others are open.
    let events = super::support::wait_for("all events", || {
        let events = queue.json(["events", "--job", "job"]);
        (events.as_array().unwrap().len() >= expected.len()).then_some(events)
    });
    assert_eq!(kinds(&events), expected);
    assert_eq!(
        (&events[4]["outcome"], &events[4]["error"]),
        (&"failed".into(), &"exit status 1".into())
    );
    let shown = queue.job("job");
    assert_eq!(shown["events"], events);
    let page = queue.ok(["show", "job"]);
    assert!(page.contains("WHAT") && page.contains("released"), "{page}");
    let fourth = events[3]["event"].to_string();
    let rest = queue.json(["events", "--job", "job", "--since", &fourth]);
    assert_eq!(kinds(&rest), expected[4..]);
    assert_eq!(
        kinds(&queue.json(["events", "--job", "job", "--limit", "2"])),
        expected[6..]
    );
    assert_eq!(queue.json(["events", "--since", "1h", "--job", "job"]), events);
    assert_eq!(
        kinds(&queue.json(["events", "--job", &bystander])),
        [format!("{bystander} enqueued"), format!("{bystander} cancelled")]
    );
    let table = queue.ok(["events", "--job", "job"]);
    assert!(table.contains("exit status 1"), "{table}");
    queue.fails(3, ["events", "--job", "none"]);
    let refused = queue.fails(2, ["events", "--since", "soon"]);
    assert!(refused.contains("--since"), "{refused}");
}

#[test]
fn events_can_be_followed() {
    let queue = Queue::new();
    queue.ok(["config:set", "event_retention", "1d"]);
    queue.enqueue(["exit 0"]);
    let mut command = queue.command(["--json", "events", "--follow"]);
    let mut follower = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    // The follower begins at some moment; from then on it gets all.
    let stop = std::sync::atomic::AtomicBool::new(false);
    let first = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                queue.enqueue(["--delay", "1h", "exit 0"]);
            }
        });
        let first: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        first
    });
    assert_eq!(first["kind"], "enqueued");
    queue.ok(["cancel", "1"]);
    let mut last = first["event"].as_i64().unwrap();
    for line in lines {
        let event: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let number = event["event"].as_i64().unwrap();
        assert_eq!(number, last + 1, "none is missing");
        last = number;
        if event["kind"] == "cancelled" {
            assert_eq!(event["id"], "1");
            break;
        }
    }
    follower.kill().unwrap();
    follower.wait().unwrap();
}
