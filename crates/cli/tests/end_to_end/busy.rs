//! Jobs that find something busy: their attempt does not count, and nothing else of the limit starts before the time is over.

use crate::support::{Queue, history, time_ms};

/// Ends with status 75 once.
const ONCE: &str = "test -e asked || { touch asked; exit 75; }";

#[test]
fn a_busy_status_costs_no_attempt_and_puts_off_the_limit() {
    let queue = Queue::quick();
    queue.ok(["config:set", "max_retries", "0"]);
    queue.ok(["config:set", "event_retention", "1d"]);
    let set = queue.ok([
        "limit:set",
        "api",
        "--running",
        "1",
        "--busy-status",
        "75",
        "--busy-wait",
        "2s",
    ]);
    assert_eq!(set, "api: 1 running, waits 2 s after status 75");
    let first = queue.enqueue(["--limit", "api", ONCE]);
    let second = queue.enqueue(["--limit", "api", "exit 0"]);
    let failing = queue.enqueue(["--limit", "api", "--priority", "-1", "exit 74"]);
    let bystander = queue.enqueue(["exit 75"]);
    assert_eq!(queue.drain(&[]), 1, "some are dead");
    let first = queue.job(&first);
    assert_eq!(history(&first), ["1 busy", "2 succeeded"], "{first}");
    let until = time_ms(&first["attempt_history"][0]["finished_at"]) + 2000;
    for (id, state) in [(&second, "completed"), (&failing, "dead")] {
        let job = queue.job(id);
        assert_eq!(job["state"], state, "{job}");
        assert_eq!(job["attempt_history"].as_array().unwrap().len(), 1, "{job}");
        assert!(
            time_ms(&job["attempt_history"][0]["started_at"]) >= until,
            "{job}"
        );
    }
    assert_eq!(
        queue.state(&bystander),
        "dead",
        "it has no limit that could be busy"
    );
    // On a server, events are held back while transactions of others are open.
    super::support::wait_for("the event of the busy limit", || {
        let events = queue.ok(["events", "--job", first["id"].as_str().unwrap()]);
        events.contains("busy").then_some(())
    });
    let said = queue.fails(2, ["limit:set", "other", "--busy-status", "75"]);
    assert!(said.contains("give both --busy-status and --busy-wait"), "{said}");
}

/// An operator ends the time early, by the command that `explain` names.
#[test]
fn a_limit_that_was_put_off_is_resumed() {
    let queue = Queue::quick();
    queue.ok([
        "limit:set",
        "api",
        "--per-key",
        "--running=1",
        "--busy-status=75",
        "--busy-wait=1h",
    ]);
    let _node = queue.start(&[]);
    let id = queue.enqueue(["--limit", "api:a", ONCE]);
    queue.wait_state(&id, "blocked");
    let said = queue.ok(["explain", &id]);
    assert!(said.contains("`queuectl limit:resume api --key a`"), "{said}");
    assert_eq!(
        queue.ok(["limit:resume", "api", "--key", "b"]),
        "api:b was not put off"
    );
    assert_eq!(queue.ok(["limit:resume", "api", "--key", "a"]), "api:a resumed");
    queue.wait_state(&id, "completed");
    assert_eq!(queue.ok(["limit:resume", "api"]), "api was not put off");
    let said = queue.fails(3, ["limit:resume", "other"]);
    assert!(said.contains("other"), "{said}");
}
