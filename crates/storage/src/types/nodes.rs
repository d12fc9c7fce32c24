//! Nodes as the store knows them, and what wakes them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use queuectl_core::{JobId, NodeId, Timestamp};

use super::cycle::Queues;

/// A node about to enter.
#[derive(Debug, Clone)]
pub struct NewNode {
    /// Marks every process that the node starts; unique in the world.
    pub cookie: String,
    /// The machine's name.
    pub host: String,
    /// The dispatcher's process id.
    pub pid: u32,
    /// The version of queuectl.
    pub version: String,
    /// Worker processes.
    pub workers: u32,
    /// Jobs per worker process.
    pub concurrency: u32,
    /// The queues it serves.
    pub queues: Queues,
}

/// How urgently a node was asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopRequest {
    /// Not at all.
    None = 0,
    /// Let running jobs finish.
    Gracefully = 1,
    /// Stop running jobs.
    Now = 2,
}

/// A node as the store knows it.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its number.
    pub id: NodeId,
    /// Marks every process that it started.
    pub cookie: String,
    /// The machine's name.
    pub host: String,
    /// The dispatcher's process id.
    pub pid: i64,
    /// The version of queuectl.
    pub version: String,
    /// Worker processes.
    pub workers: u32,
    /// Jobs per worker process.
    pub concurrency: u32,
    /// The queues it serves; empty for all.
    pub queues: Vec<String>,
    /// When it entered.
    pub started_at: Timestamp,
    /// Its newest heartbeat.
    pub heartbeat_at: Timestamp,
    /// Whether it was asked to stop.
    pub stop: StopRequest,
}

impl Node {
    /// Whether it takes jobs of that queue, if it lives. One that is stopping finishes only what it has.
    pub fn serves(&self, queue: &str) -> bool {
        self.stop == StopRequest::None && self.is_for(queue)
    }

    /// Whether that queue is among its queues.
    pub fn is_for(&self, queue: &str) -> bool {
        self.queues.is_empty() || self.queues.iter().any(|name| name == queue)
    }
}

pub(crate) fn stop_request(code: i16) -> StopRequest {
    match code {
        0 => StopRequest::None,
        1 => StopRequest::Gracefully,
        _ => StopRequest::Now,
    }
}

/// Why nodes are woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// There may be jobs to run.
    Jobs,
    /// Something is asked of nodes, or it is not known why.
    Control,
}

impl Wake {
    /// How a notification of the server says it. What the schema's own functions send is empty.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Wake::Jobs => "",
            Wake::Control => "asked",
        }
    }
}

/// Where the wake-ups of a node come from.
pub trait WakeSource: Send {
    /// Blocks until the node is woken; says why.
    fn wait(&mut self) -> io::Result<Wake>;

    /// Has [`WakeSource::wait`] return before long once that is true, where it could block for long otherwise.
    fn end_with(&mut self, _done: &Arc<AtomicBool>) {}
}

/// Waits for the wake-ups of one node.
pub struct WakeListener(pub(crate) Box<dyn WakeSource>);

impl WakeListener {
    /// Has [`WakeListener::wait`] return before long once that is true, also while the server cannot be reached.
    pub fn end_with(&mut self, done: &Arc<AtomicBool>) {
        self.0.end_with(done);
    }

    /// Blocks until the node is woken; says why.
    ///
    /// # Errors
    /// The pipe broke; the node's poll interval is then its only way to notice work.
    pub fn wait(&mut self) -> io::Result<Wake> {
        self.0.wait()
    }
}

/// A job that a node has claimed: what is needed to decide what becomes of it.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the fields are those of queuectl_core::Job")]
pub struct RunningJob {
    pub id: JobId,
    pub queue: String,
    pub fence: i64,
    pub attempts: u32,
    pub system_failures: u32,
    pub max_retries: Option<u32>,
    pub backoff_base: Option<f64>,
    pub cancel_requested: bool,
    pub executor: String,
    pub started_at: Option<Timestamp>,
}

/// Asks a node to suspend a job, in place of the name of a signal. A node that does not know it sends nothing.
pub const SUSPEND: &str = "suspend";
/// Asks a node to resume a job.
pub const RESUME: &str = "resume";

/// How it stands with the suspension of a running job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SuspensionNow {
    /// It is suspended since then.
    Since(Timestamp),
    /// It is not suspended any more.
    Resumed,
    /// It cannot be suspended, for this reason.
    Refused(String),
}

/// What a node says about the suspension of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspended {
    /// The job.
    pub job: JobId,
    /// The claim under which it runs.
    pub fence: i64,
    /// How it stands.
    pub now: SuspensionNow,
}

/// A signal that a user wants sent to a running job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignalRequest {
    /// The number of the request.
    pub id: i64,
    /// The job.
    pub job: JobId,
    /// The claim under which it runs.
    pub fence: i64,
    /// The name of the signal, such as `SIGUSR1`.
    pub signal: String,
}

impl SignalRequest {
    pub(crate) fn new((id, job, fence, signal): (i64, i64, i64, String)) -> SignalRequest {
        let job = JobId(job);
        SignalRequest {
            id,
            job,
            fence,
            signal,
        }
    }
}
