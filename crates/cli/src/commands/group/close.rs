//! `group:close`: says that no more jobs come.

use anyhow::Result;
use clap::Args;
use queuectl_core::GroupName;
use queuectl_views::GroupView;

use super::options::GroupOptions;
use crate::context::Context;
use crate::exit::Exit;
use crate::registry::Run;

/// Close a group: no more jobs come, and what it is to run then runs once all have ended
#[derive(Debug, Args)]
#[command(after_help = "\
If all of its jobs have ended, or it has none, the group is complete at once. Closing a closed group changes nothing.")]
pub struct CloseArgs {
    /// The group's name
    name: GroupName,
    #[command(flatten)]
    options: GroupOptions,
}

impl Run for CloseArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let change = self.options.change(context)?;
        let mut store = context.open()?;
        let now = store.now()?;
        store.close_group(&self.name, &change, now)?;
        let found = store.group(&self.name)?;
        let view = GroupView::new(&found.group, &found.progress, false);
        let line = match (view.completed_at, view.callback) {
            (None, _) => format!("group {} closed; {}", self.name, view.ended()),
            (Some(_), None) => format!("group {} is complete; {}", self.name, view.ended()),
            (Some(_), Some(job)) => format!("group {} is complete; job {job} follows", self.name),
        };
        context.output.done(&view, &line);
        Ok(Exit::OK)
    }
}
