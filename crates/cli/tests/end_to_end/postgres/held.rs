//! A dispatcher that is stopped: it renews nothing, tells nobody, and does not even notice.

use nix::sys::signal::Signal;

use super::{STUBBORN, by_proxy};
use crate::support::unix::{lives, send};
use crate::support::{Node, history};

/// Stops a dispatcher whose node runs a job, until another machine has the job. Says whether it ran twice at that moment.
fn hold(name: &str, without: &str) -> Option<bool> {
    let (queue, _) = by_proxy(name, &[("lease", "5s"), ("backoff_cap", "20ms")])?;
    let start = |data: &str, without: &str| {
        let data = queue.path(data);
        let node = Node::start_verb(&queue, &["worker:start"], |command| {
            command
                .env("XDG_DATA_HOME", data)
                .env("QUEUECTL_TEST_WITHOUT", without);
        });
        node.wait_log("node started");
        node
    };
    let node = start("one", without);
    let id = queue.enqueue([STUBBORN]);
    let pid = queue.wait_pid("pids");
    // Another machine: it sees no process of the first, so it can kill none.
    let _other = start("two", "sweep");
    send(node.pid(), Signal::SIGSTOP);
    queue.wait_lines("pids", 2);
    let twice = lives(pid);
    send(node.pid(), Signal::SIGCONT);
    node.wait_log("entering again");
    let job = queue.job(&id);
    assert_eq!(history(&job), ["1 lost"], "{job}");
    Some(twice)
}

#[test]
fn jobs_of_a_dispatcher_that_is_stopped_end_before_its_lease_is_over() {
    let name = "postgres::held::jobs_of_a_dispatcher_that_is_stopped_end_before_its_lease_is_over";
    std::thread::scope(|scope| {
        let control = scope.spawn(|| hold(name, "deadline"));
        let Some(twice) = hold(name, "") else { return };
        assert!(!twice, "it ran on while another machine had it");
        assert_eq!(control.join().unwrap(), Some(true), "the control");
    });
}
