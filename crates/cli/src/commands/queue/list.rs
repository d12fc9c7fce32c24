//! `queue:list`: the queues that have jobs, settings or limits, or are paused.

use anyhow::Result;
use clap::Args;
use queuectl_core::{State, Timestamp, show_rough};
use queuectl_views::{QueueLimitView, QueueView};

use crate::context::Context;
use crate::exit::Exit;
use crate::output::pause;
use crate::output::table::Column;
use crate::registry::Run;
use queuectl_frontend::load;

/// List the queues that have jobs, settings or limits of their own, or are paused
#[derive(Debug, Args)]
#[command(after_help = "\
OLDEST is how long the oldest pending job of the queue has been ready to run. NODES are the nodes that serve the queue.")]
pub struct ListArgs {}

const COLUMNS: [Column; 10] = [
    Column::name("QUEUE", 7),
    Column::whole("PENDING"),
    Column::whole("RUNNING"),
    Column::whole("WAITING").expendable(3),
    Column::whole("DEAD"),
    Column::whole("ENDED").expendable(4),
    Column::whole("OLDEST").expendable(1),
    Column::name("NODES", 5).expendable(2),
    Column::sentence("LIMIT", 14).if_any(),
    Column::sentence("PAUSED", 14).if_any(),
];

impl Run for ListArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open()?;
        let now = store.now()?;
        let mut list = context.output.list(&COLUMNS)?;
        for queue in load::queues(&mut store, now)? {
            list.item(&queue, || row(&queue, now))?;
        }
        list.end()?;
        Ok(Exit::OK)
    }
}

fn row(queue: &QueueView, now: Timestamp) -> Vec<String> {
    let sum = |states: &[State]| -> String {
        let jobs: u64 = states.iter().map(|state| queue.jobs.of(*state)).sum();
        jobs.to_string()
    };
    let nodes: Vec<String> = queue.nodes.iter().map(ToString::to_string).collect();
    vec![
        queue.queue.clone(),
        sum(&[State::Pending]),
        sum(&[State::Processing]),
        sum(&[State::Scheduled, State::Failed]),
        sum(&[State::Dead]),
        sum(&[State::Completed, State::Cancelled]),
        queue
            .oldest_pending
            .map_or_else(String::new, |since| show_rough(now.since(since))),
        if nodes.is_empty() {
            "none".to_owned()
        } else {
            nodes.join(", ")
        },
        queue.limit.as_ref().map_or_else(String::new, limit),
        queue
            .paused
            .as_ref()
            .map_or_else(String::new, |paused| pause::in_short(paused, now)),
    ]
}

/// What a queue allows, and whether it has no room now.
fn limit(limit: &QueueLimitView) -> String {
    let allows = limit.allows();
    match limit.full {
        true => format!("{allows}: full"),
        false => allows,
    }
}
