//! `cargo xtask`: the tasks around the code, one module per task.
//!
//! This file parses arguments and hands over. No task depends on a tool that is not part of a Rust installation.

#[cfg(target_os = "linux")]
mod bench;
mod build;
mod demo;
mod fuzz;
mod install;
mod macos;
mod postgres;
mod report;
mod suite;
mod tidy;
#[cfg(target_os = "linux")]
mod torture;
mod windows;
mod workspace;

use std::path::PathBuf;
use std::process::ExitCode;

use anstyle::AnsiColor;
use clap::{Parser, Subcommand};

use crate::build::Profile;
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
    /// Build for release and install the binary and the plugins
    Install {
        /// Install into DIR/bin and DIR/lib/queuectl/plugins [default: ~/.local]
        #[arg(long, value_name = "DIR")]
        prefix: Option<PathBuf>,
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
    Bench {
        /// Only these measurements: drain, noop, enqueue, latency, pg-noop, pg-latency, idle, scale, pgscale, bloat,
        /// pages, contention, retention
        /// [default: all]
        names: Vec<String>,
        /// How often each is measured
        #[arg(long, value_name = "N", default_value_t = 5)]
        runs: u32,
        /// How many jobs a large queue has; ten million take 4 GB of disk and some minutes to make
        #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(10_000..))]
        jobs: u64,
        /// How long `bloat` watches
        #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1440))]
        minutes: u32,
        /// Write the figures to this file as JSON, too
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
    /// Look for faults with faults: kill, starve and damage the real binary and its queue by the thousand (Linux)
    #[cfg(target_os = "linux")]
    Torture {
        #[command(subcommand)]
        campaign: torture::Campaign,
    },
    /// Fuzz what reads input: frames, job_json, json_lines, plugin_describe, settings, times (wants a C++ compiler)
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
    match run(Arguments::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let red = AnsiColor::Red.on_default().bold();
            anstream::eprintln!("{red}error{red:#}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> anyhow::Result<()> {
    let workspace = Workspace::load()?;
    match task {
        Task::Build { release } => build::run(&workspace, Profile::from_release_flag(release)),
        Task::Install { prefix } => install::run(&workspace, prefix),
        Task::Tidy => tidy::run(&workspace),
        Task::Test { macos: true, .. } => macos::run(&workspace),
        Task::Test {
            filter,
            windows: true,
            ..
        } => windows::run(&workspace, filter.as_deref()),
        Task::Test { filter, .. } => suite::run(&workspace, filter.as_deref(), suite::in_ci()),
        Task::Ci => suite::run(&workspace, None, true),
        #[cfg(target_os = "linux")]
        Task::Bench {
            names,
            runs,
            jobs,
            minutes,
            json,
        } => bench::run(&workspace, &names, runs, jobs, minutes, json),
        #[cfg(not(target_os = "linux"))]
        Task::Bench { .. } => anyhow::bail!("the measurements read /proc, which only Linux has"),
        #[cfg(target_os = "linux")]
        Task::Torture { campaign } => torture::run(&workspace, &campaign),
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
