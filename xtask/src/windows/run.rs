//! Running a test program under Wine, and reading its verdicts.
//!
//! Wine fails rarely to start a process (error 1359), so what failed is run once more, by itself; a test that passed only
//! then is reported as such.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::Program;
use super::scope::Scope;
use super::toolchain::{Toolchain, seen_by_windows};

/// Longest that one test program may take.
const MOST: Duration = Duration::from_secs(15 * 60);

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
    let listed = command()
        .args(["--list", "--format", "terse"])
        .output()
        .context("cannot start Wine")?;
    if !listed.status.success() {
        bail!(
            "{} does not list its tests ({}): {}",
            program.name(),
            listed.status,
            String::from_utf8_lossy(&listed.stderr)
        );
    }
    let names: Vec<String> = String::from_utf8_lossy(&listed.stdout)
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
    // Those that start many processes one at a time, or the rare error is not that rare.
    let threads = if program.target == "end_to_end" { "1" } else { "2" };
    let first = verdicts(command(), &wanted, threads, program, toolchain)?;
    for name in wanted {
        let passed = first.get(name).is_some_and(|passed| *passed);
        let again = || verdicts(command(), &[name], "1", program, toolchain);
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
            for (known, verdict) in &mut results {
                if known.ends_with(name) {
                    *verdict = Verdict::Skipped(why.to_owned());
                }
            }
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
    mut command: Command,
    names: &[&str],
    threads: &str,
    program: &Program,
    toolchain: &Toolchain,
) -> anyhow::Result<BTreeMap<String, bool>> {
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    // To a file: a process that is left over would keep a pipe open.
    let log = program.file.with_extension("log");
    let file = File::create(&log)?;
    let mut child = command
        .args(names)
        .args(["--exact", "--test-threads", threads])
        .stdout(file.try_clone()?)
        .stderr(file)
        .spawn()
        .context("cannot start Wine")?;
    let begun = Instant::now();
    while child.try_wait()?.is_none() {
        if begun.elapsed() > MOST {
            println!("{} takes too long and is ended", program.name());
            child.kill()?;
            child.wait()?;
            toolchain.end_all();
            break;
        }
        thread::sleep(Duration::from_millis(50));
    }
    let text = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
    let found = read(&text);
    if names.iter().any(|name| found.get(*name) != Some(&true)) {
        println!("{text}");
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
