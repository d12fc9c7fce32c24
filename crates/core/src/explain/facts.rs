//! What is known of a job and what is around it, from which [`super::explain`] decides.

use crate::id::NodeId;
use crate::job::Job;
use crate::outcome::OutcomeKind;
use crate::state::State;
use crate::time::Timestamp;

/// A pause that is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PauseFact {
    /// Since when.
    pub since: Timestamp,
    /// When it ends by itself, if it does.
    pub until: Option<Timestamp>,
    /// Who paused the queue.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
}

/// A limit of a queue that has no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueFullFact {
    /// As many jobs run as may.
    Running {
        /// The number that runs.
        running: u64,
        /// The number that may run.
        most: u32,
    },
    /// The rate allows no start before that time.
    Rate(Timestamp),
}

/// A living node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeFact {
    /// Its number.
    pub id: NodeId,
    /// Whether the job's queue is among those that it takes jobs of, unless it is stopping.
    pub serves: bool,
    /// Whether it was asked to stop.
    pub stopping: bool,
    /// How many jobs it runs at a time.
    pub slots: u64,
    /// How many jobs it has.
    pub jobs: u64,
    /// When it last gave a sign of life.
    pub heard_of: Timestamp,
}

/// A limit that has no room for a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitFact {
    /// The limit, with its key.
    pub key: String,
    /// How many jobs of a key may run at a time, if that is limited.
    pub running: Option<u32>,
    /// How many run.
    pub held: u64,
    /// The ids of the first of them.
    pub holders: Vec<String>,
    /// When the next may start, if its rate says so.
    pub next_start: Option<Timestamp>,
}

/// The jobs and limits that a job waits for, as far as they were looked up; jobs by their ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WaitsFor {
    /// Jobs that have not ended as it needs.
    pub jobs: Vec<String>,
    /// The job for which it was cancelled or held, and the state of that one.
    pub unmet: Option<(String, State)>,
    /// A job that has not ended: if it ends as needed, one that was cancelled or held for it goes on after all.
    pub revived_by: Option<String>,
    /// One that it needs and that was retried, for which it waits again once it is released.
    pub retried: Option<String>,
    /// The limits that have no room for it.
    pub limits: Vec<LimitFact>,
    /// Another job that has its unique key.
    pub key_holder: Option<String>,
    /// Earlier runs of its schedule.
    pub runs: Vec<String>,
    /// Jobs that run on the nodes that serve its queue.
    pub on_nodes: Vec<String>,
}

/// What is known.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The job.
    pub job: &'a Job,
    /// The time by the queue's clock.
    pub now: Timestamp,
    /// The pause of its queue.
    pub pause: Option<&'a PauseFact>,
    /// Why the limit of its queue has no room, if it has none.
    pub queue_full: Option<QueueFullFact>,
    /// The living nodes.
    pub nodes: &'a [NodeFact],
    /// How its newest ended attempt ended, and why; if that was looked up.
    pub last: Option<(OutcomeKind, &'a str)>,
    /// Who started it by hand, if it waits to be claimed for that.
    pub started_by: Option<&'a str>,
    /// Whether the condition of a claim from all queues holds for it; if that was looked up.
    pub claimable: Option<bool>,
    /// How many jobs of its queue come first; if that was looked up.
    pub ahead: Option<u64>,
    /// The key of a limit that it names, if what that stands for is busy, and until when; if that was looked up.
    pub busy: Option<(&'a str, Timestamp)>,
    /// What it waits for; if that was looked up.
    pub waits_for: Option<&'a WaitsFor>,
}

impl<'a> Facts<'a> {
    /// A part of what it waits for.
    pub(super) fn found<T>(&self, part: impl Fn(&'a WaitsFor) -> &'a [T]) -> &'a [T] {
        self.waits_for.map_or(&[], part)
    }
}
