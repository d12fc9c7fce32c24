//! `status`: says whether the queue is healthy, counts jobs by state, and shows the nodes and the size of the queue.

use std::io;

use anyhow::Result;
use clap::Args;
use queuectl_core::{QueueName, State, Timestamp, show_rough};
use queuectl_views::{StateCounts, StatusView};

use super::worker::list::{NODES, node_row};
use crate::context::Context;
use crate::exit::Exit;
use crate::output::page::Page;
use crate::output::pause;
use crate::output::table::Column;
use crate::output::time::relative;
use crate::registry::Run;
use queuectl_frontend::status;

/// Say whether the queue is healthy, count jobs by queue and state, and show the nodes
#[derive(Debug, Args)]
#[command(after_help = "\
A problem is what keeps jobs from running that could run: no node serves their queue, it is paused without an end or may run \
no jobs, the first of them has waited for more than 10 m, or for a limit that no job holds; a schedule is more than 1 m late; a \
node died and its jobs are not rescued. Each comes with the command that helps; docs/json.md has their codes. With --queue, \
only problems of that queue and of nodes count.")]
pub struct StatusArgs {
    /// Only jobs of this queue
    #[arg(long, value_name = "NAME")]
    queue: Option<QueueName>,
    /// End with status 1 if there are problems
    #[arg(long)]
    check: bool,
}

impl Run for StatusArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open()?;
        let now = store.now()?;
        let mut view = status::load(&mut store, self.queue.as_ref(), now)?;
        view.bytes = store.bytes()?;
        view.folder_bytes = store.folder_bytes();
        context.output.document(&view, |page| print(&view, now, page))?;
        Ok(match self.check && !view.healthy {
            true => Exit::NEGATIVE,
            false => Exit::OK,
        })
    }
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
        // While all nodes are full, a job can be due and not ready yet.
        let when = if due > now {
            relative(due, now)
        } else {
            "now".to_owned()
        };
        page.line(&format!("next job due {when}"))?;
    }
    health(view, page)?;
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
            false if view.limited.get(name).is_some_and(|limit| limit.full) => "full",
            false => "",
        };
        row(name, counts, oldest(name), note)
    });
    let total = (view.queues.len() != 1).then(|| row("all", &view.total, String::new(), ""));
    page.table(&columns, queues.chain(total))?;
    for (queue, paused) in &view.paused {
        page.sentence(&format!("queue {queue}: {}", pause::in_words(paused, now)))?;
    }
    for group in &view.groups {
        page.sentence(&format!(
            "group {}: {}, {}",
            group.name,
            group.in_words(),
            group.ended()
        ))?;
    }
    if let [first, rest @ ..] = view.overlapping.as_slice() {
        let others = match rest.len() {
            0 => String::new(),
            others => format!(" and {others} more"),
        };
        page.sentence(&format!(
            "schedule {first}{others}: ticks were skipped in the last 24 h because a run had not ended; \
             `queuectl schedule:show {first}`"
        ))?;
    }
    if let Some(at) = view.rescued_at {
        let jobs = match view.rescued_jobs {
            1 => "1 job".to_owned(),
            jobs => format!("{jobs} jobs"),
        };
        page.sentence(&format!(
            "{jobs} rescued from nodes that died in the last 24 h, the last {}",
            relative(at, now)
        ))?;
    }
    if view.nodes.is_empty() {
        // It is said once.
        if view.problems.iter().any(|problem| problem.code == "no_node") {
            return Ok(());
        }
        page.text("")?;
        return page.line("no node is running; `queuectl worker:start` starts one");
    }
    page.text("")?;
    page.table(&NODES, view.nodes.iter().map(|node| node_row(node, now)))
}

fn health(view: &StatusView, page: &mut Page) -> io::Result<()> {
    match view.problems.len() {
        0 => return page.line("healthy"),
        1 => page.line("1 problem:")?,
        several => page.line(&format!("{several} problems:"))?,
    }
    for problem in &view.problems {
        page.sentence(&format!("- {}: `{}`", problem.text, problem.command))?;
    }
    Ok(())
}

fn row(name: &str, counts: &StateCounts, oldest: String, note: &str) -> Vec<String> {
    let counts = State::ALL.into_iter().map(|state| counts.of(state).to_string());
    let first = std::iter::once(name.to_owned()).chain(counts);
    first.chain([oldest, note.to_owned()]).collect()
}
