//! `op:resume`: goes on with an operation that was cut off.

use anyhow::Result;
use clap::Args;
use queuectl_views::OperationView;

use super::{OneOperation, operation, view};
use crate::commands::batch::line;
use crate::context::Context;
use crate::exit::{Exit, Usage};
use crate::operator;
use crate::output::progress::Progress;
use crate::registry::Run;

/// Go on with an operation that was cut off: the jobs that it meant, and no others
#[derive(Debug, Args)]
#[command(after_help = "\
A command that changes many jobs stores which jobs it means before it begins, and how far it is with every step. If it is \
killed, this goes on behind the last step: every job is changed and counted once, and jobs that were stored or ended \
after the command began are not meant. `queuectl op:list --unfinished` lists such operations.")]
pub struct ResumeArgs {
    /// Its number in `op:list`, or last
    #[arg(value_name = "OP", value_parser = operation, allow_negative_numbers = true)]
    operation: OneOperation,
}

impl Run for ResumeArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open()?;
        store.act_as(operator::name());
        let found = self.operation.find(&mut store)?;
        let frozen = store.reopen_operation(found.id)?;
        let now = store.now()?;
        let mut progress = Progress::new("jobs changed:", found.total);
        match &frozen.cause {
            None => {
                let before = found.done.jobs();
                store.go_on(&frozen, &operator::name(), now, |done| {
                    progress.set(before + done.jobs());
                })?;
            }
            Some(cause) => {
                let cause = cause.parse().map_err(Usage::new)?;
                queuectl_dlq::go_on(&mut store, &frozen, cause, |jobs| progress.set(jobs))?;
            }
        }
        drop(progress);
        store.end_operation(now)?;
        let view = view(store.operation(found.id)?);
        context.output.done(&view, &in_words(&view));
        Ok(Exit::OK)
    }
}

fn in_words(view: &OperationView) -> String {
    let id = view.id;
    let stopping = match view.stopping {
        0 => String::new(),
        1 => "; 1 running job is being stopped".to_owned(),
        jobs => format!("; {jobs} running jobs are being stopped"),
    };
    format!(
        "operation {id} has ended: {}{stopping}",
        line(view.jobs, "changed")
    )
}
