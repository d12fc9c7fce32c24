//! What runs print: exact bytes, bounded memory, files that can be followed.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;

use queuectl_core::OutcomeKind::Succeeded;
use queuectl_core::{Output, OutputIndex, OutputStream};
#[cfg(target_os = "linux")]
use serde_json::json;
use support::{Bench, hear, text};

/// What an index says of each byte.
fn streams(output: &Output) -> String {
    let index = OutputIndex::read(&output.index);
    let letter = |at| match index.part(at).0.map(|mark| mark.stream) {
        Some(OutputStream::Stdout) => 'o',
        Some(OutputStream::Stderr) => 'e',
        Some(OutputStream::Unknown) | None => '?',
    };
    (0..output.total_bytes).map(letter).collect()
}

#[test]
fn bytes_are_kept_and_streams_told_apart() {
    let mut bench = Bench::new();
    let mixed = bench.sh("echo err >&2; echo out");
    // Both are read in one look, or in two.
    let order = [("out\nerr\n", "ooooeeee"), ("err\nout\n", "eeeeoooo")];
    assert!(
        order.contains(&(&text(&mixed), &streams(&mixed.output))),
        "{mixed:?}"
    );
    let raw = bench.sh(r"printf '\377\000\200x'");
    assert_eq!(raw.output.head, b"\xff\0\x80x");
    assert_eq!((raw.output.tail.len(), raw.output.total_bytes), (0, 4));
    let one = bench.sh("exec 2>&1; for i in 1 2 3; do echo out$i; echo err$i >&2; done");
    assert_eq!(text(&one), "out1\nerr1\nout2\nerr2\nout3\nerr3\n");
    assert!(
        !streams(&one.output).contains(['e', '?']),
        "it is all standard output"
    );
}

#[test]
fn the_order_of_two_streams_is_that_in_which_they_were_seen() {
    let mut bench = Bench::new();
    let (seen, go) = (bench.fifo("seen"), bench.fifo("go"));
    let step = format!("echo up > {}; cat {} > /dev/null", seen.display(), go.display());
    let run = bench.line(&format!("echo one >&2; {step}; echo two; {step}; echo three >&2"));
    let file = run.output_file.clone();
    bench.host().start(run);
    // The job goes on when its last line is in the file.
    for expected in ["one\n", "one\ntwo\n"] {
        assert_eq!(hear(&seen), "up");
        while std::fs::read(&file).unwrap_or_default() != expected.as_bytes() {
            std::thread::yield_now();
        }
        std::fs::write(&go, "go").unwrap();
    }
    let report = bench.next();
    assert_eq!(text(&report), "one\ntwo\nthree\n");
    assert_eq!(streams(&report.output), "eeeeooooeeeeee");
    let index = OutputIndex::read(&report.output.index);
    let times: Vec<_> = index.marks().iter().map(|mark| index.time(mark)).collect();
    assert!(
        times.is_sorted() && times[0] < times[2],
        "the file is there after 0.3 s: {times:?}"
    );
    assert!(times[0] >= report.started_at && times[2] <= report.finished_at);
}

#[test]
fn output_that_fits_leaves_no_file_and_longer_output_is_cut_in_the_middle() {
    let mut bench = Bench::new();
    let mut run = bench.line("printf 0123456789");
    run.output_limit = 10;
    let file = run.output_file.clone();
    let report = bench.finish(run);
    assert_eq!(
        (text(&report).as_str(), report.output.tail.len()),
        ("0123456789", 0)
    );
    assert!(!file.exists());

    let mut run = bench.line("printf 0123456789X");
    run.output_limit = 10;
    let file = run.output_file.clone();
    let output = bench.finish(run).output;
    assert_eq!(
        (output.head.as_slice(), output.tail.as_slice()),
        (b"01234".as_slice(), b"6789X".as_slice())
    );
    assert_eq!((output.total_bytes, output.omitted_bytes()), (11, 1));
    assert_eq!(std::fs::read(&file).unwrap(), b"0123456789X");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn output_of_a_running_job_can_be_followed() {
    let mut bench = Bench::new();
    let (seen, go) = (bench.fifo("seen"), bench.fifo("go"));
    // The job stays until the test has read its first line from the file.
    let run = bench.line(&format!(
        "echo early; echo up > {}; cat {} > /dev/null",
        seen.display(),
        go.display()
    ));
    let file = run.output_file.clone();
    bench.host().start(run);
    assert_eq!(hear(&seen), "up");
    let line = loop {
        if let Ok(file) = std::fs::File::open(&file) {
            let mut line = String::new();
            if BufReader::new(file).read_line(&mut line).unwrap() > 0 {
                break line;
            }
        }
        std::thread::yield_now();
    };
    assert_eq!(line, "early\n");
    std::fs::write(&go, "go").unwrap();
    assert_eq!(text(&bench.next()), "early\n");
    assert!(!file.exists(), "everything is in the report");
}

#[cfg(target_os = "linux")]
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn output_without_end_costs_no_memory() {
    let mut bench = Bench::new();
    bench.sh("true");
    let before = resident_kib();
    let bytes: u64 = 256 << 20;
    let run = bench.run(json!({"command": ["head", "-c", bytes.to_string(), "/dev/zero"]}));
    let file = run.output_file.clone();
    let report = bench.finish(run);
    assert_eq!(report.outcome.kind, Succeeded);
    assert_eq!(report.output.total_bytes, bytes);
    assert_eq!(report.output.head.len() + report.output.tail.len(), 64 * 1024);
    assert_eq!(file.metadata().unwrap().len(), 1024 * 1024);
    let grown = resident_kib() - before;
    assert!(grown < 8 * 1024, "memory grew by {grown} KiB");
}

#[test]
fn a_job_is_over_when_its_process_is_even_if_its_output_is_still_open() {
    let mut bench = Bench::new();
    let fifo = bench.fifo("pid");
    let mut run = bench.line(&format!(
        "setsid sleep 1000 & echo $! > {}; echo done",
        fifo.display()
    ));
    run.leftovers = queuectl_core::settings::Leftovers::Leave;
    bench.host().start(run);
    let pid: i32 = hear(&fifo).parse().unwrap();
    let report = bench.next();
    assert_eq!(
        (report.outcome.kind, text(&report).as_str()),
        (Succeeded, "done\n")
    );
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGKILL).unwrap();
}
