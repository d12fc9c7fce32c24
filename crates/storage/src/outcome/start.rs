//! What blocks a new job at first, when it is due then, its hooks and labels, and which job had it stored.

use std::collections::HashMap;

use diesel::prelude::*;
use queuectl_core::{EnqueuedBy, HookOn, JobId, Timestamp, ValidJob};

use crate::StoreError;
use crate::backend::Db;
use crate::backend::statements::StartBlocked;
use crate::schema::jobs;
use crate::types::jobs::{first_due, first_gates, first_waits};
use crate::{hooks, labels};

/// Says what blocks jobs that were just stored.
pub fn start(db: &mut Db, jobs: &[ValidJob], ids: &[JobId], now: Timestamp) -> Result<(), StoreError> {
    hooks::insert_of_jobs(db, ids.iter().copied().zip(jobs))?;
    labels::insert_of_jobs(db, ids.iter().copied().zip(jobs))?;
    say_by_whom(db, jobs, ids)?;
    for (job, id) in jobs.iter().zip(ids) {
        let waits = first_waits(job);
        if !waits.is_empty() {
            StartBlocked {
                waits: waits.code(),
                gates: first_gates(job).code(),
                resume_at: first_due(job, now).map(|due| due.0),
                id: id.0,
            }
            .execute(db)?;
        }
    }
    Ok(())
}

/// Says which jobs had new ones stored. Jobs that a command enqueues have one in common.
fn say_by_whom(db: &mut Db, jobs: &[ValidJob], ids: &[JobId]) -> Result<(), StoreError> {
    let mut by: HashMap<EnqueuedBy, Vec<i64>> = HashMap::new();
    for (job, id) in jobs.iter().zip(ids) {
        if let Some(enqueued_by) = job.enqueued_by() {
            by.entry(enqueued_by).or_default().push(id.0);
        }
    }
    for (by, ids) in by {
        for some in ids.chunks(500) {
            diesel::update(jobs::table.filter(jobs::id.eq_any(some)))
                .set((
                    jobs::enqueued_by.eq(Some(by.job.0)),
                    jobs::hook.eq(by.hook.map(HookOn::code)),
                    jobs::hook_depth.eq(i16::try_from(by.depth).unwrap_or(i16::MAX)),
                ))
                .execute(db)?;
        }
    }
    Ok(())
}
