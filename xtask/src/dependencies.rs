//! The step `dependencies`: cargo-shear finds what is declared and not used, cargo-deny what `deny.toml` forbids.
//!
//! Both are programs of others. If one is not installed, the step names it as skipped, which CI accepts only where `.ci/run`
//! tried to install it.

use std::env;
use std::io::ErrorKind;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::workspace::Workspace;

/// The programs with their arguments.
const TOOLS: [(&str, &[&str]); 2] = [
    ("cargo-shear", &["--check-test-targets", "--deny-warnings"]),
    ("cargo-deny", &["check", "licenses", "bans", "sources"]),
];

/// Says why the programs could not be installed; `.ci/run` sets it.
const NO_CHECKERS: &str = "QUEUECTL_TEST_NO_CHECKERS";
/// How the reason of an excused skip begins.
pub const NOT_INSTALLED: &str = "no program that checks dependencies could be installed here";

/// Runs both, and returns a line for each that is not installed.
pub fn check(workspace: &Workspace) -> anyhow::Result<Vec<String>> {
    let mut skips = Vec::new();
    let mut failed = Vec::new();
    for (tool, arguments) in TOOLS {
        if !is_installed(tool)? {
            let reason = match env::var(NO_CHECKERS) {
                Ok(why) => format!("{NOT_INSTALLED}: {why}"),
                Err(_) => "it is not installed; .ci/run shows how to".to_owned(),
            };
            skips.push(format!("skipped: {tool}: {reason}"));
            continue;
        }
        let mut command = Command::new(tool);
        command.current_dir(workspace.root()).args(arguments);
        let status = command.status().with_context(|| format!("cannot start {tool}"))?;
        if !status.success() {
            failed.push(tool);
        }
    }
    if !failed.is_empty() {
        bail!("{} found something", failed.join(" and "));
    }
    Ok(skips)
}

fn is_installed(tool: &str) -> anyhow::Result<bool> {
    let mut command = Command::new(tool);
    command
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    match command.status() {
        Ok(status) => Ok(status.success()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).with_context(|| format!("cannot start {tool}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_not_an_error() {
        assert!(!is_installed("cargo-that-nobody-has").unwrap());
    }
}
