//! A node in a control group of its own, as a service with `Delegate=yes` has one: it makes room in it, and whatever
//! dies, no group and no process of a run stays.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::support::unix::{lives, send, wait_gone};
use crate::support::{Node, Queue};

/// A group below that of the test, which is removed when this is dropped.
struct Service(PathBuf);

impl Service {
    /// None, and the test is skipped, where there can be no such group.
    fn new(test: &str) -> Option<Service> {
        let made = Service::make();
        made.map_err(|why| {
            queuectl_testkit::skipped(test, &format!("no control groups can be used here: {why}"))
        })
        .ok()
    }

    fn make() -> Result<Service, String> {
        let run = |line: &str| {
            let output = Command::new("sh").args(["-c", line]).output().unwrap();
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        let mount = run("awk '$3 == \"cgroup2\" { print $2; exit }' /proc/mounts");
        if mount.is_empty() {
            return Err("version 2 is not mounted".to_owned());
        }
        let own = run("sed -n 's/^0:://p' /proc/self/cgroup");
        let own = PathBuf::from(format!("{mount}{}", own.trim_end_matches('/')));
        // Refused unless this is the root of all groups, or has no processes, which it has: the test.
        let _ = fs::write(own.join("cgroup.subtree_control"), "+memory +pids");
        let made = own.join(format!("queuectl-test-{}", std::process::id()));
        fs::create_dir(&made).map_err(|error| error.to_string())?;
        let service = Service(made);
        let there = fs::read_to_string(service.0.join("cgroup.controllers")).unwrap_or_default();
        let has = |name: &str| there.split_whitespace().any(|word| word == name);
        if has("memory") && has("pids") {
            Ok(service)
        } else {
            Err("the tests share theirs with other processes, or it lacks memory and pids".to_owned())
        }
    }

    /// Starts a node as the only process in it.
    fn node(&self, queue: &Queue) -> Node {
        let entrance = self.0.join("cgroup.procs");
        let node = Node::start_command(queue, &["worker:start"], |command| {
            use std::os::unix::process::CommandExt;
            let list = fs::File::options().write(true).open(entrance).unwrap();
            // SAFETY: one system call between fork and exec.
            unsafe {
                command.pre_exec(move || nix::unistd::write(&list, b"0").map(drop).map_err(Into::into))
            };
        });
        node.wait_log("node started");
        node
    }

    /// The groups of runs in it.
    fn runs(&self) -> usize {
        let entries = fs::read_dir(&self.0)
            .unwrap()
            .map(|entry| entry.unwrap().file_name());
        entries
            .filter(|name| name.to_string_lossy().starts_with("queuectl."))
            .count()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

/// Removes a group with those below it.
fn remove(group: &Path) {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path());
        }
    }
    let _ = fs::remove_dir(group);
}

/// Starts a process in a session of its own and without any mark, and writes its number into a file.
fn leaves(file: &str) -> String {
    format!(
        "setsid -f env -i PATH=/usr/bin:/bin sh -c 'echo $$ > {file}; exec sleep 1000'; until [ -s {file} ]; do :; done"
    )
}

#[test]
fn a_node_makes_room_for_the_groups_of_its_runs() {
    let Some(service) = Service::new("a_node_makes_room_for_the_groups_of_its_runs") else {
        return;
    };
    // Each in a node of its own: the second limit would find the room that the first had made.
    for payload in [json!({ "pids": 50 }), json!({ "memory": "64MiB" })] {
        let queue = Queue::quick();
        let group = Service(service.0.join("node"));
        fs::create_dir(&group.0).unwrap();
        fs::write(service.0.join("cgroup.subtree_control"), "+memory +pids").unwrap();
        let mut node = group.node(&queue);
        let job = json!({ "command": "cat /proc/self/cgroup", "payload": payload, "max_retries": 0 });
        let limited = queue.enqueue([job.to_string()]);
        queue.wait_state(&limited, "completed");
        assert!(
            queue.ok(["logs", &limited]).contains("/node/queuectl."),
            "{payload}"
        );
        let plain = queue.enqueue(["cat /proc/self/cgroup"]);
        queue.wait_state(&plain, "completed");
        assert!(queue.ok(["logs", &plain]).ends_with("/node/queuectl-node"));
        assert_eq!(group.runs(), 0);
        queue.ok(["worker:stop", "--wait"]);
        assert_eq!(node.wait_exit(), 0);
    }
}

#[test]
fn no_group_stays_when_a_worker_or_a_node_dies() {
    let Some(service) = Service::new("no_group_stays_when_a_worker_or_a_node_dies") else {
        return;
    };
    let queue = Queue::quick();
    let (first, second) = (
        Service(service.0.join("first")),
        Service(service.0.join("second")),
    );
    for group in [&first, &second] {
        fs::create_dir(&group.0).unwrap();
    }
    fs::write(service.0.join("cgroup.subtree_control"), "+memory +pids").unwrap();
    let mut node = first.node(&queue);
    let job = |file: &str| {
        let line = format!("{}; exec sleep 1000", leaves(file));
        queue.enqueue([json!({ "command": line, "payload": { "pids": 50 }, "max_retries": 0 }).to_string()])
    };
    let crashed = job("crashed");
    let escaped = queue.wait_pid("crashed");
    assert_eq!(first.runs(), 1);
    send(node.workers(1)[0], Signal::SIGKILL);
    queue.wait_state(&crashed, "dead");
    assert!(!lives(escaped));
    assert_eq!(first.runs(), 0);

    let lost = job("lost");
    let escaped = queue.wait_pid("lost");
    let worker = node.workers(1)[0];
    // So that it cannot see to its job, as it does when it loses its dispatcher.
    send(worker, Signal::SIGSTOP);
    node.kill_dispatcher();
    send(worker, Signal::SIGKILL);
    wait_gone(worker, "the worker process");
    assert!(lives(escaped) && first.runs() == 1, "nothing has ended it");
    let rescuer = second.node(&queue);
    queue.wait_state(&lost, "dead");
    assert!(!lives(escaped));
    assert_eq!(first.runs(), 0);
    drop(rescuer);
}
