//! Runs of a schedule that wait for earlier ones: the end of the last run that does not wait lets the next one go on.
//!
//! A transaction that has a run wait gives this gate to the runs before it first, and so waits for the one that ends them,
//! or has that one wait: a run is never left behind.

use diesel::prelude::*;
use queuectl_core::gates::unblock;
use queuectl_core::{BlockedBy, Gates, JobId, JobRef, Payload, Resume, State, Timestamp, Waits};

use super::{Change, Mechanism, apply_blocking, standing};
use crate::StoreError;
use crate::backend::Db;
use crate::counts::Deltas;
use crate::rows::JobRow;
use crate::schema::{jobs, payloads, schedules};
use crate::types::text::Words;

pub const MECHANISM: Mechanism = Mechanism {
    gates: Gates::SCHEDULE,
    follow,
    forget: |_, _| Ok(()),
};

fn follow(db: &mut Db, change: &Change, now: Timestamp, deltas: &mut Deltas) -> Result<(), StoreError> {
    if !change.to.is_final() {
        return Ok(());
    }
    let Some(name) = schedule_of(db, change.job)? else {
        return Ok(());
    };
    // Of two runs that end at the same time the second sees that the first has ended.
    db.dialect().lock_schedule(&name)?;
    let runs: Option<Words> = schedules::table
        .find(name.as_str())
        .select(schedules::runs)
        .first(db)
        .optional()?;
    let runs = runs.map(|runs| runs.text).unwrap_or_default();
    let runs: Vec<i64> = runs.split(' ').filter_map(|id| id.parse().ok()).collect();
    go_on(db, &runs, now, deltas)
}

/// Lets the oldest of these runs go on that waits for earlier ones, unless one has not ended that does not wait.
///
/// # Errors
/// [`StoreError::Database`].
pub fn go_on(db: &mut Db, runs: &[i64], now: Timestamp, deltas: &mut Deltas) -> Result<(), StoreError> {
    let open: Vec<(i64, i32)> = jobs::table
        .filter(jobs::id.eq_any(runs))
        .filter(jobs::finished_at.is_null())
        .order(jobs::id)
        .select((jobs::id, jobs::waits))
        .load(db)?;
    let waits = |(_, waits): &(i64, i32)| Waits::from_code(*waits).has(BlockedBy::Overlap);
    if !open.iter().all(waits) {
        return Ok(());
    }
    for (id, _) in open {
        // Waits for a transaction that is changing it.
        db.dialect().lock_job(&JobRef::Number(JobId(id)))?;
        let row: Option<JobRow> = jobs::table
            .filter(jobs::id.eq(id))
            .select(JobRow::as_select())
            .first(db)
            .optional()?;
        let blocked = row.filter(|row| {
            row.state == State::Blocked.code() && Waits::from_code(row.waits).has(BlockedBy::Overlap)
        });
        let Some(row) = blocked else { continue };
        let resume = Resume::at(row.resume_at.map(Timestamp), row.fence > 0, now);
        let waits = Waits::from_code(row.waits);
        let unblocked = unblock(standing(&row)?, waits, BlockedBy::Overlap, resume).map_err(|refused| {
            StoreError::Refused {
                job: row.id.to_string(),
                refused,
            }
        })?;
        apply_blocking(db, &row, &unblocked, now, deltas)?;
        return Ok(());
    }
    Ok(())
}

/// The schedule that made a job, from what the job is told: its tick may have been removed.
fn schedule_of(db: &mut Db, job: i64) -> Result<Option<String>, StoreError> {
    let payload: Option<Words> = payloads::table
        .filter(payloads::job_id.eq(job))
        .select(payloads::payload)
        .first(db)
        .optional()?;
    let payload = payload.and_then(|words| serde_json::from_str::<Payload>(&words.text).ok());
    Ok(payload.and_then(|mut payload| payload.env.remove("QUEUECTL_SCHEDULE")))
}
