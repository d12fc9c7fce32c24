//! `test` and `ci`: every check and every test, in order, with a table at the end.
//!
//! A failed step does not hide the later ones; only the tests need a build. Nothing is parsed out of the steps'
//! output: it streams through unchanged.
//!
//! # Skipped tests
//!
//! The test harness captures what a passing test prints, so a test that has to give up because a tool is missing
//! (`cc`, say) could not be told from one that ran. It therefore **appends one line** to the file that the environment
//! variable `QUEUECTL_TEST_SKIPS` names:
//!
//! ```text
//! skipped: NAME: REASON
//! ```
//!
//! in one write to a file opened for appending, since tests run in parallel. Without the variable (plain
//! `cargo test`) there is nothing to write to, and the test prints the line instead. The lines are shown here after
//! the table, and with `CI=true` they are failures, except those whose reason is one of [`EXCUSES`].
//!
//! Tests that drive the real binary find it and the plugins in the folder `QUEUECTL_TEST_BIN_DIR`.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use queuectl_devkit::{BIN_DIR, postgres};

use crate::build;
use crate::dependencies;
use crate::report::{self, Step, Table, Verdict};
use crate::tidy;
use crate::workspace::Workspace;

/// Names the file that tests append their `skipped:` lines to.
const SKIPS: &str = "QUEUECTL_TEST_SKIPS";

/// Names the database on which end-to-end tests run.
const BACKEND: &str = "QUEUECTL_TEST_BACKEND";
/// The end-to-end tests that are not run again on PostgreSQL, each with its reason.
const NOT_ON_POSTGRES: &str = "crates/cli/tests/end_to_end/not_on_postgres.txt";

/// Everything but the tasks. Each step is about all of it, whatever it runs: so features are the same everywhere, and
/// dependencies are built once.
const ALL: &[&str] = &["--workspace", "--exclude", "xtask"];
const SIMULATION: &[&str] = &["--features", "queuectl-sim/simulate", "--test", "simulation"];

/// Longest that one run of tests may take in CI: a test that hangs fails the step, and the later ones are still run. Who
/// runs the tests by hand sees it, and ends it with Ctrl-C, which reaches no process group of its own.
const LIMIT: Duration = Duration::from_secs(25 * 60);

/// The same for the other systems, with what is built for them.
const CHECK_LIMIT: Duration = Duration::from_secs(15 * 60);
const WINDOWS_LIMIT: Duration = Duration::from_secs(35 * 60);
/// Says why there is nothing to build for other systems with; `.ci/run` sets it when it could not install that.
const NO_CROSS: &str = "QUEUECTL_TEST_NO_CROSS";
const NOT_INSTALLED: &str = "nothing for other systems could be installed here";

/// How reasons begin that excuse a skipped test even in CI: what this machine cannot do, whatever is installed on it.
/// That something was not installed is no excuse, unless `.ci/run` tried to and said so.
const EXCUSES: &[&str] = &[
    "no container engine can run here",
    "no container engine could be installed here",
    "no shells to complete in could be installed here",
    NOT_INSTALLED,
    dependencies::NOT_INSTALLED,
    "no control groups can be used here",
    "only root can run jobs as other users",
    "only root can make network namespaces",
    "only root can mount disks",
    "no disk can be mounted and cut off here",
    "strace does not work",
    "no network namespaces can be made here",
];

/// Whether the environment says that this is CI.
pub fn in_ci() -> bool {
    env::var("CI").is_ok_and(|value| matches!(value.as_str(), "true" | "1"))
}

/// Runs every step; an error names those that failed.
pub fn run(workspace: &Workspace, filter: Option<&str>, ci: bool) -> anyhow::Result<()> {
    let scratch = tempfile::tempdir().context("cannot make a temporary folder")?;
    let skips_file = scratch.path().join("skips");
    let mut steps = Vec::new();
    let mut step = |name, work: &mut dyn FnMut() -> anyhow::Result<()>| steps.push(timed(name, work));

    step("format", &mut || {
        succeed(&mut workspace.cargo(["fmt", "--all", "--", "--check"]))
    });
    step("tidy", &mut || tidy::run(workspace));
    let mut missing = Vec::new();
    step("dependencies", &mut || {
        missing = dependencies::check(workspace)?;
        Ok(())
    });
    // The tasks apart: together, their dependencies' features would reach the binary under test.
    step("lint of tasks", &mut || {
        let mut clippy = workspace.cargo(["clippy", "--package", "xtask", "--all-targets"]);
        succeed(clippy.args(["--", "-D", "warnings"]))
    });
    let mut built = None;
    step("build and lint", &mut || {
        let mut cargo = linted(workspace, "build", ALL);
        cargo.arg("--all-targets");
        built = Some(build::finish(workspace, cargo)?);
        Ok(())
    });
    // One server for all tests; those that need one skip themselves where there is none.
    let mut server = None;
    if env::var_os(postgres::VARIABLE).is_none() {
        step("postgres", &mut || {
            server = postgres::Server::start()?;
            if server.is_none() {
                println!("no PostgreSQL server is installed; its tests are skipped");
            }
            Ok(())
        });
    }
    let has_postgres = server.is_some() || env::var_os(postgres::VARIABLE).is_some();
    let skips_on_postgres = on_postgres(workspace)?;
    let runs = [
        ("tests", linted(workspace, "test", ALL), None),
        (
            "task tests",
            workspace.cargo(["test", "--package", "xtask"]),
            None,
        ),
        (
            "simulation",
            // In this one the simulator stands in the place of the machine, which no binary under test must have.
            linted(workspace, "test", &[ALL, SIMULATION].concat()),
            None,
        ),
        (
            "end to end on postgres",
            linted(workspace, "test", &[ALL, &["--test", "end_to_end"]].concat()),
            Some("postgres"),
        ),
    ];
    for (name, mut cargo, backend) in runs {
        if backend.is_some() && !has_postgres {
            continue;
        }
        let Some(built) = &built else {
            steps.push(Step {
                name,
                verdict: Verdict::NotRun("the build failed"),
                time: Duration::ZERO,
            });
            continue;
        };
        steps.push(timed(name, &mut || {
            cargo
                .arg("--no-fail-fast")
                .args(filter)
                .env(SKIPS, &skips_file)
                .env(BIN_DIR, built.folder());
            if let Some(server) = &server {
                cargo.env(postgres::VARIABLE, &server.location);
            }
            if let Some(backend) = backend {
                let skips = skips_on_postgres.iter().flat_map(|name| ["--skip", name]);
                cargo.env(BACKEND, backend).arg("--").args(skips);
            }
            if ci {
                cargo.env("CI", "true");
                return succeed_within(&mut cargo, LIMIT);
            }
            succeed(&mut cargo)
        }));
    }
    let mut skips = read_skips(&skips_file)?;
    skips.extend(missing);
    if ci && filter.is_none() && cfg!(target_os = "linux") {
        skips.extend(other_systems(&mut steps));
    }
    conclude(&steps, &skips, ci)
}

/// A call of cargo in which clippy is the compiler of what is ours: code and lints in one pass. `cargo clippy` would check
/// all dependencies once more, for their types alone, which takes as long as a third of the build.
fn linted(workspace: &Workspace, verb: &str, arguments: &[&str]) -> Command {
    let mut cargo = workspace.cargo([verb]);
    // A setting and not a variable, which tests that call cargo would pass on.
    cargo
        .args(["--config", "build.rustc-workspace-wrapper='clippy-driver'"])
        .args(arguments)
        .env("CLIPPY_ARGS", "-Dwarnings__CLIPPY_HACKERY__");
    cargo
}

/// The tests on Windows and the check for macOS, each as a program of its own; else the line that says why not. Who wants
/// them outside of CI asks for them: they take long, and packages that few have.
fn other_systems(steps: &mut Vec<Step>) -> Option<String> {
    if let Ok(why) = env::var(NO_CROSS) {
        return Some(format!("skipped: windows and macos: {NOT_INSTALLED}: {why}"));
    }
    let tasks = [
        ("check for macos", "--macos", CHECK_LIMIT),
        ("tests on windows", "--windows", WINDOWS_LIMIT),
    ];
    for (name, option, limit) in tasks {
        steps.push(timed(name, &mut || {
            let mut task = Command::new(env::current_exe().context("cannot find this program")?);
            succeed_within(task.args(["test", option]), limit)
        }));
    }
    None
}

/// The names, or beginnings of names, of the end-to-end tests that are about SQLite's files or not about the store.
fn on_postgres(workspace: &Workspace) -> anyhow::Result<Vec<String>> {
    let path = workspace.root().join(NOT_ON_POSTGRES);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let names = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(names
        .filter_map(|line| Some(line.split_once(" - ")?.0.trim().to_owned()))
        .collect())
}

/// Runs one step under its heading; its error is shown at once.
fn timed(name: &'static str, work: &mut dyn FnMut() -> anyhow::Result<()>) -> Step {
    queuectl_devkit::heading(name);
    let start = Instant::now();
    let verdict = match work() {
        Ok(()) => Verdict::Passed,
        Err(error) => {
            anstream::eprintln!("{name}: {error:#}");
            Verdict::Failed
        }
    };
    Step {
        name,
        verdict,
        time: start.elapsed(),
    }
}

/// Runs a command to its end; anything but success is an error.
fn succeed(command: &mut Command) -> anyhow::Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot start {}", command.get_program().display()))?;
    if !status.success() {
        bail!("{status}");
    }
    Ok(())
}

/// The same for a command that is killed with all that it started in its process group when it takes too long.
fn succeed_within(command: &mut Command, limit: Duration) -> anyhow::Result<()> {
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    let name = command.get_program().display().to_string();
    let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if start.elapsed() > limit {
            #[cfg(unix)]
            Command::new("kill")
                .args(["-KILL", "--", &format!("-{}", child.id())])
                .status()?;
            child.kill()?;
            child.wait()?;
            bail!(
                "not at its end after {} s: what still ran is named above",
                limit.as_secs()
            );
        }
        thread::sleep(Duration::from_millis(200));
    };
    ensure!(status.success(), "{status}");
    Ok(())
}

/// The lines that tests left, in a stable order.
fn read_skips(file: &Path) -> anyhow::Result<Vec<String>> {
    // No test was skipped if none made the file.
    if !file.exists() {
        return Ok(Vec::new());
    }
    let text = fs::read_to_string(file).context("cannot read the list of skipped tests")?;
    let mut lines: Vec<String> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(str::to_owned)
        .collect();
    lines.sort();
    lines.dedup();
    Ok(lines)
}

/// Shows the table and the skipped tests, and decides.
fn conclude(steps: &[Step], skips: &[String], ci: bool) -> anyhow::Result<()> {
    queuectl_devkit::heading("summary");
    anstream::print!("{}", Table(steps));
    let style = report::warning();
    for line in skips {
        anstream::println!("  {style}{line}{style:#}");
    }
    println!("  {} skipped", skips.len());
    let failures = failures(steps, skips, ci);
    if !failures.is_empty() {
        bail!("failed: {}", failures.join(", "));
    }
    Ok(())
}

/// What keeps the whole from being a success.
fn failures(steps: &[Step], skips: &[String], ci: bool) -> Vec<String> {
    let failed = steps.iter().filter(|step| step.verdict == Verdict::Failed);
    let mut names: Vec<String> = failed.map(|step| step.name.to_owned()).collect();
    let not_run = steps
        .iter()
        .filter(|step| matches!(step.verdict, Verdict::NotRun(_)));
    names.extend(not_run.map(|step| format!("{} (not run)", step.name)));
    let counted = skips.iter().filter(|line| !is_excused(line)).count();
    if ci && counted > 0 {
        names.push(format!("{counted} skipped (in CI nothing may be skipped)"));
    }
    names
}

/// Whether the line of a skipped test gives a reason that excuses it.
fn is_excused(line: &str) -> bool {
    let reason = line.splitn(3, ": ").nth(2).unwrap_or_default();
    EXCUSES.iter().any(|excuse| reason.starts_with(excuse))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(name: &'static str, verdict: Verdict) -> Step {
        Step {
            name,
            verdict,
            time: Duration::ZERO,
        }
    }

    #[test]
    fn failed_and_missing_steps_are_failures() {
        let steps = [
            step("format", Verdict::Failed),
            step("tidy", Verdict::Passed),
            step("tests", Verdict::NotRun("no build")),
        ];
        assert_eq!(failures(&steps, &[], false), ["format", "tests (not run)"]);
        assert_eq!(
            conclude(&steps, &[], false).unwrap_err().to_string(),
            "failed: format, tests (not run)"
        );
        assert!(conclude(&steps[1..2], &[], true).is_ok());
    }

    #[test]
    fn skipped_tests_fail_in_ci_only() {
        let skips = ["skipped: c_plugin: no C compiler".to_owned()];
        assert!(failures(&[], &skips, false).is_empty());
        assert_eq!(
            failures(&[], &skips, true),
            ["1 skipped (in CI nothing may be skipped)"]
        );
    }

    #[test]
    fn what_a_machine_cannot_do_is_excused_and_nothing_else() {
        let line = |reason: &str| format!("skipped: docker::runs: {reason}");
        let excused = line("no container engine can run here: no cgroups are mounted");
        assert!(failures(&[], std::slice::from_ref(&excused), true).is_empty());
        let nothing = format!("skipped: windows and macos: {NOT_INSTALLED}: no apt-get");
        assert!(failures(&[], &[nothing], true).is_empty());
        let forgotten = line("there is no dockerd, so no container engine can run here");
        assert_eq!(
            failures(&[], &[excused, forgotten], true),
            ["1 skipped (in CI nothing may be skipped)"]
        );
    }

    #[test]
    fn skips_are_read_sorted_once_each_and_may_be_absent() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("skips");
        assert!(read_skips(&file).unwrap().is_empty());
        fs::write(&file, "skipped: b: x\n\nskipped: a: x\nskipped: b: x\n").unwrap();
        assert_eq!(read_skips(&file).unwrap(), ["skipped: a: x", "skipped: b: x"]);
    }

    #[cfg(unix)]
    #[test]
    fn what_takes_too_long_is_ended_with_all_it_started() {
        let shell = |line: &str| {
            let mut shell = Command::new("sh");
            shell.args(["-c", line]);
            shell
        };
        let limit = Duration::from_millis(300);
        // The pipe ends when no process is left that could write to it.
        let (mut reader, writer) = std::io::pipe().unwrap();
        let mut hung = shell("sleep 1000 & sleep 1000");
        hung.stdout(writer);
        let error = succeed_within(&mut hung, limit).unwrap_err().to_string();
        assert!(error.starts_with("not at its end"), "{error}");
        drop(hung);
        std::io::Read::read_to_end(&mut reader, &mut Vec::new()).unwrap();
        let limit = Duration::from_secs(60);
        assert!(succeed_within(&mut shell("exit 0"), limit).is_ok());
        assert!(succeed_within(&mut shell("exit 3"), limit).is_err());
    }

    #[test]
    fn a_step_reports_the_error_of_its_work() {
        assert_eq!(timed("good", &mut || Ok(())).verdict, Verdict::Passed);
        assert_eq!(timed("bad", &mut || bail!("on purpose")).verdict, Verdict::Failed);
    }
}
