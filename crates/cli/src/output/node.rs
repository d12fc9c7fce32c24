//! A node as JSON and as a table.

use std::io;

use queuectl_core::{NodeId, Timestamp};
use queuectl_storage::{Node, StopRequest, Store, StoreError};
use serde::Serialize;

use super::table::{Column, Table};
use super::time::{local, rough};

/// A node as `worker:list --json` and `status --json` print it.
#[derive(Debug, Serialize)]
pub struct NodeView {
    pub id: NodeId,
    /// `running`, `stopping` (asked to) or `dead` (killed; the next node rescues its jobs).
    pub state: &'static str,
    pub host: String,
    pub pid: i64,
    pub version: String,
    pub workers: u32,
    pub concurrency: u32,
    /// The queues it serves; empty for all.
    pub queues: Vec<String>,
    /// Jobs it has claimed: running, or about to.
    pub jobs: u64,
    pub started_at: Timestamp,
    pub heartbeat_at: Timestamp,
}

impl NodeView {
    /// All nodes there are.
    pub fn load_all(store: &mut Store) -> Result<Vec<NodeView>, StoreError> {
        let nodes = store.nodes_with_lives()?;
        nodes
            .into_iter()
            .map(|(node, lives)| NodeView::load(store, node, lives))
            .collect()
    }

    fn load(store: &mut Store, node: Node, lives: bool) -> Result<NodeView, StoreError> {
        let state = match (lives, node.stop) {
            (false, _) => "dead",
            (true, StopRequest::None) => "running",
            (true, _) => "stopping",
        };
        Ok(NodeView {
            id: node.id,
            state,
            host: node.host,
            pid: node.pid,
            version: node.version,
            workers: node.workers,
            concurrency: node.concurrency,
            queues: node.queues,
            jobs: store.jobs_of_node(node.id)?.len() as u64,
            started_at: node.started_at,
            heartbeat_at: node.heartbeat_at,
        })
    }
}

/// Prints nodes as a table.
pub fn print_table(nodes: &[NodeView], now: Timestamp, raw: bool) -> io::Result<()> {
    let columns = [
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
    let mut table = Table::new(&columns, raw);
    for node in nodes {
        let queues = if node.queues.is_empty() {
            "all".to_owned()
        } else {
            node.queues.join(", ")
        };
        table.row([
            node.id.to_string(),
            node.state.to_owned(),
            node.pid.to_string(),
            node.host.clone(),
            format!("{} x {}", node.workers, node.concurrency),
            node.jobs.to_string(),
            format!("{} ago", rough(now.since(node.heartbeat_at))),
            local(node.started_at),
            queues,
        ]);
    }
    table.print()
}
