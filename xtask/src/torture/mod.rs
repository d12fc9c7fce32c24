//! `torture`: faults by the thousand against the real binary, and a verdict over what is left (Linux).

mod net;
mod sim;

use clap::Subcommand;

use crate::workspace::Workspace;

/// What to torture.
#[derive(Subcommand)]
pub enum Campaign {
    /// Cut machines off from their PostgreSQL server, again and again (root, `ip`, PostgreSQL)
    Net {
        /// How often
        #[arg(long, value_name = "N", default_value_t = 1000)]
        partitions: u32,
        /// Machines, each cut off by itself
        #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(2..=100))]
        machines: u32,
        /// Jobs that three machines run before, exactly once each
        #[arg(long, value_name = "N", default_value_t = 20_000)]
        jobs: u32,
        /// Repeat the choices of an earlier run
        #[arg(long, value_name = "N", default_value_t = 1)]
        seed: u64,
    },
    /// Simulate nodes, clients and faults over the real store, by the million steps
    Sim(sim::Options),
}

/// Runs a campaign; an error if anything was violated, or if a control was not.
pub fn run(workspace: &Workspace, campaign: &Campaign) -> anyhow::Result<()> {
    match campaign {
        Campaign::Net {
            partitions,
            machines,
            jobs,
            seed,
        } => net::run(workspace, *partitions, *machines, *jobs, *seed),
        Campaign::Sim(options) => sim::run(workspace, options),
    }
}
