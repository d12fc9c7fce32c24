//! How runs end, with real processes.
#![cfg(unix)]

mod support;

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use queuectl_core::OutcomeKind::{Cancelled, Failed, Returned, Succeeded, SystemFailure, TimedOut};
use queuectl_executor::{Host, HostConfig, Report, Run, RunKey, SearchPath, Starter, StopReason, processes};
use serde_json::json;
use support::{Bench, hear, lives, shell, text, told};

#[test]
fn exit_statuses() {
    let mut bench = Bench::new();
    let good = bench.sh("echo hello; echo problem >&2; exit 0");
    assert_eq!(told(&good), (Succeeded, ""));
    assert_eq!(good.outcome.exit_code, Some(0));
    assert_eq!(text(&good), "hello\nproblem\n");
    assert!(good.finished_at >= good.started_at);
    let bad = bench.sh("exit 7");
    assert_eq!(told(&bad), (Failed, "exit status 7"));
    assert_eq!(bad.outcome.exit_code, Some(7));
    let signal = bench.sh("kill -9 $$");
    assert_eq!(told(&signal), (Failed, "killed by signal 9 (SIGKILL)"));
    assert_eq!(signal.outcome.signal, Some(9));
}

#[test]
fn what_cannot_be_started() {
    let mut bench = Bench::new();
    let shell = bench.sh("no-such-program-anywhere");
    assert_eq!(told(&shell), (Failed, "exit status 127 (command not found)"));
    assert!(text(&shell).contains("not found"));

    let run = bench.run(json!({"command": ["no-such-program-anywhere", "x"]}));
    let argv = bench.finish(run);
    assert_eq!(
        told(&argv),
        (
            Failed,
            "cannot start 'no-such-program-anywhere': No such file or directory"
        )
    );

    let file = bench.folder.path().join("text");
    std::fs::write(&file, "not a program").unwrap();
    let run = bench.run(json!({"command": [&file]}));
    let message = format!("cannot start '{}': Permission denied", file.display());
    assert_eq!(told(&bench.finish(run)), (Failed, message.as_str()));

    let run = bench.run(json!({"command": "true", "cwd": "/no/such/folder"}));
    let message = "cannot use the working directory '/no/such/folder': No such file or directory";
    assert_eq!(told(&bench.finish(run)), (Failed, message));

    let run = bench.run(json!({"payload": {}}));
    assert_eq!(bench.finish(run).outcome.kind, Failed);
    let mut run = bench.line("true");
    run.payload = "no json".to_owned();
    assert_eq!(bench.finish(run).outcome.kind, Failed);

    // 3 MB in one argument are more than Linux takes: the job's own failure, told as such.
    let run = bench.run(json!({"command": ["true", "x".repeat(3 << 20)]}));
    let long = bench.finish(run);
    assert_eq!(
        told(&long),
        (Failed, "cannot start 'true': Argument list too long")
    );
}

#[test]
fn argv_is_exact_and_environment_folder_and_input_arrive() {
    let mut bench = Bench::new();
    let run = bench.run(json!({"command": ["printf", "%s|", "a b", "$HOME", "", "'"]}));
    assert_eq!(text(&bench.finish(run)), "a b|$HOME||'|");

    let run = bench.run(json!({
        "command": "echo $GREETING $QUEUECTL_JOB_ID $QUEUECTL_ATTEMPT $QUEUECTL_FENCE $QUEUECTL_QUEUE; echo $QUEUECTL_COOKIE; pwd; cat",
        "env": {"GREETING": "hi", "QUEUECTL_COOKIE": "forged"}, "cwd": "/", "stdin": "typed\n"
    }));
    let (id, fence) = (run.public_id.clone(), run.key.fence);
    let report = bench.finish(run);
    assert_eq!(
        text(&report),
        format!("hi {id} 1 {fence} default\n{}\n/\ntyped\n", bench.cookie)
    );

    // A job's own PATH decides where its program is.
    let tools = bench.folder.path().join("tools");
    std::fs::create_dir(&tools).unwrap();
    std::os::unix::fs::symlink("/bin/echo", tools.join("my-tool")).unwrap();
    let run = bench.run(json!({"command": ["my-tool", "found"], "env": {"PATH": &tools}}));
    assert_eq!(text(&bench.finish(run)), "found\n");
    // A path is taken from the job's folder.
    let run = bench.run(json!({"command": ["./my-tool", "here"], "cwd": &tools}));
    assert_eq!(text(&bench.finish(run)), "here\n");
    // Without input there is none, rather than the worker's.
    assert_eq!(text(&bench.sh("cat; echo end")), "end\n");
}

#[test]
fn a_timeout_ends_what_ignores_sigterm_too() {
    let mut bench = Bench::new();
    let mut run = bench.line("sleep 1000");
    run.timeout = Some(Duration::from_millis(100));
    let report = bench.finish(run);
    assert_eq!(told(&report), (TimedOut, "timed out after 100 ms"));
    assert_eq!(report.outcome.signal, Some(15));

    let mut run = bench.line("trap '' TERM; sleep 1000 & wait; sleep 1000");
    run.timeout = Some(Duration::from_millis(100));
    run.kill_grace = Duration::from_millis(100);
    let report = bench.finish(run);
    assert_eq!((report.outcome.kind, report.outcome.signal), (TimedOut, Some(9)));
}

#[test]
fn the_rest_of_a_group_keeps_its_grace() {
    let mut bench = Bench::new();
    let fifo = bench.fifo("ready");
    // The shell dies of SIGTERM at once; what it runs needs a moment to clean up, and gets it.
    let run = bench.line(&format!(
        "(trap 'sleep 0.2; echo cleaned; exit 0' TERM; echo up > {}; while :; do sleep 0.05; done) & trap - TERM; wait",
        fifo.display()
    ));
    let key = run.key;
    bench.host().start(run);
    assert_eq!(hear(&fifo), "up");
    bench.stop(key);
    let report = bench.next();
    assert_eq!(
        (report.outcome.kind, report.outcome.signal),
        (Cancelled, Some(15))
    );
    assert!(text(&report).contains("cleaned"), "{}", text(&report));
}

#[test]
fn a_stopped_process_can_be_stopped() {
    let mut bench = Bench::new();
    let fifo = bench.fifo("ready");
    let run = bench.line(&format!(
        "echo up > {}; kill -STOP $$; sleep 1000",
        fifo.display()
    ));
    let key = run.key;
    bench.host().start(run);
    assert_eq!(hear(&fifo), "up");
    bench.stop(key);
    assert_eq!(bench.next().outcome.signal, Some(15));
}

/// It may do so within its session: a child takes a group of its own, and the leader goes over to that.
#[test]
fn a_leader_that_left_its_group_can_be_stopped() {
    let mut bench = Bench::new();
    for (number, kill) in [false, true].into_iter().enumerate() {
        let fifo = bench.fifo(&format!("pids{number}"));
        let program = format!(
            "$SIG{{TERM}} = 'IGNORE' if {kill};
            my $child = fork; if (!$child) {{ setpgrp(0, 0); sleep 1000 }}
            until (setpgrp(0, $child)) {{ select(undef, undef, undef, 0.001) }}
            open(my $to, '>', '{}'); print $to \"$$ $child\"; close($to); sleep 1000",
            fifo.display(),
            kill = u8::from(kill),
        );
        let run = bench.run(json!({ "command": ["perl", "-e", program] }));
        let key = run.key;
        bench.host().start(run);
        let pids: Vec<i32> = hear(&fifo).split(' ').map(|pid| pid.parse().unwrap()).collect();
        if kill {
            bench.host().kill(key, StopReason::Cancelled);
        } else {
            bench.stop(key);
        }
        let report = bench.next();
        let signal = if kill { 9 } else { 15 };
        assert_eq!(
            (report.outcome.kind, report.outcome.signal),
            (Cancelled, Some(signal))
        );
        if cfg!(target_os = "linux") {
            assert!(!pids.iter().any(|pid| lives(*pid)), "{pids:?}");
        }
    }
}

/// What starts after that would hold up the end for as long as it runs.
#[test]
fn a_run_that_is_started_when_the_host_is_shut_down_is_given_back() {
    let _turn = support::turn();
    processes::become_subreaper().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (send, finished) = channel();
    let then: Arc<Mutex<Option<(Starter, Run)>>> = Arc::default();
    let config = HostConfig {
        call_record: None,
        search: SearchPath::new([support::plugins().to_owned()]),
        settings: shell("sh"),
        call_limit: queuectl_executor::CALL_LIMIT,
        cookie: format!("test-{}-{}", std::process::id(), folder.path().display()),
        mark: "store.bench".to_owned(),
    };
    let next = Arc::clone(&then);
    let host = Host::new(config, move |report| {
        if let Report::Finished(ended) = report {
            // On the host's own thread, as a worker process does it.
            if let Some((starter, run)) = next.lock().unwrap().take() {
                starter.start(run);
            }
            send.send((ended.key.job.0, ended.outcome.kind)).unwrap();
        }
    })
    .unwrap();
    let fifo = folder.path().join("runs");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let first = support::run_of(
        1,
        json!({ "command": format!("echo runs > '{}'; sleep 1000", fifo.display()) }),
        folder.path(),
    );
    let second = support::run_of(2, json!({ "command": "sleep 1000" }), folder.path());
    *then.lock().unwrap() = Some((host.starter(), second));
    host.start(first);
    hear(&fifo);
    host.shut_down();
    assert_eq!(
        finished.try_iter().collect::<Vec<_>>(),
        [(1, Returned), (2, Returned)]
    );
}

#[test]
fn stops_are_idempotent_and_say_why() {
    let mut bench = Bench::new();
    let unknown = RunKey {
        job: queuectl_core::JobId(999),
        fence: 1,
    };
    bench.host().stop(unknown, StopReason::Cancelled);
    bench.host().kill(unknown, StopReason::Cancelled);

    let fifo = bench.fifo("ready");
    let run = bench.line(&format!(
        "trap 'exit 0' TERM; echo up > {}; while :; do sleep 0.02; done",
        fifo.display()
    ));
    let key = run.key;
    bench.host().start(run.clone());
    assert_eq!(hear(&fifo), "up");
    for _ in 0..5 {
        bench.host().stop(key, StopReason::Returned);
    }
    // It ended well by itself, though it was asked to.
    assert_eq!(bench.next().outcome.kind, Succeeded);

    // It does not end before it was stopped twice.
    let go = bench.fifo("go");
    let slow = bench.line(&format!(
        "trap 'cat {}; exit 0' TERM; echo up > {}; while :; do sleep 0.02; done",
        go.display(),
        fifo.display()
    ));
    bench.host().start(slow.clone());
    assert_eq!(hear(&fifo), "up");
    bench.host().stop(slow.key, StopReason::Returned);
    bench.host().stop(slow.key, StopReason::Cancelled);
    std::fs::write(&go, "").unwrap();
    assert_eq!(bench.next().outcome.kind, Cancelled);

    bench.host().start(run.clone());
    assert_eq!(hear(&fifo), "up");
    bench.host().kill(key, StopReason::Returned);
    bench.host().kill(key, StopReason::Returned);
    let report = bench.next();
    assert_eq!((report.outcome.kind, report.outcome.signal), (Returned, Some(9)));

    // Stopped before it was started, in one go.
    bench.host().start(run);
    bench.stop(key);
    assert_eq!(bench.next().outcome.kind, Cancelled);
    assert_eq!(bench.shut_down(), []);
}

#[test]
fn many_at_a_time_and_some_stopped() {
    let mut bench = Bench::new();
    let mut keys = Vec::new();
    for n in 0..120 {
        let run = bench.line(if n % 3 == 0 {
            "sleep 1000"
        } else {
            "echo $QUEUECTL_JOB_ID"
        });
        if n % 3 == 0 {
            keys.push(run.key);
        }
        bench.host().start(run);
    }
    keys.iter().for_each(|key| bench.stop(*key));
    let reports: Vec<_> = (0..120).map(|_| bench.next()).collect();
    for report in &reports {
        if keys.contains(&report.key) {
            assert_eq!(report.outcome.kind, Cancelled);
        } else {
            assert_eq!(text(report), format!("job{}\n", report.key.job));
        }
    }
}

#[test]
fn shutting_down_gives_back_what_runs() {
    let mut bench = Bench::new();
    let fifo = bench.fifo("ready");
    let run = bench.line(&format!("echo $$ > {}; exec sleep 1000", fifo.display()));
    bench.host().start(run);
    let pid: i32 = hear(&fifo).parse().unwrap();
    let reports = bench.shut_down();
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].outcome.kind, Returned);
    assert!(!support::lives(pid));
}

#[test]
fn a_process_has_one_host() {
    let bench = Bench::new();
    let config = queuectl_executor::HostConfig {
        call_record: None,
        search: queuectl_executor::SearchPath::default(),
        settings: shell("sh"),
        call_limit: queuectl_executor::CALL_LIMIT,
        cookie: "c".to_owned(),
        mark: "s.n".to_owned(),
    };
    assert!(queuectl_executor::Host::new(config, |_| ()).is_err());
    drop(bench);
}

#[test]
fn the_shell_can_change() {
    let mut bench = Bench::new();
    assert_eq!(text(&bench.sh("echo $0")), "sh\n");
    bench.host().set_settings(shell("/bin/bash"));
    assert_eq!(text(&bench.sh("echo $0")), "/bin/bash\n");
    bench.host().set_settings(shell("no-such-shell"));
    let report = bench.sh("true");
    assert_eq!(
        told(&report),
        (
            SystemFailure,
            "cannot start the shell of the setting shell, 'no-such-shell': No such file or directory"
        )
    );
}

#[test]
fn a_missing_executor_is_a_system_failure_that_names_the_folders() {
    let mut bench = Bench::new();
    let mut run = bench.line("true");
    run.executor = "nothing".parse().unwrap();
    let report = bench.finish(run);
    assert_eq!(report.outcome.kind, SystemFailure);
    let message = report.outcome.message;
    assert!(
        message.contains("libqueuectl_plugin_nothing") && message.contains("nothing"),
        "{message}"
    );
    assert!(
        message.contains(&support::plugins().display().to_string()),
        "{message}"
    );
}

#[test]
fn runs_and_reports_cross_a_pipe() {
    let mut bench = Bench::new();
    let run = bench.line("echo x");
    let bytes = postcard::to_stdvec(&run).unwrap();
    assert_eq!(
        postcard::from_bytes::<queuectl_executor::Run>(&bytes).unwrap(),
        run
    );
    let report = bench.finish(run);
    let bytes = postcard::to_stdvec(&report).unwrap();
    assert_eq!(
        postcard::from_bytes::<queuectl_executor::Finished>(&bytes).unwrap(),
        report
    );
}
