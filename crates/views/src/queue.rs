//! A queue, and what was done to it.

use queuectl_core::{NodeId, Timestamp};
use serde::Serialize;

use crate::{PauseView, StateCounts};

/// A queue.
#[derive(Debug, Serialize)]
pub struct QueueView {
    /// Its name.
    pub queue: String,
    /// Its pause, if it is paused.
    pub paused: Option<PauseView>,
    /// Its jobs by state.
    pub jobs: StateCounts,
    /// Since when its oldest pending job could run, but for a pause.
    pub oldest_pending: Option<Timestamp>,
    /// The nodes that run its jobs.
    pub nodes: Vec<NodeId>,
}

/// A queue that was paused, resumed or drained.
#[derive(Debug, Serialize)]
pub struct QueueChangedView<'a> {
    /// Its name.
    pub queue: &'a str,
    /// What became of it.
    pub result: &'a str,
    /// When its pause ends by itself, if it does.
    pub until: Option<Timestamp>,
    /// Its jobs that run, or that a node has claimed.
    pub running: u64,
}
