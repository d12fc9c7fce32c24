//! A queue, and what was done to it.

use std::collections::BTreeMap;

use queuectl_core::{NodeId, Origin, Timestamp};
use serde::Serialize;

use crate::{PauseView, QueueLimitView, StateCounts};

/// A queue.
#[derive(Debug, Serialize)]
pub struct QueueView {
    /// Its name.
    pub queue: String,
    /// Its pause, if it is paused.
    pub paused: Option<PauseView>,
    /// Its limit, if it has one.
    pub limit: Option<QueueLimitView>,
    /// Its jobs by state.
    pub jobs: StateCounts,
    /// Since when its oldest pending job could run, but for a pause.
    pub oldest_pending: Option<Timestamp>,
    /// The nodes that run its jobs.
    pub nodes: Vec<NodeId>,
    /// What its jobs follow that have no value of their own, by setting.
    pub settings: BTreeMap<&'static str, QueueSettingView>,
}

/// A setting as it is in force for the jobs of a queue.
#[derive(Debug, Serialize)]
pub struct QueueSettingView {
    /// The value.
    pub value: String,
    /// Where it comes from.
    pub from: Origin,
}

impl QueueSettingView {
    /// Returns the value with where it comes from: `5 (queue)`.
    pub fn in_words(&self) -> String {
        format!("{} ({})", self.value, self.from.name())
    }
}

/// The settings of a queue.
#[derive(Debug, Serialize)]
pub struct QueueSettingsView {
    /// The queue.
    pub queue: String,
    /// Its limit, if it has one.
    pub limit: Option<QueueLimitView>,
    /// Its settings, by name.
    pub settings: BTreeMap<&'static str, QueueSettingView>,
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
