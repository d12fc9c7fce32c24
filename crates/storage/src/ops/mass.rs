//! Changes of many jobs, in steps: which jobs come next is read without a lock, and a transaction of bounded length changes
//! those of them that still fit.
//!
//! A job that was changed does not fit any more, so the same filter goes on where an earlier run of the command stopped, and
//! counts no job twice. If the store is told of an operation, each step says there how far it is and how its jobs were.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use queuectl_core::{Event, JobId, JobRef, Refused, State, Timestamp, Transition, Waits, transition};

use super::cancel::{Cancelled, cancel, in_lock_order, is_parked};
use super::hold::{hold, release};
use super::operations::{Before, Entry, Log, portion};
use super::purge::remove_kept;
use super::select::Selected;
use super::show::find;
use super::start::start;
use super::steps::{Pace, Timed};
use super::{listing, mass_sets, unique};
use crate::backend::{Db, on_any};
use crate::counts::Deltas;
use crate::limits::LimitRows;
use crate::outcome::{self, standing};
use crate::rows::JobRow;
use crate::state_dir::Lane;
use crate::types::filter::{JobFilter, MassChange};
use crate::types::list::Position;
use crate::types::nodes::Wake;
use crate::types::operation::MassDone;
use crate::{Store, StoreError};

/// What a step does to a job that fits.
pub(super) type Act<'a> = &'a dyn Fn(&mut Db, JobId, &mut Deltas, &mut Entry) -> Result<MassDone, StoreError>;

impl Store {
    /// Does this to all jobs that a filter means, which should be frozen. `after_step` is told what was done by then.
    ///
    /// # Errors
    /// [`StoreError::Database`]; earlier steps stay done.
    pub fn change_all(
        &mut self,
        filter: &JobFilter,
        change: MassChange,
        now: Timestamp,
        mut after_step: impl FnMut(&MassDone),
    ) -> Result<MassDone, StoreError> {
        self.change_all_after(filter, None, change, now, &mut after_step)
    }

    /// Does the same to those behind a place.
    pub(super) fn change_all_after(
        &mut self,
        filter: &JobFilter,
        mut after: Option<Position>,
        change: MassChange,
        now: Timestamp,
        after_step: &mut dyn FnMut(&MassDone),
    ) -> Result<MassDone, StoreError> {
        let filter = JobFilter {
            change: Some(change),
            ..filter.clone()
        };
        if change != MassChange::Purge {
            return self.in_steps_after(
                &filter,
                after,
                now,
                wake(change),
                after_step,
                &|conn, job, deltas, entry| change_one(conn, change, job, now, deltas, entry),
            );
        }
        let (mut done, mut pace) = (MassDone::default(), Pace::new());
        loop {
            let held = Cell::default();
            let (step, next) = self.purge_some(&filter, after, pace.jobs(), now, &held)?;
            pace.took(held.get());
            done.add(step);
            after_step(&done);
            let Some(next) = next else { return Ok(done) };
            after = Some(next);
            self.rest_after(held.get());
        }
    }

    /// Does something to all jobs that a filter means, in steps.
    pub(super) fn in_steps(
        &mut self,
        filter: &JobFilter,
        now: Timestamp,
        wake: Wake,
        act: Act<'_>,
    ) -> Result<MassDone, StoreError> {
        self.in_steps_after(filter, None, now, wake, &mut |_| {}, act)
    }

    /// Does the same to those behind a place. `after_step` is told what was done by then.
    pub(super) fn in_steps_after(
        &mut self,
        filter: &JobFilter,
        mut after: Option<Position>,
        now: Timestamp,
        wake: Wake,
        after_step: &mut dyn FnMut(&MassDone),
        act: Act<'_>,
    ) -> Result<MassDone, StoreError> {
        let (mut done, mut pace) = (MassDone::default(), Pace::new());
        loop {
            let held = Cell::default();
            let mut selected = self.select(filter, after, pace.jobs())?;
            if filter.change.is_none() && self.operation.as_ref().is_some_and(|current| current.keeps) {
                // What an edit keeps of them is in memory until the step is stored.
                let ids: Vec<i64> = selected.jobs.iter().map(|job| job.0).collect();
                let fitting = portion(self.conn()?, &ids)?.jobs;
                if fitting < ids.len() {
                    let fitting = u32::try_from(fitting).unwrap_or(u32::MAX);
                    selected = self.select(filter, after, fitting)?;
                }
            }
            let next = selected.next;
            if !selected.jobs.is_empty() {
                done.add(self.step(filter, &selected, now, act, &held)?);
                self.wake_all(wake);
            }
            pace.took(held.get());
            after_step(&done);
            let Some(next) = next else { return Ok(done) };
            after = Some(next);
            self.rest_after(held.get());
        }
    }

    /// Does it to these jobs, as far as they still fit, and says how long that held the store.
    fn step(
        &mut self,
        filter: &JobFilter,
        selected: &Selected,
        now: Timestamp,
        act: Act<'_>,
        held: &Cell<Duration>,
    ) -> Result<MassDone, StoreError> {
        let log = Log::of(self.operation.as_ref());
        self.write_again_in(Lane::Busy, |conn| {
            let _timed = Timed::new(held);
            let mut entry = log.enter(conn, now)?;
            let mut done = MassDone::default();
            let mut deltas = Deltas::default();
            let others = match filter.change {
                // An edit says of each job what it becomes.
                None => selected.jobs.clone(),
                Some(change) => {
                    let which = (filter, change);
                    let jobs = &selected.jobs;
                    let (plain, others) =
                        mass_sets::change_plain(conn, which, jobs, now, &mut deltas, &mut entry)?;
                    done.add(plain);
                    others
                }
            };
            let mut has_locked_limits = false;
            for (waits_for_room, job) in in_lock_order(conn, &others)? {
                if waits_for_room && !has_locked_limits {
                    // Before its row, as in `cancel`.
                    on_any!(conn, conn => conn.lock_limits(false))?;
                    has_locked_limits = true;
                }
                conn.dialect().lock_job(&JobRef::Number(job))?;
                if listing::fits(conn, filter, job.0)? {
                    done.add(act(conn, job, &mut deltas, &mut entry)?);
                }
            }
            outcome::finish(conn, deltas, now)?;
            entry.store(conn, &done, selected.next)?;
            Ok(done)
        })
    }

    fn purge_some(
        &mut self,
        filter: &JobFilter,
        after: Option<Position>,
        limit: u32,
        now: Timestamp,
        held: &Cell<Duration>,
    ) -> Result<(MassDone, Option<Position>), StoreError> {
        let Selected { jobs, next } = self.select(filter, after, limit)?;
        if jobs.is_empty() {
            return Ok((MassDone::default(), None));
        }
        let log = Log::of(self.operation.as_ref());
        let (removed, is_whole) = self.write_again_in(Lane::Busy, |conn| {
            let _timed = Timed::new(held);
            let mut entry = log.enter(conn, now)?;
            let mut by_state: BTreeMap<State, Vec<i64>> = BTreeMap::new();
            for (job, state) in listing::fitting(conn, filter, &jobs)? {
                by_state.entry(state).or_default().push(job);
            }
            let (mut removed, mut meant) = (Vec::new(), 0);
            for (state, ids) in by_state {
                meant += ids.len();
                if removed.is_empty() || !entry.is_full() {
                    removed.extend(remove_kept(conn, ids, state, &mut entry)?);
                }
            }
            let is_whole = removed.len() == meant;
            entry.store(conn, &purged(&removed), next.filter(|_| is_whole))?;
            Ok((removed, is_whole))
        })?;
        self.remove_outputs(&removed);
        // Those that there was no time for are behind the same place still.
        let again = after.unwrap_or(Position::FIRST);
        Ok((purged(&removed), if is_whole { next } else { Some(again) }))
    }
}

fn purged(removed: &[i64]) -> MassDone {
    MassDone {
        changed: removed.len() as u64,
        ..MassDone::default()
    }
}

/// What became of a job that was named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamedDone {
    /// The job.
    pub id: JobId,
    /// Its state.
    pub state: State,
    /// What blocks it.
    pub waits: Waits,
}

impl Store {
    /// Does this to one job, which must fit. A job that runs and is to be cancelled is asked to stop.
    ///
    /// # Errors
    /// [`StoreError::NoSuchJob`]; [`StoreError::Refused`] if its state does not allow it; [`StoreError::LeftAlone`] if it does
    /// not fit; [`StoreError::KeyHeld`].
    pub fn change_named(
        &mut self,
        job: &JobRef,
        change: MassChange,
        only: &JobFilter,
        now: Timestamp,
    ) -> Result<NamedDone, StoreError> {
        if change == MassChange::Purge {
            return self.purge_named(job, only, now);
        }
        let log = Log::of(self.operation.as_ref());
        let (done, operation) = self.write_again(|conn| {
            let mut entry = log.enter(conn, now)?;
            let mut deltas = Deltas::default();
            if matches!(change, MassChange::Cancel | MassChange::Start) && is_parked(conn, job)? {
                // Before the job's row, as in `cancel`.
                on_any!(conn, conn => conn.lock_limits(false))?;
            }
            check(conn, job, only)?;
            if change == MassChange::Retry {
                let row = find(conn, job)?;
                // A job that cannot be retried says so first.
                retriable(&row, job)?;
                unique::check_free(conn, &row)?;
            }
            let done = apply(conn, change, job, now, &mut deltas, &mut entry)?;
            outcome::finish(conn, deltas, now)?;
            let operation = entry.id();
            entry.store(conn, &done, None)?;
            let row = find(conn, job)?;
            let named = NamedDone {
                id: JobId(row.id),
                state: standing(&row)?.state,
                waits: Waits::from_code(row.waits),
            };
            Ok((named, operation))
        })?;
        self.has_entered(operation);
        self.wake_all(wake(change));
        Ok(done)
    }
}

impl Store {
    fn purge_named(
        &mut self,
        job: &JobRef,
        only: &JobFilter,
        now: Timestamp,
    ) -> Result<NamedDone, StoreError> {
        let log = Log::of(self.operation.as_ref());
        let (done, operation) = self.write(|conn| {
            let mut entry = log.enter(conn, now)?;
            check(conn, job, only)?;
            let row = find(conn, job)?;
            let state = standing(&row)?.state;
            let done = apply(
                conn,
                MassChange::Purge,
                job,
                now,
                &mut Deltas::default(),
                &mut entry,
            )?;
            let operation = entry.id();
            entry.store(conn, &done, None)?;
            let named = NamedDone {
                id: JobId(row.id),
                state,
                waits: Waits::NONE,
            };
            Ok((named, operation))
        })?;
        self.has_entered(operation);
        self.remove_outputs(&[done.id.0]);
        Ok(done)
    }
}

impl Store {
    /// Refuses a job that does not fit a filter, for commands that change none.
    ///
    /// # Errors
    /// [`StoreError::NoSuchJob`]; [`StoreError::LeftAlone`].
    pub fn check_fits(&mut self, job: &JobRef, only: &JobFilter) -> Result<(), StoreError> {
        let id = self.job(job)?.id.0;
        check_number(self.conn()?, job, id, only)
    }
}

/// Refuses a job that does not fit, in the transaction that is going to change it.
pub(super) fn check(conn: &mut Db, job: &JobRef, only: &JobFilter) -> Result<(), StoreError> {
    if *only == JobFilter::default() {
        return Ok(());
    }
    let id = find(conn, job)?.id;
    check_number(conn, job, id, only)
}

/// Refuses a job that does not fit, and says what of the filter it does not fit.
fn check_number(conn: &mut Db, job: &JobRef, id: i64, only: &JobFilter) -> Result<(), StoreError> {
    for (why, part) in only.parts() {
        if !listing::fits(conn, &part, id)? {
            let job = job.to_string();
            return Err(StoreError::LeftAlone { job, why });
        }
    }
    Ok(())
}

fn wake(change: MassChange) -> Wake {
    match change {
        MassChange::Cancel => Wake::Control,
        _ => Wake::Jobs,
    }
}

/// Does it to a job that fits, unless another transaction was quicker.
fn change_one(
    conn: &mut Db,
    change: MassChange,
    job: JobId,
    now: Timestamp,
    deltas: &mut Deltas,
    entry: &mut Entry,
) -> Result<MassDone, StoreError> {
    match apply(conn, change, &JobRef::Number(job), now, deltas, entry) {
        Err(StoreError::Refused { .. } | StoreError::NotStarted { .. } | StoreError::NoSuchJob(_)) => {
            Ok(MassDone::default())
        }
        done => done,
    }
}

fn apply(
    conn: &mut Db,
    change: MassChange,
    job: &JobRef,
    now: Timestamp,
    deltas: &mut Deltas,
    entry: &mut Entry,
) -> Result<MassDone, StoreError> {
    let mut done = MassDone::default();
    // What a retry leads to cannot be taken back, and a purge keeps more than this.
    let before = match change {
        MassChange::Cancel | MassChange::Hold | MassChange::Release if entry.keeps() => {
            Some(find(conn, job)?)
        }
        _ => None,
    };
    match change {
        MassChange::Cancel => match cancel(conn, job, now, deltas)? {
            Cancelled::Now => done.changed = 1,
            Cancelled::Requested => done.requested = 1,
        },
        MassChange::Hold => {
            hold(conn, job, now, deltas)?;
            done.changed = 1;
        }
        MassChange::Release => {
            release(conn, job, now, deltas)?;
            done.changed = 1;
        }
        MassChange::Start => {
            start(conn, job, entry.by(), now, deltas)?;
            done.changed = 1;
        }
        MassChange::Retry => {
            let row = find(conn, job)?;
            if unique::holder_of(conn, &row)?.is_some() {
                done.held_back = 1;
            } else {
                let decided = retriable(&row, job)?;
                done.changed = u64::from(outcome::change(conn, &row, &decided, now, deltas)?);
            }
        }
        MassChange::Purge => {
            let row = find(conn, job)?;
            let at = standing(&row)?.state;
            if !at.is_final() {
                let (state, event) = (at, "purge");
                return Err(StoreError::Refused {
                    job: job.to_string(),
                    refused: Refused { state, event },
                });
            }
            done.changed = remove_kept(conn, vec![row.id], at, entry)?.len() as u64;
        }
    }
    if let Some(row) = before.filter(|_| done.changed > 0) {
        entry.keep(JobId(row.id), row.fence, Before::of(&row).to_json());
    }
    Ok(done)
}

/// What a retry makes of a job.
fn retriable(row: &JobRow, job: &JobRef) -> Result<Transition, StoreError> {
    transition(standing(row)?, Event::Retry).map_err(|refused| StoreError::Refused {
        job: job.to_string(),
        refused,
    })
}
