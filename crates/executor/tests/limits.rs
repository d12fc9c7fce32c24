//! What a job asks for is put on before its program starts, or it does not start. Each with its control: the same job
//! without the limit.
#![cfg(target_os = "linux")]

mod support;

use nix::unistd::{Gid, geteuid};
use queuectl_core::OutcomeKind::{Failed, Succeeded, SystemFailure, TimedOut};
use serde_json::{Value, json};
use support::{Bench, hear, lives, text, told};

/// What a line prints with a payload.
fn prints(bench: &mut Bench, line: &str, payload: Value) -> String {
    let run = bench.run(json!({ "command": line, "payload": payload }));
    let report = bench.finish(run);
    assert_eq!(
        report.outcome.kind,
        Succeeded,
        "{}: {}",
        report.outcome.message,
        text(&report)
    );
    text(&report).trim().to_owned()
}

/// Whether this test can change users; else it says that it did not.
fn is_root(test: &str) -> bool {
    let root = geteuid().is_root();
    if !root {
        support::skipped(test, "only root can run jobs as other users");
    }
    root
}

#[test]
fn the_environment_is_inherited_cleared_or_chosen() {
    let mut bench = Bench::new();
    // Cargo sets these two for every test.
    let line = "echo ${CARGO_MANIFEST_DIR:-none} ${CARGO_PKG_NAME:-none} ${OWN:-none} \
                ${QUEUECTL_JOB_ID:-none} ${QUEUECTL_COOKIE:-none}";
    let cookie = bench.cookie.clone();
    let mut seen = |env: Value| {
        let payload = if env.is_null() {
            json!({})
        } else {
            json!({ "env": env })
        };
        let run = bench.run(
            json!({ "command": line, "env": { "OWN": "own", "QUEUECTL_COOKIE": "x" }, "payload": payload }),
        );
        let report = bench.finish(run);
        let words: Vec<String> = text(&report).split_whitespace().map(str::to_owned).collect();
        assert_eq!(words[2..4], ["own", &format!("job{}", report.key.job.0)]);
        assert_eq!(words[4], cookie, "the cookie is always there and wins");
        (words[0].clone(), words[1].clone())
    };
    let (folder, name) = (
        env!("CARGO_MANIFEST_DIR").to_owned(),
        env!("CARGO_PKG_NAME").to_owned(),
    );
    assert_eq!(seen(Value::Null), (folder.clone(), name.clone()));
    assert_eq!(seen(json!("inherit")), (folder, name.clone()));
    assert_eq!(seen(json!("clear")), ("none".to_owned(), "none".to_owned()));
    assert_eq!(seen(json!(["PATH", "CARGO_PKG_*"])), ("none".to_owned(), name));
}

#[test]
fn umask_and_niceness_are_set() {
    let mut bench = Bench::new();
    let line = "umask; nice";
    let before = prints(&mut bench, line, json!({}));
    let after = prints(&mut bench, line, json!({ "umask": "0137", "nice": 7 }));
    assert_eq!(after, "0137\n7");
    assert_ne!(before, after);
}

#[test]
fn limits_of_the_system_are_set_each_by_itself() {
    let mut bench = Bench::new();
    let line = "ulimit -Sn; ulimit -Hn; ulimit -Sc; ulimit -Ss";
    let before = prints(&mut bench, line, json!({}));
    let limits = json!({ "rlimits": { "nofile": { "soft": 77, "hard": 99 }, "core": 0, "stack": { "soft": "1MiB" } } });
    assert_eq!(prints(&mut bench, line, limits), "77\n99\n0\n1024");
    let before: Vec<&str> = before.lines().collect();
    assert!(
        before[0] != "77" && before[1] != "99" && before[3] != "1024",
        "{before:?}"
    );
    // What is only raised as far as the hard limit allows is named, and the job does not start.
    let run = bench.run(
        json!({ "command": "echo ran", "payload": { "rlimits": { "nofile": { "soft": u64::MAX - 5 } } } }),
    );
    let report = bench.finish(run);
    assert_eq!(report.outcome.kind, SystemFailure);
    assert!(
        report.outcome.message.contains("the limit nofile"),
        "{}",
        report.outcome.message
    );
    assert_eq!(text(&report), "");
}

#[test]
fn a_spinner_ends_at_its_processor_time() {
    let mut bench = Bench::new();
    let spin = "while :; do :; done";
    let run = bench.run(json!({ "command": spin, "payload": { "rlimits": { "cpu": 1 } } }));
    let report = bench.finish(run);
    assert_eq!(told(&report), (Failed, "killed by signal 24 (SIGXCPU)"));
    // Without the limit it spins on until its time is up.
    let mut run = bench.line(spin);
    run.timeout = Some(std::time::Duration::from_millis(1500));
    assert_eq!(bench.finish(run).outcome.kind, TimedOut);
}

#[test]
fn a_step_that_fails_is_named_and_nothing_runs() {
    let mut bench = Bench::new();
    // Any user may lower it, and no user may exceed the kernel's own maximum.
    let limits = json!({ "rlimits": { "nofile": { "soft": 10, "hard": "unlimited" } } });
    let run =
        bench.run(json!({ "command": "echo ran > ran", "cwd": bench.folder.path(), "payload": limits }));
    let report = bench.finish(run);
    assert_eq!(report.outcome.kind, SystemFailure);
    let said = &report.outcome.message;
    assert!(
        said.contains("RLIMIT_NOFILE") && said.contains("not permitted"),
        "{said}"
    );
    assert!(!bench.folder.path().join("ran").exists());
    // A program that is not there is still told as that, behind all the steps.
    let run = bench.run(json!({ "command": ["no-such-program"], "payload": { "umask": "022" } }));
    let report = bench.finish(run);
    assert_eq!(
        told(&report),
        (
            Failed,
            "cannot start 'no-such-program': No such file or directory"
        )
    );
    let odd = bench.folder.path().join("odd");
    std::fs::write(&odd, "#!/no/such/interpreter\n").unwrap();
    std::fs::set_permissions(&odd, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let run = bench.run(json!({ "command": [odd], "payload": { "umask": "022" } }));
    let report = bench.finish(run);
    assert_eq!(report.outcome.kind, Failed);
    assert!(
        report.outcome.message.contains("No such file"),
        "{}",
        report.outcome.message
    );
}

#[test]
fn a_large_script_runs_and_keeps_its_input() {
    let mut bench = Bench::new();
    let filler = "# nothing but a comment that makes this long\n".repeat(7000);
    assert!(filler.len() > 300_000);
    let script = format!("read line\n{filler}echo \"$line $1 $#\"\n");
    // Control: as a command line it is too long for the system.
    let run = bench.run(json!({ "command": script, "stdin": "hello\n" }));
    let report = bench.finish(run);
    assert_eq!(
        told(&report),
        (Failed, "cannot start 'sh': Argument list too long")
    );
    for shell in ["sh", "bash"] {
        let payload = json!({ "script": script, "args": ["a b", "c"], "shell": shell });
        let run = bench.run(json!({ "stdin": "hello\n", "payload": payload }));
        let report = bench.finish(run);
        assert_eq!(
            report.outcome.kind,
            Succeeded,
            "{}: {}",
            report.outcome.message,
            text(&report)
        );
        assert_eq!(text(&report), "hello a b 2\n");
    }
}

#[test]
fn a_script_may_name_its_interpreter_and_is_told_by_its_file() {
    let mut bench = Bench::new();
    let mut script = |script: &str, payload: Value| {
        let mut payload = payload;
        payload["script"] = script.into();
        let run = bench.run(json!({ "payload": payload }));
        let report = bench.finish(run);
        (report.outcome.exit_code, text(&report))
    };
    let named = script("#!/usr/bin/env bash\necho ${BASH_VERSION:+bash} $0\n", json!({}));
    assert_eq!(named, (Some(0), "bash /dev/fd/3\n".to_owned()));
    // It knows the options of the first line.
    assert_eq!(script("#!/bin/sh -e\nfalse\necho on\n", json!({})).0, Some(1));
    assert_eq!(
        script("#!/bin/sh\nfalse\necho on\n", json!({})),
        (Some(0), "on\n".to_owned())
    );
    // A script can do what it likes with the number of its file.
    assert_eq!(
        script("exec 3>/dev/null\necho done\n", json!({})),
        (Some(0), "done\n".to_owned())
    );
}

#[test]
fn errexit_ends_at_the_first_failure() {
    let mut bench = Bench::new();
    let mut code = |line: &str, payload: Value| {
        let run = bench.run(json!({ "command": line, "payload": payload }));
        bench.finish(run).outcome.exit_code
    };
    assert_eq!(code("false; true", json!({})), Some(0));
    assert_eq!(code("false; true", json!({ "errexit": true })), Some(1));
    // In a pipe it counts where the shell can tell.
    assert_eq!(
        code("exit 3 | true", json!({ "errexit": true, "shell": "bash" })),
        Some(3)
    );
    assert_eq!(code("exit 3 | true", json!({ "shell": "bash" })), Some(0));
}

#[test]
fn a_job_runs_as_another_user() {
    if !is_root("a_job_runs_as_another_user") {
        return;
    }
    let mut bench = Bench::new();
    // So that there is something to give up, and files of ours are closed to others. Tests with a bench take turns.
    nix::unistd::setgroups(&[Gid::from_raw(0), Gid::from_raw(54321)]).unwrap();
    let umask = nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
    let line = "id -un; id -gn; id -G; echo $USER $LOGNAME $HOME; echo out > /dev/stdout; cat /dev/stdin";
    let mut run = bench.run(json!({
        "command": line, "cwd": "/", "stdin": "in\n", "env": { "HOME": "/own" },
        "payload": { "user": "nobody", "umask": "022" },
    }));
    let report = bench.finish(run.clone());
    let said = text(&report);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], "nobody", "{said}");
    let groups = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert!(
        !groups(lines[2])
            .iter()
            .any(|group| group == "0" || group == "54321"),
        "the groups of root are gone: {said}"
    );
    assert!(groups(&prints(&mut bench, "id -G", json!({}))).contains(&"54321".to_owned()));
    assert_eq!(lines[3..], ["nobody nobody /own", "out", "in"], "{said}");
    // Control, and a group of its own.
    assert_eq!(prints(&mut bench, "id -un", json!({})), "root");
    assert_eq!(
        prints(
            &mut bench,
            "cd /; id -u; id -g; id -G",
            json!({ "user": "1234:4321" })
        ),
        "1234\n4321\n4321"
    );
    // A script and its interpreter belong to root; the user reads them all the same.
    let script = json!({ "user": "nobody", "script": "id -un; cat /dev/fd/3 | wc -l" });
    run = bench.run(json!({ "cwd": "/", "payload": script }));
    let report = bench.finish(run);
    assert_eq!(
        text(&report).split_whitespace().collect::<Vec<_>>(),
        ["nobody", "0"]
    );
    nix::sys::stat::umask(umask);
}

#[test]
fn a_user_that_cannot_be_is_named_and_nothing_runs() {
    let mut bench = Bench::new();
    let mut said = |user: &str, cwd: &str| {
        let run = bench.run(json!({ "command": "echo ran", "cwd": cwd, "payload": { "user": user } }));
        let report = bench.finish(run);
        assert_eq!((report.outcome.kind, text(&report).as_str()), (SystemFailure, ""));
        report.outcome.message
    };
    let absent = said("no-such-user", "/");
    assert!(absent.contains("there is no user 'no-such-user'"), "{absent}");
    if is_root("a_user_that_cannot_be_is_named_and_nothing_runs") {
        let closed = tempfile::tempdir().unwrap();
        std::fs::set_permissions(&closed, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        let refused = said("nobody", closed.path().to_str().unwrap());
        assert!(refused.contains("as its user: Permission denied"), "{refused}");
    } else {
        let refused = said("root", "/");
        assert!(refused.contains("only a node of root"), "{refused}");
    }
}

#[test]
fn what_another_user_left_behind_is_dead_when_the_report_comes() {
    if !is_root("what_another_user_left_behind_is_dead_when_the_report_comes") {
        return;
    }
    let mut bench = Bench::new();
    let fifo = bench.fifo("pid");
    std::fs::set_permissions(&fifo, std::os::unix::fs::PermissionsExt::from_mode(0o622)).unwrap();
    std::fs::set_permissions(
        bench.folder.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o711),
    )
    .unwrap();
    let line = format!(
        "setsid sh -c 'sleep 1000 & echo $!; wait' > {fifo} & until pgrep -P $! sleep > /dev/null; do :; done",
        fifo = fifo.display()
    );
    let run = bench.run(json!({ "command": line, "cwd": "/", "payload": { "user": "nobody" } }));
    bench.host().start(run);
    let pid = hear(&fifo).parse().unwrap();
    let report = bench.next();
    assert_eq!(report.outcome.kind, Succeeded, "{}", text(&report));
    assert!(!lives(pid));
}

#[test]
fn a_confined_job_is_stopped_with_its_grace() {
    let mut bench = Bench::new();
    let fifo = bench.fifo("ready");
    let line = format!(
        "trap 'echo asked; exit 0' TERM; echo up > {}; while :; do :; done",
        fifo.display()
    );
    let run = bench.run(json!({ "command": line, "payload": { "nice": 1, "umask": "077" } }));
    let key = run.key;
    bench.host().start(run);
    hear(&fifo);
    bench.stop(key);
    let report = bench.next();
    assert_eq!(text(&report), "asked\n");
}
