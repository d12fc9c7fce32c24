//! What can be wrong with a history.

use std::fmt;

use queuectl_core::JobId;

/// What a queue did that it must not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verdict {
    /// It was reported as stored and is not there: a job, or an outcome.
    Lost,
    /// It exists, or ran, and no client asked for it.
    Unexpected,
    /// A job ended twice without a retry by hand in between.
    DoubleTerminal,
    /// A job was claimed or ran after it had ended, without a retry by hand.
    Resurrected,
    /// Two attempts of a job ran on one machine at the same time.
    Overlap,
    /// More attempts than the job's maximum.
    TooManyAttempts,
    /// What was answered cannot have come about by the transitions that there are, or does not lead to what is stored.
    IllegalTransition,
    /// More attempts of a limit's key ran at a time than it allowed.
    OverLimit,
    /// Attempts of a limit's key started faster than its rate.
    OverRate,
    /// An attempt of a limit's key started although an earlier one had found what it stands for busy until later.
    NotPutOff,
    /// A tick of a schedule made two jobs, or its job is not there, or it is not accounted for.
    Tick,
    /// A job started before those that it waits for had ended as it needs them.
    TooEarly,
    /// A job was stored or started although another had its unique key.
    KeyShared,
    /// A job started again although another took its place.
    Superseded,
    /// A job started that an operator holds, or whose queue is paused.
    NotHeldBack,
    /// A group's callback was stored twice, before its last member had ended, or not at all, or was told wrong numbers.
    Callback,
    /// A hook was stored for what did not happen, or was not for what did.
    Hook,
    /// What an operator did is not in the store.
    Unrecorded,
    /// A job that does not run has a place of a limit, or one that runs has none.
    Misplaced,
    /// All faults are over, there was time and there were nodes, and still it has not ended.
    NotFinished,
}

/// A broken promise.
#[derive(Debug, Clone)]
pub struct Violation {
    /// Which.
    pub verdict: Verdict,
    /// The job's number, if it has one.
    pub job: Option<JobId>,
    /// Its name.
    pub name: String,
    /// What exactly.
    pub detail: String,
    /// Everything that happened to it.
    pub history: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self
            .job
            .map_or_else(|| "without a number".to_owned(), |id| id.to_string());
        writeln!(
            f,
            "{:?}: job {number} ('{}'): {}",
            self.verdict, self.name, self.detail
        )?;
        f.write_str(&self.history)
    }
}
