//! `group:retry`: runs the jobs of a group again that did not complete.

use anyhow::Result;
use clap::Args;
use queuectl_core::GroupName;
use queuectl_views::GroupRetriedView;

use crate::commands::batch::line;
use crate::commands::op::begin_operation;
use crate::context::Context;
use crate::exit::Exit;
use crate::registry::Run;

/// Run the dead and cancelled jobs of a group again, with fresh attempts
#[derive(Debug, Args)]
#[command(after_help = "\
If the group is complete, its jobs count as not ended until they have ended again; what --then or --then-failed says does \
not run a second time. A group that --max-fails stopped goes on.")]
pub struct RetryArgs {
    /// The group's name
    name: GroupName,
    /// Only the dead jobs, not the cancelled ones
    #[arg(long)]
    failed: bool,
}

impl Run for RetryArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open()?;
        let now = store.now()?;
        let only = if self.failed { " --failed" } else { "" };
        begin_operation(&mut store, "group:retry", format!("{}{only}", self.name))?;
        let done = store.retry_group(&self.name, self.failed, now)?;
        let view = GroupRetriedView {
            group: self.name.to_string(),
            jobs: done.jobs,
            skipped: done.held_back,
            removed: done.gone,
        };
        let mut text = format!("group {}: {}", self.name, line(done.jobs, "will run again"));
        if done.held_back > 0 {
            text += &format!(
                "; {} skipped, because other jobs have their unique keys",
                done.held_back
            );
        }
        if done.gone > 0 {
            text += &format!("; {} were removed and cannot run again", done.gone);
        }
        context.output.done(&view, &text);
        Ok(Exit::OK)
    }
}
