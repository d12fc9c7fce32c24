//! Jobs that make it hard: each ends in the right state with a clear reason.

use crate::support::{Queue, history};

/// Runs one command that may not be retried; the job afterwards.
fn dead(queue: &Queue, words: &[&str]) -> serde_json::Value {
    let id = queue.enqueue([&["--max-retries", "0"], words].concat());
    assert_eq!(queue.drain(&[]), 1, "{words:?}");
    let job = queue.job(&id);
    assert_eq!((&job["state"], history(&job).len()), (&"dead".into(), 1), "{job}");
    job
}

#[test]
fn what_cannot_be_started_is_named() {
    let queue = Queue::quick();
    let why = |words: &[&str]| dead(&queue, words)["error"].as_str().unwrap().to_owned();
    assert_eq!(
        why(&["no-such-program", "x"]),
        "cannot start 'no-such-program': No such file or directory"
    );
    assert_eq!(
        why(&["no-such-program"]),
        "exit status 127 (command not found)",
        "in a shell"
    );
    queue.write("script", "#!/bin/sh\n");
    assert_eq!(
        why(&["./script", "x"]),
        "cannot start './script': Permission denied"
    );
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(queue.path("script"), mode).unwrap();
    queue.write("script", "#!/no/such/interpreter\n");
    assert_eq!(
        why(&["./script", "x"]),
        "cannot start './script': No such file or directory"
    );
    std::fs::create_dir(queue.path("gone")).unwrap();
    let id = queue.enqueue(["--max-retries", "0", "--cwd", "gone", "true"]);
    std::fs::remove_dir(queue.path("gone")).unwrap();
    queue.drain(&[]);
    let why = queue.job(&id)["error"].as_str().unwrap().to_owned();
    assert!(
        why.starts_with("cannot use the working directory '/")
            && why.ends_with("gone': No such file or directory"),
        "{why}"
    );
}

#[test]
fn exits_and_signals_are_told_apart() {
    let queue = Queue::quick();
    let job = dead(&queue, &["exit 200"]);
    assert_eq!(
        (&job["error"], &job["attempt_history"][0]["exit_code"]),
        (&"exit status 200".into(), &200.into())
    );
    for (signal, number, name) in [
        ("SEGV", 11, "SIGSEGV"),
        ("KILL", 9, "SIGKILL"),
        ("TERM", 15, "SIGTERM"),
    ] {
        let job = dead(&queue, &[&format!("kill -{signal} $$")]);
        assert_eq!(job["error"], format!("killed by signal {number} ({name})"));
        let attempt = &job["attempt_history"][0];
        assert_eq!(
            (&attempt["signal"], attempt["exit_code"].is_null()),
            (&number.into(), true)
        );
    }
    let listed = queue.ok(["dlq:list"]);
    assert!(
        listed.contains("signal 9") && listed.contains("exit 200"),
        "{listed}"
    );
}

#[test]
fn output_without_end_costs_neither_memory_nor_database() {
    const BYTES: u64 = 256 * 1024 * 1024;
    let queue = Queue::quick();
    let node = queue.start(&[]);
    let bytes = || queue.json(["status"])["bytes"].as_u64().unwrap();
    let before = bytes();
    let id = queue.enqueue([format!("echo first; yes | head -c {BYTES}; echo last")]);
    let job = queue.wait_state(&id, "completed");
    let all = BYTES + 6 + 5;
    assert_eq!(job["attempt_history"][0]["output_bytes"], all);
    let size = |path: &std::path::Path| std::fs::metadata(path).map_or(0, |data| data.len());
    let grown = bytes().saturating_sub(before);
    assert!(grown < 512 * 1024, "the database grew by {grown} bytes");
    let log = queue.json(["logs", &id]);
    let kept = log["head"].as_str().unwrap().len() + log["tail"].as_str().unwrap().len();
    assert_eq!(kept, 64 * 1024);
    assert_eq!(log["omitted_bytes"], all - 64 * 1024);
    assert!(log["head"].as_str().unwrap().starts_with("first\ny\n"));
    assert!(log["tail"].as_str().unwrap().ends_with("y\nlast\n"));
    let file = std::path::Path::new(log["file"].as_str().unwrap()).to_owned();
    assert_eq!(size(&file), 16 * 1024 * 1024, "the file");
    let done = queue.run(["logs", &id]);
    assert_eq!(done.out.len() as u64, 16 * 1024 * 1024 + 32 * 1024);
    let left_out = all - 16 * 1024 * 1024 - 32 * 1024;
    assert!(
        done.err.contains(&format!("{left_out} bytes left out")),
        "{}",
        done.err
    );
    #[cfg(target_os = "linux")]
    {
        let status = std::fs::read_to_string(format!("/proc/{}/status", node.workers(1)[0])).unwrap();
        let peak = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        let kib: u64 = peak.split_whitespace().nth(1).unwrap().parse().unwrap();
        assert!(kib < 64 * 1024, "the worker process: {peak}");
    }
    // The file goes with its job.
    let dead = queue.enqueue(["--max-retries", "0", "yes | head -c 100000; exit 1"]);
    queue.wait_state(&dead, "dead");
    let file_of_dead = queue.json(["logs", &dead])["file"].as_str().unwrap().to_owned();
    assert!(std::path::Path::new(&file_of_dead).exists());
    queue.ok(["dlq:purge", &dead]);
    assert!(!std::path::Path::new(&file_of_dead).exists());
    assert!(file.exists(), "that of the bystander");
    drop(node);
}

#[test]
fn output_may_be_any_bytes() {
    let queue = Queue::quick();
    let all: Vec<u8> = (0..=255).collect();
    queue.write("bytes", &all);
    let id = queue.enqueue(["cat bytes; cat bytes >&2"]);
    assert_eq!(queue.drain(&[]), 0);
    assert_eq!(queue.run(["logs", &id, "--raw"]).out, [all.clone(), all].concat());
    assert_eq!(queue.job(&id)["attempt_history"][0]["output_bytes"], 512);
    let log = queue.json(["logs", &id]);
    assert!(log["head"].as_str().unwrap().contains('\u{fffd}'));
    let text = queue.ok(["logs", &id]);
    assert!(
        text.contains("\\x00\\x01") && text.contains("\\xfe\\xff"),
        "{text}"
    );
}

#[test]
fn a_job_may_close_its_output_and_read_no_input() {
    let queue = Queue::quick();
    let gate = queue.gate("gate");
    let node = queue.start(&[]);
    let closed = queue.enqueue(["exec >&- 2>&-; read x < gate; exit 7"]);
    let large = "i".repeat(100_000);
    let unread = queue.enqueue(["--stdin", &large, "true"]);
    queue.wait_state(&closed, "processing");
    gate.open();
    queue.wait_state(&unread, "completed");
    let job = queue.job(&closed);
    assert_eq!(job["attempt_history"][0]["exit_code"], 7, "{job}");
    drop(node);
}
