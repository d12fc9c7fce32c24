//! Holding jobs back and releasing them.

use crate::support::Queue;

#[test]
fn a_held_job_runs_once_it_is_released() {
    let queue = Queue::quick();
    let held = queue.enqueue(["--hold", "echo x> held"]);
    let later = queue.enqueue(["echo x> later"]);
    let scheduled = queue.enqueue(["--delay", "1h", "exit 0"]);
    let bystander = queue.enqueue(["exit 0"]);
    assert_eq!(
        queue.ok(["hold", &later, &scheduled]),
        format!("{later} held\n{scheduled} held")
    );
    let job = queue.job(&held);
    assert_eq!(
        (&job["state"], &job["blocked_by"]),
        (&"blocked".into(), &"held".into())
    );
    assert!(queue.ok(["show", &held]).contains("held"));
    assert_eq!(queue.drain(&[]), 0);
    assert_eq!(queue.state(&bystander), "completed");
    assert!(!queue.path("held").exists() && !queue.path("later").exists());
    let listed = queue.ok(["list", "--state", "blocked"]);
    assert_eq!(listed.lines().count(), 4, "{listed}");
    assert!(queue.ok(["status"]).contains("BLOCKED"));
    assert_eq!(
        queue.ok(["release", &held, &later, &scheduled]),
        format!("{held} pending\n{later} pending\n{scheduled} scheduled")
    );
    let said = queue.fails(4, ["release", &held]);
    assert!(said.contains("only held jobs can be released"), "{said}");
    queue.ok(["cancel", &scheduled]);
    assert_eq!(queue.drain(&[]), 0);
    assert!(queue.path("held").exists() && queue.path("later").exists());
    let said = queue.fails(4, ["hold", &held]);
    assert!(
        said.contains("only jobs that have not started can be held"),
        "{said}"
    );
}

#[test]
#[cfg(unix)]
fn a_running_job_is_not_held() {
    let queue = Queue::quick();
    let _node = queue.start(&[]);
    let gate = queue.gate("gate");
    let running = queue.enqueue(["read x < gate"]);
    queue.wait_state(&running, "processing");
    let said = queue.fails(4, ["hold", &running]);
    assert!(said.contains("queuectl cancel"), "{said}");
    assert_eq!(queue.job(&running)["state"], "processing");
    gate.open();
}

/// Each waits for something else that a start passes over; the bystanders wait for the same and are left alone.
#[test]
fn started_jobs_run_whatever_they_wait_for() {
    let queue = Queue::quick();
    queue.ok(["limit:set", "disk", "--running", "0"]);
    let kinds: [&[&str]; 4] = [
        &["--hold", "exit 0"],
        &["--delay", "1h", "exit 0"],
        &["--limit", "disk", "exit 0"],
        &["--hold", "--limit", "disk", "--delay", "1h", "exit 0"],
    ];
    let started = kinds.map(|args| queue.enqueue(args.iter().copied()));
    let bystanders = kinds.map(|args| queue.enqueue(args.iter().copied()));
    let child = queue.enqueue(["--after", &started[0], "exit 0"]);
    let explained = queue.json(["explain", &started[3]]);
    assert_eq!(
        explained["start_command"],
        format!("queuectl start {} --now", started[3])
    );
    assert_eq!(
        queue.json(["explain", &child])["start_command"],
        serde_json::Value::Null
    );
    let refused = queue.fails(4, ["start", &child, "--now"]);
    assert!(refused.contains("waits for other jobs"), "{refused}");
    let usage = queue.fails(2, ["start", &child]);
    assert!(usage.contains("--now"), "{usage}");
    let said = queue.ok([
        "start",
        "--now",
        &started[0],
        &started[1],
        &started[2],
        &started[3],
    ]);
    let lines = started.each_ref().map(|job| format!("{job} starts next"));
    assert_eq!(said, lines.join("\n"));
    let explained = queue.ok(["explain", &started[3]]);
    assert!(explained.contains("started it with --now"), "{explained}");
    let _node = queue.start(&[]);
    for job in started.iter().chain([&child]) {
        queue.wait_state(job, "completed");
    }
    let states = bystanders.each_ref().map(|job| queue.state(job));
    assert_eq!(states, ["blocked", "scheduled", "blocked", "blocked"]);
    let refused = queue.fails(4, ["start", "--now", &started[0]]);
    assert!(refused.contains("queuectl rerun"), "{refused}");
    let operations = queue.json(["op:list"]);
    assert!(operations.to_string().contains("\"start\""), "{operations}");
}

#[test]
#[cfg(unix)]
fn a_started_job_exceeds_its_limit_and_that_is_shown() {
    let queue = Queue::quick();
    queue.ok(["config:set", "event_retention", "7d"]);
    queue.ok(["limit:set", "disk", "--running", "1"]);
    let _node = queue.start(&["--concurrency", "3"]);
    let gate = queue.gate("gate");
    let first = queue.enqueue(["--limit", "disk", "read x < gate"]);
    queue.wait_state(&first, "processing");
    let other = queue.gate("other");
    let second = queue.enqueue(["--limit", "disk", "read x < other"]);
    let bystander = queue.enqueue(["--limit", "disk", "exit 0"]);
    assert_eq!(
        queue.ok(["start", &second, "--now"]),
        format!("{second} starts next")
    );
    queue.wait_state(&second, "processing");
    assert_eq!(queue.state(&bystander), "blocked");
    let shown = queue.json(["limit:show", "disk"]);
    assert_eq!(
        (
            &shown["jobs_running"],
            &shown["started_now"],
            &shown["jobs_waiting"]
        ),
        (&2.into(), &1.into(), &1.into())
    );
    assert!(queue.ok(["limit:show", "disk"]).contains("2 (1 by start --now)"));
    gate.open();
    other.open();
    queue.wait_state(&bystander, "completed");
    // Events of PostgreSQL are held back while older transactions are open.
    crate::support::wait_until("the events are there", || {
        let events = queue.ok(["events", "--job", &second, "--json"]);
        events.contains("start requested") && events.contains("limit exceeded")
    });
    let others = queue.ok(["events", "--job", &bystander, "--json"]);
    assert!(!others.contains("limit exceeded"), "{others}");
}
