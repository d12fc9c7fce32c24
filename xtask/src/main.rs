//! `cargo xtask`: the tasks around the code, one module per task.
//!
//! This file parses arguments and hands over. No task depends on a tool that is not part of a Rust installation.

mod build;
mod demo;
mod dependencies;
mod fuzz;
mod install;
mod macos;
mod report;
mod suite;
mod tidy;
mod windows;
mod workspace;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use queuectl_devkit::Profile;

use crate::workspace::Workspace;

/// Tasks for building, checking, trying and installing queuectl
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build the `queuectl` binary and every plugin
    Build {
        /// Build with optimisations, as `install` does
        #[arg(long)]
        release: bool,
    },
    /// Build for release and install the binary with the shell executor
    Install {
        /// Install into DIR/bin, DIR/lib/queuectl and DIR/share [default: ~/.local]
        #[arg(long, value_name = "DIR")]
        prefix: Option<PathBuf>,
        /// Install these executors, too: docker, http, wasm, or all; installed ones are renewed in any case
        #[arg(long, value_name = "NAMES", value_delimiter = ',')]
        executors: Vec<String>,
    },
    /// Install every executor with the binary, optimised as a package for others is: twice as long to build
    Dist {
        /// Install into DIR/bin, DIR/lib/queuectl and DIR/share
        #[arg(long, value_name = "DIR")]
        prefix: PathBuf,
    },
    /// Check what the compiler does not: crate dependencies, import circles, file lengths, migrations, headers, manifests
    Tidy,
    /// Run every check and every test: format, tidy, clippy, build, unit, integration and end-to-end tests
    Test {
        /// Run only the tests whose name contains this; the other steps run in any case
        filter: Option<String>,
        /// Build the tests for Windows and run them under Wine instead, with Debian's packages; says what is missing
        #[arg(long)]
        windows: bool,
        /// Type-check everything for macOS instead, with Debian's packages; says what is missing
        #[arg(long, conflicts_with_all = ["filter", "windows"])]
        macos: bool,
    },
    /// Run what CI runs: `test`, where a skipped test is a failure
    Ci,
    /// Measure the release build: figures with their spread, against peers in the same run (Linux)
    #[command(disable_help_flag = true)]
    Bench {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Look for faults with faults: kill, starve and damage the real binary and its queue by the thousand (Linux)
    #[command(disable_help_flag = true)]
    Torture {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Fuzz what reads input: cron, frames, job_json, json_lines, plugin_describe, settings, times (wants a C++ compiler)
    Fuzz {
        /// Only these targets
        targets: Vec<String>,
        /// How long for each
        #[arg(long, value_name = "N", default_value_t = 60)]
        seconds: u32,
    },
    /// Drive the real binary through a short story, in a temporary queue
    Demo {
        /// Keep the temporary queue, to look around in it afterwards
        #[arg(long)]
        keep: bool,
    },
}

fn main() -> ExitCode {
    queuectl_devkit::report(run(Arguments::parse().task))
}

fn run(task: Task) -> anyhow::Result<()> {
    let workspace = Workspace::load()?;
    match task {
        Task::Build { release } => build::run(&workspace, Profile::from_release_flag(release)),
        Task::Install { prefix, executors } => install::run(&workspace, Profile::Release, prefix, &executors),
        Task::Dist { prefix } => install::run(
            &workspace,
            Profile::Dist,
            Some(prefix),
            &[install::ALL.to_owned()],
        ),
        Task::Tidy => tidy::run(&workspace),
        Task::Test { macos: true, .. } => macos::run(&workspace),
        Task::Test {
            filter,
            windows: true,
            ..
        } => windows::run(&workspace, filter.as_deref()),
        Task::Test { filter, .. } => suite::run(&workspace, filter.as_deref(), suite::in_ci()),
        Task::Ci => suite::run(&workspace, None, true),
        Task::Bench { arguments } => workspace.run("queuectl-bench", &arguments),
        Task::Torture { arguments } => workspace.run("queuectl-torture", &arguments),
        Task::Fuzz { targets, seconds } => fuzz::run(&workspace, &targets, seconds),
        Task::Demo { keep } => demo::run(&workspace, keep),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_well_formed() {
        Arguments::command().debug_assert();
    }
}
