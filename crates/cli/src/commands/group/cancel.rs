//! `group:cancel`: gives up the jobs of a group.

use anyhow::Result;
use clap::Args;
use queuectl_core::GroupName;
use queuectl_views::GroupCancelledView;

use crate::commands::batch::line;
use crate::commands::op::{begin_operation, offer_undo};
use crate::context::Context;
use crate::exit::Exit;
use crate::registry::Run;

/// Close a group and cancel all of its jobs that have not ended; running ones are stopped
#[derive(Debug, Args)]
#[command(after_help = "\
What --then-failed says runs once the last job has stopped. Many jobs are cancelled in steps of 500; after an \
interruption, the same command goes on.")]
pub struct CancelArgs {
    /// The group's name
    name: GroupName,
}

impl Run for CancelArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open()?;
        let now = store.now()?;
        begin_operation(&mut store, "group:cancel", self.name.to_string())?;
        let done = store.cancel_group(&self.name, now)?;
        let operation = store.end_operation(now)?;
        let view = GroupCancelledView {
            group: self.name.to_string(),
            cancelled: done.cancelled,
            stopping: done.requested,
        };
        let stopping = match done.requested {
            0 => String::new(),
            1 => "; 1 running job is being stopped".to_owned(),
            jobs => format!("; {jobs} running jobs are being stopped"),
        };
        let line = format!(
            "group {}: {}{stopping}",
            self.name,
            line(done.cancelled, "cancelled")
        );
        context.output.done(&view, &line);
        offer_undo(&mut store, operation, context);
        Ok(Exit::OK)
    }
}
