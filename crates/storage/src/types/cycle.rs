//! What a cycle of a dispatcher takes and yields. How it is done is each dialect's business.

use std::time::Duration;

use diesel::prelude::*;
use queuectl_core::transition::Standing;
use queuectl_core::{Attempt, Event, JobId, NodeId, QueueName, Timestamp, Transition, transition};

use super::readable::{count, fault};
use super::text::{MaybeWords, WholeWords, Words};
use crate::checksum::content_of;
use crate::columns::given;

/// Most waiting jobs that one cycle makes ready; the rest follows in the next.
pub const PROMOTE_BATCH: i64 = 1000;

/// Which queues a node serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Queues {
    /// Every queue there is.
    All,
    /// These.
    Only(Vec<QueueName>),
}

impl Queues {
    /// Whether a queue is one of them.
    pub fn include(&self, queue: &str) -> bool {
        match self {
            Queues::All => true,
            Queues::Only(names) => names.iter().any(|name| name.as_str() == queue),
        }
    }

    /// As a node's row has it: a JSON array of names, empty for all.
    pub(crate) fn to_stored(&self) -> String {
        let names: &[QueueName] = match self {
            Queues::All => &[],
            Queues::Only(names) => names,
        };
        serde_json::to_string(names).unwrap_or_default()
    }
}

/// The end of a claim: what the job becomes, and the attempt to keep, if one was made.
#[derive(Debug, Clone)]
pub struct Record {
    /// The job.
    pub job: JobId,
    /// The fencing token of the claim.
    pub fence: i64,
    /// The node that claimed it.
    pub node: NodeId,
    /// What it becomes.
    pub change: Transition,
    /// The attempt; none for a job that was given back before it started.
    pub attempt: Option<Attempt>,
    /// Whether the attempt may have found something busy, so that it does not count. The store decides that.
    pub busy: MaybeBusy,
    /// Whether the job is known to name limits. That saves statements and decides nothing.
    pub is_limited: bool,
}

/// What is known of whether an attempt found something busy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MaybeBusy {
    /// It did not.
    #[default]
    No,
    /// Its exit status may be the busy status of a limit.
    ByStatus,
    /// Its executor said so, and for how long.
    Until(Duration),
}

/// An attempt that found something busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WasBusy {
    /// The job.
    pub job: JobId,
    /// The fencing token of the claim.
    pub fence: i64,
    /// Until when it is busy.
    pub until: Timestamp,
}

/// What a dispatcher wants of a cycle.
#[derive(Debug, Clone, Copy)]
pub struct Cycle<'a> {
    /// The node.
    pub node: NodeId,
    /// What ended since the last cycle.
    pub records: &'a [Record],
    /// How many jobs to claim at most.
    pub claim: u32,
    /// From which queues.
    pub queues: &'a Queues,
    /// The current time.
    pub now: Timestamp,
}

macro_rules! claimed {
    ($($(#[$doc:meta])* $name:ident: $type:ty, $sql:ty, ($($read:meta)?), $since:literal, $core:tt;)*) => {
        /// A job that was claimed.
        #[derive(Debug, Clone, PartialEq, Queryable)]
        pub struct Claimed {
            /// The job's number.
            pub id: i64,
            /// The attempt's number, from 1.
            #[diesel(deserialize_as = Count)]
            pub attempt: u32,
            /// The fencing token.
            pub fence: i64,
            /// Times in a row that the executor could not run it.
            #[diesel(deserialize_as = Count)]
            pub system_failures: u32,
            /// The stored payload; empty if there is none, or one that is over its limit or no text.
            #[diesel(deserialize_as = WholeWords)]
            pub payload: String,
            /// The checksum over what never changes of the job; none if it was stored without.
            pub sum: Option<i32>,
            /// The numbers of the jobs that it waited for, separated by commas.
            pub parents: Option<String>,
            /// The names of the groups that it is a member of, separated by commas.
            pub groups: Option<String>,
            $($(#[$doc])* $(#[$read])? pub $name: $type,)*
        }
    };
}
given!(claimed);

impl Claimed {
    /// What of the job cannot be read, so that it cannot be run. One that has a checksum was stored by the program itself.
    pub fn fault(&self) -> Option<String> {
        if self.sum.is_some() {
            return None;
        }
        let payload = Some(self.payload.as_str()).filter(|payload| !payload.is_empty());
        fault(self.name.as_deref(), &self.queue, &self.executor, payload).err()
    }

    /// Whether what the job runs, and how, is what was stored.
    pub fn is_intact(&self) -> bool {
        let of = content_of!(self, &self.payload);
        self.sum.is_none_or(|sum| sum == of.sum())
    }
}

/// A count as SQL has it: an integer that is never negative.
pub struct Count(u32);

impl From<Count> for u32 {
    fn from(value: Count) -> u32 {
        value.0
    }
}

impl<DB: diesel::backend::Backend> Queryable<diesel::sql_types::Integer, DB> for Count
where
    i32: diesel::deserialize::FromSql<diesel::sql_types::Integer, DB>,
{
    type Row = i32;
    fn build(row: i32) -> diesel::deserialize::Result<Self> {
        Ok(Count(count(row)))
    }
}

/// What a cycle did.
#[derive(Debug, Default, PartialEq)]
pub struct CycleResult {
    /// Records whose token no longer held; they changed nothing.
    pub stale: Vec<(JobId, i64)>,
    /// Records of attempts that found something busy, and so do not count.
    pub busy: Vec<WasBusy>,
    /// Jobs that were claimed, in the order in which they should start.
    pub claimed: Vec<Claimed>,
    /// The checkpoints of those that have one.
    pub checkpoints: Vec<(JobId, String)>,
    /// Jobs that it made ready because a limit has room for them, and did not claim.
    pub unblocked: usize,
    /// Queues that were as full as their limits allow before the cycle, and have room after it.
    pub freed: Vec<QueueName>,
    /// When there may be more to claim: the next waiting job is due, a pause ends, or a limit may have room.
    pub next_due: Option<Timestamp>,
}

/// What becomes of a running job that would run again although somebody asked to cancel it: it may have ended by
/// itself before the request could reach it. None for a job that ended for good.
pub(crate) fn cancelled_instead(change: Transition) -> Option<Transition> {
    let standing = Standing {
        state: change.from(),
        attempts: change.attempts(),
        system_failures: change.system_failures(),
    };
    let cancel = transition(standing, Event::Cancel).ok();
    cancel.filter(|_| !change.to().is_final())
}
