//! `hook:list`: the hooks of all jobs, of queues and of schedules.

use anyhow::Result;
use clap::Args;
use queuectl_views::HookView;

use super::show::{events, scope};
use crate::context::Context;
use crate::exit::Exit;
use crate::output::table::Column;
use crate::registry::Run;

/// List the hooks that were added
#[derive(Debug, Args)]
#[command(after_help = "Hooks that single jobs were enqueued with are in `queuectl show JOB`.")]
pub struct ListArgs {}

const COLUMNS: [Column; 4] = [
    Column::name("HOOK", 8),
    Column::whole("ON"),
    Column::name("OF", 8),
    Column::name("COMMAND", 12),
];

impl Run for ListArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let hooks = context.open()?.hooks()?;
        let mut list = context.output.list(&COLUMNS)?;
        for hook in hooks {
            let view = HookView::from(hook);
            list.item(&view, || row(&view))?;
        }
        list.end()?;
        Ok(Exit::OK)
    }
}

fn row(view: &HookView) -> Vec<String> {
    vec![
        view.name.to_string(),
        events(view),
        scope(view),
        view.command.clone(),
    ]
}
