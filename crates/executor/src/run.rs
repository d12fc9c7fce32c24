//! What goes into the host and what comes out: plain data that crosses the pipe between dispatcher and worker.
//!
//! Field order is the wire format (the pipe's encoding is not self-describing), and both ends are the same binary.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use queuectl_core::settings::Leftovers;
use queuectl_core::{Advice, ExecutorName, JobId, Outcome, Output, TerminalSize, Timestamp};
use serde::{Deserialize, Serialize};

/// Which attempt of which job: the job and the fencing token of the claim.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct RunKey {
    /// The job.
    pub job: JobId,
    /// The fencing token; never repeats for a job.
    pub fence: i64,
}

/// One attempt to be run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Run {
    /// Which attempt.
    pub key: RunKey,
    /// The job's id as users see it.
    pub public_id: String,
    /// The attempt's number, from 1.
    pub attempt: u32,
    /// The job's queue.
    pub queue: String,
    /// The executor that runs it.
    pub executor: ExecutorName,
    /// The stored payload: a JSON object.
    pub payload: String,
    /// The terminal that its process gets, if it wants one.
    pub terminal: Option<TerminalSize>,
    /// The numbers of the jobs that it waited for, separated by commas.
    pub parents: Option<String>,
    /// The names of the groups that it is a member of, separated by commas.
    pub groups: Option<String>,
    /// From where it goes on, if an earlier attempt of the job has said so.
    pub checkpoint: Option<String>,
    /// Longest it may run, counted from its start.
    pub timeout: Option<Duration>,
    /// How long a stopped process may take before it is killed.
    pub kill_grace: Duration,
    /// What happens to processes it leaves behind.
    pub leftovers: Leftovers,
    /// Bytes of output kept in memory and reported.
    pub output_limit: u64,
    /// Most bytes written to `output_file`.
    pub output_file_limit: u64,
    /// Where output goes that is larger than `output_limit`, or that is being followed.
    pub output_file: PathBuf,
    /// How long it ran already in worker processes that died, if it is taken over.
    pub used: Duration,
}

impl Run {
    /// How much of its timeout is left. Never nothing: the end is for the supervisor to see.
    pub(crate) fn time_left(&self) -> Option<Duration> {
        let left = |limit: Duration| limit.saturating_sub(self.used).max(Duration::from_millis(1));
        self.timeout.map(left)
    }
}

/// Why a run is stopped from outside.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum StopReason {
    /// The user cancelled the job.
    Cancelled,
    /// The node gives the job back, because it shuts down.
    Returned,
}

/// What became of the wish to suspend a run or to resume it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Suspension {
    /// It is suspended, by the wall clock since then.
    Since(Timestamp),
    /// It is not suspended, or not any more.
    Resumed,
    /// It cannot be suspended, for this reason.
    Refused(String),
}

/// The report on one run. Each started run gets exactly one.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Finished {
    /// Which attempt.
    pub key: RunKey,
    /// How it ended.
    pub outcome: Outcome,
    /// What it printed.
    pub output: Output,
    /// When it started, by the wall clock.
    pub started_at: Timestamp,
    /// When it ended, by the wall clock.
    pub finished_at: Timestamp,
    /// What the executor says about further attempts.
    pub advice: Advice,
    /// Whether the executor wants to be told when the outcome is durable; see [`crate::Host::recorded`].
    pub confirm: bool,
    /// The job was not started, because the machine lacks something that jobs need, or the node is set up wrongly. The
    /// next job would fare no better.
    pub shortage: bool,
}

/// What a host tells.
#[derive(Clone, PartialEq, Debug)]
pub enum Report {
    /// A run is over.
    Finished(Finished),
    /// An executor saved what it needs to take a run over should this process die.
    Handle {
        /// Which attempt.
        key: RunKey,
        /// The executor's own bytes.
        handle: Vec<u8>,
    },
    /// A run was suspended or resumed, or could not be.
    Suspension {
        /// Which attempt.
        key: RunKey,
        /// How it stands now.
        suspension: Suspension,
    },
    /// This process ends at once, because of a plugin. Runs that were not reported are the fault of the
    /// culprit, if there is one among them.
    Ending {
        /// Which plugin did what.
        reason: String,
        /// The attempt that the plugin was called for.
        culprit: Option<RunKey>,
    },
}

/// What executors are told about the user's choices.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct PluginSettings {
    /// The shell for command lines.
    pub shell: String,
    /// What was set for single executors: by executor, then by key.
    pub executors: BTreeMap<String, BTreeMap<String, String>>,
}
