//! `group:remove`: removes groups.

use std::io;

use anyhow::Result;
use clap::Args;
use queuectl_core::GroupName;
use queuectl_views::ChangedView;

use crate::context::Context;
use crate::exit::Exit;
use crate::output::warn_unprinted;
use crate::registry::Run;

/// Remove groups whose jobs have ended; the jobs stay
#[derive(Debug, Args)]
#[command(after_help = "\
The name is free afterwards. Nodes remove complete groups by themselves when the setting `retention` says so. A group with \
jobs that have not ended is refused, and so is every group after it.")]
pub struct RemoveArgs {
    /// The groups' names
    #[arg(value_name = "NAME", required = true)]
    names: Vec<GroupName>,
}

impl Run for RemoveArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open()?;
        let now = store.now()?;
        let mut records = context.output.records(io::stdout());
        for name in &self.names {
            store.remove_group(name, now)?;
            let view = ChangedView {
                id: name.to_string(),
                result: "removed",
            };
            let line = format!("group {name} removed");
            let printed = records.item(&view, &line);
            warn_unprinted(printed.and_then(|()| records.flush()), || line);
        }
        Ok(Exit::OK)
    }
}
