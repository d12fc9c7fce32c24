//! Reading dead letters with the reason of their death.

use std::borrow::Cow;

use anstream::adapter::strip_bytes;
use queuectl_core::{Attempt, Job, JobRef, Output, Refused, State};
use queuectl_storage::{JobFilter, ListFilter, Store, StoreError};

use crate::overlay::as_shown;

/// A dead job and why it is dead.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadLetter {
    /// The job; `attempts` says how many it had, `finished_at` when it died.
    pub job: Job,
    /// Its last attempt: message, exit status or signal, when, and what it printed.
    pub last_attempt: Option<Attempt>,
}

/// Longest last line that is shown, in characters.
const LINE_CHARS: usize = 200;

impl DeadLetter {
    /// Reads what is known about a dead job's end.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn of(store: &mut Store, job: Job) -> Result<DeadLetter, StoreError> {
        let last_attempt = store.attempt(job.id, job.fence)?;
        Ok(DeadLetter { job, last_attempt })
    }

    /// Why the job is dead, in words; empty if nothing is known.
    pub fn reason(&self) -> &str {
        self.last_attempt
            .as_ref()
            .map_or("", |attempt| &attempt.outcome.message)
    }

    /// The last line that the last attempt printed, which often says more than its exit status.
    pub fn last_line(&self) -> Option<String> {
        last_line(self.last_attempt.as_ref()?)
    }
}

/// The last line that an attempt printed, without colours; none if it printed nothing. Bytes that are not UTF-8 are
/// replaced, and only the first 200 characters count.
pub fn last_line(attempt: &Attempt) -> Option<String> {
    last_line_of(end_of(&attempt.output))
}

/// The part of an output with its end.
pub(crate) fn end_of(output: &Output) -> &[u8] {
    match output.tail.is_empty() {
        true => &output.head,
        false => &output.tail,
    }
}

/// The last line of some output that is not empty.
pub(crate) fn last_line_of(output: &[u8]) -> Option<String> {
    let line = output
        .split(|byte| *byte == b'\n')
        .map(|line| without_sequences(as_shown(line)))
        .rfind(|line| !line.trim_ascii().is_empty())?;
    let line = String::from_utf8_lossy(line.trim_ascii());
    Some(line.chars().take(LINE_CHARS).collect())
}

/// A line without colours and other sequences for terminals, which say nothing of why a job died.
fn without_sequences(line: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    match line.contains(&0x1b) {
        true => Cow::Owned(strip_bytes(&line).into_vec()),
        false => line,
    }
}

/// The dead letters that fit; the filter's own states do not matter.
///
/// # Errors
/// [`StoreError::Database`].
pub fn list(store: &mut Store, filter: &ListFilter) -> Result<Vec<DeadLetter>, StoreError> {
    let filter = ListFilter {
        jobs: JobFilter {
            states: vec![State::Dead],
            ..filter.jobs.clone()
        },
        ..filter.clone()
    };
    let jobs = store.list(&filter)?;
    jobs.into_iter().map(|job| DeadLetter::of(store, job)).collect()
}

/// One dead letter with all attempts of its job, without output, oldest first.
///
/// # Errors
/// [`StoreError::NoSuchJob`]; [`StoreError::Refused`] if the job is not dead.
pub fn show(store: &mut Store, job: &JobRef) -> Result<(Job, Vec<Attempt>), StoreError> {
    let found = store.job(job)?;
    if found.state != State::Dead {
        let refused = Refused {
            state: found.state,
            event: "show as a dead letter",
        };
        return Err(StoreError::Refused {
            job: job.to_string(),
            refused,
        });
    }
    let attempts = store.attempts_without_output(found.id)?;
    Ok((found, attempts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_the_last_with_text_and_has_no_colours() {
        for (output, line) in [
            (
                &b"first\n\x1b[31mno \x1b[1mroom\x1b[0m\n\x1b[0m\n"[..],
                Some("no room"),
            ),
            (b"\x1b]0;title\x07 10%\r\x1b[2K100%", Some("100%")),
            (b"\x1b[0m\n", None),
            ("日本\u{1b}[0m語 \n".as_bytes(), Some("日本語")),
            (b"a\tb\x00", Some("a\tb\0")),
        ] {
            assert_eq!(last_line_of(output).as_deref(), line, "{output:?}");
        }
    }
}
