//! Running a test program under Wine, and reading its verdicts.
//!
//! Wine fails rarely to start a process (error 1359), so what failed is run once more, by itself; a test that passed only
//! then is reported as such. Nothing here waits for ever: a test that hangs is named as failed, and the others are run.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::bail;

use super::Program;
use super::scope::Scope;
use super::toolchain::{Toolchain, seen_by_windows};

/// Longest that one test program may take, and one test that is run by itself.
const MOST: Duration = Duration::from_secs(20 * 60);
const MOST_ALONE: Duration = Duration::from_secs(3 * 60);

/// How a test ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Passed,
    SecondTry,
    Failed,
    /// It was not run, for this reason.
    LeftOut(String),
    /// It gave up, for this reason.
    Skipped(String),
}

impl Verdict {
    pub fn word(&self) -> &'static str {
        match self {
            Verdict::Passed => "passed",
            Verdict::SecondTry => "passed at the second try",
            Verdict::Failed => "failed",
            Verdict::LeftOut(_) | Verdict::Skipped(_) => "left out",
        }
    }
}

/// Verdicts by the tests' full names.
pub type Results = BTreeMap<String, Verdict>;

/// Runs all tests of a program that are not left out.
pub fn program(
    program: &Program,
    toolchain: &Toolchain,
    scope: &Scope,
    filter: Option<&str>,
    until: Instant,
) -> anyhow::Result<Results> {
    let skips = program.file.with_extension("skips");
    let _ = fs::remove_file(&skips);
    let command = || {
        let mut command = toolchain.wine(&program.file);
        command
            .current_dir(&program.folder)
            .env("QUEUECTL_TEST_BIN_DIR", seen_by_windows(&toolchain.binaries()))
            .env("QUEUECTL_TEST_SKIPS", seen_by_windows(&skips));
        command
    };
    let limit = |most: Duration| most.min(until.saturating_duration_since(Instant::now()));
    let log = program.file.with_extension("log");
    let list = || {
        let mut list = command();
        list.args(["--list", "--format", "terse"]);
        toolchain.output(list, &log, limit(MOST_ALONE))
    };
    let (mut ended, mut listed) = list()?;
    if !ended.is_some_and(|status| status.success()) {
        // As with a test: Wine may have failed to start the process.
        (ended, listed) = list()?;
    }
    if !ended.is_some_and(|status| status.success()) {
        let why = ended.map_or("no time left".to_owned(), |status| status.to_string());
        bail!("{} does not list its tests ({why}): {listed}", program.name());
    }
    let names: Vec<String> = listed
        .lines()
        .filter_map(|line| Some(line.trim().strip_suffix(": test")?.to_owned()))
        .filter(|name| filter.is_none_or(|filter| name.contains(filter)))
        .collect();
    let full = |name: &str| format!("{} {name}", program.name());
    let mut results = Results::new();
    let mut wanted = Vec::new();
    for name in &names {
        match scope.reason(&full(name)) {
            Some(why) => drop(results.insert(full(name), Verdict::LeftOut(why.to_owned()))),
            None => wanted.push(name.as_str()),
        }
    }
    let begun = Instant::now();
    let run = |names: &[&str], threads: &str, most: Duration| {
        let mut command = command();
        command.args(names).args(["--exact", "--test-threads", threads]);
        verdicts(command, names, &log, limit(most), toolchain)
    };
    let first = run(&wanted, "2", MOST)?;
    for name in wanted {
        let passed = first.get(name).is_some_and(|passed| *passed);
        let again = || run(&[name], "1", MOST_ALONE);
        let verdict = if passed {
            Verdict::Passed
        } else if again()?.get(name).is_some_and(|passed| *passed) {
            Verdict::SecondTry
        } else {
            Verdict::Failed
        };
        results.insert(full(name), verdict);
    }
    for line in fs::read_to_string(&skips).unwrap_or_default().lines() {
        let mut parts = line.splitn(3, ": ").skip(1);
        if let (Some(name), Some(why)) = (parts.next(), parts.next()) {
            let known = results
                .keys()
                .find(|known| known.replace(' ', "::").ends_with(name));
            let known = known.cloned().unwrap_or_else(|| full(name));
            results.insert(known, Verdict::Skipped(why.to_owned()));
        }
    }
    println!(
        "{} tests in {:.1} s",
        results.len(),
        begun.elapsed().as_secs_f64()
    );
    Ok(results)
}

/// Runs these tests; which passed, and which did not. One without a verdict is missing.
fn verdicts(
    command: Command,
    names: &[&str],
    log: &Path,
    limit: Duration,
    toolchain: &Toolchain,
) -> anyhow::Result<BTreeMap<String, bool>> {
    if names.is_empty() || limit.is_zero() {
        return Ok(BTreeMap::new());
    }
    let (ended, text) = toolchain.output(command, log, limit)?;
    let found = read(&text);
    if names.iter().any(|name| found.get(*name) != Some(&true)) {
        println!("{text}");
    }
    if ended.is_none() {
        println!("ended after {} s: it hangs, or takes too long", limit.as_secs());
    }
    Ok(found)
}

/// The verdicts in what a test program printed. With one thread, what tests print comes between a name and its verdict,
/// so a test that ran alone is judged by the sum at the end as well.
fn read(text: &str) -> BTreeMap<String, bool> {
    let mut found = BTreeMap::new();
    let mut open: Option<&str> = None;
    for line in text.lines() {
        let line = line.trim_end();
        if let Some((name, rest)) = line
            .strip_prefix("test ")
            .and_then(|line| line.split_once(" ... "))
        {
            match rest.rsplit(' ').next() {
                Some("ok") => drop(found.insert(name.to_owned(), true)),
                Some("FAILED") => drop(found.insert(name.to_owned(), false)),
                _ => open = Some(name),
            }
        } else if let Some(name) = open {
            if line.ends_with("ok") && line.len() <= 2 || line.starts_with("test result: ok. 1 passed") {
                found.insert(name.to_owned(), true);
                open = None;
            } else if line == "FAILED" {
                found.insert(name.to_owned(), false);
                open = None;
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_are_read_from_lines() {
        let text =
            "\nrunning 3 tests\ntest a::b ... ok\r\ntest c ... FAILED\nnoise\ntest d ... thread said\nok\n";
        let found = read(text);
        assert_eq!(
            (found.get("a::b"), found.get("c"), found.get("d"), found.get("e")),
            (Some(&true), Some(&false), Some(&true), None)
        );
    }

    #[test]
    fn a_test_without_a_verdict_did_not_pass() {
        assert!(read("running 1 test\ntest a ... ").is_empty());
        let alone = "test a ... noise of a child\ntest result: ok. 1 passed; 0 failed\n";
        assert_eq!(read(alone).get("a"), Some(&true));
    }
}
