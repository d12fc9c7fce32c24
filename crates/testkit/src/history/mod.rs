//! Histories: what clients and nodes asked of a queue and what they learned, what ran when, and what was in the store
//! in the end. [`check`] decides whether all of that can be true of a queue that keeps its promises.
//!
//! A history knows nothing of how it came about: a simulator, a test with real processes or a test of one verb can
//! write one. Times are only shown; what counts is the order of the events. A call that was not answered may have
//! taken effect at any moment since, or never.

mod check;
mod follow;
#[cfg(test)]
mod tests;
mod verdict;

use std::fmt;

use queuectl_core::{Attempt, Job, JobId, NodeId, State, Transition};

pub use check::check;
pub use verdict::{Verdict, Violation};

/// Everything that is known.
#[derive(Debug, Default)]
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
    /// Something that explains the rest: a fault, say.
    Note(String),
}

/// What is asked of a queue.
#[derive(Debug, Clone)]
pub enum Call {
    /// Store jobs of these names. Every job of a history has a name, and no two have the same.
    Enqueue(Vec<String>),
    /// Claim jobs.
    Claim(NodeId),
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
}

/// What is answered.
#[derive(Debug, Clone)]
pub enum Reply {
    /// Jobs were stored, under these numbers.
    Enqueued(Vec<JobId>),
    /// Jobs were claimed: number, token, number of the attempt.
    Claimed(Vec<(JobId, i64, u32)>),
    /// It was done: the outcome counts, the node is alive, the job is ready again, the waiting job is cancelled.
    Done,
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

    /// Notes something that explains the rest.
    pub fn note(&mut self, at: i64, text: impl Into<String>) {
        let what = What::Note(text.into());
        self.events.push(Event { at, what });
    }

    /// The events that have to do with a job, and the notes, one a line.
    pub fn of_job(&self, job: Option<JobId>, name: &str) -> String {
        let mut calls = Vec::new();
        let mut text = String::new();
        for event in &self.events {
            let shown = match &event.what {
                What::Invoked(number, call) => {
                    let about = call.is_about(job, name);
                    if about {
                        calls.push(*number);
                    }
                    about
                }
                What::Returned(number, Reply::Claimed(jobs)) => {
                    jobs.iter().any(|(id, _, _)| Some(*id) == job) || calls.contains(number)
                }
                What::Returned(number, _) => calls.contains(number),
                What::Began { job: id, .. } | What::Over { job: id, .. } => Some(*id) == job,
                What::Note(_) => true,
            };
            if shown {
                text.push_str(&format!("{:>9} ms  {}\n", event.at, event.what));
            }
        }
        text
    }
}

impl Call {
    fn is_about(&self, job: Option<JobId>, name: &str) -> bool {
        match self {
            Call::Enqueue(names) => names.iter().any(|one| one == name),
            Call::Outcome { job: id, .. } | Call::Cancel(id) | Call::Retry(id) => Some(*id) == job,
            Call::Claim(_) | Call::Heartbeat(_) => false,
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::Invoked(number, call) => write!(f, "#{number} {call}"),
            What::Returned(number, reply) => write!(f, "#{number} -> {reply:?}"),
            What::Began {
                job,
                fence,
                attempt,
                machine,
            } => write!(
                f,
                "job {job} began: token {fence}, attempt {attempt}, machine {machine}"
            ),
            What::Over { job, fence, machine } => {
                write!(f, "job {job} is over: token {fence}, machine {machine}")
            }
            What::Note(text) => write!(f, "-- {text}"),
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Call::Enqueue(names) => write!(f, "enqueue {}", names.join(", ")),
            Call::Claim(node) => write!(f, "node {node} claims"),
            Call::Outcome {
                job,
                fence,
                node,
                change,
                ..
            } => write!(
                f,
                "node {node}: job {job}, token {fence}, becomes {}",
                change.to()
            ),
            Call::Heartbeat(node) => write!(f, "node {node} is alive"),
            Call::Cancel(job) => write!(f, "cancel job {job}"),
            Call::Retry(job) => write!(f, "retry job {job}"),
        }
    }
}

/// Whether nothing more happens to the job by itself.
fn has_ended(state: State) -> bool {
    state.is_final()
}
