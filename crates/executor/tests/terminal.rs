//! Jobs on a terminal of their own.
#![cfg(unix)]

mod support;

use queuectl_core::OutcomeKind::{Cancelled, Failed, Succeeded, TimedOut};
use queuectl_core::{OutputIndex, OutputStream, TerminalSize};
use queuectl_executor::{Run, StopReason};
use support::{Bench, hear, text};

fn on_terminal(bench: &mut Bench, line: &str) -> Run {
    let mut run = bench.line(line);
    run.terminal = Some(TerminalSize {
        columns: 132,
        rows: 43,
    });
    run
}

#[test]
fn a_job_has_a_terminal_of_its_own_if_it_wants_one() {
    let mut bench = Bench::new();
    // The control: without it, there is none.
    let line = "test -t 1 && test -t 2 && stty size < /dev/tty && echo $TERM; tty < /dev/null > /dev/null; \
                ps -o sid= -p $$ | tr -d ' ' | grep -qx $$ && echo leader";
    assert_eq!(text(&bench.sh(line)), "");
    let run = on_terminal(&mut bench, line);
    let report = bench.finish(run);
    assert_eq!(text(&report), "43 132\nxterm-256color\nleader\n");
    assert_eq!(report.outcome.kind, Succeeded);
    let run = on_terminal(
        &mut bench,
        "echo out; echo err >&2; echo out; read x || echo no input; exit 3",
    );
    let report = bench.finish(run);
    assert_eq!(text(&report), "out\nerr\nout\nno input\n", "in their order");
    assert_eq!((report.outcome.kind, report.outcome.exit_code), (Failed, Some(3)));
    let index = OutputIndex::read(&report.output.index);
    assert!(
        index
            .marks()
            .iter()
            .all(|mark| mark.stream == OutputStream::Stdout)
    );
}

#[test]
fn all_of_the_output_is_read_within_its_limits() {
    let mut bench = Bench::new();
    let mut run = on_terminal(&mut bench, "seq 1 20000");
    run.output_limit = 1000;
    run.output_file_limit = 50_000;
    let file = run.output_file.clone();
    let report = bench.finish(run);
    let numbers: String = (1..=20_000).map(|number| format!("{number}\n")).collect();
    assert_eq!(report.output.total_bytes, numbers.len() as u64);
    assert_eq!(report.output.tail, numbers.as_bytes()[numbers.len() - 500..]);
    assert_eq!(std::fs::read(file).unwrap(), &numbers.as_bytes()[..50_000]);
}

#[test]
fn it_is_ended_as_any_other() {
    let mut bench = Bench::new();
    let up = bench.fifo("up");
    let line = format!("sleep 1000 & echo $! > {}; wait", up.display());
    let gone = |pid: String| {
        let pid = nix::unistd::Pid::from_raw(pid.trim().parse().unwrap());
        nix::sys::signal::kill(pid, None).is_err()
    };
    let run = on_terminal(&mut bench, &line);
    let key = run.key;
    bench.host().start(run);
    let child = hear(&up);
    bench.host().stop(key, StopReason::Cancelled);
    assert_eq!(bench.next().outcome.kind, Cancelled);
    assert!(gone(child), "with what it started");
    let mut run = on_terminal(&mut bench, &line);
    run.timeout = Some(std::time::Duration::from_millis(300));
    bench.host().start(run);
    let child = hear(&up);
    assert_eq!(bench.next().outcome.kind, TimedOut);
    assert!(gone(child));
}
