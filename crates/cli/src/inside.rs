//! The job whose command this process is part of, if that is one of the same queue.

use queuectl_core::{EnqueuedBy, JobRef};
use queuectl_storage::Store;

/// Returns the running job that enqueues others, by what its environment tells. None also where that cannot be read: a role
/// that may only enqueue goes without.
pub fn enqueued_by(store: &mut Store) -> Option<EnqueuedBy> {
    let job: JobRef = std::env::var("QUEUECTL_JOB_ID").ok()?.parse().ok()?;
    let mark = std::env::var("QUEUECTL_COOKIE").ok()?;
    store.enqueued_by(&job, &mark).ok()?
}
