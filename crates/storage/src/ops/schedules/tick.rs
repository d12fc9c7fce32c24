//! Makes the jobs whose ticks have come due. Every node calls it at the time of the next tick; the first one does the work.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Integer;
use queuectl_core::gates::block;
use queuectl_core::schedule::{Overlap, TickResult};
use queuectl_core::{BlockedBy, Gates, JobId, JobRef, ScheduleName, Timestamp, Waits};
use queuectl_scheduler::cron;
use queuectl_scheduler::plan::{Runs, Step, Timing, paused, plan};

use super::make::{Made, NewTick, enter, make_job, trim};
use super::rows::{Fault, ScheduleRow, Understood};
use crate::backend::statements::NextTick;
use crate::backend::{Db, on_any};
use crate::counts::Deltas;
use crate::limits::LimitRows;
use crate::ops::cancel::cancel_all;
use crate::ops::show::find;
use crate::outcome::schedules::{count_runs, go_on};
use crate::outcome::{apply_blocking, finish, standing};
use crate::schema::{jobs, schedules};
use crate::types::nodes::Wake;
use crate::{Store, StoreError};

/// Most schedules whose ticks one transaction makes.
const BATCH: i64 = 100;
/// Most runs of a schedule that are followed; of one that lets them overlap, older ones are forgotten.
const RUNS: usize = 1000;

/// What was made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ticked {
    /// The jobs.
    pub jobs: u64,
    /// Ticks that were skipped.
    pub skipped: u64,
    /// When the next tick comes, of any schedule.
    pub next: Option<Timestamp>,
    /// Schedules that this machine cannot make ticks of, and why; another may.
    pub unable: Vec<(ScheduleName, String)>,
    /// Schedules that paused, and why.
    pub paused: Vec<(ScheduleName, String)>,
    cancelled: bool,
}

/// Schedules that are due by then and not paused.
macro_rules! due {
    () => {
        schedules::table
            .filter(schedules::next_due.is_not_null())
            .filter(schedules::paused_at.is_null())
    };
}

impl Store {
    /// Makes the jobs of the ticks that have come, and accounts for those that make none. Some of them at a time: if
    /// [`Ticked::next`] has come too, there is more.
    ///
    /// # Errors
    /// [`StoreError::Database`]: nothing was made; the same call can be repeated.
    pub fn tick(&mut self, now: Timestamp) -> Result<Ticked, StoreError> {
        self.tick_without(&[], now)
    }

    /// Does the same, and leaves alone schedules that this machine could not make ticks of; [`Ticked::next`] is that of the
    /// others.
    ///
    /// # Errors
    /// [`StoreError::Database`]: nothing was made; the same call can be repeated.
    pub fn tick_without(&mut self, unable: &[ScheduleName], now: Timestamp) -> Result<Ticked, StoreError> {
        let next = self.next_tick_without(unable)?;
        if next.is_none_or(|due| due > now) {
            return Ok(Ticked {
                next,
                ..Ticked::default()
            });
        }
        let ticked = self.write_busily(|conn| {
            conn.dialect().lock_schedules()?;
            let mut ticked = Ticked::default();
            let mut unable: Vec<String> = unable.iter().map(ToString::to_string).collect();
            let due = loop {
                let due: Vec<ScheduleRow> = due!()
                    .filter(schedules::next_due.le(now.0))
                    .filter(schedules::name.ne_all(&unable))
                    .order(schedules::next_due)
                    .limit(BATCH)
                    .select(ScheduleRow::as_select())
                    .load(conn)?;
                let was_last = due.len() < usize::try_from(BATCH).unwrap_or(0);
                // They stay due, and must not be in the way of those behind them.
                let (mut able, known) = (Vec::new(), unable.len());
                for row in due {
                    match row.understand(now) {
                        Err(Fault::Zone(problem)) => {
                            unable.push(row.name.clone());
                            ticked.unable.push((ScheduleName::as_stored(row.name), problem));
                        }
                        _ => able.push(row),
                    }
                }
                if !able.is_empty() || unable.len() == known || was_last {
                    break able;
                }
            };
            // One that has runs wait locks them, and so has a transaction of its own: none waits for it that holds another.
            let waits = |row: &ScheduleRow| Overlap::from_code(row.overlap).is_none_or(Overlap::waits);
            let alone = due.iter().position(waits);
            let together = alone.map_or(due.len(), |place| place.max(1));
            for row in due.into_iter().take(together) {
                tick_row(conn, row, now, &mut ticked)?;
            }
            ticked.next = next_of_others(conn, &unable)?;
            Ok(ticked)
        })?;
        if ticked.cancelled {
            self.wake_all(Wake::Control);
        } else if ticked.jobs > 0 {
            self.wake_all(Wake::Jobs);
        }
        Ok(ticked)
    }

    /// When the next tick comes, of any schedule. Reads one entry of an index.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn next_tick(&mut self) -> Result<Option<Timestamp>, StoreError> {
        next_tick(self.conn()?)
    }

    /// When the next tick comes of any other schedule than these.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn next_tick_without(&mut self, unable: &[ScheduleName]) -> Result<Option<Timestamp>, StoreError> {
        let unable: Vec<String> = unable.iter().map(ToString::to_string).collect();
        next_of_others(self.conn()?, &unable)
    }
}

fn next_of_others(conn: &mut Db, unable: &[String]) -> Result<Option<Timestamp>, StoreError> {
    if unable.is_empty() {
        return next_tick(conn);
    }
    let due: Option<Option<i64>> = due!()
        .filter(schedules::name.ne_all(unable))
        .order(schedules::next_due)
        .select(schedules::next_due)
        .first(conn)
        .optional()?;
    Ok(due.flatten().map(Timestamp))
}

pub fn next_tick(conn: &mut Db) -> Result<Option<Timestamp>, StoreError> {
    let due: Option<(i64,)> = NextTick {}.get_result(conn).optional()?;
    Ok(due.map(|(due,)| Timestamp(due)))
}

/// Makes what has come due of one schedule, which is not paused, and stores its row. Returns the row.
pub fn tick_row(
    conn: &mut Db,
    mut row: ScheduleRow,
    now: Timestamp,
    ticked: &mut Ticked,
) -> Result<ScheduleRow, StoreError> {
    let Some(due) = row.due().filter(|due| *due <= now) else {
        return Ok(row);
    };
    let understood = match row.understand(now) {
        Ok(understood) => understood,
        Err(Fault::Zone(problem)) => {
            ticked
                .unable
                .push((ScheduleName::as_stored(row.name.clone()), problem));
            return Ok(row);
        }
        Err(Fault::Other(problem)) => {
            refuse(conn, &mut row, due, now, problem, ticked)?;
            return Ok(row);
        }
    };
    let overlap = understood.spec.overlap;
    let mut runs = look_at_runs(conn, &mut row)?;
    // Some wait also where that was the policy when they came.
    let have_followers = overlap.waits() || runs.waiting > 0;
    if have_followers && runs.open > 0 {
        hold_runs(conn, &row)?;
        runs = look_at_runs(conn, &mut row)?;
    }
    // Before the locks of limits, which a transaction that ends a run takes after it, too.
    conn.dialect().lock_schedule(&row.name)?;
    if understood
        .spec
        .pause_after
        .is_some_and(|most| row.dead_runs >= i32::try_from(most).unwrap_or(i32::MAX))
    {
        let reason = format!("{} dead run(s) in a row", row.dead_runs);
        pause(&mut row, now, reason, ticked);
        store(conn, &mut row, now)?;
        return Ok(row);
    }
    let plan = plan(&timing(&understood, &row), due, now, runs);
    for step in plan.steps {
        if !enter_step(conn, &mut row, &understood, &step, now)? {
            continue;
        }
        if !step.result.ran() {
            ticked.skipped += step.several.map_or(1, |several| u64::from(several.count));
            continue;
        }
        if overlap == Overlap::Cancel && runs.open > 0 {
            let open: Vec<JobId> = row.runs().into_iter().map(JobId).collect();
            let mut deltas = Deltas::default();
            ticked.cancelled |= cancel_all(conn, &open, now, &mut deltas)?;
            finish(conn, deltas, now)?;
            runs = look_at_runs(conn, &mut row)?;
        }
        match make_job(conn, &understood.spec, step.at, step.result, now)? {
            Made::Job(id) => {
                ticked.jobs += 1;
                if overlap.waits() {
                    if runs.open > 0 {
                        have_wait(conn, id, now)?;
                    }
                    runs.open += 1;
                }
                follow(&mut row, id);
                if have_followers {
                    hold_runs(conn, &row)?;
                }
            }
            Made::None(..) => ticked.skipped += 1,
        }
    }
    if have_followers {
        // Where a node of an older version ended a run, nothing followed.
        let mut deltas = Deltas::default();
        go_on(conn, &row.runs(), now, &mut deltas)?;
        finish(conn, deltas, now)?;
    }
    row.next_due = plan.next.map(|next| next.0);
    trim(conn, &mut row)?;
    store(conn, &mut row, now)?;
    Ok(row)
}

/// Accounts for the ticks that came while the schedule was paused, without storing its row.
pub fn account_paused(
    conn: &mut Db,
    row: &mut ScheduleRow,
    understood: &Understood,
    now: Timestamp,
) -> Result<(), StoreError> {
    if let Some(due) = row.due().filter(|due| *due <= now) {
        let plan = paused(&timing(understood, row), due, now);
        for step in plan.steps {
            enter_step(conn, row, understood, &step, now)?;
        }
        row.next_due = plan.next.map(|next| next.0);
        trim(conn, row)?;
    }
    Ok(())
}

/// Enters a step. One that stands for several ticks begins with the first that is not accounted for: after the clock was set
/// back, the first ones may be.
fn enter_step(
    conn: &mut Db,
    row: &mut ScheduleRow,
    understood: &Understood,
    step: &Step,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let mut tick = new_tick(step);
    while !enter(conn, row, &tick, now)? {
        row.tick_rows -= 1;
        let next = cron::next_tick(&understood.expr, &understood.zone, row.start(), tick.at);
        let Some(next) = next.filter(|next| tick.count > 1 && *next <= tick.last_at) else {
            return Ok(false);
        };
        (tick.at, tick.count) = (next, tick.count - 1);
    }
    Ok(true)
}

/// Has the schedule's next ticks see that run.
pub fn follow(row: &mut ScheduleRow, id: JobId) {
    let mut runs = row.runs();
    runs.push(id.0);
    let from = runs.len().saturating_sub(RUNS);
    set_runs(row, &runs[from..]);
}

fn set_runs(row: &mut ScheduleRow, runs: &[i64]) {
    let runs: Vec<String> = runs.iter().map(i64::to_string).collect();
    row.runs = runs.join(" ");
}

pub fn store(conn: &mut Db, row: &mut ScheduleRow, now: Timestamp) -> Result<(), StoreError> {
    row.seen_at = now.0;
    diesel::update(schedules::table.find(row.name.clone()))
        .set(row.clone())
        .execute(conn)?;
    Ok(())
}

fn timing<'a>(understood: &'a Understood, row: &ScheduleRow) -> Timing<'a> {
    Timing {
        expr: &understood.expr,
        zone: &understood.zone,
        start: row.start(),
        missed: understood.spec.missed,
        missed_within: understood.missed_within(),
        overlap: understood.spec.overlap,
    }
}

fn new_tick(step: &Step) -> NewTick {
    let one = NewTick::one(step.at, step.result);
    let reason = step.reason.map(str::to_owned);
    match step.several {
        None => NewTick { reason, ..one },
        Some(several) => NewTick {
            reason,
            count: several.count,
            more: several.more,
            last_at: several.last,
            ..one
        },
    }
}

/// Takes note of the runs that have ended since the last tick. Returns those that have not.
pub fn look_at_runs(conn: &mut Db, row: &mut ScheduleRow) -> Result<Runs, StoreError> {
    let runs = row.runs();
    if runs.is_empty() {
        return Ok(Runs::default());
    }
    let (open, dead_runs) = count_runs(conn, &runs, row.dead_runs)?;
    row.dead_runs = dead_runs;
    set_runs(row, &open);
    let waits: Vec<i32> = jobs::table
        .filter(jobs::id.eq_any(&open))
        .select(jobs::waits)
        .load(conn)?;
    let waiting = waits.into_iter().map(Waits::from_code);
    Ok(Runs {
        open: open.len(),
        waiting: waiting.filter(|waits| waits.has(BlockedBy::Overlap)).count(),
    })
}

/// Has the ends of the runs that have not ended let go on those that wait for them. Waits for a transaction that is ending
/// one, and has others wait that want to.
pub fn hold_runs(conn: &mut Db, row: &ScheduleRow) -> Result<(), StoreError> {
    let open = || {
        let runs = jobs::table.filter(jobs::id.eq_any(row.runs()));
        runs.filter(jobs::finished_at.is_null())
    };
    let for_room = sql::<Integer>("waits & ").bind::<Integer, _>(BlockedBy::Limit as i32);
    let parked: Vec<i64> = open().filter(for_room.ne(0)).select(jobs::id).load(conn)?;
    let gates = || sql::<Integer>("gates | ").bind::<Integer, _>(Gates::SCHEDULE.code());
    diesel::update(open().filter(jobs::id.ne_all(&parked)))
        .set(jobs::gates.eq(gates()))
        .execute(conn)?;
    if !parked.is_empty() {
        // A transaction that settles limits locks the rows of jobs that wait for room, too.
        on_any!(conn, conn => conn.lock_limits(false))?;
        diesel::update(open().filter(jobs::id.eq_any(&parked)))
            .set(jobs::gates.eq(gates()))
            .execute(conn)?;
    }
    Ok(())
}

/// Has a new job wait for the earlier runs.
fn have_wait(conn: &mut Db, id: JobId, now: Timestamp) -> Result<(), StoreError> {
    let row = find(conn, &JobRef::Number(id))?;
    // One that waits for its turn does not wait for room yet.
    on_any!(conn, conn => conn.clear(&[id.0]))?;
    let waits = Waits::from_code(row.waits).without(BlockedBy::Limit);
    let blocking =
        block(standing(&row)?, waits, BlockedBy::Overlap).map_err(|refused| StoreError::Refused {
            job: id.to_string(),
            refused,
        })?;
    let mut deltas = Deltas::default();
    apply_blocking(conn, &row, &blocking, now, &mut deltas)?;
    finish(conn, deltas, now)
}

/// Pauses a schedule. The tick that has come is accounted for when it is resumed.
fn pause(row: &mut ScheduleRow, now: Timestamp, reason: String, ticked: &mut Ticked) {
    row.paused_at = Some(now.0);
    row.paused_reason = Some(reason.clone());
    ticked
        .paused
        .push((ScheduleName::as_stored(row.name.clone()), reason));
}

/// Pauses a schedule that cannot be understood: it would be due for ever.
fn refuse(
    conn: &mut Db,
    row: &mut ScheduleRow,
    due: Timestamp,
    now: Timestamp,
    problem: String,
    ticked: &mut Ticked,
) -> Result<(), StoreError> {
    let tick = NewTick {
        reason: Some(problem.clone()),
        ..NewTick::one(due, TickResult::Refused)
    };
    enter(conn, row, &tick, now)?;
    pause(row, now, problem, ticked);
    store(conn, row, now)
}
