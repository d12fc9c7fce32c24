//! Nodes that run another version than this program.

use queuectl_storage::Store;
use queuectl_views::{FindingView, NodeState, NodeView, Verdict};

use super::{named, unread};
use queuectl_frontend::load;

pub(super) fn findings(store: &mut Store) -> Vec<FindingView> {
    match load::nodes(store) {
        Ok(nodes) => of_nodes(&nodes, env!("CARGO_PKG_VERSION")),
        Err(error) => vec![unread("nodes", &error)],
    }
}

fn of_nodes(nodes: &[NodeView], version: &str) -> Vec<FindingView> {
    let alive: Vec<&NodeView> = nodes
        .iter()
        .filter(|node| node.state != NodeState::Dead)
        .collect();
    if alive.is_empty() {
        let found = FindingView::new("nodes", Verdict::Note, "no node is running, so no job runs");
        return vec![found.fix("`queuectl worker:start` starts one")];
    }
    let others: Vec<String> = alive
        .iter()
        .filter(|node| node.version != version)
        .map(|node| format!("node {} on {} ({})", node.id, node.host, node.version))
        .collect();
    if others.is_empty() {
        let text = match alive.len() {
            1 => "1 node runs this version".to_owned(),
            several => format!("{several} nodes run this version"),
        };
        return vec![FindingView::new("nodes", Verdict::Ok, text)];
    }
    let text = format!("another version than {version} is run by {}", named(others));
    let found = FindingView::new("nodes", Verdict::Warning, text);
    vec![found.fix("stop them with `queuectl worker:stop` and start them with the new version")]
}

#[cfg(test)]
mod tests {
    use super::*;
    use queuectl_core::{NodeId, Timestamp};

    fn node(id: i64, state: NodeState, version: &str) -> NodeView {
        NodeView {
            id: NodeId(id),
            state,
            host: "host".to_owned(),
            pid: 1,
            version: version.to_owned(),
            workers: 1,
            concurrency: 1,
            queues: Vec::new(),
            jobs: 0,
            started_at: Timestamp(0),
            heartbeat_at: Timestamp(0),
        }
    }

    #[test]
    fn only_living_nodes_of_another_version_are_named() {
        let same = node(1, NodeState::Running, "2");
        assert_eq!(of_nodes(std::slice::from_ref(&same), "2")[0].verdict, Verdict::Ok);
        let dead = node(2, NodeState::Dead, "1");
        assert_eq!(
            of_nodes(&[same.clone(), dead.clone()], "2")[0].verdict,
            Verdict::Ok
        );
        assert_eq!(of_nodes(&[dead], "2")[0].verdict, Verdict::Note);
        let old: Vec<NodeView> = (3..10)
            .map(|id| node(id, NodeState::Running, "1"))
            .chain([same])
            .collect();
        let found = &of_nodes(&old, "2")[0];
        assert_eq!(found.verdict, Verdict::Warning);
        assert!(found.text.contains("node 3 on host (1)") && found.text.ends_with("and 2 more"));
        assert!(!found.text.contains("node 1 "), "{}", found.text);
    }
}
