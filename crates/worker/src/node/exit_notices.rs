//! What worker processes say before they end by themselves, and whose fault their end is.
//!
//! A process that a plugin made unusable says so. Its jobs did nothing wrong, except the one that the plugin was called
//! for; a process that ends without a word may have been killed by any of them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use queuectl_core::{OutcomeKind, Output, Settings};
use queuectl_executor::RunKey;

/// The exit_notices of processes whose end was not seen yet, by worker.
#[derive(Default)]
pub struct ExitNotices(BTreeMap<usize, ExitNotice>);

/// Why a worker process ended.
pub struct ExitNotice {
    reason: String,
    culprit: Option<RunKey>,
    spoken: bool,
}

impl ExitNotices {
    /// A worker process says that it ends.
    pub fn said(&mut self, worker: usize, reason: String, culprit: Option<RunKey>) {
        tracing::error!(worker = worker + 1, "ending the worker process: {reason}");
        let spoken = true;
        self.0.insert(
            worker,
            ExitNotice {
                reason,
                culprit,
                spoken,
            },
        );
    }

    /// A worker process ended, as `how` says.
    pub fn gone(&mut self, worker: usize, how: &str) -> ExitNotice {
        tracing::warn!(worker = worker + 1, "worker process died: {how}");
        self.0.remove(&worker).unwrap_or_else(|| ExitNotice {
            reason: how.to_owned(),
            culprit: None,
            spoken: false,
        })
    }
}

impl ExitNotice {
    /// What became of a job that the process had, and why.
    pub fn outcome_of(&self, key: RunKey) -> (OutcomeKind, String) {
        let kind = if self.spoken && self.culprit != Some(key) {
            OutcomeKind::Returned
        } else {
            OutcomeKind::Crashed
        };
        (kind, format!("worker process died: {}", self.reason))
    }
}

/// What a job printed whose worker process or node died, as far as it is in its output file. Its middle may be missing, as
/// that of any output.
pub fn output_left(file: &Path, settings: &Settings) -> Output {
    let read = || -> io::Result<Output> {
        let mut file = File::open(file)?;
        let total_bytes = file.metadata()?.len();
        let mut part = |from: u64, bytes: u64| -> io::Result<Vec<u8>> {
            let mut read = Vec::new();
            file.seek(SeekFrom::Start(from))?;
            (&mut file).take(bytes).read_to_end(&mut read)?;
            Ok(read)
        };
        let limit = settings.output_limit;
        if total_bytes <= limit {
            let (head, tail) = (part(0, limit)?, Vec::new());
            return Ok(Output {
                head,
                tail,
                total_bytes,
            });
        }
        let half = limit / 2;
        Ok(Output {
            head: part(0, half)?,
            tail: part(total_bytes - half, half)?,
            total_bytes,
        })
    };
    // Most jobs print nothing that they would need a file for.
    read().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use queuectl_core::JobId;

    #[test]
    fn output_that_is_left_keeps_its_head_and_its_tail() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("out");
        let settings = Settings {
            output_limit: 4,
            ..Settings::default()
        };
        let left = || output_left(&file, &settings);
        assert_eq!(left(), Output::default());
        std::fs::write(&file, "abcd").unwrap();
        assert_eq!((left().head.as_slice(), left().total_bytes), (&b"abcd"[..], 4));
        std::fs::write(&file, "abcdefg").unwrap();
        let output = left();
        assert_eq!(
            (output.head.as_slice(), output.tail.as_slice(), output.total_bytes),
            (&b"ab"[..], &b"fg"[..], 7)
        );
    }

    #[test]
    fn only_a_culprit_pays_for_an_end_that_was_announced() {
        let key = |job| RunKey {
            job: JobId(job),
            fence: 1,
        };
        let mut exit_notices = ExitNotices::default();
        exit_notices.said(1, "the plugin p hangs".to_owned(), Some(key(7)));
        let silent = exit_notices.gone(0, "signal 11");
        assert_eq!(silent.outcome_of(key(7)).0, OutcomeKind::Crashed);
        let spoken = exit_notices.gone(1, "exit status 71");
        assert_eq!(
            spoken.outcome_of(key(7)),
            (
                OutcomeKind::Crashed,
                "worker process died: the plugin p hangs".to_owned()
            )
        );
        assert_eq!(spoken.outcome_of(key(8)).0, OutcomeKind::Returned);
        // It is not remembered for the process that takes its place.
        let next = exit_notices.gone(1, "signal 11");
        assert_eq!(next.outcome_of(key(8)).0, OutcomeKind::Crashed);
    }
}
