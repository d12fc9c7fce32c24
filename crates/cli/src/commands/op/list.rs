//! `op:list`: what operators did, the newest first.

use anyhow::Result;
use clap::Args;
use queuectl_core::limits::LIST_ROWS;
use queuectl_views::OperationView;

use super::view;
use crate::context::Context;
use crate::exit::Exit;
use crate::number::whole;
use crate::output::table::Column;
use crate::output::time::local;
use crate::registry::Run;

/// List what operators did: changes of jobs, settings, queues, limits, hooks and schedules
#[derive(Debug, Args)]
#[command(after_help = "\
Each command that changes jobs is one operation, however many jobs it changes; so is each setting, pause, limit, hook \
and schedule that changes. They can be looked up, and most of them undone (`queuectl op:undo`), for the time in the setting \
op_retention. A command that was cut off, even by a power cut, goes on with `queuectl op:resume`.")]
pub struct ListArgs {
    /// Only operations that have not ended: they go on, or were cut off
    #[arg(long)]
    unfinished: bool,
    /// Only the newest N [default: 50, with --json all]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<u32>(LIST_ROWS))]
    limit: Option<u32>,
}

/// Default number of rows in a table.
const ROWS: u32 = 50;
/// Operations per query.
const PAGE: u32 = 500;

const COLUMNS: [Column; 7] = [
    Column::whole("OP"),
    Column::whole("TIME").expendable(2),
    Column::name("BY", 8).expendable(1),
    Column::whole("DID"),
    Column::whole("JOBS"),
    Column::sentence("WHAT", 16),
    Column::whole("UNDO"),
];

impl Run for ListArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open()?;
        let mut list = context.output.long_list(&COLUMNS)?;
        let limit = context.output.limit(self.limit, ROWS).unwrap_or(u32::MAX);
        let (mut left, mut before) = (limit, None);
        let mut more = false;
        loop {
            let wanted = left.saturating_add(1).min(PAGE);
            let page = store.operations(before, self.unfinished, wanted)?;
            let is_last = page.len() < wanted as usize;
            for operation in page {
                if left == 0 {
                    more = true;
                    break;
                }
                left -= 1;
                before = Some(operation.id);
                let view = view(operation);
                list.item(&view, || row(&view))?;
            }
            if is_last || left == 0 {
                break;
            }
        }
        list.end()?;
        if more {
            let these = match limit {
                1 => "this is the newest operation".to_owned(),
                _ => format!("these are the newest {limit} operations"),
            };
            context.output.remark(&format!("{these}; --limit N shows more"));
        }
        Ok(Exit::OK)
    }
}

fn row(operation: &OperationView) -> Vec<String> {
    vec![
        operation.id.to_string(),
        local(operation.at),
        operation.by.clone().unwrap_or_else(|| "-".to_owned()),
        operation.kind.clone(),
        match operation.jobs + operation.stopping {
            0 => "-".to_owned(),
            jobs => jobs.to_string(),
        },
        operation.what.clone(),
        undo(operation),
    ]
}

/// Says in a word whether an operation has ended and can be undone.
fn undo(operation: &OperationView) -> String {
    match operation.undone_by {
        _ if !operation.ended => "unfinished".to_owned(),
        Some(by) => format!("by {by}"),
        None if operation.undoable => "yes".to_owned(),
        None => "no".to_owned(),
    }
}
