//! `status`: how many jobs are in which state, which nodes run, how large the queue is.

use std::collections::BTreeMap;
use std::io::{self, Write};

use anyhow::Result;
use clap::Args;
use queuectl_core::{QueueName, State, Timestamp};
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::output::node::{self, NodeView};
use crate::output::table::{Column, Table};
use crate::output::time::relative;
use crate::output::{escape, json};

/// Count jobs by queue and state, and show the nodes
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Only jobs of this queue
    #[arg(long, value_name = "NAME")]
    queue: Option<QueueName>,
}

#[derive(Serialize)]
struct StatusView {
    /// The queue's file, or where it is on PostgreSQL.
    db: String,
    /// Its size: the file with its write-ahead log, or the tables with their indexes.
    bytes: u64,
    /// The size of long outputs and logs on this machine.
    folder_bytes: u64,
    /// When the next waiting job is due.
    next_due: Option<Timestamp>,
    /// Jobs by state, over all queues; every state is there.
    total: BTreeMap<&'static str, u64>,
    /// Jobs by queue, then by state.
    queues: BTreeMap<String, BTreeMap<&'static str, u64>>,
    nodes: Vec<NodeView>,
}

pub fn run(args: &StatusArgs, context: &Context) -> Result<Exit> {
    let mut store = context.open()?;
    let none: BTreeMap<&str, u64> = State::ALL.into_iter().map(|state| (state.name(), 0)).collect();
    let mut total = none.clone();
    let mut queues: BTreeMap<String, BTreeMap<&str, u64>> = BTreeMap::new();
    for count in store.counts(args.queue.as_ref())? {
        *total.entry(count.state.name()).or_default() += count.jobs;
        let queue = queues.entry(count.queue).or_insert_with(|| none.clone());
        queue.insert(count.state.name(), count.jobs);
    }
    let view = StatusView {
        db: context.location.to_string(),
        bytes: store.bytes()?,
        folder_bytes: store.folder_bytes(),
        next_due: store.next_due()?,
        total,
        queues,
        nodes: NodeView::load_all(&mut store)?,
    };
    if context.json {
        json::print(&view)?;
    } else {
        print(&view, store.now()?, context.raw)?;
    }
    Ok(Exit::OK)
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

fn print(view: &StatusView, now: Timestamp, raw: bool) -> Result<()> {
    let mut out = io::stdout();
    let db = if raw {
        view.db.as_str().into()
    } else {
        escape::line(&view.db)
    };
    let kib = |bytes: u64| bytes.div_ceil(1024);
    match view.folder_bytes {
        0 => writeln!(out, "{db} ({} KiB)", kib(view.bytes))?,
        beside => writeln!(
            out,
            "{db} ({} KiB, and {} KiB of long outputs and logs)",
            kib(view.bytes),
            kib(beside)
        )?,
    }
    if let Some(due) = view.next_due {
        writeln!(out, "next job due {}", relative(due, now))?;
    }
    writeln!(out)?;
    let mut columns = vec![Column::name("QUEUE", 7)];
    columns.extend(State::ALL.map(column));
    let mut table = Table::new(&columns, raw);
    let rows = view.queues.iter().map(|(name, counts)| (name.as_str(), counts));
    let total = (view.queues.len() != 1).then_some(("all", &view.total));
    for (name, counts) in rows.chain(total) {
        let counts = State::ALL
            .iter()
            .map(|state| counts.get(state.name()).copied().unwrap_or(0).to_string());
        table.row(std::iter::once(name.to_owned()).chain(counts));
    }
    table.print()?;
    writeln!(out)?;
    if view.nodes.is_empty() {
        writeln!(out, "no node is running; `queuectl worker:start` starts one")?;
        return Ok(());
    }
    node::print_table(&view.nodes, now, raw)?;
    Ok(())
}
