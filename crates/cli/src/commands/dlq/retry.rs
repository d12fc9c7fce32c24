//! `dlq:retry`: runs dead jobs again.

use anyhow::Result;
use clap::Args;
use queuectl_core::JobRef;
use queuectl_dlq::{RetriedAll, Selected};
use queuectl_storage::{MassChange, NewOperation, Store};
use queuectl_views::{RetriedView, WouldView};

use super::narrow::{CAUSES_HELP, Narrow, begin_named, describe, meaning, preview, say_if_fewer};
use crate::commands::batch::{for_each_job, line};
use crate::commands::confirm::{can_ask, confirm_change};
use crate::commands::op::as_operation;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::progress::Progress;
use crate::registry::Run;

/// Run dead jobs again, now and with fresh attempts; their history stays
#[derive(Debug, Args)]
#[command(after_help = CAUSES_HELP)]
pub struct RetryArgs {
    /// The jobs' ids or numbers
    #[arg(value_name = "JOB", required_unless_present_any = ["all", "cause"], conflicts_with = "all")]
    jobs: Vec<JobRef>,
    /// All dead jobs; asks first on a terminal
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    narrow: Narrow,
    /// Only say how many jobs would run again
    #[arg(long, conflicts_with = "jobs")]
    dry_run: bool,
    /// Do not ask; --cause and --older-than need it without a terminal
    #[arg(long)]
    yes: bool,
}

impl Run for RetryArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open()?;
        let now = store.now()?;
        let selected = self.narrow.selected(&mut store, now)?;
        if self.jobs.is_empty() {
            return self.retry_many(&mut store, &selected, context);
        }
        begin_named(&mut store, "dlq:retry", &self.jobs)?;
        let done = for_each_job(&self.jobs, context, |job| {
            queuectl_dlq::check_cause(&mut store, job, selected.cause)?;
            let (queue, age) = (self.narrow.queue.as_ref(), self.narrow.older_than);
            queuectl_dlq::retry(&mut store, job, queue, age, now)?;
            Ok("pending")
        });
        store.leave_operation();
        done
    }
}

impl RetryArgs {
    fn retry_many(&self, store: &mut Store, selected: &Selected, context: &Context) -> Result<Exit> {
        // Scripts have retried all dead jobs without being asked since the first version.
        let is_narrowed = selected.cause.is_some() || self.narrow.older_than.is_some();
        let asks = !self.yes && (is_narrowed || can_ask());
        let mut asked = None;
        if self.dry_run || asks {
            let survey = queuectl_dlq::survey(store, selected)?;
            if self.dry_run {
                let said = preview(&survey, "would run again");
                let (jobs, first) = (survey.jobs, survey.first);
                context.output.done(&WouldView { jobs, first }, &said);
                return Ok(Exit::OK);
            }
            if survey.jobs == 0 {
                report(RetriedAll { jobs: 0, skipped: 0 }, context);
                return Ok(Exit::OK);
            }
            confirm_change("retry", "retried", &describe(&survey, selected), context)?;
            asked = Some(survey.jobs);
        }
        let operation = NewOperation {
            kind: "dlq:retry".to_owned(),
            what: meaning(selected),
            request: Some(selected.request(MassChange::Retry)),
            total: None,
        };
        let mut progress = Progress::new("jobs that will run again:", None);
        let (retried, _) = as_operation(store, operation, |store| {
            Ok(queuectl_dlq::retry_selected(store, selected, |jobs| {
                progress.set(jobs)
            })?)
        })?;
        drop(progress);
        report(retried, context);
        say_if_fewer(asked, retried.jobs + retried.skipped, context);
        Ok(Exit::OK)
    }
}

fn report(RetriedAll { jobs, skipped }: RetriedAll, context: &Context) {
    let done = line(jobs, "will run again");
    context.output.done(&RetriedView { jobs, skipped }, &done);
    if skipped > 0 {
        context.output.remark(&format!(
            "{} dead: other jobs have their unique keys; retry them when those have ended",
            match skipped {
                1 => "1 job stays".to_owned(),
                _ => format!("{skipped} jobs stay"),
            }
        ));
    }
}
