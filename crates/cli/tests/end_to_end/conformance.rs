//! `plugin:check`: good plugins pass, and each rule is failed by a plugin that breaks it, and by no other.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Mutex;

use serde_json::Value;

use crate::support::unix::compile;
use crate::support::{Queue, binary, finish};

const JOB: &str = r#"{"executor":"faults","payload":{"do":"it"}}"#;
/// It takes a while for this one.
const LONG_JOB: &str = r#"{"executor":"faults","payload":{"do":"it","slowly":true}}"#;

/// What a fault must make fail; nothing where the host is to bear it. Those that take longest come first.
type Fault = (&'static str, &'static [&'static str]);

const FAULTS: &[Fault] = &[
    (
        "HANG_LEAVE",
        &[
            "worker-job",
            "worker-kill",
            "worker-leave",
            "worker-many",
            "worker-stop",
        ],
    ),
    ("NONE", &[]),
    ("PRINTS", &[]),
    ("EARLY_FINISHED", &[]),
    ("NO_DESTROY", &["vtable"]),
    ("NO_JSON", &["describe"]),
    ("BAD_SCHEMA", &["describe"]),
    ("WRONG_NAME", &["name"]),
    ("CRASH_CREATE", &["create"]),
    ("HANG_CREATE", &["create"]),
    ("EXIT_CREATE", &["create"]),
    ("REFUSE_CREATE", &["create"]),
    ("CRASH_DESTROY", &["destroy"]),
    ("CRASH_SETTINGS", &["bad-settings"]),
    ("FINGERPRINT", &["fingerprint"]),
    ("CRASH_REAP", &["reap"]),
    ("CRASH_START", &["start"]),
    ("HANG_START", &["start"]),
    ("EXIT_START", &["start"]),
    ("SLOW_START", &["start"]),
    ("REFUSE_START", &["start"]),
    ("NEVER_FINISHED", &["ends"]),
    ("FAILS", &["ends"]),
    ("UNREADABLE", &["ends"]),
    ("TWICE", &["finished-once"]),
    ("LATE_OUTPUT", &["output"]),
    ("SHARED_HOST", &["own-host"]),
    ("LATE_CALL", &["silence"]),
    ("NEW_SLOTS", &["older-host"]),
    ("READS_MARK", &["older-host"]),
    ("STRICT_SIZE", &["newer-host"]),
    ("EXITED_SUCCESS", &["exited"]),
    ("EXITED_STATUS", &["exited"]),
    ("CRASH_REATTACH", &["reattach"]),
    ("CRASH_DISCARD", &["discard"]),
    ("CRASH_STATS", &["stats"]),
    ("STATS_NO_JSON", &["stats"]),
    ("STATS_TEXTS", &["stats"]),
    ("MANY", &["many"]),
    ("CRASH_STOP", &["unknown-run"]),
    ("UNKNOWN_RUN", &["unknown-run"]),
    ("STOP_TWICE", &["stop"]),
    ("CRASH_VALIDATE", &["validate"]),
    ("REFUSE_VALIDATE", &["validate"]),
    ("CRASH_REQUEST", &["bad-requests"]),
    ("BEYOND_CAP", &["error-text"]),
    ("NO_NULL", &["error-text"]),
    ("BAD_TEXT", &["error-text"]),
    ("SETENV", &["surroundings"]),
    ("CHDIR", &["surroundings"]),
    ("UMASK", &["surroundings"]),
    ("LOAD_UMASK", &["surroundings"]),
    ("CHILD_HANDLER", &["surroundings"]),
    ("IGNORES", &["surroundings"]),
    ("PIPE_DEFAULT", &["surroundings"]),
    ("BLOCKS", &["surroundings"]),
    ("LOWERS", &["surroundings"]),
    ("CLOSES", &["surroundings"]),
    ("INHERITED", &["surroundings"]),
    ("LEAKS", &["surroundings"]),
    ("THREADS", &["surroundings"]),
    ("WORKER_JOB", &["worker-job", "worker-many"]),
    ("WORKER_MANY", &["worker-many"]),
    ("REATTACH", &["worker-reattach"]),
    ("TAKEOVER", &["worker-takeover"]),
];

/// Faults between the shell executor and its host.
const TAMPERING: &[Fault] = &[
    (
        "NO_KILL",
        &["command-stubborn", "worker-kill", "worker-leave", "worker-stop"],
    ),
    ("NONE", &[]),
    ("WRONG_EXIT", &["command-exit"]),
    ("WRONG_SIGNAL", &["command-signal"]),
    ("EXTRA_BYTES", &["command-bytes"]),
    ("EXTRA_FLOOD", &["command-flood"]),
    ("NO_STDIN", &["command-stdin"]),
    ("NO_ENV", &["command-env"]),
    ("NO_CWD", &["command-cwd"]),
    ("NO_EMPTY_ARGUMENTS", &["command-argv"]),
];

/// The plugin with that fault, in a folder of its own; none where there is no C compiler.
pub fn faulty(queue: &Queue, name: &str, fault: &str) -> Option<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = queue.path(&format!("{name}-{fault}"));
    std::fs::create_dir(&folder).unwrap();
    let file = folder.join(format!("libqueuectl_plugin_{name}.so"));
    let source = here.join(format!("tests/end_to_end/faults/{name}.c"));
    let include = here.join("../plugin-api/include");
    let shell = binary().with_file_name("libqueuectl_plugin_shell.so");
    let options = [
        "-std=c99".to_owned(),
        "-shared".to_owned(),
        "-fPIC".to_owned(),
        "-pthread".to_owned(),
        "-Wall".to_owned(),
        "-I".to_owned(),
        include.display().to_string(),
        format!("-D{fault}"),
        format!("-DSHELL_PLUGIN=\"{}\"", shell.display()),
    ];
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    compile(&source, &file, &options).then_some(file)
}

/// The results of every case, by name. The kit has limits of its own, so it is waited for as long as it takes.
pub fn check(queue: &Queue, file: &Path, more: &[&str]) -> (i32, BTreeMap<String, Value>) {
    let mut command = queue.command(["--json", "plugin:check"]);
    command.arg(file).args(more);
    let done = command.stdin(Stdio::null()).output().unwrap();
    let report: Value = serde_json::from_slice(&done.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&done.stderr)));
    let cases = report["cases"].as_array().unwrap();
    let name = |case: &Value| case["name"].as_str().unwrap().to_owned();
    (
        done.status.code().unwrap(),
        cases.iter().map(|case| (name(case), case.clone())).collect(),
    )
}

/// Checks the plugin with each of these faults, a few at a time.
fn each_fault_fails_its_rule(test: &str, name: &str, faults: &[Fault], more: &[&str]) {
    let queue = Queue::new();
    let (rest, wrong) = (Mutex::new(faults.iter()), Mutex::new(Vec::new()));
    let one_after_another = || {
        while let Some((fault, rules)) = { rest.lock().unwrap().next() } {
            let Some(file) = faulty(&queue, name, fault) else {
                queuectl_testkit::skipped(test, "there is no C compiler `cc`");
                return;
            };
            let (status, cases) = check(&queue, &file, more);
            let failed: Vec<&Value> = cases.values().filter(|case| case["result"] == "failed").collect();
            let names: Vec<&str> = failed.iter().map(|case| case["name"].as_str().unwrap()).collect();
            let told = failed.iter().all(|case| case["detail"].is_string());
            if names != *rules || status != i32::from(!rules.is_empty()) || !told {
                let what = format!("{fault}, status {status}, wanted {rules:?}: {failed:#?}");
                wrong.lock().unwrap().push(what);
            }
        }
    };
    std::thread::scope(|scope| {
        // They wait more than they work.
        for _ in 0..8 {
            scope.spawn(one_after_another);
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_rule_is_failed_by_the_plugin_that_breaks_it() {
    let queue = Queue::new();
    let job = queue.write("job.json", JOB);
    let long = queue.write("long.json", LONG_JOB);
    let more = [
        "--job",
        job.to_str().unwrap(),
        "--long-job",
        long.to_str().unwrap(),
        "--timeout",
        "2s",
        "--many",
        "100",
    ];
    each_fault_fails_its_rule(
        "each_rule_is_failed_by_the_plugin_that_breaks_it",
        "faults",
        FAULTS,
        &more,
    );
}

#[test]
fn each_rule_about_commands_is_failed_by_the_plugin_that_breaks_it() {
    let more = ["--timeout", "3s", "--many", "100"];
    each_fault_fails_its_rule(
        "each_rule_about_commands_is_failed_by_the_plugin_that_breaks_it",
        "tamper",
        TAMPERING,
        &more,
    );
}

#[test]
fn the_shell_plugin_keeps_every_rule() {
    let queue = Queue::new();
    let (status, cases) = check(
        &queue,
        &binary().with_file_name("libqueuectl_plugin_shell.so"),
        &[],
    );
    let skipped: Vec<&String> = cases
        .iter()
        .filter(|(_, case)| case["result"] == "skipped")
        .map(|(name, _)| name)
        .collect();
    assert_eq!(status, 0, "{cases:#?}");
    assert_eq!(
        skipped,
        [
            "discard",
            "reap",
            "reattach",
            "worker-reattach",
            "worker-takeover"
        ],
        "it keeps nothing, so there is nothing to ask"
    );
}

#[test]
fn a_crash_and_a_hang_are_named_and_cost_only_their_case() {
    let queue = Queue::new();
    let job = queue.write("job.json", JOB);
    for (fault, case, words) in [
        (
            "CRASH_STATS",
            "stats",
            "(killed by signal 11 (SIGSEGV)) in: stats, the first time",
        ),
        (
            "HANG_START",
            "start",
            "no end after 1 s in: start with the job that must succeed",
        ),
        (
            "EXIT_CREATE",
            "create",
            "(exit status 0) in: create with the queue's settings",
        ),
    ] {
        let Some(file) = faulty(&queue, "faults", fault) else {
            queuectl_testkit::skipped(
                "a_crash_and_a_hang_are_named_and_cost_only_their_case",
                "there is no C compiler `cc`",
            );
            return;
        };
        let more = ["--job", job.to_str().unwrap(), "--timeout", "1s", "--many", "10"];
        let (_, cases) = check(&queue, &file, &more);
        let detail = cases[case]["detail"].as_str().unwrap();
        assert!(detail.contains(words), "{fault}: {detail}");
        assert_eq!(cases["describe"]["result"], "ok");
        assert_eq!(cases["worker-job"]["result"], "skipped");
    }
}

#[test]
fn only_listed_plugins_are_loaded_where_there_is_a_list() {
    let queue = Queue::new();
    let shell = binary().with_file_name("libqueuectl_plugin_shell.so");
    let list = queue.write("plugins.sha256", "");
    let info = || {
        let mut command = queue.command(["plugin:info"]);
        command.arg(&shell).env("QUEUECTL_PLUGIN_SHA256", &list);
        finish(command, None)
    };
    let message = info().fails(7);
    let sum = message
        .split("SHA-256 ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    queue.write(
        "plugins.sha256",
        format!("{}  the shell executor\n", sum.unwrap()),
    );
    assert!(info().ok().contains("shell"));
}

#[test]
fn each_listed_plugin_runs_its_own_jobs() {
    let queue = Queue::quick();
    let folder = queue.path("plugins");
    std::fs::create_dir(&folder).unwrap();
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let include = here.join("../plugin-api/include");
    let names = ["first", "second", "third"];
    for name in names {
        let define = format!("-DNAME=\"{name}\"");
        let options = ["-shared", "-fPIC", "-I", include.to_str().unwrap(), &define];
        let file = folder.join(format!("libqueuectl_plugin_{name}.so"));
        if !compile(&here.join("tests/end_to_end/faults/named.c"), &file, &options) {
            queuectl_testkit::skipped(
                "each_listed_plugin_runs_its_own_jobs",
                "there is no C compiler `cc`",
            );
            return;
        }
    }
    let sums = "sha256sum plugins/*.so > listed";
    assert!(
        std::process::Command::new("sh")
            .args(["-c", sums])
            .current_dir(queue.path("."))
            .status()
            .unwrap()
            .success()
    );
    let jobs = names.map(|name| {
        queue.enqueue([format!(
            r#"{{"executor":"{name}","payload":{{}},"max_retries":0}}"#
        )])
    });
    let mut command = queue.command(["worker:start", "--drain", "--count", "1", "--plugin-dir"]);
    command
        .arg(&folder)
        .env("QUEUECTL_PLUGIN_SHA256", queue.path("listed"));
    finish(command, None).ok();
    for (id, name) in jobs.iter().zip(names) {
        assert_eq!(queue.ok(["logs", id]), name);
    }
}

#[test]
fn only_a_plugin_that_keeps_the_rules_is_installed() {
    let test = "only_a_plugin_that_keeps_the_rules_is_installed";
    let queue = Queue::new();
    let to = queue.path("to");
    let install = |fault: &str, more: &[&str]| {
        let file = faulty(&queue, "faults", fault)?;
        let mut command = queue.command(["plugin:install", "--to"]);
        command.arg(&to).arg(&file).args(more);
        Some(finish(command, None))
    };
    let Some(refused) = install(
        "SETENV",
        &["--job", queue.write("job.json", JOB).to_str().unwrap()],
    ) else {
        queuectl_testkit::skipped(test, "there is no C compiler `cc`");
        return;
    };
    let why = refused.fails(7);
    assert!(
        why.contains("surroundings: start changed what all jobs share: the environment (PATH)"),
        "{why}"
    );
    assert!(!to.exists());
    install("UMASK", &["--unchecked"]).unwrap().ok();
    std::fs::remove_dir_all(&to).unwrap();
    install("NONE", &[]).unwrap().ok();
    assert!(to.join("libqueuectl_plugin_faults.so").exists());
}

#[test]
fn a_plugin_for_another_machine_is_told_from_one_that_is_not_there() {
    let queue = Queue::new();
    let shell = binary().with_file_name("libqueuectl_plugin_shell.so");
    let mut bytes = std::fs::read(shell).unwrap();
    let other = if cfg!(target_arch = "aarch64") {
        (62_u16, "x86_64")
    } else {
        (183, "aarch64")
    };
    bytes[18..20].copy_from_slice(&other.0.to_ne_bytes());
    let file = queue.write("libqueuectl_plugin_shell.so", bytes);
    let message = queue.fails(7, ["plugin:info", file.to_str().unwrap()]);
    assert!(
        message.contains(&format!("it is built for another machine ({})", other.1)),
        "{message}"
    );
}

#[test]
fn what_is_no_plugin_cannot_be_checked() {
    let queue = Queue::new();
    let text = queue.write("libqueuectl_plugin_text.so", "just text");
    let message = queue.fails(7, ["plugin:check", text.to_str().unwrap()]);
    assert!(message.contains("cannot be loaded"), "{message}");
    let message = queue.fails(7, ["plugin:check", "nowhere"]);
    assert!(message.contains("'nowhere'"), "{message}");
    let Some(magic) = faulty(&queue, "faults", "WRONG_MAGIC") else {
        queuectl_testkit::skipped(
            "what_is_no_plugin_cannot_be_checked",
            "there is no C compiler `cc`",
        );
        return;
    };
    let message = queue.fails(7, ["plugin:check", magic.to_str().unwrap()]);
    assert!(message.contains("is not a queuectl plugin"), "{message}");
    let message = queue.fails(
        2,
        ["plugin:check", magic.to_str().unwrap(), "--job", "nowhere.json"],
    );
    assert!(message.contains("nowhere.json"), "{message}");
}
