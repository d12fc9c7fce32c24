//! Cases for plugins that run commands: what a command is given must reach it, and what it does must come back.
//!
//! They are tried if the plugin names the capability, and on Unix only: elsewhere the commands here mean nothing.

use std::time::Duration;

use queuectl_core::OutcomeKind;
use queuectl_executor::Finished;
use serde_json::{Value, json};

use super::jobs::{CaseResult, Fixture, JobCase, failed, leaves, next, skipped, succeeded};

/// Most that is printed by a job here.
const MUCH: u64 = 100_000_000;

pub(super) const CASES: &[JobCase] = &[
    (
        "command-exit",
        "a command's exit status is the job's",
        exit_status,
    ),
    (
        "command-signal",
        "a command that a signal kills is a failed job with that signal",
        signal,
    ),
    (
        "command-stubborn",
        "a command that ignores SIGTERM is gone after its timeout and its grace",
        stubborn,
    ),
    (
        "command-tree",
        "processes that a command left behind in another session are gone when the job has ended",
        tree,
    ),
    (
        "command-flood",
        "of 100 MB of output all is counted and little is kept",
        flood,
    ),
    ("command-bytes", "output is kept byte for byte", bytes),
    ("command-stdin", "the job's input reaches the command", stdin),
    ("command-env", "the job's environment reaches the command", env),
    ("command-cwd", "the command runs in the job's folder", cwd),
    (
        "command-argv",
        "arguments reach the program exactly as they are",
        argv,
    ),
];

fn run(fixture: &Fixture, capabilities: &[&str], members: Value) -> Result<Finished, super::Verdict> {
    if !cfg!(unix) {
        return skipped("it is tried on Unix only");
    }
    ["command"]
        .iter()
        .chain(capabilities)
        .try_for_each(|word| fixture.needs(word))?;
    fixture.finish(fixture.with(members)?)
}

/// Fails unless the job succeeded and printed exactly that.
fn printed(finished: &Finished, expected: &[u8]) -> CaseResult {
    succeeded(finished)?;
    let output = [finished.output.head.as_slice(), &finished.output.tail].concat();
    if output == expected {
        return Ok(());
    }
    failed(format!(
        "it printed `{}` instead of `{}`",
        output.escape_ascii(),
        expected.escape_ascii()
    ))
}

fn exit_status(fixture: &Fixture) -> CaseResult {
    succeeded(&run(fixture, &[], json!({ "command": "exit 0" }))?)?;
    let outcome = run(fixture, &[], json!({ "command": "exit 7" }))?.outcome;
    if (outcome.kind, outcome.exit_code) == (OutcomeKind::Failed, Some(7)) {
        return Ok(());
    }
    failed(format!(
        "`exit 7` ended {}, exit status {:?}",
        outcome.kind, outcome.exit_code
    ))
}

fn signal(fixture: &Fixture) -> CaseResult {
    let outcome = run(fixture, &[], json!({ "command": "kill -KILL $$" }))?.outcome;
    // Where another program is in between, its exit status tells of the signal.
    let told = outcome.signal == Some(9) || outcome.exit_code == Some(128 + 9);
    if told && outcome.kind == OutcomeKind::Failed {
        return Ok(());
    }
    failed(format!(
        "`kill -KILL $$` ended {}, exit status {:?}, signal {:?}",
        outcome.kind, outcome.exit_code, outcome.signal
    ))
}

fn stubborn(fixture: &Fixture) -> CaseResult {
    run(fixture, &[], json!({ "command": "true" }))?;
    let command = "trap '' TERM; while :; do sleep 1; done";
    let mut worker = fixture.worker()?;
    let mut run = fixture.run(1, fixture.with(json!({ "command": command }))?);
    // Long enough for the trap to be set.
    run.timeout = Some(Duration::from_millis(500));
    run.kill_grace = Duration::from_millis(300);
    worker.run(run)?;
    let outcome = next(&mut worker, fixture.limit())?.outcome;
    leaves(worker, fixture.limit())?;
    match outcome.kind {
        OutcomeKind::TimedOut => Ok(()),
        kind => failed(format!("the job ended {kind}: {}", outcome.message)),
    }
}

fn tree(fixture: &Fixture) -> CaseResult {
    if !cfg!(target_os = "linux") {
        return skipped("it is tried on Linux only");
    }
    let command = "command -v setsid >/dev/null || { echo none; exit 0; }; \
                   setsid sleep 601 >/dev/null 2>&1 & echo $!";
    let finished = run(fixture, &[], json!({ "command": command }))?;
    succeeded(&finished)?;
    let text = String::from_utf8_lossy(&finished.output.head).into_owned();
    match text.trim() {
        "none" => skipped("there is no program setsid"),
        pid => {
            let left = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            if left.windows(3).any(|word| word == b"601") {
                return failed(format!("process {pid} is still alive"));
            }
            Ok(())
        }
    }
}

fn flood(fixture: &Fixture) -> CaseResult {
    let finished = run(
        fixture,
        &[],
        json!({ "command": format!("head -c {MUCH} /dev/zero") }),
    )?;
    succeeded(&finished)?;
    let (total, kept) = (
        finished.output.total_bytes,
        finished.output.head.len() + finished.output.tail.len(),
    );
    if total != MUCH {
        return failed(format!("{total} bytes were counted instead of {MUCH}"));
    }
    if kept > 64 * 1024 {
        return failed(format!("{kept} bytes are kept, where 64 KiB are allowed"));
    }
    Ok(())
}

fn bytes(fixture: &Fixture) -> CaseResult {
    let finished = run(fixture, &[], json!({ "command": "printf '\\377\\376\\000ok'" }))?;
    printed(&finished, b"\xff\xfe\0ok")
}

fn stdin(fixture: &Fixture) -> CaseResult {
    let text = "first\nsecond, without a line's end";
    let finished = run(fixture, &["stdin"], json!({ "command": "cat", "stdin": text }))?;
    printed(&finished, text.as_bytes())
}

fn env(fixture: &Fixture) -> CaseResult {
    let value = "two words, \"quoted\" $HOME \u{20ac}";
    let members = json!({ "command": "printf %s \"$KIT_VALUE\"", "env": { "KIT_VALUE": value } });
    printed(&run(fixture, &["env"], members)?, value.as_bytes())
}

fn cwd(fixture: &Fixture) -> CaseResult {
    let finished = run(fixture, &["cwd"], json!({ "command": "pwd -P", "cwd": "/" }))?;
    printed(&finished, b"/\n")
}

fn argv(fixture: &Fixture) -> CaseResult {
    let words = ["two words", "", "*", "$HOME", "\"'\\", "-n", "\u{20ac}"];
    let mut argv = vec!["printf", "%s|"];
    argv.extend(words);
    let finished = run(fixture, &["argv"], json!({ "command": argv }))?;
    let expected: String = words.iter().map(|word| format!("{word}|")).collect();
    printed(&finished, expected.as_bytes())
}
