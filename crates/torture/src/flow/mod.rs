//! `torture flow`: flow control under faults, on both databases, one file per campaign.
//!
//! The judges read what jobs wrote and what commands print, never a campaign's own idea of what the store did. Statements
//! reach the database only to break a guarantee for a control.

pub mod atomic;
pub mod graph;
pub mod groups;
pub mod limits;
pub mod rates;
pub mod spans;
pub mod stage;
pub mod ticks;
pub mod unique;

use std::time::Instant;

use anyhow::Context;
use queuectl_devkit::heading;

use super::rig::Rig;
use stage::Database;

/// The campaigns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// At no moment do more jobs of a key run than its limit allows.
    Limits,
    /// One job for each tick of a schedule, and every tick is accounted for.
    Ticks,
    /// A job starts after those it waits for, and none is left waiting.
    Graph,
    /// Never more starts than a rate allows, and hardly fewer.
    Rates,
    /// Of the jobs with a unique key, at most one has not ended.
    Unique,
    /// Everything that follows from the end of a job is stored with it; `--jobs N`: a fault at every N-th system call.
    Atomic,
    /// One callback for each group, after its last member.
    Groups,
}

/// How much of what.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub database: Database,
    /// Jobs, or what the campaign counts instead; its own number if there is none.
    pub jobs: Option<u32>,
    pub kills: Option<u32>,
    pub seed: u64,
}

/// Runs these campaigns, each with its controls; the first violation is the error.
pub fn run(rig: &Rig, plan: &Plan, parts: &[Part]) -> anyhow::Result<()> {
    for part in parts {
        heading(&format!("{part:?} on {:?}, seed {}", plan.database, plan.seed));
        let begun = Instant::now();
        let ran = match part {
            Part::Limits => limits::run(rig, plan),
            Part::Ticks => ticks::run(rig, plan),
            Part::Graph => graph::run(rig, plan),
            Part::Rates => rates::run(rig, plan),
            Part::Unique => unique::run(rig, plan),
            Part::Atomic => atomic::run(rig, plan),
            Part::Groups => groups::run(rig, plan),
        };
        ran.with_context(|| format!("{part:?} on {:?}, seed {}", plan.database, plan.seed))?;
        println!("no violation; {:.0} s in all", begun.elapsed().as_secs_f64());
    }
    Ok(())
}
