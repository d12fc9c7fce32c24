//! Jobs and which of them wait for which.

use queuectl_core::{JobId, State};
use serde::Serialize;

/// The jobs around some jobs.
#[derive(Debug, Clone, Serialize)]
pub struct GraphView {
    /// The jobs, by their numbers.
    pub jobs: Vec<GraphJobView>,
    /// Which waits for which, by the numbers of those that wait.
    pub edges: Vec<GraphEdgeView>,
    /// Whether there are more, which are left out: the farthest.
    pub more: bool,
}

/// A job of a graph.
#[derive(Debug, Clone, Serialize)]
pub struct GraphJobView {
    /// The id the user chose, else the number as text; the number, too, once the job was removed.
    pub id: String,
    /// The number that the queue gave.
    pub number: JobId,
    /// Its state; of one that was removed, the one in which it ended.
    pub state: Option<State>,
    /// Whether it was removed.
    pub removed: bool,
}

/// A job that waits for another, or waited.
#[derive(Debug, Clone, Serialize)]
pub struct GraphEdgeView {
    /// The number of the job that is waited for.
    pub parent: JobId,
    /// The number of the job that waits.
    pub child: JobId,
    /// How the parent has to end: `ok`, `failed` or `any`.
    pub condition: &'static str,
    /// Whether the parent ended so; null while it has not ended.
    pub met: Option<bool>,
}
