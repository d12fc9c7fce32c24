//! What worker processes say before they end by themselves, and whose fault their end is.
//!
//! A process that a plugin made unusable says so. Its jobs did nothing wrong, except the one that the plugin was called
//! for; a process that ends without a word may have been killed by any of them.

use std::collections::BTreeMap;

use queuectl_core::OutcomeKind;
use queuectl_executor::RunKey;

/// The notices of processes whose end was not seen yet, by worker.
#[derive(Default)]
pub struct ExitNotices(BTreeMap<usize, ExitNotice>);

/// Why a worker process ended.
pub struct ExitNotice {
    reason: String,
    culprit: Option<RunKey>,
    announced: bool,
}

impl ExitNotices {
    /// A worker process says that it ends.
    pub fn announced(&mut self, worker: usize, reason: String, culprit: Option<RunKey>) {
        let announced = true;
        self.0.insert(
            worker,
            ExitNotice {
                reason,
                culprit,
                announced,
            },
        );
    }

    /// A worker process ended, as `how` says.
    pub fn gone(&mut self, worker: usize, how: &str) -> ExitNotice {
        self.0.remove(&worker).unwrap_or_else(|| ExitNotice {
            reason: how.to_owned(),
            culprit: None,
            announced: false,
        })
    }
}

impl ExitNotice {
    /// What became of a job that the process had, and why.
    pub fn outcome_of(&self, key: RunKey) -> (OutcomeKind, String) {
        let kind = if self.announced && self.culprit != Some(key) {
            OutcomeKind::Returned
        } else {
            OutcomeKind::Crashed
        };
        (kind, format!("worker process died: {}", self.reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use queuectl_core::JobId;

    #[test]
    fn only_a_culprit_pays_for_an_end_that_was_announced() {
        let key = |job| RunKey {
            job: JobId(job),
            fence: 1,
        };
        let mut exit_notices = ExitNotices::default();
        exit_notices.announced(1, "the plugin p hangs".to_owned(), Some(key(7)));
        let sudden = exit_notices.gone(0, "signal 11");
        assert_eq!(sudden.outcome_of(key(7)).0, OutcomeKind::Crashed);
        let announced = exit_notices.gone(1, "exit status 71");
        assert_eq!(
            announced.outcome_of(key(7)),
            (
                OutcomeKind::Crashed,
                "worker process died: the plugin p hangs".to_owned()
            )
        );
        assert_eq!(announced.outcome_of(key(8)).0, OutcomeKind::Returned);
        // It is not remembered for the process that takes its place.
        let next = exit_notices.gone(1, "signal 11");
        assert_eq!(next.outcome_of(key(8)).0, OutcomeKind::Crashed);
    }
}
