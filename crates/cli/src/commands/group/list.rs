//! `group:list`: groups and how far they are.

use anyhow::Result;
use clap::Args;
use queuectl_core::limits::LIST_ROWS;
use queuectl_core::{Timestamp, show_rough};
use queuectl_storage::GroupFilter;
use queuectl_views::GroupView;

use crate::commands::batch::these_are;
use crate::context::Context;
use crate::exit::Exit;
use crate::number::whole;
use crate::output::table::Column;
use crate::registry::Run;

/// List groups of jobs and how far they are, the newest first
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only groups that are not complete
    #[arg(long)]
    unfinished: bool,
    /// Only the newest N [default: 50, with --json all]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<u32>(LIST_ROWS))]
    limit: Option<u32>,
}

/// Default number of rows in a table.
const ROWS: u32 = 50;
/// Most groups that there are.
const ALL: u32 = 1_000_000;

const COLUMNS: [Column; 8] = [
    Column::name("GROUP", 12),
    Column::whole("STATE"),
    Column::whole("ENDED"),
    Column::whole("JOBS"),
    Column::whole("COMPLETED").expendable(3),
    Column::whole("DEAD"),
    Column::whole("CANCELLED").expendable(2),
    Column::whole("AGE").expendable(1),
];

impl Run for ListArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open()?;
        let now = store.now()?;
        let limit = context.output.limit(self.limit, ROWS).unwrap_or(ALL);
        let filter = GroupFilter {
            unfinished: self.unfinished,
            // One more tells whether there are more.
            limit: limit.saturating_add(1),
        };
        let groups = store.groups(&filter)?;
        let mut list = context.output.long_list(&COLUMNS)?;
        for found in groups.iter().take(limit as usize) {
            let view = GroupView::new(&found.group, &found.progress, false);
            list.item(&view, || row(&view, now))?;
        }
        list.end()?;
        if groups.len() > limit as usize {
            context
                .output
                .remark(&these_are("newest", limit, ("group", "groups")));
        }
        Ok(Exit::OK)
    }
}

fn row(group: &GroupView, now: Timestamp) -> Vec<String> {
    vec![
        group.name.to_string(),
        group.in_words().to_owned(),
        group.percent(),
        group.jobs.to_string(),
        group.completed.to_string(),
        group.dead.to_string(),
        group.cancelled.to_string(),
        show_rough(now.since(group.created_at)),
    ]
}
