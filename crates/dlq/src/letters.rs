//! Reading dead letters with the reason of their death.

use queuectl_core::{Attempt, Job, JobRef, Refused, State};
use queuectl_storage::{ListFilter, Store, StoreError};

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

/// The last line that an attempt printed; none if it printed nothing. Bytes that are not UTF-8 are replaced, and only the
/// first 200 characters count.
pub fn last_line(attempt: &Attempt) -> Option<String> {
    let output = &attempt.output;
    let end = if output.tail.is_empty() {
        &output.head
    } else {
        &output.tail
    };
    let line = end
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .rfind(|line| !line.is_empty())?;
    Some(String::from_utf8_lossy(line).chars().take(LINE_CHARS).collect())
}

/// The dead letters that fit; the filter's own state does not matter.
///
/// # Errors
/// [`StoreError::Database`].
pub fn list(store: &mut Store, filter: &ListFilter) -> Result<Vec<DeadLetter>, StoreError> {
    let filter = ListFilter {
        state: Some(State::Dead),
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
