//! `torture`: faults by the thousand against the real binary, and a verdict over what is left (Linux).
//!
//! Nothing here looks into the database: acknowledgements are what commands printed, and what is left is what commands
//! show. Every choice comes from a seed, which is printed and can be given; which moment a fault meets is up to the
//! machine, so a seed repeats the faults and not always their effect. Each campaign has a control, in which the guarantee
//! is switched off and which must then find a violation: a test that cannot fail shows nothing.

#![cfg(target_os = "linux")]

mod chaos;
mod containers;
mod damage;
mod flow;
mod log;
mod net;
mod power;
mod processes;
mod procs;
#[cfg(test)]
mod quick;
mod rig;
mod scene;
mod sim;
mod storage;
mod strace;
mod syscalls;
mod verdict;

use clap::{Subcommand, ValueEnum as _};
use queuectl_devkit::{Binaries, Profile, heading};

use rig::Rig;

/// What to torture.
#[derive(Subcommand)]
pub enum Campaign {
    /// Kill at every n-th write, I/O errors, a full disk, power cuts, flipped bits (power cuts want root and loop devices)
    Storage {
        /// Power cuts
        #[arg(long, value_name = "N", default_value_t = 200)]
        cuts: u32,
        /// Files with a flipped bit or a missing end
        #[arg(long, value_name = "N", default_value_t = 500)]
        flips: u32,
        /// Fail only at every n-th of the system calls that can fail
        #[arg(long, value_name = "N", default_value_t = 1)]
        step: u32,
        /// Only these operations of syscalls: enqueue, bulk, turns, migrate, checkpoint, purge [default: all]
        #[arg(long, value_name = "NAME", value_delimiter = ',')]
        operations: Vec<String>,
        /// Only these parts: syscalls, power, damage [default: all]
        #[arg(long, value_name = "PART", value_delimiter = ',')]
        only: Vec<String>,
        /// Repeat the choices of an earlier run
        #[arg(long, value_name = "N")]
        seed: Option<u64>,
        /// Use the release build
        #[arg(long)]
        release: bool,
    },
    /// Kill, hold and stop dispatchers, worker processes, jobs and plugins; full and read-only disks; clocks that jump
    Procs {
        /// Faults
        #[arg(long, value_name = "N", default_value_t = 1000)]
        faults: u32,
        /// Queues that live through faults at the same time; each is mostly waited for
        #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=64))]
        lanes: u32,
        /// In these worlds: in clock the clock of a node jumps, in disk the disk is full or
        /// read-only now and then, in containers jobs run by the docker plugin, whose engine is killed (dockerd and a
        /// static busybox), in whole nothing else is wrong
        #[arg(
            long,
            value_name = "WORLD",
            value_delimiter = ',',
            default_value = "whole,clock,disk",
            hide_possible_values = true
        )]
        worlds: Vec<scene::World>,
        /// Repeat the choices of an earlier run
        #[arg(long, value_name = "N")]
        seed: Option<u64>,
        /// Use the release build, and leave the control out, which wants a development build
        #[arg(long)]
        release: bool,
    },
    /// Cut machines off from their PostgreSQL server, again and again (root, `ip`, PostgreSQL)
    Net {
        /// How often
        #[arg(long, value_name = "N", default_value_t = 1000)]
        partitions: u32,
        /// How often while the machines run jobs of limited keys
        #[arg(long, value_name = "N", default_value_t = 100)]
        limited: u32,
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
    /// Kill, suspend and set the clocks of nodes under limits, schedules, graphs and other flow control
    Flow {
        /// Only these campaigns [default: all]
        #[arg(long, value_name = "NAME", value_delimiter = ',')]
        only: Vec<flow::Part>,
        /// On these databases
        #[arg(
            long,
            value_name = "NAME",
            value_delimiter = ',',
            default_value = "sqlite,postgres"
        )]
        database: Vec<flow::stage::Database>,
        /// Jobs of each campaign, or what it counts instead: ticks, starts, keys [default: its own number]
        #[arg(long, value_name = "N")]
        jobs: Option<u32>,
        /// Faults of each campaign [default: its own number]
        #[arg(long, value_name = "N")]
        kills: Option<u32>,
        /// Repeat the choices of an earlier run
        #[arg(long, value_name = "N")]
        seed: Option<u64>,
        /// Use the release build, and leave out the controls that want a development build
        #[arg(long)]
        release: bool,
    },
    /// Simulate nodes, clients and faults over the real store, by the million steps
    Sim(sim::Options),
}

/// Runs a campaign; an error if anything was violated, or if a control was not.
pub fn run(campaign: &Campaign) -> anyhow::Result<()> {
    let rig = |release: &bool, plugins: &[&str]| {
        heading("Building");
        let profile = Profile::from_release_flag(*release);
        Rig::new(&Binaries::build(profile, plugins)?)
    };
    let chosen = |seed: &Option<u64>| seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    match campaign {
        Campaign::Storage {
            cuts,
            flips,
            step,
            operations,
            only,
            seed,
            release,
        } => {
            let plan = syscalls::Plan {
                cuts: *cuts,
                flips: *flips,
                step: *step,
                operations: operations.clone(),
                seed: chosen(seed),
            };
            storage::run(&rig(release, &["shell"])?, plan, only)
        }
        Campaign::Procs {
            faults,
            lanes,
            worlds,
            seed,
            release,
        } => {
            let plan = procs::Plan {
                faults: *faults,
                lanes: *lanes,
                worlds: worlds.clone(),
                seed: chosen(seed),
                era: procs::ERA,
                control: if *release { 0 } else { procs::CONTROL },
            };
            procs::run(&rig(release, &["shell", "docker"])?, &plan)
        }
        Campaign::Flow {
            only,
            database,
            jobs,
            kills,
            seed,
            release,
        } => {
            let rig = rig(release, &["shell"])?;
            let seed = chosen(seed);
            let parts = match only.as_slice() {
                [] => flow::Part::value_variants(),
                only => only,
            };
            database.iter().try_for_each(|database| {
                let (database, jobs, kills) = (*database, *jobs, *kills);
                let plan = flow::Plan {
                    database,
                    jobs,
                    kills,
                    seed,
                };
                flow::run(&rig, &plan, parts)
            })
        }
        Campaign::Net {
            partitions,
            limited,
            machines,
            jobs,
            seed,
        } => net::run(&net::Plan {
            jobs: *jobs,
            partitions: *partitions,
            limited: *limited,
            machines: *machines,
            seed: *seed,
        }),
        Campaign::Sim(options) => sim::run(options),
    }
}
