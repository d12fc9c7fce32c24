//! What a node and its jobs inherit from the process that started the node, and what they do not.

use std::io::Read;
use std::process::Command;
use std::sync::mpsc;

use nix::sys::signal::Signal;

use crate::support::unix::within;
use crate::support::{Node, PATIENCE, Queue, on_postgres};

/// A node that a shell becomes after it did something.
fn start_after(queue: &Queue, words: &str) -> Node {
    Node::start_command(queue, &["worker:start"], |command| {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{words}\nexec \"$@\""), "sh"]);
        *command = within(shell, command);
    })
}

#[test]
fn a_signal_that_was_ignored_stays_so_for_the_node_and_not_for_its_jobs() {
    let queue = Queue::quick();
    let mut node = start_after(&queue, "trap '' HUP QUIT USR1 CHLD");
    let ready = queue.enqueue(["true"]);
    queue.wait_state(&ready, "completed");
    node.signal(Signal::SIGHUP);
    // One that heard it would claim nothing more.
    let id = queue.enqueue(["exec grep -E SigIgn /proc/self/status"]);
    queue.wait_state(&id, "completed");
    let told = queue.ok(["logs", &id]);
    let ignored = u64::from_str_radix(told.split_whitespace().last().unwrap(), 16).unwrap();
    // The first two of real time are the C library's own.
    assert_eq!(ignored & 0x7fff_ffff, 0, "{told}");
    node.signal(Signal::SIGTERM);
    assert_eq!(node.wait_exit(), 0);
    assert!(!node.log().contains("died"), "{}", node.log());
}

#[test]
fn a_job_has_no_descriptor_of_who_started_its_node() {
    let queue = Queue::quick();
    queue.write("secret", "of the starter\n");
    let mut node = start_after(&queue, "exec 7<secret");
    let bare = queue.enqueue(["cat <&7; ls /proc/$$/fd"]);
    let limited = queue.enqueue([r#"{"command":"cat <&7","max_retries":0,"payload":{"umask":"022"}}"#]);
    queue.wait_state(&bare, "completed");
    queue.wait_state(&limited, "dead");
    for id in [&bare, &limited] {
        let told = queue.ok(["logs", id]);
        assert!(
            !told.contains("of the starter") && told.contains("Bad file"),
            "{told}"
        );
    }
    node.signal(Signal::SIGTERM);
    assert_eq!(node.wait_exit(), 0);
}

#[test]
fn a_node_in_the_background_keeps_nothing_of_its_starter_open() {
    let queue = Queue::quick();
    let pipe = queue.path("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        std::fs::File::open(pipe)
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        let _ = tell.send(text);
    });
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec 3>pipe; echo up >&3; exec \"$@\"", "sh"]);
    let status = within(shell, &queue.command(["worker:start", "--detach"])).status();
    assert!(status.unwrap().success());
    // The end comes when no process has it open any more.
    let text = told.recv_timeout(PATIENCE).expect("the end of the pipe");
    assert_eq!(text, "up\n");
    queue.ok(["worker:stop", "--wait"]);
}

#[test]
fn a_job_knows_its_folder_and_its_queue_and_not_those_of_its_node() {
    let queue = Queue::quick();
    queue.ok(["init"]);
    std::fs::create_dir(queue.path("folder")).unwrap();
    // Words, for a shell would see to PWD itself.
    let job = r#"{"command":["env"],"cwd":"FOLDER/./x/..","payload":PAYLOAD}"#;
    std::fs::create_dir(queue.path("folder/x")).unwrap();
    let folder = queue.path("folder").canonicalize().unwrap();
    let folder = folder.to_str().unwrap();
    let ids = ["{}", r#"{"env":["PATH"]}"#].map(|payload| {
        let job = job.replace("FOLDER", folder).replace("PAYLOAD", payload);
        queue.enqueue([job.as_str()])
    });
    let mut node = Node::start_command(&queue, &["worker:start", "--drain"], |node| {
        node.env("PWD", "/elsewhere").env("OLDPWD", "/before");
        if !on_postgres() {
            node.args(["--db".as_ref(), queue.db().as_os_str()]);
            node.env("QUEUECTL_DB", queue.path("another.db"));
        }
    });
    assert_eq!(node.wait_exit(), 0, "{}", node.log());
    for id in ids {
        let told = queue.ok(["logs", &id]);
        let has = |line: &str| told.lines().any(|other| other == line);
        assert!(
            has(&format!("PWD={folder}")) && !told.contains("OLDPWD"),
            "{told}"
        );
        if !on_postgres() {
            assert!(has(&format!("QUEUECTL_DB={}", queue.db().display())), "{told}");
        }
    }
}

#[test]
fn what_a_line_and_its_path_say_is_nothing_to_its_shell() {
    let queue = Queue::quick();
    std::fs::create_dir(queue.path("tools")).unwrap();
    for (name, says) in [("tools/tool", "the tool"), ("tools/sh", "another shell")] {
        queue.write(name, format!("#!/bin/sh\necho {says}\n"));
        nix::sys::stat::fchmodat(
            nix::fcntl::AT_FDCWD,
            &queue.path(name),
            nix::sys::stat::Mode::S_IRWXU,
            nix::sys::stat::FchmodatFlags::FollowSymlink,
        )
        .unwrap();
    }
    let path = format!("PATH={}", queue.path("tools").display());
    let ids = [
        queue.enqueue(["--env", &path, "tool"]),
        queue.enqueue(["--max-retries", "0", "--", "-v; echo went on"]),
        queue.enqueue(["--max-retries", "0", "--", "+x; echo went on"]),
    ];
    let mut node = queue.start(&["--drain"]);
    assert_eq!(node.wait_exit(), 0, "{}", node.log());
    let told = ids.map(|id| queue.ok(["logs", &id]));
    assert_eq!(told[0], "the tool");
    for told in &told[1..] {
        // Which of the two streams is read first is not sure.
        assert!(told.contains("not found") && told.contains("went on"), "{told}");
    }
}
