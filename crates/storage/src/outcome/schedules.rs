//! Runs of a schedule: the end of the last run that does not wait lets the next one go on that does; too many dead runs in a
//! row pause the schedule; and a run that is retried counts again.
//!
//! A transaction that has a run wait gives this gate to the runs before it first, and so waits for the one that ends them,
//! or has that one wait: a run is never left behind. A tick that is made at the same moment may store the schedule's row as
//! it was before; then the tick after it counts the end of the run, and pauses.

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
    let runs_again = change.from.is_final() && !change.to.is_final();
    if !change.to.is_final() && !runs_again {
        return Ok(());
    }
    let Some(name) = schedule_of(db, change.job)? else {
        return Ok(());
    };
    // Of two runs that end at the same time the second sees that the first has ended.
    db.dialect().lock_schedule(&name)?;
    let found: Option<(Words, i32, Option<i32>, Option<i64>)> = schedules::table
        .find(name.as_str())
        .select((
            schedules::runs,
            schedules::dead_runs,
            schedules::pause_after,
            schedules::paused_at,
        ))
        .first(db)
        .optional()?;
    let Some((runs, dead_runs, pause_after, paused_at)) = found else {
        return Ok(());
    };
    let mut runs: Vec<i64> = runs.text.split(' ').filter_map(|id| id.parse().ok()).collect();
    if runs_again {
        if !runs.contains(&change.job) {
            runs.push(change.job);
            runs.sort_unstable();
            set_runs(db, &name, &runs, dead_runs)?;
        }
        return Ok(());
    }
    go_on(db, &runs, now, deltas)?;
    // One that was made for a time of the past counts for nothing.
    if !runs.contains(&change.job) {
        return Ok(());
    }
    let (open, dead_runs) = count_runs(db, &runs, dead_runs)?;
    set_runs(db, &name, &open, dead_runs)?;
    if paused_at.is_none() && pause_after.is_some_and(|most| dead_runs >= most) {
        let reason = format!("{dead_runs} dead run(s) in a row");
        tracing::warn!(schedule = name, "pausing a schedule: {reason}");
        let row = diesel::update(schedules::table.find(name.as_str()));
        row.set((
            schedules::paused_at.eq(Some(now.0)),
            schedules::paused_reason.eq(Some(reason)),
        ))
        .execute(db)?;
    }
    Ok(())
}

/// Returns those of the runs that have not ended, by their numbers, and the number of dead runs in a row, which was `dead_runs`
/// before these.
///
/// # Errors
/// [`StoreError::Database`].
pub fn count_runs(db: &mut Db, runs: &[i64], mut dead_runs: i32) -> Result<(Vec<i64>, i32), StoreError> {
    let found: Vec<(i64, i16)> = jobs::table
        .filter(jobs::id.eq_any(runs))
        .order(jobs::id)
        .select((jobs::id, jobs::state))
        .load(db)?;
    let mut open = Vec::new();
    for (id, code) in found {
        match State::from_code(code) {
            Some(State::Completed) => dead_runs = 0,
            Some(State::Dead) => dead_runs = dead_runs.saturating_add(1),
            Some(State::Cancelled) => {}
            _ => open.push(id),
        }
    }
    Ok((open, dead_runs))
}

fn set_runs(db: &mut Db, schedule: &str, runs: &[i64], dead_runs: i32) -> Result<(), StoreError> {
    let runs: Vec<String> = runs.iter().map(i64::to_string).collect();
    let row = diesel::update(schedules::table.find(schedule));
    row.set((
        schedules::runs.eq(runs.join(" ")),
        schedules::dead_runs.eq(dead_runs),
    ))
    .execute(db)?;
    Ok(())
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
