//! Whether a queue is healthy, as `status` says it.

use crate::support::Queue;

fn codes(queue: &Queue) -> Vec<String> {
    let status = queue.json(["status"]);
    let problems = status["problems"].as_array().unwrap();
    assert_eq!(status["healthy"], problems.is_empty(), "{status}");
    problems
        .iter()
        .map(|problem| problem["code"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn status_says_what_is_wrong_and_which_command_helps() {
    let queue = Queue::quick();
    assert!(
        queue.ok(["status", "--check"]).contains("healthy"),
        "nothing to do"
    );
    let mail = queue.enqueue(["--queue", "mail", "exit 0"]);
    queue.fails(1, ["status", "--check"]);
    assert!(
        queue
            .ok(["status"])
            .contains("1 problem:\n- no node is running, and 1 job waits to run: `queuectl worker:start`")
    );
    assert_eq!(queue.ok(["status"]).matches("no node is running").count(), 1);
    assert_eq!(codes(&queue), ["no_node"]);
    let _node = queue.start(&["--queue", "default"]);
    assert_eq!(codes(&queue), ["unserved"]);
    queue.ok(["queue:pause", "mail"]);
    assert_eq!(codes(&queue), ["paused"]);
    queue.ok(["queue:pause", "mail", "--for", "1h"]);
    assert_eq!(codes(&queue), [""; 0], "it ends by itself");
    queue.ok(["queue:resume", "mail"]);
    queue.ok(["queue:set", "mail", "running=0"]);
    assert_eq!(codes(&queue), ["queue_limit"]);
    queue.ok(["queue:unset", "mail"]);
    let _mail = queue.start(&["--queue", "mail"]);
    queue.wait_state(&mail, "completed");
    assert!(queue.ok(["status", "--check"]).contains("healthy"));
}
