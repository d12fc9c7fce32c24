//! What a job leaves behind is dead before its end is reported; and the sweeps for what a dead worker left.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use queuectl_core::OutcomeKind::Succeeded;
use queuectl_core::settings::Leftovers;
use queuectl_executor::processes;
use support::{Bench, hear, lives};

/// A line that has `escape` start a long sleep, and that ends once it has passed on the number of that.
fn escaping(bench: &Bench, escape: &str, fifo: &std::path::Path) -> String {
    let inner = bench.fifo(&format!("{}-inner", fifo.file_name().unwrap().display()));
    format!(
        "{escape} sh -c 'echo $$ > {inner}; exec sleep 1000' & read pid < {inner}; echo $pid > {fifo}",
        inner = inner.display(),
        fifo = fifo.display()
    )
}

fn pid_of(bench: &mut Bench, escape: &str, leftovers: Leftovers) -> i32 {
    let fifo = bench.fifo("pid");
    let line = escaping(bench, escape, &fifo);
    let mut run = bench.line(&line);
    run.leftovers = leftovers;
    bench.host().start(run);
    let pid = hear(&fifo).parse().unwrap();
    let report = bench.next();
    assert_eq!(report.outcome.kind, Succeeded, "{}", support::text(&report));
    pid
}

#[test]
fn a_background_process_is_dead_when_the_report_comes() {
    let mut bench = Bench::new();
    let pid = pid_of(&mut bench, "", Leftovers::Kill);
    assert!(!lives(pid));
}

#[test]
fn one_in_its_own_session_is_dead_when_the_report_comes() {
    let mut bench = Bench::new();
    let pid = pid_of(&mut bench, "setsid", Leftovers::Kill);
    assert!(!lives(pid));
}

#[test]
fn a_double_fork_with_a_cleared_environment_is_dead_when_the_report_comes() {
    let mut bench = Bench::new();
    let pid = pid_of(&mut bench, "setsid -f env -i PATH=/usr/bin:/bin", Leftovers::Kill);
    assert!(!lives(pid));
}

#[test]
fn one_that_carries_marks_of_nobody_alive_is_dead_when_the_report_comes() {
    let mut bench = Bench::new();
    let pid = pid_of(&mut bench, "setsid -f env QUEUECTL_FENCE=1", Leftovers::Kill);
    assert!(!lives(pid));
}

#[test]
fn with_leave_it_lives_on() {
    let mut bench = Bench::new();
    let pid = pid_of(&mut bench, "setsid", Leftovers::Leave);
    assert!(lives(pid));
    // It keeps its life also when a later run kills what it left itself.
    bench.sh("true");
    assert!(lives(pid));
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
}

#[test]
fn an_escaped_process_of_one_run_does_not_cost_another_its_own() {
    let mut bench = Bench::new();
    let (ready, done) = (bench.fifo("ready"), bench.fifo("done"));
    // The first run has a marked orphan of its own and waits for our word.
    let line = format!(
        "setsid -f sh -c 'echo $$ > {}; exec sleep 1000'; cat {} > /dev/null",
        ready.display(),
        done.display()
    );
    let first = bench.line(&line);
    let first_key = first.key;
    bench.host().start(first);
    let held: i32 = hear(&ready).parse().unwrap();

    let pid = pid_of(&mut bench, "setsid -f", Leftovers::Kill);
    assert!(!lives(pid), "the second run's orphan carries its marks");
    assert!(lives(held), "the first run's orphan is not the second's to kill");

    let hidden = {
        let fifo = bench.fifo("hidden");
        let line = escaping(&bench, "setsid -f env -i PATH=/usr/bin:/bin", &fifo);
        let run = bench.line(&line);
        bench.host().start(run);
        let pid: i32 = hear(&fifo).parse().unwrap();
        assert_eq!(bench.next().outcome.kind, Succeeded);
        pid
    };
    assert!(
        !lives(hidden),
        "it has no marks in its environment, and was born with one"
    );
    assert!(lives(held));
    std::fs::write(&done, "go").unwrap();
    assert_eq!(bench.next().key, first_key);
    assert!(!lives(held));
}

/// Neither its environment nor its parents tell whose it is, as with one that may not be looked into.
#[test]
fn a_sweep_finds_what_wiped_its_environment() {
    processes::become_subreaper().unwrap();
    // Before this process is marked as a worker process.
    let bystander = Command::new("env").args(["-i", "sleep", "1000"]).spawn();
    let mut bystander = bystander.unwrap();
    let mut bench = Bench::new();
    let fifo = bench.fifo("pid");
    let line = escaping(&bench, "setsid -f env -i PATH=/usr/bin:/bin", &fifo);
    let run = bench.line(&format!("{line}; sleep 1000"));
    bench.host().start(run);
    let pid: i32 = hear(&fifo).parse().unwrap();
    assert_eq!(processes::kill_marked("another.node"), 0);
    assert!(lives(pid));
    assert!(processes::kill_marked(&format!("{}7.", bench.cookie)) == 0 && lives(pid));
    let node = bench.cookie.rsplitn(3, '.').last().unwrap().to_owned();
    // The job's shell, what it waits for, and what got away.
    assert!(processes::kill_marked(&node) >= 3);
    assert!(!lives(pid));
    bench.next();
    assert_eq!(bystander.try_wait().unwrap(), None);
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}

#[test]
fn orphans_are_found_at_any_moment_of_their_birth() {
    let mut bench = Bench::new();
    let (ready, done) = (bench.fifo("ready"), bench.fifo("done"));
    let line = format!(
        "echo up > {}; cat {} > /dev/null",
        ready.display(),
        done.display()
    );
    let first = bench.line(&line);
    bench.host().start(first);
    assert_eq!(hear(&ready), "up");
    let cookie = format!("QUEUECTL_COOKIE={}", bench.cookie);
    for _ in 0..100 {
        // The job ends while its orphan is being forked, or starts its session, or one of two programs.
        let run = bench.line("setsid -f sh -c 'exec sleep 1000'");
        let id = format!("QUEUECTL_JOB_ID={}", run.public_id);
        bench.finish(run);
        for process in std::fs::read_dir("/proc").unwrap().flatten() {
            let environment = std::fs::read(process.path().join("environ")).unwrap_or_default();
            let has = |entry: &str| environment.split(|b| *b == 0).any(|e| e == entry.as_bytes());
            assert!(
                !(has(&cookie) && has(&id)),
                "{} of {id} lives",
                process.path().display()
            );
        }
    }
    std::fs::write(&done, "go").unwrap();
    bench.next();
    assert_eq!(
        processes::kill_marked(&bench.cookie),
        0,
        "nothing was left to find"
    );
}

#[test]
fn zombies_of_orphans_are_waited_for() {
    let mut bench = Bench::new();
    for _ in 0..20 {
        assert_eq!(
            bench.sh("setsid -f true; setsid -f sleep 0").outcome.kind,
            Succeeded
        );
    }
    bench.sh("true");
    let children: Vec<String> = std::fs::read_dir("/proc/self/task")
        .unwrap()
        .map(|task| std::fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default())
        .collect();
    assert!(children.concat().trim().is_empty(), "{children:?}");
}

#[test]
fn what_a_plugin_starts_itself_is_left_to_it() {
    let mut bench = Bench::new();
    // Like a plugin's own child: same process, same process group.
    let mut own = Command::new("sh").args(["-c", "exit 3"]).spawn().unwrap();
    let mut lasting = Command::new("sleep").arg("1000").spawn().unwrap();
    for _ in 0..10 {
        assert_eq!(bench.sh("true").outcome.kind, Succeeded);
    }
    assert_eq!(own.wait().unwrap().code(), Some(3));
    assert_eq!(lasting.try_wait().unwrap(), None);
    lasting.kill().unwrap();
    lasting.wait().unwrap();
}

#[test]
fn sweeps_find_what_a_dead_worker_left() {
    let bench = Bench::new();
    let fifo = bench.fifo("pids");
    // A marked process, and below it one that hides its environment.
    let script = format!(
        "env -i sleep 1000 & echo $! $$ > {}; exec sleep 1000",
        fifo.display()
    );
    let mut child = Command::new("setsid")
        .args(["sh", "-c", &script])
        .env("QUEUECTL_COOKIE", "sweep-me-1")
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let pids: Vec<i32> = hear(&fifo).split(' ').map(|pid| pid.parse().unwrap()).collect();
    assert_eq!(processes::kill_marked("another-"), 0);
    assert_eq!(processes::kill_marked(""), 0);
    assert!(pids.iter().all(|pid| lives(*pid)));
    assert_eq!(processes::kill_marked("sweep-me-"), 2);
    assert!(!pids.iter().any(|pid| lives(*pid)));
    let _ = child.wait();
}

#[test]
fn adopted_children_are_killed_and_known_ones_are_not() {
    let bench = Bench::new();
    let mut known = Command::new("sleep").arg("1000").spawn().unwrap();
    let fifo = bench.fifo("pids");
    // A parent that starts another in a session of its own, which becomes ours when the parent is killed.
    let script = format!(
        "setsid sh -c 'echo $$ > {}; exec sleep 1000' & wait",
        fifo.display()
    );
    let mut tree = Command::new("sh").args(["-c", &script]).spawn().unwrap();
    let pid: i32 = hear(&fifo).parse().unwrap();
    assert!(processes::kill_adopted(&[known.id()], "") >= 2);
    assert!(!lives(pid));
    assert_eq!(known.try_wait().unwrap(), None);
    known.kill().unwrap();
    known.wait().unwrap();
    let _ = tree.wait();
}
