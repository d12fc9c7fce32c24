//! `dlq:purge`: removes dead jobs.

use anyhow::Result;
use clap::Args;
use queuectl_core::JobRef;
use queuectl_dlq::Selected;
use queuectl_storage::{MassChange, NewOperation, Store};
use queuectl_views::WouldView;

use super::narrow::{CAUSES_HELP, Narrow, begin_named, describe, meaning, preview, say_if_fewer};
use crate::commands::batch::{count, for_each_job};
use crate::commands::confirm::{confirm, meant};
use crate::commands::op::{as_operation, offer_undo};
use crate::context::Context;
use crate::exit::Exit;
use crate::output::progress::Progress;
use crate::registry::Run;

/// Remove dead jobs, with their attempts and output
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
            begin_named(&mut store, "dlq:purge", &self.jobs)?;
            let done = for_each_job(&self.jobs, context, |job| {
                queuectl_dlq::check_cause(&mut store, job, selected.cause)?;
                queuectl_dlq::purge(&mut store, job, queue, age, now)?;
                Ok("purged")
            });
            store.leave_operation();
            return done;
        }
        if self.dry_run || selected.cause.is_some() {
            return self.purge_selected(&mut store, &selected, context);
        }
        if !self.yes {
            confirm(&meant("dead", queue, age), context)?;
        }
        // Those that have died since the question are not meant.
        purge(&mut store, &selected, None, context)
    }
}

/// Removes the jobs; `asked` is how many the question named.
fn purge(store: &mut Store, selected: &Selected, asked: Option<u64>, context: &Context) -> Result<Exit> {
    let operation = NewOperation {
        kind: "dlq:purge".to_owned(),
        what: meaning(selected),
        request: Some(selected.request(MassChange::Purge)),
        total: None,
    };
    let mut progress = Progress::new("jobs purged:", None);
    let (jobs, operation) = as_operation(store, operation, |store| {
        Ok(queuectl_dlq::purge_selected(store, selected, |jobs| {
            progress.set(jobs)
        })?)
    })?;
    drop(progress);
    let exit = count(jobs, "purged", context);
    say_if_fewer(asked, jobs, context);
    offer_undo(store, operation, context);
    Ok(exit)
}

impl PurgeArgs {
    fn purge_selected(&self, store: &mut Store, selected: &Selected, context: &Context) -> Result<Exit> {
        let mut asked = None;
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
            asked = Some(survey.jobs);
        }
        purge(store, selected, asked, context)
    }
}
