//! `status`: counts jobs by state, and shows the nodes and the size of the queue.

use std::collections::BTreeMap;
use std::io;

use anyhow::Result;
use clap::Args;
use queuectl_core::{QueueName, State, Timestamp};
use queuectl_views::{StateCounts, StatusView};

use super::worker::list::{NODES, node_row};
use crate::context::Context;
use crate::exit::Exit;
use crate::load;
use crate::output::page::Page;
use crate::output::table::Column;
use crate::output::time::relative;
use crate::registry::Run;

/// Count jobs by queue and state, and show the nodes
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Only jobs of this queue
    #[arg(long, value_name = "NAME")]
    queue: Option<QueueName>,
}

impl Run for StatusArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open()?;
        let counts = store.counts(self.queue.as_ref())?;
        let mut view = StatusView {
            db: context.location.to_string(),
            bytes: store.bytes()?,
            folder_bytes: store.folder_bytes(),
            next_due: store.next_due()?,
            total: StateCounts::default(),
            queues: BTreeMap::new(),
            nodes: load::nodes(&mut store)?,
        };
        for count in counts {
            view.add(count.queue, count.state, count.jobs);
        }
        let now = store.now()?;
        context.output.document(&view, |page| print(&view, now, page))?;
        Ok(Exit::OK)
    }
}

fn column(state: State) -> Column {
    match state {
        State::Pending => Column::whole("PENDING"),
        State::Scheduled => Column::whole("SCHEDULED").expendable(2),
        State::Processing => Column::whole("PROCESSING"),
        State::Failed => Column::whole("FAILED"),
        State::Completed => Column::whole("COMPLETED").expendable(1),
        State::Dead => Column::whole("DEAD"),
        State::Cancelled => Column::whole("CANCELLED").expendable(3),
    }
}

fn print(view: &StatusView, now: Timestamp, page: &mut Page) -> io::Result<()> {
    let kib = |bytes: u64| bytes.div_ceil(1024);
    let (db, size) = (&view.db, kib(view.bytes));
    match kib(view.folder_bytes) {
        0 => page.line(&format!("{db} ({size} KiB)"))?,
        folder => page.line(&format!(
            "{db} ({size} KiB, and {folder} KiB of long outputs and logs)"
        ))?,
    }
    if let Some(due) = view.next_due {
        page.line(&format!("next job due {}", relative(due, now)))?;
    }
    page.text("")?;
    let mut columns = vec![Column::name("QUEUE", 7)];
    columns.extend(State::ALL.map(column));
    let queues = view.queues.iter().map(|(name, counts)| row(name, counts));
    let total = (view.queues.len() != 1).then(|| row("all", &view.total));
    page.table(&columns, queues.chain(total))?;
    page.text("")?;
    if view.nodes.is_empty() {
        return page.line("no node is running; `queuectl worker:start` starts one");
    }
    page.table(&NODES, view.nodes.iter().map(|node| node_row(node, now)))
}

fn row(name: &str, counts: &StateCounts) -> Vec<String> {
    let counts = State::ALL.into_iter().map(|state| counts.of(state).to_string());
    std::iter::once(name.to_owned()).chain(counts).collect()
}
