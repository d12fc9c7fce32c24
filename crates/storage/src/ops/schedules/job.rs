//! The job that a tick makes.

use std::time::Duration;

use queuectl_core::schedule::{ScheduleSpec, TickResult, jitter};
use queuectl_core::{JobError, OnConflict, Start, Timestamp, ValidJob};

/// The job of a tick: what the schedule says, and what its environment tells of the tick.
///
/// # Errors
/// [`JobError`], if what is added makes it too large.
pub fn job_of(
    spec: &ScheduleSpec,
    at: Timestamp,
    result: TickResult,
    now: Timestamp,
) -> Result<ValidJob, JobError> {
    let mut job = spec.job.clone();
    let mut set = |name: &str, value: String| job.payload.env.insert(name.to_owned(), value);
    set("QUEUECTL_SCHEDULE", spec.name.to_string());
    // Without milliseconds, which only ticks that somebody asked for have.
    set("QUEUECTL_SCHEDULED_AT", format!("{:.0}", at.to_jiff()));
    set("QUEUECTL_TICK", result.to_string());
    let delay = jitter(&spec.name, at, spec.jitter_ms);
    if delay > 0 && matches!(result, TickResult::OnTime | TickResult::Late) {
        let start = at.after(Duration::from_millis(delay));
        job.start = Some(Start::At(start));
    }
    // A tick is accounted for by the job that has its key.
    job.on_conflict = job.on_conflict.filter(|choice| *choice != OnConflict::Reject);
    job.validate(now)
}
