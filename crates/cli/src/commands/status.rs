//! `status`: counts jobs by state, and shows the nodes and the size of the queue.

use std::collections::BTreeMap;
use std::io;

use anyhow::Result;
use clap::Args;
use queuectl_core::{QueueName, State, Timestamp, show_rough};
use queuectl_views::{NodeState, NodeView, StateCounts, StatusView};

use super::worker::list::{NODES, node_row};
use crate::context::Context;
use crate::exit::Exit;
use crate::load;
use crate::output::page::Page;
use crate::output::pause;
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
        let now = store.now()?;
        let counts = store.counts(self.queue.as_ref())?;
        let mut view = StatusView {
            db: context.location.to_string(),
            bytes: store.bytes()?,
            folder_bytes: store.folder_bytes(),
            next_due: store.next_due()?,
            total: StateCounts::default(),
            queues: BTreeMap::new(),
            paused: load::pauses(&mut store, now)?,
            unserved: Vec::new(),
            oldest_pending: BTreeMap::new(),
            nodes: load::nodes(&mut store)?,
        };
        for count in counts {
            view.add(count.queue, count.state, count.jobs);
        }
        if let Some(only) = &self.queue {
            view.paused.retain(|queue, _| queue == only.as_str());
        }
        let queues = view.queues.iter().map(|(queue, jobs)| (queue.as_str(), jobs));
        view.oldest_pending = load::oldest_pending(&mut store, queues)?;
        view.unserved = unserved(&view);
        context.output.document(&view, |page| print(&view, now, page))?;
        Ok(Exit::OK)
    }
}

/// Returns the queues whose pending jobs no node is going to take.
fn unserved(view: &StatusView) -> Vec<String> {
    let serves = |node: &NodeView, queue: &String| {
        node.state == NodeState::Running && (node.queues.is_empty() || node.queues.contains(queue))
    };
    let pending = view.queues.iter().filter(|(_, jobs)| jobs.of(State::Pending) > 0);
    let left = pending.filter(|(queue, _)| !view.nodes.iter().any(|node| serves(node, queue)));
    left.map(|(queue, _)| queue.clone()).collect()
}

fn column(state: State) -> Column {
    match state {
        State::Pending => Column::whole("PENDING"),
        State::Scheduled => Column::whole("SCHEDULED").expendable(2),
        State::Blocked => Column::whole("BLOCKED"),
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
    columns.push(Column::whole("OLDEST").expendable(4).if_any());
    columns.push(Column::whole("NOTE").if_any());
    let oldest = |name: &str| {
        let since = view.oldest_pending.get(name);
        since.map_or_else(String::new, |since| show_rough(now.since(*since)))
    };
    let queues = view.queues.iter().map(|(name, counts)| {
        let is_unserved = view.unserved.contains(name) && !view.nodes.is_empty();
        let note = match view.paused.contains_key(name) {
            true => "paused",
            false if is_unserved => "no node",
            false => "",
        };
        row(name, counts, oldest(name), note)
    });
    let total = (view.queues.len() != 1).then(|| row("all", &view.total, String::new(), ""));
    page.table(&columns, queues.chain(total))?;
    for (queue, paused) in &view.paused {
        page.line(&format!("queue {queue}: {}", pause::in_words(paused, now)))?;
    }
    page.text("")?;
    if view.nodes.is_empty() {
        return page.line("no node is running; `queuectl worker:start` starts one");
    }
    page.table(&NODES, view.nodes.iter().map(|node| node_row(node, now)))
}

fn row(name: &str, counts: &StateCounts, oldest: String, note: &str) -> Vec<String> {
    let counts = State::ALL.into_iter().map(|state| counts.of(state).to_string());
    let first = std::iter::once(name.to_owned()).chain(counts);
    first.chain([oldest, note.to_owned()]).collect()
}
