//! `hold`: keeps jobs from starting until they are released.

use anyhow::Result;
use clap::Args;
use queuectl_core::JobRef;

use super::batch::for_each_job;
use crate::context::Context;
use crate::exit::Exit;
use crate::registry::Run;

/// Hold back jobs that have not started, until `release`
#[derive(Debug, Args)]
pub struct HoldArgs {
    /// The jobs' ids or numbers
    #[arg(value_name = "JOB", required = true)]
    jobs: Vec<JobRef>,
}

impl Run for HoldArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open()?;
        for_each_job(&self.jobs, context, |job| {
            let now = store.now()?;
            store.hold(job, now)?;
            Ok("held")
        })
    }
}
