//! The tab of nodes.

use queuectl_core::{Timestamp, show_rough};
use queuectl_frontend::columns::Column;
use queuectl_frontend::load;
use queuectl_storage::{Store, StoreError};
use queuectl_views::NodeState;

use crate::snapshot::{Cell, Row, Subject, Tone};

pub const COLUMNS: [Column; 9] = [
    Column::whole("NODE"),
    Column::whole("STATE"),
    Column::whole("PID").expendable(2),
    Column::name("HOST", 8).expendable(1),
    Column::whole("WORKERS"),
    Column::whole("JOBS"),
    Column::whole("HEARTBEAT").expendable(3),
    Column::whole("UP").expendable(4),
    Column::sentence("QUEUES", 8),
];

pub fn load(store: &mut Store, now: Timestamp) -> Result<Vec<Row>, StoreError> {
    let nodes = load::nodes(store)?.into_iter();
    let rows = nodes.map(|node| Row {
        cells: vec![
            Cell::from(node.id.to_string()),
            Cell::new(
                node.state.name(),
                match node.state {
                    NodeState::Running => Tone::Good,
                    NodeState::Stopping => Tone::Warn,
                    NodeState::Dead => Tone::Bad,
                },
            ),
            Cell::from(node.pid.to_string()),
            Cell::from(&node.host),
            Cell::from(format!("{} x {}", node.workers, node.concurrency)),
            Cell::from(node.jobs.to_string()),
            Cell::from(format!("{} ago", show_rough(now.since(node.heartbeat_at)))),
            Cell::from(show_rough(now.since(node.started_at))),
            Cell::from(match node.queues.is_empty() {
                true => "all".to_owned(),
                false => node.queues.join(", "),
            }),
        ],
        subject: Subject::Node(node.id),
        position: None,
    });
    Ok(rows.collect())
}
