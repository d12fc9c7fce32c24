//! `torture sim`: the simulator for as many steps as wanted, in an optimised build. Not only on Linux; it is the
//! simulator's own program that does it.

use anyhow::bail;
use clap::Args;

use queuectl_devkit::{cargo, postgres};

/// How far.
#[derive(Args)]
pub struct Options {
    /// Steps, of both databases each
    #[arg(long, value_name = "N", default_value_t = 100_000_000)]
    steps: u64,
    /// The first seed; the next plans have the next ones
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Actions of a plan; a failing seed is repeated with the same number
    #[arg(long, value_name = "N", default_value_t = 1500)]
    actions: u32,
    /// Plans at a time
    #[arg(long, value_name = "N", default_value_t = 2)]
    threads: u32,
    /// On PostgreSQL instead of SQLite
    #[arg(long)]
    postgres: bool,
    /// Switch a guard off and see it found: fencing, lease, sweep, attempts, commit, limits, slots, ticks, dependencies, order,
    /// keys, successors, pauses or ledger
    #[arg(long, value_name = "GUARD")]
    without: Option<String>,
    /// Only the plan of the first seed
    #[arg(long)]
    one: bool,
}

/// Runs it; an error if a promise was broken.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let mut cargo = cargo(["run", "--release", "--package", "queuectl-sim"]);
    cargo.args(["--features", "simulate", "--"]);
    cargo.args([
        "--steps",
        &options.steps.to_string(),
        "--seed",
        &options.seed.to_string(),
    ]);
    cargo.args(["--actions", &options.actions.to_string()]);
    cargo.args(["--threads", &options.threads.to_string()]);
    if let Some(guard) = &options.without {
        cargo.args(["--without", guard]);
    }
    if options.one {
        cargo.arg("--one");
    }
    let mut server = None;
    if options.postgres {
        cargo.arg("--postgres");
        server = postgres::Server::start()?;
    }
    if let Some(server) = &server {
        cargo.env(postgres::VARIABLE, &server.location);
    }
    let status = cargo.status()?;
    if !status.success() {
        bail!("{status}");
    }
    Ok(())
}
