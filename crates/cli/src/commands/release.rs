//! `release`: lets held jobs go on.

use anyhow::Result;
use clap::Args;
use queuectl_core::{BlockedBy, JobRef};

use super::batch::for_each_job;
use crate::context::Context;
use crate::exit::Exit;
use crate::registry::Run;

/// Let held jobs go on; each keeps the time it is due
#[derive(Debug, Args)]
pub struct ReleaseArgs {
    /// The jobs' ids or numbers
    #[arg(value_name = "JOB", required = true)]
    jobs: Vec<JobRef>,
}

impl Run for ReleaseArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open()?;
        for_each_job(&self.jobs, context, |job| {
            let now = store.now()?;
            let released = store.release(job, now)?;
            Ok(match released.waits.first() {
                Some(BlockedBy::Dependency) => "blocked (dependency)",
                Some(BlockedBy::Unique) => "blocked (unique)",
                Some(BlockedBy::Overlap) => "blocked (overlap)",
                Some(BlockedBy::Limit) => "blocked (limit)",
                Some(BlockedBy::Held) | None => released.state.name(),
            })
        })
    }
}
