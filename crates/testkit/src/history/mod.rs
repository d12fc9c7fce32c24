//! Histories: what clients and nodes asked of a queue and what they learned, what ran when, and what was in the store
//! in the end. [`check`] decides whether all of that can be true of a queue that keeps its promises.
//!
//! A history knows nothing of how it came about: a simulator, a test with real processes or a test of one verb can
//! write one. Times are only shown; what counts is the order of the events. A call that was not answered may have
//! taken effect at any moment since, or never.

mod check;
mod follow;
mod groups;
mod hooks;
mod keys;
mod ledger;
mod show;
#[cfg(test)]
mod tests;
mod ticks;
mod verdict;

use queuectl_core::{
    Attempt, Busy, Condition, GroupName, Job, JobId, NodeId, Rate, State, Timestamp, Transition,
};

pub use check::check;
pub use groups::{FoundGroup, check_groups};
pub use hooks::check_hooks;
pub use keys::check_limits;
pub use ledger::check_ledger;
pub use ticks::{Scheduled, check_ticks};
pub use verdict::{Verdict, Violation};

/// Everything that is known.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// What happened, in that order.
    pub events: Vec<Event>,
    /// How many retries a job has that says nothing of its own.
    pub max_retries: u32,
    calls: u32,
}

/// One thing that happened.
#[derive(Debug, Clone)]
pub struct Event {
    /// When, in ms; for people only.
    pub at: i64,
    /// What.
    pub what: What,
}

/// What can happen.
#[derive(Debug, Clone)]
pub enum What {
    /// Somebody calls.
    Invoked(u32, Call),
    /// The call of that number is answered. Without an answer, its effect is unknown.
    Returned(u32, Reply),
    /// An attempt began to run on a machine: a line in the log that jobs write.
    Began {
        /// The job.
        job: JobId,
        /// The token of the claim.
        fence: i64,
        /// Its number.
        attempt: u32,
        /// Where.
        machine: u32,
    },
    /// It does not run any more.
    Over {
        /// The job.
        job: JobId,
        /// The token of the claim.
        fence: i64,
        /// Where.
        machine: u32,
    },
    /// A machine stands still, with all that is on it: it neither does nor notices anything.
    StandsStill(u32),
    /// All machines go on.
    GoesOn,
    /// Something that explains the rest: a fault, say.
    Note(String),
}

/// What a limit allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowed {
    /// Most attempts of a key that run at a time.
    pub running: Option<u32>,
    /// Whether each key counts by itself.
    pub per_key: bool,
    /// How fast attempts of a key may start.
    pub rate: Option<Rate>,
    /// Which exit status has a key wait, and for how long.
    pub busy: Option<Busy>,
}

/// What is asked of a queue.
#[derive(Debug, Clone)]
pub enum Call {
    /// Store jobs of these names. Every job of a history has a name, and no two have the same.
    Enqueue(Vec<String>),
    /// Claim jobs, by a clock that shows this time.
    Claim(NodeId, Timestamp),
    /// Record what becomes of a claimed job.
    Outcome {
        /// The job.
        job: JobId,
        /// The token of the claim.
        fence: i64,
        /// The node whose claim it is.
        node: NodeId,
        /// What was decided.
        change: Transition,
        /// Whether an attempt is kept; none is of a job that was given back before it started.
        kept: bool,
    },
    /// Give a sign of life.
    Heartbeat(NodeId),
    /// Give a job up.
    Cancel(JobId),
    /// Retry a job.
    Retry(JobId),
    /// Remove a job that has ended.
    Purge(JobId),
    /// Set a limit, or remove it.
    SetLimit(String, Option<Allowed>),
    /// Pause a queue, by somebody.
    Pause(String, String),
}

/// What is answered.
#[derive(Debug, Clone)]
pub enum Reply {
    /// Jobs were stored, under these numbers.
    Enqueued(Vec<JobId>),
    /// Of these jobs, those that have a number were stored. Others have the keys of the rest.
    Placed(Vec<Option<JobId>>),
    /// Jobs were claimed: number, token, number of the attempt.
    Claimed(Vec<(JobId, i64, u32)>),
    /// It was done: the outcome counts, the node is alive, the job is ready again, the waiting job is cancelled.
    Done,
    /// The outcome counts, but not the attempt: what the job needs is busy until then.
    Busy {
        /// Until when.
        until: Timestamp,
        /// The exit status that said so; none if the executor did.
        status: Option<i32>,
    },
    /// The node that runs the job was asked to stop it.
    Requested,
    /// It was refused and changed nothing: a stale outcome, a node that is not there, a job in the wrong state.
    Refused,
    /// It failed and changed nothing.
    Failed,
    /// It failed, and it is unknown whether it was done.
    Unknown,
}

/// A job as it was found in the end.
#[derive(Debug, Clone)]
pub struct StoredJob {
    /// The job.
    pub job: Job,
    /// Its attempts.
    pub attempts: Vec<Attempt>,
    /// The jobs that it waits for, or waited, and how each has to end.
    pub parents: Vec<(JobId, Condition)>,
    /// Whether it runs however those end.
    pub runs_anyway: bool,
}

impl StoredJob {
    /// One that waits for no others.
    pub fn new(job: Job, attempts: Vec<Attempt>) -> StoredJob {
        StoredJob {
            job,
            attempts,
            parents: Vec::new(),
            runs_anyway: false,
        }
    }

    /// Whether a tick of a schedule made it.
    fn is_of_schedule(&self) -> bool {
        self.job.payload.env.contains_key("QUEUECTL_SCHEDULE")
    }

    /// Whether it is a callback of that group.
    fn is_callback_of(&self, group: &GroupName) -> bool {
        let env = &self.job.payload.env;
        env.contains_key("QUEUECTL_GROUP_TOTAL")
            && env
                .get("QUEUECTL_GROUP")
                .is_some_and(|name| name == group.as_str())
    }

    /// Whether no client asked for it: a tick, the end of a job or that of a group stored it.
    fn is_made_by_the_store(&self) -> bool {
        let is_hook = self.job.enqueued_by.is_some_and(|by| by.hook.is_some());
        let is_callback = self.job.payload.env.contains_key("QUEUECTL_GROUP_TOTAL");
        self.is_of_schedule() || is_hook || is_callback
    }

    fn name(&self) -> &str {
        self.job.name.as_ref().map_or("", |name| name.as_str())
    }
}

impl History {
    /// An empty one, of a queue whose jobs have this many retries by default.
    pub fn new(max_retries: u32) -> History {
        History {
            max_retries,
            ..History::default()
        }
    }

    /// Notes a call. Returns its number.
    pub fn invoked(&mut self, at: i64, call: Call) -> u32 {
        self.calls += 1;
        let what = What::Invoked(self.calls, call);
        self.events.push(Event { at, what });
        self.calls
    }

    /// Notes an answer.
    pub fn returned(&mut self, at: i64, call: u32, reply: Reply) {
        let what = What::Returned(call, reply);
        self.events.push(Event { at, what });
    }

    /// Notes a call and its answer, between which nothing else happened.
    pub fn called(&mut self, at: i64, call: Call, reply: Reply) {
        let number = self.invoked(at, call);
        self.returned(at, number, reply);
    }

    /// Notes that an attempt began to run.
    pub fn began(&mut self, at: i64, job: JobId, fence: i64, attempt: u32, machine: u32) {
        let what = What::Began {
            job,
            fence,
            attempt,
            machine,
        };
        self.events.push(Event { at, what });
    }

    /// Notes that an attempt does not run any more.
    pub fn over(&mut self, at: i64, job: JobId, fence: i64, machine: u32) {
        let what = What::Over { job, fence, machine };
        self.events.push(Event { at, what });
    }

    /// Notes something that happened.
    pub fn push(&mut self, at: i64, what: What) {
        self.events.push(Event { at, what });
    }

    /// Notes something that explains the rest.
    pub fn note(&mut self, at: i64, text: impl Into<String>) {
        let what = What::Note(text.into());
        self.events.push(Event { at, what });
    }
}

/// Whether nothing more happens to the job by itself.
fn has_ended(state: State) -> bool {
    state.is_final()
}
