//! `limit:list`: all limits with what they allow and whom they concern.

use anyhow::Result;
use clap::Args;
use queuectl_views::LimitView;

use crate::context::Context;
use crate::exit::Exit;
use crate::output::table::Column;
use crate::registry::Run;
use queuectl_frontend::limits::{allows, view_of};

/// List the limits
#[derive(Debug, Args)]
pub struct ListArgs {}

const COLUMNS: [Column; 5] = [
    Column::name("LIMIT", 8),
    Column::sentence("ALLOWS", 12),
    Column::whole("RUNNING"),
    Column::whole("WAITING"),
    Column::whole("KEYS").expendable(1),
];

impl Run for ListArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let limits = context.open()?.limits()?;
        let mut list = context.output.list(&COLUMNS)?;
        for limit in &limits {
            let view = view_of(limit);
            list.item(&view, || row(&view))?;
        }
        list.end()?;
        Ok(Exit::OK)
    }
}

fn row(limit: &LimitView) -> Vec<String> {
    vec![
        limit.name.to_string(),
        allows(limit),
        limit.jobs_running.to_string(),
        limit.jobs_waiting.to_string(),
        limit.keys.to_string(),
    ]
}
