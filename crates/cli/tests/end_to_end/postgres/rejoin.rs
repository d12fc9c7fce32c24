//! A node that is taken over again and again enters again as often, with what one node has.

use super::server::own_server;
use crate::support::{Queue, wait_for, wait_until};

/// How often it is taken over.
const TIMES: usize = 6;

#[test]
fn a_node_that_enters_again_leaves_no_thread_and_no_descriptor_behind() {
    let name = "postgres::rejoin::a_node_that_enters_again_leaves_no_thread_and_no_descriptor_behind";
    let Some(server) = own_server(name, &[]) else {
        return;
    };
    let queue = Queue::new().with_server(server.location.clone());
    queue.ok(["config:set", "lease", "5s"]);
    let mut node = queue.start(&[]);
    let entered = |node: &crate::support::Node| node.log().matches("node started").count();
    let count = |pid: i32, of: &str| std::fs::read_dir(format!("/proc/{pid}/{of}")).unwrap().count();
    // It has run a job, so that all there ever is of it is there.
    let bystander = queue.enqueue(["true"]);
    queue.wait_state(&bystander, "completed");
    let pid = node.pid();
    let (threads, files) = (count(pid, "task"), count(pid, "fd"));
    for time in 1..=TIMES {
        server
            .sql(
                "postgres",
                "UPDATE queuectl.nodes SET taken_over = TRUE, lease_until = 0",
            )
            .unwrap();
        wait_for("the node to enter again", || {
            (entered(&node) > time).then_some(())
        });
    }
    let last = queue.enqueue(["true"]);
    queue.wait_state(&last, "completed");
    wait_until("as many threads and descriptors as before", || {
        count(pid, "task") <= threads && count(pid, "fd") <= files
    });
    // It still listens to signals.
    node.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(node.wait_exit(), 0);
}
