//! A valid job as the columns take it.

use queuectl_core::{BlockedBy, Gates, State, Timestamp, ValidJob, Waits};

use crate::checksum::JobContent;
use crate::columns::given;
use crate::types::limits::Placement;

macro_rules! content {
    ($($(#[$doc:meta])* $name:ident: $type:ty, $sql:ty, ($($read:meta)?), $since:literal,
       { |$job:ident| $take:expr, $part:ident = |$stored:ident| $give:expr };)*) => {
        /// What is stored of a job and never changes.
        pub fn content(job: &ValidJob) -> JobContent<'_> {
            JobContent {
                $($name: {
                    let $job = job;
                    $take
                },)*
                payload: job.stored_payload(),
            }
        }
    };
}
given!(content);

/// Whether one of the jobs has a key.
pub fn has_keys(jobs: &[ValidJob]) -> bool {
    jobs.iter().any(|job| job.unique.is_some())
}

/// A job that is to be stored under a number that is reserved for it.
pub struct NewJob<'a> {
    pub id: i64,
    pub job: &'a ValidJob,
    pub state: State,
    pub due_at: Option<Timestamp>,
    /// What has to be looked at when it ends or starts.
    pub gates: Gates,
    /// The running job whose key it takes when that ends.
    pub follows: Option<i64>,
}

/// The state in which a new job is stored, and when it is due if it has to wait.
pub fn first_state(job: &ValidJob, now: Timestamp) -> (State, Option<Timestamp>) {
    if !first_waits(job).is_empty() {
        return (State::Blocked, None);
    }
    match first_due(job, now) {
        Some(due) => (State::Scheduled, Some(due)),
        None => (State::Pending, None),
    }
}

/// How a new job is stored besides what never changes of it.
#[derive(Debug, Clone, Copy)]
pub struct First {
    pub state: State,
    pub due_at: Option<Timestamp>,
    pub gates: Gates,
    pub waits: Waits,
}

/// How a new job is stored that limits have placed.
pub fn first(job: &ValidJob, placement: Option<&Placement>, now: Timestamp) -> First {
    let (state, due_at) = first_state(job, now);
    let gates = first_gates(job);
    match placement {
        Some(Placement::Parked(_)) => First {
            state: State::Blocked,
            due_at: None,
            gates,
            waits: Waits::NONE.with(BlockedBy::Limit),
        },
        _ => First {
            state,
            due_at,
            gates,
            waits: first_waits(job),
        },
    }
}

/// When a new job is due, if that is not at once.
pub fn first_due(job: &ValidJob, now: Timestamp) -> Option<Timestamp> {
    job.start().map(|start| start.at(now)).filter(|due| *due > now)
}

/// What blocks a new job.
pub fn first_waits(job: &ValidJob) -> Waits {
    let mut waits = Waits::NONE;
    if job.hold == Some(true) {
        waits = waits.with(BlockedBy::Held);
    }
    if !job.after.is_empty() {
        waits = waits.with(BlockedBy::Dependency);
    }
    waits
}

/// What has to be looked at when a new job ends or starts.
pub fn first_gates(job: &ValidJob) -> Gates {
    let mut gates = Gates::NONE;
    if !job.after.is_empty() {
        gates = gates.with(Gates::DEPENDS);
    }
    if !job.limit.is_empty() {
        gates = gates.with(Gates::LIMITS);
    }
    if job.group.is_some() {
        gates = gates.with(Gates::MEMBER);
    }
    if !job.hooks.is_empty() {
        gates = gates.with(Gates::HOOKS);
    }
    if job.has_labels() {
        gates = gates.with(Gates::LABELS);
    }
    gates
}
