//! Views that take more than one query.

use queuectl_core::{Attempt, Job, State};
use queuectl_storage::{Node, StopRequest, Store, StoreError};
use queuectl_views::{NodeState, NodeView};

/// Returns all nodes.
pub fn nodes(store: &mut Store) -> Result<Vec<NodeView>, StoreError> {
    let nodes = store.nodes_with_lives()?;
    nodes
        .into_iter()
        .map(|(node, lives)| node_view(store, node, lives))
        .collect()
}

fn node_view(store: &mut Store, node: Node, lives: bool) -> Result<NodeView, StoreError> {
    let state = match (lives, node.stop) {
        (false, _) => NodeState::Dead,
        (true, StopRequest::None) => NodeState::Running,
        (true, _) => NodeState::Stopping,
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

/// Returns why the job's newest attempt failed. Queries the store only if there can be an answer.
pub fn last_error(store: &mut Store, job: &Job) -> Result<Option<String>, StoreError> {
    if job.fence == 0 || job.state == State::Completed {
        return Ok(None);
    }
    let attempt = store.last_attempt(job.id)?;
    Ok(attempt
        .map(|attempt| attempt.outcome.message)
        .filter(|message| !message.is_empty()))
}

/// Returns the last line that the newest of a job's ended attempts printed.
pub fn last_line(store: &mut Store, job: &Job, attempts: &[Attempt]) -> Result<Option<String>, StoreError> {
    let Some(newest) = attempts.last() else {
        return Ok(None);
    };
    let newest = store.attempt(job.id, newest.fence)?;
    Ok(newest.as_ref().and_then(queuectl_dlq::last_line))
}
