//! A password is used and never shown.

use crate::support::{Queue, finish};

/// The password of the server for tests; none if it lets everybody in.
fn password(location: &str) -> Option<&str> {
    let user = location.split("://").nth(1)?.split('@').next()?;
    user.split_once(':').map(|(_, password)| password)
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
    for verb in ["worker:list", "status", "list", "db:check", "db:path"] {
        let done = queue.run([verb]);
        never(verb, &format!("{}{}", done.text(), done.err));
    }
    // The worker processes and what they start; the dispatcher itself must know it.
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
        assert!(text.contains("no location on PostgreSQL"), "{text}");
    }
}
