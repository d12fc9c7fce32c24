//! A node.

use queuectl_core::{NodeId, Timestamp};
use serde::Serialize;

/// What a node does, as far as others can see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeState {
    /// It runs jobs.
    Running,
    /// It was asked to stop.
    Stopping,
    /// It was killed; the next node to look rescues its jobs.
    Dead,
}

impl NodeState {
    /// Returns the word for it.
    pub fn name(self) -> &'static str {
        match self {
            NodeState::Running => "running",
            NodeState::Stopping => "stopping",
            NodeState::Dead => "dead",
        }
    }
}

/// A node.
#[derive(Debug, Clone, Serialize)]
pub struct NodeView {
    /// Its number.
    pub id: NodeId,
    /// What it does.
    pub state: NodeState,
    /// The machine's name.
    pub host: String,
    /// The process number of its dispatcher.
    pub pid: i64,
    /// Its version of queuectl.
    pub version: String,
    /// Worker processes.
    pub workers: u32,
    /// Jobs that each worker process runs at a time.
    pub concurrency: u32,
    /// The queues it serves; empty for all.
    pub queues: Vec<String>,
    /// Jobs it has claimed: running, or about to.
    pub jobs: u64,
    /// When it started.
    pub started_at: Timestamp,
    /// Its newest heartbeat.
    pub heartbeat_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::NodeState;

    #[test]
    fn a_state_is_printed_by_its_name() {
        for state in [NodeState::Running, NodeState::Stopping, NodeState::Dead] {
            assert_eq!(serde_json::json!(state), state.name());
        }
    }
}
