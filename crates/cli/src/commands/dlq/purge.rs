//! `dlq:purge`: removes dead jobs for good.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use queuectl_core::{JobRef, QueueName, parse_duration};

use crate::commands::batch::{count, for_each_job};
use crate::commands::confirm::{confirm, meant};
use crate::context::Context;
use crate::exit::Exit;
use crate::registry::Run;

/// Remove dead jobs for good, with their attempts and output
#[derive(Debug, Args)]
pub struct PurgeArgs {
    /// The jobs' ids or numbers
    #[arg(value_name = "JOB", required_unless_present = "all", conflicts_with = "all")]
    jobs: Vec<JobRef>,
    /// All dead jobs; asks first, needs --yes without a terminal
    #[arg(long)]
    all: bool,
    /// Only jobs of this queue; others are left alone even if named
    #[arg(long, value_name = "NAME")]
    queue: Option<QueueName>,
    /// Only jobs that have been dead for longer; others are left alone even if named
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, allow_hyphen_values = true)]
    older_than: Option<Duration>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl Run for PurgeArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open()?;
        let queue = self.queue.as_ref();
        if !self.all {
            let now = store.now()?;
            return for_each_job(&self.jobs, context, |job| {
                queuectl_dlq::purge(&mut store, job, queue, self.older_than, now)?;
                Ok("purged")
            });
        }
        if !self.yes {
            confirm(&meant("dead", queue, self.older_than), context)?;
        }
        let age = self.older_than.unwrap_or_default();
        let now = store.now()?;
        let jobs = queuectl_dlq::purge_all(&mut store, queue, age, now)?;
        Ok(count(jobs, "purged", context))
    }
}
