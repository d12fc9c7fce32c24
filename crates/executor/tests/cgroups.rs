//! Limits for all processes of a run together, by control groups. Each with its control: the same job without it.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::path::PathBuf;

use queuectl_core::OutcomeKind::{Cancelled, Failed, Succeeded, SystemFailure};
use queuectl_core::settings::Leftovers;
use queuectl_executor::processes;
use serde_json::{Value, json};
use support::{Bench, hear, lives, text};

/// Prints nothing and holds this much.
const HOG: &str = "head -c 100000000 /dev/zero | tail -n 1 | wc -c";

/// This process's own group, if it can pass on the controllers that are needed. Looked up in another way than the
/// host does it: a host that finds none where there is one must not pass.
fn own_group() -> Result<PathBuf, String> {
    let run = |line: &str| {
        let output = std::process::Command::new("sh")
            .args(["-c", line])
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let mount = run("awk '$3 == \"cgroup2\" { print $2; exit }' /proc/mounts");
    if mount.is_empty() {
        return Err("version 2 is not mounted".to_owned());
    }
    let group = PathBuf::from(format!(
        "{mount}{}",
        run("sed -n 's/^0:://p' /proc/self/cgroup").trim_end_matches('/')
    ));
    let has = |file: &str| {
        let text = fs::read_to_string(group.join(file)).unwrap_or_default();
        ["memory", "pids"]
            .iter()
            .all(|name| text.split_whitespace().any(|word| word == *name))
    };
    let probe = group.join("queuectl-probe");
    let writable = fs::create_dir(&probe)
        .and_then(|()| fs::remove_dir(&probe))
        .is_ok();
    // The root of all groups may have processes and pass controllers on.
    let is_root = !group.join("cgroup.type").exists();
    match (has("cgroup.controllers"), writable) {
        (false, _) => Err("version 2 has not the controllers memory and pids".to_owned()),
        (_, false) => Err("they are read-only".to_owned()),
        _ if is_root || has("cgroup.subtree_control") => Ok(group),
        _ => Err("the tests share theirs with other processes".to_owned()),
    }
}

/// The group, or the test is skipped.
fn group_for(test: &str) -> Option<PathBuf> {
    own_group()
        .map_err(|why| support::skipped(test, &format!("no control groups can be used here: {why}")))
        .ok()
}

/// The groups of runs that there are.
fn groups(base: &PathBuf, bench: &Bench) -> Vec<PathBuf> {
    let start = format!("queuectl.{}", bench.cookie.replace('/', "_"));
    let entries = fs::read_dir(base).unwrap().map(|entry| entry.unwrap().path());
    entries
        .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(&start))
        .collect()
}

fn job(bench: &mut Bench, line: &str, payload: Value) -> queuectl_executor::Run {
    bench.run(json!({ "command": line, "payload": payload }))
}

#[test]
fn where_there_are_none_the_job_does_not_run_without_its_limit() {
    let Err(why) = own_group() else {
        // Where there are, the other tests show that the limits hold.
        return;
    };
    let mut bench = Bench::new();
    let ran = bench.folder.path().join("ran");
    for payload in [json!({ "memory": "1GiB" }), json!({ "pids": 100 })] {
        let run = job(&mut bench, &format!("echo > {}", ran.display()), payload);
        let report = bench.finish(run);
        assert_eq!(report.outcome.kind, SystemFailure, "{why}");
        let said = &report.outcome.message;
        assert!(said.contains("needs a control group"), "{said}");
        assert!(!ran.exists());
    }
}

#[test]
fn a_hog_is_killed_and_its_outcome_says_why() {
    let Some(base) = group_for("a_hog_is_killed_and_its_outcome_says_why") else {
        return;
    };
    let mut bench = Bench::new();
    let run = job(&mut bench, HOG, json!({ "memory": "32MiB" }));
    let report = bench.finish(run);
    assert_eq!(report.outcome.kind, Failed, "{}", text(&report));
    let said = "killed by signal 9 (SIGKILL): out of memory, its limit is 32 MiB";
    assert_eq!(report.outcome.message, said);
    assert_eq!(
        text(&report),
        "",
        "the whole job is killed, not one process of it"
    );
    assert!(groups(&base, &bench).is_empty());
    // With room it is no hog, and nor is it without a limit.
    for payload in [json!({ "memory": "256MiB" }), json!({})] {
        let run = job(&mut bench, HOG, payload);
        let report = bench.finish(run);
        assert_eq!(report.outcome.kind, Succeeded, "{}", report.outcome.message);
        assert_eq!(text(&report).trim(), "100000000");
    }
}

#[test]
fn processes_are_counted() {
    let Some(base) = group_for("processes_are_counted") else {
        return;
    };
    let mut bench = Bench::new();
    let line = "for i in 1 2 3 4 5 6 7 8; do sleep 1000 & done; echo all";
    let run = job(&mut bench, line, json!({ "pids": 5 }));
    let report = bench.finish(run);
    assert_eq!(report.outcome.kind, Failed);
    let said = &report.outcome.message;
    assert!(said.ends_with(": its limit of 5 processes was reached"), "{said}");
    let run = job(&mut bench, line, json!({ "pids": 20 }));
    assert_eq!(text(&bench.finish(run)), "all\n");
    assert!(groups(&base, &bench).is_empty());
}

/// A line that leaves a process of another session and without marks behind, and says its number.
fn leaves(bench: &Bench, fifo: &std::path::Path) -> String {
    let inner = bench.fifo(&format!("{}-inner", fifo.file_name().unwrap().display()));
    format!(
        "setsid -f env -i PATH=/usr/bin:/bin sh -c 'echo $$ > {inner}; exec sleep 1000'; read pid < {inner}; \
         echo $pid > {fifo}",
        inner = inner.display(),
        fifo = fifo.display()
    )
}

#[test]
fn who_wiped_its_marks_is_found_while_others_run() {
    let Some(base) = group_for("who_wiped_its_marks_is_found_while_others_run") else {
        return;
    };
    let mut bench = Bench::new();
    let (ready, done) = (bench.fifo("ready"), bench.fifo("done"));
    let other = bench.line(&format!(
        "echo up > {}; read x < {}",
        ready.display(),
        done.display()
    ));
    bench.host().start(other);
    hear(&ready);
    let mut left = |name: &str, payload: Value| {
        let fifo = bench.fifo(name);
        let line = leaves(&bench, &fifo);
        let run = job(&mut bench, &line, payload);
        bench.host().start(run);
        let pid: i32 = hear(&fifo).parse().unwrap();
        assert_eq!(bench.next().outcome.kind, Succeeded);
        pid
    };
    let (with, without) = (left("with", json!({ "pids": 50 })), left("without", json!({})));
    assert!(!lives(with), "the control group has no other way out");
    assert!(
        lives(without),
        "control: by its environment alone it is nobody's while others run"
    );
    fs::write(&done, "x\n").unwrap();
    assert_eq!(bench.next().outcome.kind, Succeeded);
    assert!(groups(&base, &bench).is_empty());
}

#[test]
fn a_kill_reaches_the_whole_group() {
    let Some(base) = group_for("a_kill_reaches_the_whole_group") else {
        return;
    };
    let mut bench = Bench::new();
    let fifo = bench.fifo("pid");
    let line = format!("{}; exec sleep 1000", leaves(&bench, &fifo));
    let run = job(&mut bench, &line, json!({ "memory": "64MiB" }));
    let key = run.key;
    bench.host().start(run);
    let pid: i32 = hear(&fifo).parse().unwrap();
    assert_eq!(groups(&base, &bench).len(), 1);
    bench.stop(key);
    assert_eq!(bench.next().outcome.kind, Cancelled);
    assert!(!lives(pid));
    assert!(groups(&base, &bench).is_empty());
}

#[test]
fn what_a_dead_worker_left_is_found_by_its_group() {
    let Some(base) = group_for("what_a_dead_worker_left_is_found_by_its_group") else {
        return;
    };
    let mut bench = Bench::new();
    let fifo = bench.fifo("pid");
    let line = leaves(&bench, &fifo);
    let mut run = job(&mut bench, &line, json!({ "pids": 50 }));
    // As if it had not been seen to.
    run.leftovers = Leftovers::Leave;
    bench.host().start(run);
    let pid: i32 = hear(&fifo).parse().unwrap();
    assert_eq!(bench.next().outcome.kind, Succeeded);
    assert!(lives(pid) && groups(&base, &bench).len() == 1);
    assert_eq!(processes::kill_marked("another-"), 0);
    assert!(lives(pid), "control: another cookie");
    assert_eq!(processes::kill_marked(&bench.cookie), 1);
    assert!(!lives(pid));
    assert!(groups(&base, &bench).is_empty());
}
