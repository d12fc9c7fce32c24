//! What an operator does with dead letters: retry them, or remove them for good.
//!
//! What concerns all of them goes in batches, so that no transaction grows with their number and running nodes get
//! their turns in between.

use std::time::Duration;

use queuectl_core::{JobId, JobRef, QueueName, State, Timestamp};
use queuectl_storage::{Only, PurgeFilter, Store, StoreError};

/// Jobs changed by one transaction.
const BATCH: u32 = 500;

/// Makes a dead job ready again at once, with fresh attempts. Its history stays. With a queue, only if the job is in
/// it.
///
/// # Errors
/// [`StoreError::NoSuchJob`]; [`StoreError::Refused`] if the job is not dead; [`StoreError::LeftAlone`].
pub fn retry(
    store: &mut Store,
    job: &JobRef,
    queue: Option<&QueueName>,
    now: Timestamp,
) -> Result<JobId, StoreError> {
    let only = Only {
        state: Some(State::Dead),
        queue: queue.cloned(),
        ended_before: None,
    };
    store.retry(job, &only, now)
}

/// What became of all dead jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetriedAll {
    /// Jobs that will run again.
    pub jobs: u64,
    /// Jobs that stay dead because other jobs have their unique keys.
    pub skipped: u64,
}

/// Does the same with all jobs that are dead by now, of one queue or of all.
///
/// # Errors
/// [`StoreError::Database`]; earlier batches stay retried.
pub fn retry_all(
    store: &mut Store,
    queue: Option<&QueueName>,
    now: Timestamp,
) -> Result<RetriedAll, StoreError> {
    let mut jobs = 0;
    loop {
        let step = store.retry_dead(queue, BATCH, now)?;
        jobs += step.jobs;
        if !step.more {
            break;
        }
    }
    let skipped = store.count_held_back(queue, now)?;
    Ok(RetriedAll { jobs, skipped })
}

/// Removes a dead job for good, with its attempts and output. With a queue, only if the job is in it; with an age, only
/// if it has been dead for that time by now.
///
/// # Errors
/// [`StoreError::NoSuchJob`]; [`StoreError::Refused`] if the job is not dead; [`StoreError::LeftAlone`].
pub fn purge(
    store: &mut Store,
    job: &JobRef,
    queue: Option<&QueueName>,
    age: Option<Duration>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let only = Only {
        state: Some(State::Dead),
        queue: queue.cloned(),
        ended_before: age.map(|age| dead_for(age, now)),
    };
    store.purge_one(job, &only)
}

/// Does the same with all jobs that have been dead for `age` by now, of one queue or of all. Returns how many.
///
/// # Errors
/// [`StoreError::Database`]; earlier batches stay purged.
pub fn purge_all(
    store: &mut Store,
    queue: Option<&QueueName>,
    age: Duration,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let filter = PurgeFilter {
        state: State::Dead,
        queue: queue.cloned(),
        ended_before: Some(dead_for(age, now)),
        limit: BATCH,
    };
    store.purge_all(&filter)
}

/// Before when a job must have died to have been dead for that long by now. "Before" is meant strictly, and a job that
/// died in this very moment is dead.
fn dead_for(age: Duration, now: Timestamp) -> Timestamp {
    let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
    Timestamp(now.0.saturating_sub(age).saturating_add(1))
}
