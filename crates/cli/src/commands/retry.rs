//! `retry`: runs jobs again, with fresh attempts.

use anyhow::Result;
use clap::Args;
use queuectl_core::{JobRef, State};
use queuectl_storage::Only;

use super::batch::for_each_job;
use crate::context::Context;
use crate::exit::Exit;
use crate::registry::Run;

/// Run dead, cancelled or failed jobs again, now and with fresh attempts
#[derive(Debug, Args)]
pub struct RetryArgs {
    /// The jobs' ids or numbers
    #[arg(value_name = "JOB", required = true)]
    jobs: Vec<JobRef>,
}

impl Run for RetryArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open()?;
        for_each_job(&self.jobs, context, |job| {
            let now = store.now()?;
            let id = store.retry(job, &Only::default(), now)?;
            // It may wait for a job that was retried, too.
            Ok(match store.job(&JobRef::Number(id))?.state {
                State::Blocked => "blocked (dependency)",
                _ => "pending",
            })
        })
    }
}
