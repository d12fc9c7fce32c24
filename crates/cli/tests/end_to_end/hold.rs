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
