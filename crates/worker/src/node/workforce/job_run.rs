//! From a claimed job to the run that a worker process is sent, or to the reason why it is not run at all.

use std::time::Duration;

use queuectl_core::{OutcomeKind, Payload, Settings, TerminalSize};
use queuectl_executor::Run;
use queuectl_storage::{Claimed, Outputs};

use crate::failpoints;
use crate::node::decide::key;

/// What becomes of a job whose checksum does not fit.
const DAMAGED: &str = "what the job runs is not what was stored: the database is damaged, see `queuectl db:check`; \
                       the job was not run, enqueue it anew";

/// Why a job is not run.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused {
    pub kind: OutcomeKind,
    pub message: String,
    /// Another attempt would find the same.
    pub is_final: bool,
}

/// Looks whether what the job runs is what was stored. If not, an unknown command would run instead.
pub fn check(job: &Claimed) -> Result<(), Refused> {
    let message = if !job.is_intact() && !failpoints::is_disabled("sums") {
        DAMAGED.to_owned()
    } else if let Some(fault) = job.fault() {
        format!("the job cannot be read: {fault}; it was not run, enqueue it again")
    } else {
        return Ok(());
    };
    Err(Refused {
        kind: OutcomeKind::Failed,
        message,
        is_final: true,
    })
}

/// The terminal that a job wants. Nearly none does, and a payload is not read for that.
fn terminal(payload: &str) -> Option<TerminalSize> {
    if !payload.contains("\"pty") {
        return None;
    }
    let payload: Payload = serde_json::from_str(payload).ok()?;
    payload.terminal()
}

/// The run of a job.
pub fn run_of(job: &Claimed, settings: &Settings, outputs: &Outputs) -> Result<Run, Refused> {
    let settings = settings.of(&job.queue);
    let executor = job.executor.parse().map_err(|error| Refused {
        kind: OutcomeKind::SystemFailure,
        message: format!("{error}"),
        is_final: false,
    })?;
    let own_timeout = job
        .timeout_ms
        .map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or(0)));
    Ok(Run {
        key: key(job),
        public_id: job.name.clone().unwrap_or_else(|| job.id.to_string()),
        attempt: job.attempt,
        queue: job.queue.clone(),
        executor,
        payload: job.payload.clone(),
        terminal: terminal(&job.payload),
        parents: job.parents.clone(),
        groups: job.groups.clone(),
        checkpoint: None,
        timeout: own_timeout.or(settings.job_timeout),
        kill_grace: settings.kill_grace,
        leftovers: settings.leftovers,
        output_limit: settings.output_limit,
        output_file_limit: settings.output_file_limit,
        output_file: outputs.file(job.id, job.fence),
        used: Duration::ZERO,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::testing::{claimed, context};

    #[test]
    fn a_jobs_own_timeout_wins_and_an_unknown_kind_of_executor_is_no_fault_of_the_job() {
        let (_temp, context) = context();
        let settings = Settings {
            job_timeout: Some(Duration::from_secs(9)),
            ..Settings::default()
        };
        let run = |job: &Claimed| run_of(job, &settings, &context.outputs);
        let mut job = claimed(7);
        assert_eq!(run(&job).unwrap().timeout, settings.job_timeout);
        job.timeout_ms = Some(1500);
        let run_of_job = run(&job).unwrap();
        assert_eq!(run_of_job.timeout, Some(Duration::from_millis(1500)));
        assert_eq!((run_of_job.public_id.as_str(), run_of_job.key), ("7", key(&job)));
        job.timeout_ms = None;
        let stored = [
            ("queue:mail.job_timeout", "90"),
            ("queue:mail.output_limit", "1KiB"),
        ];
        let of_queue = Settings::from_stored(stored);
        job.queue = "mail".to_owned();
        let run_of_queue = run_of(&job, &of_queue, &context.outputs).unwrap();
        assert_eq!(
            (run_of_queue.timeout, run_of_queue.output_limit),
            (Some(Duration::from_secs(90)), 1024)
        );
        job.executor = "no name".to_owned();
        let refused = run(&job).unwrap_err();
        assert_eq!(
            (refused.kind, refused.is_final),
            (OutcomeKind::SystemFailure, false)
        );
    }

    #[test]
    fn a_job_that_is_not_what_was_stored_is_refused_for_good() {
        let mut job = claimed(1);
        assert_eq!(check(&job), Ok(()));
        job.sum = Some(1);
        let refused = check(&job).unwrap_err();
        assert!(
            refused.is_final && refused.message.contains("db:check"),
            "{refused:?}"
        );
    }
}
