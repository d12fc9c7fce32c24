//! `worker:list`: the nodes of a queue.

use anyhow::Result;
use clap::Args;
use queuectl_core::{Timestamp, show_rough};
use queuectl_views::NodeView;

use crate::context::Context;
use crate::exit::Exit;
use crate::output::table::Column;
use crate::output::time::local;
use crate::registry::Run;
use queuectl_frontend::load;

/// List the nodes
#[derive(Debug, Args)]
pub struct ListArgs {}

/// The columns of a table of nodes.
pub const NODES: [Column; 9] = [
    Column::whole("NODE"),
    Column::whole("STATE"),
    Column::whole("PID").expendable(1),
    Column::name("HOST", 8).expendable(2),
    Column::whole("WORKERS"),
    Column::whole("JOBS"),
    Column::whole("HEARTBEAT").expendable(3),
    Column::whole("STARTED").expendable(4),
    Column::sentence("QUEUES", 8),
];

impl Run for ListArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open()?;
        let nodes = load::nodes(&mut store)?;
        let now = store.now()?;
        let mut list = context.output.list(&NODES)?;
        for node in &nodes {
            list.item(node, || node_row(node, now))?;
        }
        list.end()?;
        Ok(Exit::OK)
    }
}

/// Returns the row of a node.
pub fn node_row(node: &NodeView, now: Timestamp) -> Vec<String> {
    let queues = match node.queues.is_empty() {
        true => "all".to_owned(),
        false => node.queues.join(", "),
    };
    vec![
        node.id.to_string(),
        node.state.name().to_owned(),
        node.pid.to_string(),
        node.host.clone(),
        format!("{} x {}", node.workers, node.concurrency),
        node.jobs.to_string(),
        format!("{} ago", show_rough(now.since(node.heartbeat_at))),
        local(node.started_at),
        queues,
    ]
}
