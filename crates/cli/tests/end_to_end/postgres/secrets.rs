//! A password is used and never shown.

use crate::support::{Node, Queue, finish, wait_until};

/// The password of the server for tests; none if it lets everybody in.
fn password(location: &str) -> Option<&str> {
    let user = location.split("://").nth(1)?.split('@').next()?;
    user.split_once(':').map(|(_, password)| password)
}

/// The same as the environment has it.
fn password_of_url(password: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = password.bytes();
    while let Some(byte) = rest.next() {
        let code: String = match byte {
            b'%' => rest.by_ref().take(2).map(char::from).collect(),
            _ => format!("{byte:02x}"),
        };
        bytes.push(u8::from_str_radix(&code, 16).unwrap());
    }
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_password_is_never_shown() {
    let name = "postgres::secrets::a_password_is_never_shown";
    let Some(queue) = Queue::postgres(name) else {
        return;
    };
    let location = queue.location().into_string().unwrap();
    let Some(password) = password(&location) else {
        queuectl_testkit::skipped(name, "the PostgreSQL server for tests needs no password");
        return;
    };
    let never = |what: &str, text: &str| {
        assert!(
            !text.contains(password),
            "the password is shown by {what}: {text}"
        );
    };
    let node = queue.start(&["--count", "2"]);
    queue.ok(["enqueue", "--wait", "env; cat /proc/self/cmdline"]);
    let printed = queue.ok(["logs", "1"]);
    assert!(printed.contains("QUEUECTL_JOB_ID=1"), "the control: {printed}");
    never("the environment of a job", &printed);
    never("the log", &node.log());
    for command in ["worker:list", "status", "list", "db:check", "db:path"] {
        let done = queue.run([command]);
        never(command, &format!("{}{}", done.text(), done.err));
    }
    // The worker processes and what they start.
    let mut seen = 0;
    for pid in node.workers(2) {
        let read = |name| {
            String::from_utf8_lossy(&std::fs::read(format!("/proc/{pid}/{name}")).unwrap()).into_owned()
        };
        never("a worker's environment", &read("environ"));
        never("a worker's arguments", &read("cmdline"));
        seen += 1;
    }
    assert_eq!(seen, 2);
    let arguments = std::fs::read(format!("/proc/{}/cmdline", node.pid())).unwrap();
    never("the dispatcher's arguments", &String::from_utf8_lossy(&arguments));
    queue.ok(["worker:start", "--detach", "--log-file", "detached.log"]);
    let pid = queue.json(["worker:list"])[1]["pid"].to_string();
    let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap();
    never(
        "the arguments of a node in the background",
        &String::from_utf8_lossy(&arguments),
    );
    never("its log", &queue.read("detached.log"));
    queue.ok(["worker:stop", "--wait"]);
}

#[test]
fn a_wrong_password_and_a_wrong_place_are_said_without_it() {
    let name = "postgres::secrets::a_wrong_password_and_a_wrong_place_are_said_without_it";
    let Some(queue) = Queue::postgres(name) else {
        return;
    };
    let location = queue.location().into_string().unwrap();
    let said = |location: String, status: i32| {
        let mut list = queue.bare();
        list.env("QUEUECTL_DB", location).arg("list");
        let said = finish(list, None).fails(status);
        assert!(!said.contains("s3cret"), "{said}");
        said
    };
    if let Some(password) = password(&location) {
        let text = said(location.replace(password, "s3cret"), 6);
        assert!(text.contains("check user, password and rights"), "{text}");
    }
    let text = said("postgres://me:s3cret@127.0.0.1:1/db".into(), 6);
    assert!(
        text.contains("cannot be reached") && text.contains("postgres://me@127.0.0.1:1/db"),
        "{text}"
    );
    for bad in [
        "postgres://me:s3cret@[::1/db",
        "postgres://me:s3cret@h/d?s3cret=1",
        "postgres://me:s3cret%zz@h/d",
    ] {
        let text = said(bad.into(), 2);
        assert!(text.contains("not a location on PostgreSQL"), "{text}");
    }
    // Mistyped, so that it is no location on a server at all.
    for bad in [
        "postgress://me:s3cret@h/d",
        "postgres:/me:s3cret@h/d",
        "me:s3cret@h/d",
        "host=h password=s3cret",
    ] {
        let text = said(bad.into(), 2);
        assert!(text.contains("is not a queue location"), "{text}");
    }
    for port in ["99999", "abc"] {
        let text = said(format!("postgres://me:s3cret@h:{port}/d"), 2);
        assert!(text.contains("not a number from 1 to 65535"), "{text}");
    }
}

/// Every process of the user can look into the arguments and the environment of his others: his jobs do not find the
/// password there, however the process was told it.
#[cfg(target_os = "linux")]
#[test]
fn no_process_of_queuectl_keeps_a_password_where_others_look() {
    let name = "postgres::secrets::no_process_of_queuectl_keeps_a_password_where_others_look";
    let Some(queue) = Queue::postgres(name) else {
        return;
    };
    let location = queue.location().into_string().unwrap();
    let Some(password) = password(&location) else {
        queuectl_testkit::skipped(name, "the PostgreSQL server for tests needs no password");
        return;
    };
    let shown = |pid: i32| {
        let read = |of| std::fs::read(format!("/proc/{pid}/{of}")).unwrap();
        let all = [read("environ"), read("cmdline")].concat();
        String::from_utf8_lossy(&all).into_owned()
    };
    let harmless = location.replace(&format!(":{password}@"), "@");
    let start = |words: &[&str], variables: &[(&str, &str)]| {
        let words = [words, &["worker:start"]].concat();
        let mut command = queue.bare();
        command.args(words).envs(variables.iter().copied());
        command
    };
    let file = queue.path("queue.db");
    queue.ok(["enqueue", "true"]);
    for (how, words, variables) in [
        ("QUEUECTL_DB", &[][..], &[("QUEUECTL_DB", location.as_str())][..]),
        ("--db", &["--db", location.as_str()], &[]),
        (
            "PGPASSWORD",
            &["--db", harmless.as_str()],
            &[("PGPASSWORD", password_of_url(password).as_str())],
        ),
        (
            "a node on a file",
            &["--db", file.to_str().unwrap()],
            &[("QUEUECTL_DB", location.as_str())],
        ),
    ] {
        let node = Node::start_with(&queue, start(words, variables));
        node.wait_log("node started");
        let shown = shown(node.pid());
        assert!(
            !shown.contains(password),
            "the password was given by {how}: {shown}"
        );
        assert!(
            shown.contains("worker:start") && shown.contains("HOME="),
            "the control: {shown}"
        );
    }
    queue.ok(["worker:start", "--detach"]);
    let nodes = queue.json(["worker:list"]);
    let pid = nodes
        .as_array()
        .unwrap()
        .iter()
        .find(|node| node["state"] == "running")
        .unwrap()["pid"]
        .as_i64();
    assert!(
        !shown(i32::try_from(pid.unwrap()).unwrap()).contains(password),
        "in the background"
    );
    queue.ok(["worker:stop", "--wait"]);
    // A command that goes on for long.
    let later = queue.enqueue(["--delay", "1h", "true"]);
    let mut waiting = queue.command(["wait", &later]).spawn().unwrap();
    let pid = i32::try_from(waiting.id()).unwrap();
    wait_until("the command to start again", || !shown(pid).contains(password));
    waiting.kill().unwrap();
    waiting.wait().unwrap();
}
