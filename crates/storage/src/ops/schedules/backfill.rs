//! Jobs that somebody asks for: a run now, and those of times that have passed. Neither moves the schedule.

use std::collections::HashSet;

use diesel::prelude::*;
use queuectl_core::limits::BACKFILL_TICKS;
use queuectl_core::schedule::{ScheduleSpec, TickResult};
use queuectl_core::{JobId, ScheduleName, Timestamp};
use queuectl_scheduler::cron::next_tick;

use super::edit::{bad, find};
use super::make::{Made, NewTick, enter, make_job, trim};
use super::rows::{ScheduleRow, TickRow};
use super::tick::{follow, hold_runs, store};
use crate::backend::Db;
use crate::schema::ticks;
use crate::types::nodes::Wake;
use crate::{Store, StoreError};

/// What a back-fill did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Backfilled {
    /// The times for which a job was made, with its number.
    pub made: Vec<(Timestamp, JobId)>,
    /// Times for which there was a job already.
    pub had_run: u32,
}

impl Store {
    /// Makes a job of the schedule now, also while it is paused. Returns its number.
    ///
    /// # Errors
    /// [`StoreError::NoSuchSchedule`]; [`StoreError::BadSchedule`].
    pub fn run_schedule(&mut self, name: &ScheduleName, now: Timestamp) -> Result<JobId, StoreError> {
        let id = self.change(|conn| {
            let mut row = find(conn, name)?;
            // In the order in which a transaction that ends a run takes these locks, and before those of limits.
            hold_runs(conn, &row)?;
            conn.dialect().lock_schedule(&row.name)?;
            let understood = row.understand(now).map_err(|fault| bad(name, fault))?;
            let mut at = now;
            while !enter(conn, &mut row, &NewTick::one(at, TickResult::Manual), now)? {
                at = Timestamp(at.0 + 1);
            }
            let id = make(conn, name, &understood.spec, at, TickResult::Manual, now, &[])?;
            follow(&mut row, id);
            // A run that waits may have to wait for this one, too.
            hold_runs(conn, &row)?;
            trim(conn, &mut row)?;
            store(conn, &mut row, now)?;
            Ok(id)
        })?;
        self.wake_all(Wake::Jobs);
        Ok(id)
    }

    /// The ticks for which [`Store::backfill_schedule`] would make a job, and how many have one already. Whether the jobs can be made
    /// is not looked at.
    ///
    /// # Errors
    /// [`StoreError::NoSuchSchedule`]; [`StoreError::BadSchedule`], also if there are more than [`BACKFILL_TICKS`].
    pub fn backfill_ticks(
        &mut self,
        name: &ScheduleName,
        from: Timestamp,
        to: Timestamp,
        now: Timestamp,
    ) -> Result<(Vec<Timestamp>, u32), StoreError> {
        self.conn()?.snapshot(|conn| {
            let row = find(conn, name)?;
            let understood = row.understand(now).map_err(|fault| bad(name, fault))?;
            let next = |after| next_tick(&understood.expr, &understood.zone, row.start(), after);
            let mut times = times(&row, next, from, to.min(now))?;
            let of = ticks::table.filter(ticks::schedule.eq(&row.name));
            let ran: Vec<i64> = of
                .filter(ticks::job_id.is_not_null())
                .filter(ticks::at.ge(from.0))
                .filter(ticks::at.le(to.0))
                .select(ticks::at)
                .load(conn)?;
            let ran: HashSet<i64> = ran.into_iter().collect();
            let all = times.len();
            times.retain(|at| !ran.contains(&at.0));
            let had_run = u32::try_from(all - times.len()).unwrap_or(u32::MAX);
            Ok((times, had_run))
        })
    }

    /// Makes the jobs of the ticks from one time to another, both included, that have none. They do not count for the
    /// schedule's overlap.
    ///
    /// # Errors
    /// [`StoreError::NoSuchSchedule`]; [`StoreError::BadSchedule`], also if there are more than [`BACKFILL_TICKS`].
    pub fn backfill_schedule(
        &mut self,
        name: &ScheduleName,
        from: Timestamp,
        to: Timestamp,
        now: Timestamp,
    ) -> Result<Backfilled, StoreError> {
        let done = self.change(|conn| {
            let mut row = find(conn, name)?;
            // Before the locks of limits, as where a run ends.
            conn.dialect().lock_schedule(&row.name)?;
            let understood = row.understand(now).map_err(|fault| bad(name, fault))?;
            let next = |after| next_tick(&understood.expr, &understood.zone, row.start(), after);
            let times = times(&row, next, from, to.min(now))?;
            let afters: Vec<Option<Timestamp>> = times.iter().map(|time| next(*time)).collect();
            let mut done = Backfilled::default();
            for (at, after) in times.into_iter().zip(afters) {
                if !make_room(conn, &mut row, at, after, now)? {
                    done.had_run += 1;
                    continue;
                }
                let id = make(
                    conn,
                    name,
                    &understood.spec,
                    at,
                    TickResult::Backfill,
                    now,
                    &done.made,
                )?;
                done.made.push((at, id));
            }
            store(conn, &mut row, now)?;
            Ok(done)
        })?;
        self.wake_all(Wake::Jobs);
        Ok(done)
    }
}

/// The ticks from one time to another that are not the schedule's own to make, which is what has not come.
fn times(
    row: &ScheduleRow,
    next: impl Fn(Timestamp) -> Option<Timestamp>,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<Timestamp>, StoreError> {
    let to = to.min(row.due().map_or(to, |due| Timestamp(due.0 - 1)));
    let mut times = Vec::new();
    let mut at = next(Timestamp(from.0.saturating_sub(1)));
    while let Some(time) = at.filter(|time| *time <= to) {
        if times.len() == BACKFILL_TICKS {
            return Err(StoreError::BadSchedule {
                name: row.name.clone(),
                problem: format!(
                    "these are more than {BACKFILL_TICKS} ticks; fill a part of the time, then the next"
                ),
            });
        }
        times.push(time);
        at = next(time);
    }
    Ok(times)
}

/// Makes the job of a time. `made` are those of earlier times, which are undone with this one.
fn make(
    conn: &mut Db,
    name: &ScheduleName,
    spec: &ScheduleSpec,
    at: Timestamp,
    result: TickResult,
    now: Timestamp,
    made: &[(Timestamp, JobId)],
) -> Result<JobId, StoreError> {
    let problem = match make_job(conn, spec, at, result, now)? {
        Made::Job(id) => return Ok(id),
        Made::None(_, Some(holder)) if made.iter().any(|(_, id)| *id == holder) => {
            "its jobs have a unique key in common, so only one of these times can have a job until that has ended; fill \
             the times one by one"
                .to_owned()
        }
        Made::None(problem, _) => problem,
    };
    Err(StoreError::BadSchedule {
        name: name.to_string(),
        problem,
    })
}

/// Enters a tick, in the place of one that was skipped. False if it had run.
fn make_room(
    conn: &mut Db,
    row: &mut ScheduleRow,
    at: Timestamp,
    after: Option<Timestamp>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    if enter(conn, row, &NewTick::one(at, TickResult::Backfill), now)? {
        return Ok(true);
    }
    row.tick_rows -= 1;
    let found: TickRow = ticks::table
        .find((row.name.as_str(), at.0))
        .select(TickRow::as_select())
        .get_result(conn)?;
    if found.job_id.is_some() {
        return Ok(false);
    }
    diesel::delete(ticks::table.find((row.name.as_str(), at.0))).execute(conn)?;
    // A row that stands for several: the others begin with the next one.
    if let Some(after) = after.filter(|after| found.count > 1 && after.0 <= found.last_at) {
        let rest = TickRow {
            at: after.0,
            count: found.count - 1,
            ..found
        };
        let taken: i64 = ticks::table
            .filter(ticks::schedule.eq(rest.schedule.clone()))
            .filter(ticks::at.eq(after.0))
            .count()
            .get_result(conn)?;
        if taken == 0 {
            diesel::insert_into(ticks::table).values(rest).execute(conn)?;
        }
    }
    enter(conn, row, &NewTick::one(at, TickResult::Backfill), now)
}
