//! Making, changing, pausing and removing schedules. What has come due is made first, so that a change never loses a tick.

use diesel::prelude::*;
use queuectl_core::limits::SCHEDULES;
use queuectl_core::schedule::{ScheduleSpec, TickResult};
use queuectl_core::{BlockedBy, JobId, ScheduleName, Timestamp, Waits};
use queuectl_scheduler::cron::next_tick;

use super::job::job_of;
use super::make::check_limits;
use super::operation::{enter, read};
use super::rows::{Fault, ScheduleRow, check, whole_second};
use super::tick::{Ticked, account_paused, look_at_runs, store, tick_row};
use crate::backend::Db;
use crate::counts::Deltas;
use crate::ops::cancel::cancel_all;
use crate::outcome::finish;
use crate::schema::{jobs, schedules, ticks};
use crate::types::nodes::Wake;
use crate::types::text::storable;
use crate::{Store, StoreError};

/// What clocks differ by without having been set, in ms.
const SLACK_MS: i64 = 1000;

/// A change of the schedules.
#[derive(Debug, Clone, PartialEq)]
pub enum ScheduleChange {
    /// A new one.
    Add(ScheduleSpec),
    /// One that is there, as it is to be from now on.
    Replace(ScheduleSpec),
    /// One that is there goes, with its ticks; its jobs stay, but those that wait for an earlier run are cancelled.
    Remove(ScheduleName),
}

impl Store {
    /// Makes changes, all or none.
    ///
    /// # Errors
    /// [`StoreError::BadSchedule`] names the schedule and what is wrong with it; [`StoreError::ScheduleTaken`];
    /// [`StoreError::NoSuchSchedule`]; [`StoreError::TooManySchedules`].
    pub fn change_schedules(&mut self, changes: &[ScheduleChange], now: Timestamp) -> Result<(), StoreError> {
        let current = self.operation.clone();
        let operation = self.change(|conn| {
            let mut before = Vec::new();
            for change in changes {
                let name = match change {
                    ScheduleChange::Add(spec) | ScheduleChange::Replace(spec) => &spec.name,
                    ScheduleChange::Remove(name) => name,
                };
                before.push((name.to_string(), read(conn, name.as_str())?));
                match change {
                    ScheduleChange::Add(spec) => add(conn, spec, now)?,
                    ScheduleChange::Replace(spec) => replace(conn, spec, now)?,
                    ScheduleChange::Remove(name) => remove(conn, name, now)?,
                }
            }
            check_room(conn, 0)?;
            enter(conn, current.as_ref(), before, now)
        })?;
        self.has_entered(operation);
        Ok(())
    }

    /// Changes one schedule from what it is now.
    ///
    /// # Errors
    /// As [`Store::change_schedules`]; `edit` may say what is wrong.
    pub fn edit_schedule(
        &mut self,
        name: &ScheduleName,
        now: Timestamp,
        edit: impl FnOnce(&mut ScheduleSpec) -> Result<(), String>,
    ) -> Result<ScheduleSpec, StoreError> {
        let current = self.operation.clone();
        let (spec, operation) = self.change(|conn| {
            let row = find(conn, name)?;
            let bad = |problem| StoreError::BadSchedule {
                name: name.to_string(),
                problem,
            };
            let mut spec = row.spec().map_err(bad)?;
            edit(&mut spec).map_err(bad)?;
            replace(conn, &spec, now)?;
            let operation = enter(conn, current.as_ref(), vec![(name.to_string(), Some(row))], now)?;
            Ok((spec, operation))
        })?;
        self.has_entered(operation);
        Ok(spec)
    }

    /// Pauses a schedule: its ticks make no jobs from now on. False if it was paused already.
    ///
    /// # Errors
    /// [`StoreError::NoSuchSchedule`].
    pub fn pause_schedule(
        &mut self,
        name: &ScheduleName,
        reason: Option<&str>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.change_one(name, now, |conn| pause(conn, name, reason, now))
    }

    /// Has a paused schedule go on. The ticks that came meanwhile are entered as skipped. False if it was not paused.
    ///
    /// # Errors
    /// [`StoreError::NoSuchSchedule`].
    pub fn resume_schedule(&mut self, name: &ScheduleName, now: Timestamp) -> Result<bool, StoreError> {
        self.change_one(name, now, |conn| resume(conn, name, now))
    }

    /// Changes one schedule, and says whether it did.
    fn change_one(
        &mut self,
        name: &ScheduleName,
        now: Timestamp,
        body: impl FnOnce(&mut Db) -> Result<bool, StoreError>,
    ) -> Result<bool, StoreError> {
        let current = self.operation.clone();
        let (is_new, operation) = self.change(|conn| {
            let before = vec![(name.to_string(), read(conn, name.as_str())?)];
            let is_new = body(conn)?;
            let operation = match is_new {
                true => enter(conn, current.as_ref(), before, now)?,
                false => None,
            };
            Ok((is_new, operation))
        })?;
        self.has_entered(operation);
        Ok(is_new)
    }

    /// After the clock was set back: has every schedule go on at its next time by the clock, not at one that was next by a
    /// clock that was ahead. Ticks that have been made are not made again. Returns how many it changed.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub(crate) fn heed_clock_in_schedules(&mut self, now: Timestamp) -> Result<usize, StoreError> {
        let ahead = |conn: &mut Db| -> Result<Vec<ScheduleRow>, StoreError> {
            let rows: Vec<ScheduleRow> = schedules::table
                .filter(schedules::seen_at.gt(now.0.saturating_add(SLACK_MS)))
                .filter(schedules::next_due.gt(now.0))
                .filter(schedules::paused_at.is_null())
                .select(ScheduleRow::as_select())
                .load(conn)?;
            let rows = rows.into_iter().filter_map(|mut row| {
                let understood = row.understand(now).ok()?;
                let next = next_tick(&understood.expr, &understood.zone, row.start(), now)?;
                (Some(next.0) < row.next_due).then(|| {
                    row.next_due = Some(next.0);
                    row
                })
            });
            Ok(rows.collect())
        };
        if ahead(self.conn()?)?.is_empty() {
            return Ok(0);
        }
        self.change(|conn| {
            let mut rows = ahead(conn)?;
            for row in &mut rows {
                store(conn, row, now)?;
            }
            Ok(rows.len())
        })
    }

    /// One transaction that no node makes ticks in meanwhile. Nodes look again after it.
    pub(super) fn change<T>(
        &mut self,
        body: impl FnOnce(&mut Db) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let done = self.write(|conn| {
            conn.dialect().lock_schedules()?;
            body(conn)
        })?;
        self.wake_all(Wake::Control);
        Ok(done)
    }
}

/// Refuses more schedules than there may be, with this number of new ones.
pub fn check_room(conn: &mut Db, new: usize) -> Result<(), StoreError> {
    let count: i64 = schedules::table.count().get_result(conn)?;
    match usize::try_from(count).is_ok_and(|count| count + new <= SCHEDULES) {
        true => Ok(()),
        false => Err(StoreError::TooManySchedules),
    }
}

/// Pauses a schedule, unless it is.
pub fn pause(
    conn: &mut Db,
    name: &ScheduleName,
    reason: Option<&str>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let mut row = find(conn, name)?;
    if row.paused_at.is_some() {
        return Ok(false);
    }
    row = tick_row(conn, row, now, &mut Ticked::default())?;
    row.paused_at = Some(now.0);
    row.paused_reason = reason.map(storable);
    store(conn, &mut row, now)?;
    Ok(true)
}

/// Has a schedule go on, if it is paused.
pub fn resume(conn: &mut Db, name: &ScheduleName, now: Timestamp) -> Result<bool, StoreError> {
    let mut row = find(conn, name)?;
    if row.paused_at.is_none() {
        return Ok(false);
    }
    let understood = row.understand(now).map_err(|fault| bad(name, fault))?;
    account_paused(conn, &mut row, &understood, now)?;
    // Those that have died do not count any more.
    look_at_runs(conn, &mut row)?;
    (row.paused_at, row.paused_reason, row.dead_runs) = (None, None, 0);
    store(conn, &mut row, now)?;
    Ok(true)
}

pub fn find(conn: &mut Db, name: &ScheduleName) -> Result<ScheduleRow, StoreError> {
    let row = schedules::table
        .find(name.as_str())
        .select(ScheduleRow::as_select())
        .get_result(conn)
        .optional()?;
    row.ok_or_else(|| StoreError::NoSuchSchedule(name.to_string()))
}

pub fn bad(name: &ScheduleName, fault: Fault) -> StoreError {
    StoreError::BadSchedule {
        name: name.to_string(),
        problem: fault.into(),
    }
}

pub fn add(conn: &mut Db, spec: &ScheduleSpec, now: Timestamp) -> Result<(), StoreError> {
    let taken: i64 = schedules::table
        .filter(schedules::name.eq(spec.name.as_str()))
        .count()
        .get_result(conn)?;
    if taken > 0 {
        return Err(StoreError::ScheduleTaken(spec.name.to_string()));
    }
    check_limits_of(conn, spec, now)?;
    let mut row = ScheduleRow::new(spec, now);
    begin(&mut row, spec, now)?;
    diesel::insert_into(schedules::table).values(row).execute(conn)?;
    Ok(())
}

pub fn replace(conn: &mut Db, spec: &ScheduleSpec, now: Timestamp) -> Result<(), StoreError> {
    let mut row = find(conn, &spec.name)?;
    if row.paused_at.is_none() {
        row = tick_row(conn, row, now, &mut Ticked::default())?;
    }
    check_limits_of(conn, spec, now)?;
    let before = (row.expression.clone(), row.zone.clone());
    if before != (spec.when.clone(), spec.zone.clone()) {
        if row.paused_at.is_some()
            && let Ok(understood) = row.understand(now)
        {
            account_paused(conn, &mut row, &understood, now)?;
        }
        row.start_at = whole_second(now);
        row.set(spec);
        begin(&mut row, spec, now)?;
    } else {
        check(spec.clone(), now).map_err(|fault| bad(&spec.name, fault))?;
        row.set(spec);
    }
    row.updated_at = now.0;
    store(conn, &mut row, now)
}

/// Refuses a schedule whose jobs name a limit that is not there: each of its ticks would be.
fn check_limits_of(conn: &mut Db, spec: &ScheduleSpec, now: Timestamp) -> Result<(), StoreError> {
    match job_of(spec, now, TickResult::OnTime, now) {
        Ok(job) => check_limits(conn, &job).map_err(|error| match error.problem() {
            None => bad(&spec.name, Fault::Other(error.to_string())),
            Some(_) => error,
        }),
        // That is said where all of it is checked.
        Err(_) => Ok(()),
    }
}

/// Finds the first tick.
fn begin(row: &mut ScheduleRow, spec: &ScheduleSpec, now: Timestamp) -> Result<(), StoreError> {
    let understood = check(spec.clone(), now).map_err(|fault| bad(&spec.name, fault))?;
    let next = next_tick(&understood.expr, &understood.zone, row.start(), now);
    let next = next.ok_or_else(|| StoreError::BadSchedule {
        name: spec.name.to_string(),
        problem: format!("'{}' does not come within eight years", spec.when),
    })?;
    row.next_due = Some(next.0);
    Ok(())
}

fn remove(conn: &mut Db, name: &ScheduleName, now: Timestamp) -> Result<(), StoreError> {
    // Runs that wait for earlier ones would wait for ever.
    let mut waiting = Vec::new();
    for id in find(conn, name)?.runs() {
        let waits: Option<i32> = jobs::table.find(id).select(jobs::waits).first(conn).optional()?;
        if waits.is_some_and(|waits| Waits::from_code(waits).has(BlockedBy::Overlap)) {
            waiting.push(JobId(id));
        }
    }
    let mut deltas = Deltas::default();
    cancel_all(conn, &waiting, now, &mut deltas)?;
    finish(conn, deltas, now)?;
    let removed = diesel::delete(schedules::table.find(name.as_str())).execute(conn)?;
    if removed == 0 {
        return Err(StoreError::NoSuchSchedule(name.to_string()));
    }
    diesel::delete(ticks::table.filter(ticks::schedule.eq(name.as_str()))).execute(conn)?;
    Ok(())
}
