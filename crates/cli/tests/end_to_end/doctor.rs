//! Whether queuectl can work here, as `doctor` says it.

use serde_json::Value;

use crate::support::{Queue, on_postgres};

/// The findings with that code.
fn of(findings: &Value, code: &str) -> Vec<Value> {
    let findings = findings["findings"].as_array().unwrap().iter();
    findings.filter(|found| found["code"] == code).cloned().collect()
}

/// What `doctor` says about that code, as verdict, text and fix.
fn said(queue: &Queue, code: &str) -> Vec<(String, String, String)> {
    let done = queue.run(["--json", "doctor"]);
    let findings: Value = serde_json::from_slice(&done.out).unwrap();
    let text = |found: &Value, field: &str| found[field].as_str().unwrap_or_default().to_owned();
    let found = of(&findings, code).into_iter();
    found
        .map(|found| (text(&found, "verdict"), text(&found, "text"), text(&found, "fix")))
        .collect()
}

#[test]
fn a_new_queue_is_looked_at_and_not_made() {
    let queue = Queue::new();
    if !on_postgres() {
        assert_eq!(said(&queue, "queue")[0].0, "note");
        assert!(!queue.exists(), "looking makes nothing");
    }
    queue.ok(["init"]);
    let page = queue.ok(["doctor"]);
    assert!(page.contains("ok            queue: "), "{page}");
    assert!(page.contains("plugin: shell "), "{page}");
    assert_eq!(said(&queue, "nodes")[0].0, "note");
    let node = queue.start(&[]);
    assert_eq!(said(&queue, "nodes")[0].1, "1 node runs this version");
    drop(node);
}

#[test]
fn settings_that_nothing_reads_come_with_the_command_that_unsets_them() {
    let queue = Queue::new();
    queue.ok(["config:set", "max_retries", "5"]);
    queue.ok(["config:set", "nobody.home", "1"]);
    let found = said(&queue, "settings");
    assert_eq!(found.len(), 1, "the other setting is read: {found:?}");
    assert_eq!(found[0].0, "warning");
    assert!(
        found[0]
            .1
            .contains("nobody.home: no plugin for the executor 'nobody'"),
        "{found:?}"
    );
    let brief = queue.ok(["doctor", "--brief"]);
    assert!(
        brief.contains("nobody.home") && !brief.contains("ok  "),
        "{brief}"
    );
    let fix = found[0].2.trim_matches('`').strip_prefix("queuectl ").unwrap();
    queue.ok(fix.split(' '));
    assert_eq!(said(&queue, "settings"), []);
}

#[test]
fn schedules_without_a_plugin_here_are_named() {
    let queue = Queue::new();
    queue.ok(["schedule:add", "well", "@daily", "--", "exit 0"]);
    assert_eq!(said(&queue, "schedules"), []);
    queue.ok([
        "schedule:add",
        "ill",
        "@daily",
        "--executor",
        "absent",
        "--",
        "exit 0",
    ]);
    let found = said(&queue, "schedules");
    assert!(found[0].1.ends_with("schedules use it: ill"), "{found:?}");
}

#[test]
fn a_mistyped_variable_is_named() {
    let queue = Queue::new();
    let mut command = queue.command(["--json", "doctor"]);
    let done = command.env("QUEUECTL_PLUGINS_PATH", "/x").output().unwrap();
    let findings: Value = serde_json::from_slice(&done.stdout).unwrap();
    let found = of(&findings, "environment");
    assert_eq!(found[0]["fix"], "did you mean QUEUECTL_PLUGIN_PATH?");
}

/// Problems end it with status 1, and so does a queue that does not open.
#[cfg(unix)]
#[test]
fn a_file_that_others_can_write_and_a_damaged_one_are_problems() {
    use std::os::unix::fs::PermissionsExt;

    if on_postgres() {
        return;
    }
    let queue = Queue::new();
    queue.ok(["init"]);
    let mode = |mode| std::fs::set_permissions(queue.db(), PermissionsExt::from_mode(mode)).unwrap();
    // What a node refuses is a problem here, too.
    let folder = |mode| std::fs::set_permissions(queue.beside(), PermissionsExt::from_mode(mode)).unwrap();
    folder(0o777);
    assert_eq!(said(&queue, "permissions")[0].0, "problem");
    queue.fails(5, ["worker:start", "--drain"]);
    folder(0o700);
    assert_eq!(said(&queue, "permissions"), []);
    mode(0o644);
    assert_eq!(said(&queue, "permissions")[0].0, "warning");
    mode(0o666);
    let page = problems(&queue);
    assert!(
        page.contains("problem       permissions: ") && page.contains("chmod"),
        "{page}"
    );
    std::fs::write(queue.db(), "no database").unwrap();
    let page = problems(&queue);
    assert!(page.contains("problem       queue: "), "{page}");
}

/// The page of a queue with problems.
#[cfg(unix)]
fn problems(queue: &Queue) -> String {
    let done = queue.run(["doctor"]);
    let page = String::from_utf8(done.out).unwrap();
    assert_eq!(done.status, 1, "{page}");
    page
}

#[test]
fn outputs_of_jobs_that_are_gone_are_found_and_removed() {
    let queue = Queue::new();
    queue.enqueue(["exit 0"]);
    assert_eq!(said(&queue, "leftovers"), []);
    let node = queue.start(&["--queue=none"]);
    drop(node);
    let outputs = queue.beside().join("output");
    for job in ["1", "77"] {
        std::fs::create_dir_all(outputs.join(job)).unwrap();
    }
    let found = said(&queue, "leftovers");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].0 == "warning" && found[0].1.ends_with("the long output of 1 job that is gone"),
        "{found:?}"
    );
    if on_postgres() {
        return;
    }
    queue.ok(["db:compact"]);
    assert_eq!(said(&queue, "leftovers"), []);
    assert!(outputs.join("1").exists(), "that of a job that is there");
}
