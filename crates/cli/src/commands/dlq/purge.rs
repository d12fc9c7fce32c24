//! `dlq:purge`: removes dead jobs for good.

use anyhow::Result;
use clap::Args;
use queuectl_core::JobRef;
use queuectl_dlq::Selected;
use queuectl_storage::Store;
use queuectl_views::WouldView;

use super::narrow::{CAUSES_HELP, Narrow, describe, preview};
use crate::commands::batch::{count, for_each_job};
use crate::commands::confirm::{confirm, meant};
use crate::context::Context;
use crate::exit::Exit;
use crate::registry::Run;

/// Remove dead jobs for good, with their attempts and output
#[derive(Debug, Args)]
#[command(after_help = CAUSES_HELP)]
pub struct PurgeArgs {
    /// The jobs' ids or numbers
    #[arg(value_name = "JOB", required_unless_present_any = ["all", "cause"], conflicts_with = "all")]
    jobs: Vec<JobRef>,
    /// All dead jobs; asks first, needs --yes without a terminal
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    narrow: Narrow,
    /// Only say how many jobs would be removed
    #[arg(long, conflicts_with = "jobs")]
    dry_run: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl Run for PurgeArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open()?;
        let now = store.now()?;
        let selected = self.narrow.selected(&mut store, now)?;
        let (queue, age) = (self.narrow.queue.as_ref(), self.narrow.older_than);
        if !self.jobs.is_empty() {
            return for_each_job(&self.jobs, context, |job| {
                queuectl_dlq::check_cause(&mut store, job, selected.cause)?;
                queuectl_dlq::purge(&mut store, job, queue, age, now)?;
                Ok("purged")
            });
        }
        if self.dry_run || selected.cause.is_some() {
            return self.purge_selected(&mut store, &selected, context);
        }
        if !self.yes {
            confirm(&meant("dead", queue, age), context)?;
        }
        // Those that have died since the question are not meant.
        let jobs = queuectl_dlq::purge_all(&mut store, queue, selected.age, now)?;
        Ok(count(jobs, "purged", context))
    }
}

impl PurgeArgs {
    fn purge_selected(&self, store: &mut Store, selected: &Selected, context: &Context) -> Result<Exit> {
        if self.dry_run || !self.yes {
            let survey = queuectl_dlq::survey(store, selected)?;
            if self.dry_run {
                let said = preview(&survey, "would be purged");
                let (jobs, first) = (survey.jobs, survey.first);
                context.output.done(&WouldView { jobs, first }, &said);
                return Ok(Exit::OK);
            }
            if survey.jobs == 0 {
                return Ok(count(0, "purged", context));
            }
            confirm(&describe(&survey, selected), context)?;
        }
        let jobs = queuectl_dlq::purge_selected(store, selected)?;
        Ok(count(jobs, "purged", context))
    }
}
