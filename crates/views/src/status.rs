//! How many jobs there are, and who runs them.

use std::collections::BTreeMap;

use queuectl_core::{State, Timestamp};
use serde::Serialize;

use crate::{GroupView, NodeView, PauseView, QueueLimitView};

/// Jobs by state. Every state is there.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct StateCounts(BTreeMap<&'static str, u64>);

impl Default for StateCounts {
    fn default() -> StateCounts {
        StateCounts(State::ALL.into_iter().map(|state| (state.name(), 0)).collect())
    }
}

impl StateCounts {
    /// Adds jobs in a state.
    pub fn add(&mut self, state: State, jobs: u64) {
        *self.0.entry(state.name()).or_default() += jobs;
    }

    /// Returns the jobs in a state.
    pub fn of(&self, state: State) -> u64 {
        self.0.get(state.name()).copied().unwrap_or(0)
    }
}

/// A queue as a whole.
#[derive(Debug, Serialize)]
pub struct StatusView {
    /// The queue's file, or where it is on PostgreSQL, without a password.
    pub db: String,
    /// Its size in bytes: the file with its write-ahead log, or the tables with their indexes.
    pub bytes: u64,
    /// The size of long outputs and logs on this machine, in bytes.
    pub folder_bytes: u64,
    /// When the next waiting job is due.
    pub next_due: Option<Timestamp>,
    /// Jobs by state, over all queues.
    pub total: StateCounts,
    /// Jobs by queue, then by state. Queues without jobs are absent.
    pub queues: BTreeMap<String, StateCounts>,
    /// The queues that are paused.
    pub paused: BTreeMap<String, PauseView>,
    /// The queues that have limits.
    pub limited: BTreeMap<String, QueueLimitView>,
    /// The queues with pending jobs that no node serves.
    pub unserved: Vec<String>,
    /// Since when the oldest pending job could run, but for a pause, by queue; of the first 100 queues with such jobs.
    pub oldest_pending: BTreeMap<String, Timestamp>,
    /// The newest groups that are not complete; at most 10.
    pub groups: Vec<GroupView>,
    /// The schedules that skipped a tick in the last 24 hours because a run had not ended; at most 100 of them.
    pub overlapping: Vec<String>,
    /// Jobs of nodes that died and whose attempts were lost in the last 24 hours; at most 10,000.
    pub rescued_jobs: u64,
    /// When the last of them was rescued.
    pub rescued_at: Option<Timestamp>,
    /// All nodes.
    pub nodes: Vec<NodeView>,
    /// Whether there are no problems.
    pub healthy: bool,
    /// What keeps jobs from running that could run.
    pub problems: Vec<ProblemView>,
}

/// Something that keeps jobs from running that could run.
#[derive(Debug, Serialize)]
pub struct ProblemView {
    /// Which. Codes are added and never renamed.
    pub code: &'static str,
    /// In words, on one line.
    pub text: String,
    /// The queue, if it is about one.
    pub queue: Option<String>,
    /// Since when, if that is known.
    pub since: Option<Timestamp>,
    /// The command that helps.
    pub command: String,
}

impl StatusView {
    /// Adds jobs of a queue in a state.
    pub fn add(&mut self, queue: String, state: State, jobs: u64) {
        self.total.add(state, jobs);
        self.queues.entry(queue).or_default().add(state, jobs);
    }
}
