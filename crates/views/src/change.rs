//! What a command has done.

use queuectl_core::NodeId;
use serde::Serialize;

/// A job that was stored.
#[derive(Debug, Serialize)]
pub struct EnqueuedView<'a> {
    /// The job's id.
    pub id: &'a str,
}

/// A job that was changed.
#[derive(Debug, Serialize)]
pub struct ChangedView<'a> {
    /// The job, as it was named.
    pub id: String,
    /// What became of it.
    pub result: &'a str,
}

/// How many jobs were changed at once, or would be.
#[derive(Debug, Serialize)]
pub struct CountView {
    /// The number of jobs.
    pub jobs: u64,
}

/// A node that runs in the background.
#[derive(Debug, Serialize)]
pub struct StartedView {
    /// The node's number.
    pub node: NodeId,
    /// Its process number.
    pub pid: u32,
    /// Where it logs.
    pub log_file: String,
}

/// Nodes that were asked to stop.
#[derive(Debug, Serialize)]
pub struct AskedView<'a> {
    /// The living nodes among those that were asked.
    pub nodes: &'a [NodeId],
}
