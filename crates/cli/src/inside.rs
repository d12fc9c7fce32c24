//! The job whose command this process is part of.

use std::env;

use anyhow::Result;
use queuectl_core::{EnqueuedBy, JobRef};
use queuectl_storage::{Reporter, Store};

use crate::exit::Usage;

/// Returns the running job that enqueues others, by what its environment tells, if that is one of the same queue. None also where
/// that cannot be read: a role that may only enqueue goes without.
pub fn enqueued_by(store: &mut Store) -> Option<EnqueuedBy> {
    let job: JobRef = env::var("QUEUECTL_JOB_ID").ok()?.parse().ok()?;
    let mark = env::var("QUEUECTL_COOKIE").ok()?;
    store.enqueued_by(&job, &mark).ok()?
}

/// Returns the attempt that this process is part of, by what its environment tells.
///
/// # Errors
/// This process is not part of a job.
pub fn reporter() -> Result<Reporter> {
    let job = env::var("QUEUECTL_JOB_ID").ok().and_then(|job| job.parse().ok());
    let fence = env::var("QUEUECTL_FENCE")
        .ok()
        .and_then(|fence| fence.parse().ok());
    match job.zip(fence) {
        Some((job, fence)) => Ok(Reporter {
            job,
            fence,
            mark: env::var("QUEUECTL_COOKIE").ok(),
        }),
        None => Err(Usage::new(
            "this is for the command of a job: QUEUECTL_JOB_ID and QUEUECTL_FENCE, which nodes set for it, are not there",
        )
        .into()),
    }
}
