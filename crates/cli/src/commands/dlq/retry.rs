//! `dlq:retry`: runs dead jobs again.

use anyhow::Result;
use clap::Args;
use queuectl_core::{JobRef, QueueName};
use queuectl_dlq::RetriedAll;
use queuectl_views::RetriedView;

use crate::commands::batch::{for_each_job, line};
use crate::context::Context;
use crate::exit::Exit;
use crate::registry::Run;

/// Run dead jobs again, now and with fresh attempts; their history stays
#[derive(Debug, Args)]
pub struct RetryArgs {
    /// The jobs' ids or numbers
    #[arg(value_name = "JOB", required_unless_present = "all", conflicts_with = "all")]
    jobs: Vec<JobRef>,
    /// All dead jobs
    #[arg(long)]
    all: bool,
    /// Only jobs of this queue; others are left alone even if named
    #[arg(long, value_name = "NAME")]
    queue: Option<QueueName>,
}

impl Run for RetryArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open()?;
        let now = store.now()?;
        if self.all {
            let retried = queuectl_dlq::retry_all(&mut store, self.queue.as_ref(), now)?;
            let RetriedAll { jobs, skipped } = retried;
            context
                .output
                .done(&RetriedView { jobs, skipped }, &line(jobs, "will run again"));
            if skipped > 0 {
                context.output.remark(&format!(
                    "{} dead: other jobs have their unique keys; retry them when those have ended",
                    match skipped {
                        1 => "1 job stays".to_owned(),
                        _ => format!("{skipped} jobs stay"),
                    }
                ));
            }
            return Ok(Exit::OK);
        }
        for_each_job(&self.jobs, context, |job| {
            queuectl_dlq::retry(&mut store, job, self.queue.as_ref(), now)?;
            Ok("pending")
        })
    }
}
