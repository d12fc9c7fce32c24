//! `test --windows`: the tests, built for Windows by Debian's packages and run under Wine.
//!
//! It says by name which tests passed, which failed, and which were left out and why; a test that is left out without a
//! reason in [`scope::LIST`] is a failure, and so is a reason without a test. It is evidence for windows-gnu, not for MSVC,
//! and for what Wine does as Windows does; `docs/platforms.md` says where that differs.

mod run;
mod scope;
mod sources;
pub mod toolchain;

use std::collections::BTreeMap;
use std::io::BufReader;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use cargo_metadata::{Message, TargetKind};

use self::run::{Results, Verdict};
use self::toolchain::{TARGET, Toolchain};
use crate::report;
use crate::workspace::Workspace;

/// Longest that all tests together may take, without their build.
const MOST: Duration = Duration::from_secs(25 * 60);

/// C code from others, which takes minutes to build, for a server that no test reaches here.
pub const LIBPQ: &str = "queuectl-libpq";

/// A test program.
struct Program {
    package: String,
    /// `lib`, `bin`, or the name of an integration test.
    target: String,
    file: PathBuf,
    folder: PathBuf,
}

impl Program {
    /// What the names of its tests begin with: `queuectl-cli/end_to_end`.
    fn name(&self) -> String {
        format!("{}/{}", self.package, self.target)
    }
}

/// Builds and runs everything; an error says what failed.
pub fn run(workspace: &Workspace, filter: Option<&str>) -> anyhow::Result<()> {
    let toolchain = Toolchain::find(workspace)?;
    let scope = scope::Scope::load(workspace)?;
    queuectl_devkit::heading("build for Windows");
    let packages: Vec<String> = workspace
        .metadata
        .workspace_packages()
        .into_iter()
        .map(|package| package.name.to_string())
        .filter(|name| !scope.leaves_out_package(name) && name != LIBPQ)
        .collect();
    let programs = build(workspace, &toolchain, &packages)?;
    // What an earlier run left behind would be in the way.
    toolchain.end_all();
    toolchain.make_prefix()?;
    let until = Instant::now() + MOST;
    let mut results = Results::default();
    for program in &programs {
        queuectl_devkit::heading(&format!("{} on Windows", program.name()));
        match run::program(program, &toolchain, &scope, filter, until) {
            Ok(found) => results.extend(found),
            Err(error) => {
                anstream::eprintln!("{error:#}");
                results.insert(format!("{} as a whole", program.name()), Verdict::Failed);
            }
        }
    }
    toolchain.end_all();
    let all = sources::tests(workspace)?;
    conclude(&results, &scope, &all, filter.is_some())
}

fn build(workspace: &Workspace, toolchain: &Toolchain, packages: &[String]) -> anyhow::Result<Vec<Program>> {
    let mut cargo = toolchain.cargo_build(workspace);
    cargo.args(["--lib", "--bins", "--tests"]);
    cargo.arg("--message-format=json-render-diagnostics");
    for package in packages {
        cargo.args(["--package", package]);
    }
    let mut child = cargo
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start Debian's cargo")?;
    let output = child.stdout.take().context("cargo has no output")?;
    let messages: Result<Vec<Message>, _> = Message::parse_stream(BufReader::new(output)).collect();
    if !child.wait()?.success() {
        bail!("the build for {TARGET} failed");
    }
    let mut programs = Vec::new();
    for message in messages.context("cannot read what cargo reported")? {
        let Message::CompilerArtifact(artifact) = message else {
            continue;
        };
        let (Some(file), true) = (artifact.executable, artifact.profile.test) else {
            continue;
        };
        let package = &workspace.metadata[&artifact.package_id];
        let target = match artifact.target.kind.first() {
            Some(TargetKind::Test) => artifact.target.name,
            Some(TargetKind::Bin) => "bin".to_owned(),
            _ => "lib".to_owned(),
        };
        programs.push(Program {
            package: package.name.to_string(),
            target,
            file: file.into_std_path_buf(),
            folder: package
                .manifest_path
                .parent()
                .context("a package has a folder")?
                .as_std_path()
                .to_owned(),
        });
    }
    programs.sort_by_key(Program::name);
    Ok(programs)
}

/// Shows every name that is not simply passed, and decides.
fn conclude(
    results: &Results,
    scope: &scope::Scope,
    all: &[sources::Test],
    filtered: bool,
) -> anyhow::Result<()> {
    queuectl_devkit::heading("summary of the tests on Windows");
    let mut counts = BTreeMap::new();
    for (name, verdict) in results {
        *counts.entry(verdict.word()).or_insert(0) += 1;
        match verdict {
            Verdict::Passed => println!("  passed   {name}"),
            Verdict::SecondTry => println!("  passed   {name} (at the second try)"),
            Verdict::LeftOut(why) | Verdict::Skipped(why) => println!("  left out {name}: {why}"),
            Verdict::Failed => {}
        }
    }
    let mut silent = Vec::new();
    for test in all
        .iter()
        .filter(|test| !results.keys().any(|name| test.is(name)))
    {
        match scope.reason(&test.name()) {
            Some(why) => {
                *counts.entry("left out").or_insert(0) += 1;
                println!("  left out {}: {why}", test.name());
            }
            None => silent.push(test.name()),
        }
    }
    let style = report::warning();
    let failed: Vec<&String> = results
        .iter()
        .filter(|(_, verdict)| **verdict == Verdict::Failed)
        .map(|(name, _)| name)
        .collect();
    for name in &failed {
        anstream::println!("  {style}FAILED{style:#}   {name}");
    }
    let summary: Vec<String> = counts
        .iter()
        .map(|(word, count)| format!("{count} {word}"))
        .collect();
    println!("  {}", summary.join(", "));
    if filtered {
        // What did not run because of the filter is not left out.
        silent.clear();
    } else if let Some(stale) = scope.unused(results.keys(), all) {
        bail!("{}: no test is named like '{stale}'", scope::LIST);
    }
    for name in &silent {
        anstream::println!(
            "  {style}left out without a reason in {}{style:#}: {name}",
            scope::LIST
        );
    }
    if !failed.is_empty() || !silent.is_empty() {
        bail!("{} failed, {} left out silently", failed.len(), silent.len());
    }
    Ok(())
}
