//! A statement that never leaves the node, on a connection that stays: the server waits for the node, and the node for the
//! server.

use super::proxy::Loss;
use super::{by_proxy, start};
use crate::support::{Node, history, wait_until};

/// The server ends the dispatcher's connection then, and the node goes on where it was. The control is a node whose location
/// has the server wait for longer.
#[test]
fn a_node_whose_question_never_leaves_asks_again() {
    let name = "postgres::stuck::a_node_whose_question_never_leaves_asks_again";
    // The server waits for two leases.
    let settings = [("lease", "5s"), ("poll_interval", "50ms")];
    let (Some((queue, proxy)), Some((control, other))) =
        (by_proxy(name, &settings), by_proxy(name, &settings))
    else {
        return;
    };
    let location = other.location(control.location().to_str().unwrap());
    let patient = Node::start_command(&control, &["worker:start"], |command| {
        command.env(
            "QUEUECTL_DB",
            format!("{location}&options=-cidle_session_timeout%3D1h"),
        );
    });
    patient.wait_log("node started");
    let mut node = start(&queue, &proxy);
    // An outcome is recorded by a transaction, and nothing else that the node does now begins one.
    for (queue, proxy) in [(&control, &other), (&queue, &proxy)] {
        proxy.lose_at(b"BEGIN", Loss::Statement);
        queue.enqueue(["true"]);
        wait_until("a question to be lost", || proxy.has_lost());
    }
    node.wait_log("the store is available again");
    let ran = queue.wait_state("1", "completed");
    assert_eq!(history(&ran), ["1 succeeded"]);
    assert_ne!(control.state("1"), "completed", "the control");
    let next = queue.enqueue(["true"]);
    queue.wait_state(&next, "completed");
    queue.ok(["worker:stop"]);
    assert_eq!(node.wait_exit(), 0);
}
