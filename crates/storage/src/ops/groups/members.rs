//! Cancelling and retrying the members of a group, in steps.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use queuectl_core::{Event, GroupName, JobId, JobRef, State, Timestamp, transition};

use super::edit::{close, lock};
use super::find;
use crate::backend::Db;
use crate::counts::Deltas;
use crate::ops::operations::{Before, Entry, Log};
use crate::ops::unique;
use crate::outcome::{self, standing};
use crate::rows::JobRow;
use crate::schema::{group_members, jobs};
use crate::states::sql as states;
use crate::types::nodes::Wake;
use crate::types::operation::MassDone;
use crate::{Store, StoreError};

/// Members of one step.
const STEP: i64 = 500;

/// What became of the members of a group that was cancelled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CancelledMembers {
    /// Members that are cancelled.
    pub cancelled: u64,
    /// Members that run; their nodes were asked to stop them.
    pub requested: u64,
}

/// What became of the members of a group that was retried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RetriedMembers {
    /// Members that will run again.
    pub jobs: u64,
    /// Members whose unique keys other jobs have; they stay as they are.
    pub held_back: u64,
    /// Members that were removed.
    pub gone: u64,
}

impl Store {
    /// Closes a group and cancels all of its members that have not ended.
    ///
    /// # Errors
    /// [`StoreError::NoSuchGroup`]; with any other, earlier steps stay done.
    pub fn cancel_group(&mut self, name: &GroupName, now: Timestamp) -> Result<CancelledMembers, StoreError> {
        self.write(|db| {
            let row = lock(db, name)?;
            match row.closed_at {
                None => close(db, &row, now),
                Some(_) => Ok(()),
            }
        })?;
        let mut done = CancelledMembers::default();
        let mut after = Some(i64::MIN);
        while let Some(from) = after {
            let log = Log::of(self.operation.as_ref());
            let (step, next, operation) = self.write_again(|db| {
                let mut entry = log.enter(db, now)?;
                let (step, next) = cancel_some(db, name, from, now, &mut entry)?;
                let operation = entry.id();
                let counts = MassDone {
                    changed: step.cancelled,
                    requested: step.requested,
                    ..MassDone::default()
                };
                entry.store(db, &counts, None)?;
                Ok((step, next, operation))
            })?;
            self.has_entered(operation);
            done.cancelled += step.cancelled;
            done.requested += step.requested;
            after = next;
        }
        self.wake_all(Wake::Control);
        Ok(done)
    }

    /// Makes the dead members of a group ready again, and unless `only_dead` those that are cancelled.
    ///
    /// # Errors
    /// [`StoreError::NoSuchGroup`]; with any other, earlier steps stay done.
    pub fn retry_group(
        &mut self,
        name: &GroupName,
        only_dead: bool,
        now: Timestamp,
    ) -> Result<RetriedMembers, StoreError> {
        let mut done = RetriedMembers::default();
        let states: &[State] = match only_dead {
            true => &[State::Dead],
            false => &[State::Dead, State::Cancelled],
        };
        for state in states {
            let mut after = Some(i64::MIN);
            while let Some(from) = after {
                let log = Log::of(self.operation.as_ref());
                let (step, next, operation) = self.write_again(|db| {
                    let entry = log.enter(db, now)?;
                    let (step, next) = retry_some(db, name, *state, from, now)?;
                    let operation = entry.id();
                    let counts = MassDone {
                        changed: step.jobs,
                        held_back: step.held_back,
                        ..MassDone::default()
                    };
                    entry.store(db, &counts, None)?;
                    Ok((step, next, operation))
                })?;
                self.has_entered(operation);
                done.jobs += step.jobs;
                done.held_back += step.held_back;
                done.gone += step.gone;
                after = next;
            }
        }
        self.wake_all(Wake::Jobs);
        Ok(done)
    }
}

/// Cancels the next members behind that one. Returns the last of them, if there may be more.
fn cancel_some(
    db: &mut Db,
    name: &GroupName,
    after: i64,
    now: Timestamp,
    entry: &mut Entry,
) -> Result<(CancelledMembers, Option<i64>), StoreError> {
    let group = find(db, name.as_str())?;
    let members: Vec<i64> = group_members::table
        .filter(group_members::group_id.eq(group.id))
        .filter(group_members::outcome.is_null())
        .filter(group_members::job_id.gt(after))
        .order(group_members::job_id)
        .limit(STEP)
        .select(group_members::job_id)
        .load(db)?;
    let mut done = CancelledMembers::default();
    let mut deltas = Deltas::default();
    for id in &members {
        let Some(row) = locked(db, *id)? else { continue };
        let at = standing(&row)?;
        if at.state == State::Processing {
            diesel::update(jobs::table.find(row.id))
                .set((jobs::cancel_requested.eq(true), jobs::updated_at.eq(now.0)))
                .execute(db)?;
            done.requested += 1;
        } else if !at.state.is_final() {
            let decided = transition(at, Event::Cancel).map_err(|refused| StoreError::Refused {
                job: id.to_string(),
                refused,
            })?;
            let before = entry.keeps().then(|| Before::of(&row).to_json());
            if outcome::change(db, &row, &decided, now, &mut deltas)? {
                done.cancelled += 1;
                if let Some(before) = before {
                    entry.keep(JobId(row.id), row.fence, before);
                }
            }
        }
    }
    outcome::finish(db, deltas, now)?;
    Ok((done, next(&members)))
}

/// Retries the next members behind that one that ended in that state.
fn retry_some(
    db: &mut Db,
    name: &GroupName,
    state: State,
    after: i64,
    now: Timestamp,
) -> Result<(RetriedMembers, Option<i64>), StoreError> {
    let group = find(db, name.as_str())?;
    let members: Vec<i64> = group_members::table
        .filter(group_members::group_id.eq(group.id))
        .filter(sql::<Bool>(states!("outcome >= {dead}")))
        .filter(group_members::outcome.eq(state.code()))
        .filter(group_members::job_id.gt(after))
        .order(group_members::job_id)
        .limit(STEP)
        .select(group_members::job_id)
        .load(db)?;
    let mut done = RetriedMembers::default();
    let mut deltas = Deltas::default();
    for id in &members {
        let Some(row) = locked(db, *id)? else {
            done.gone += 1;
            continue;
        };
        if unique::holder_of(db, &row)?.is_some() {
            done.held_back += 1;
            continue;
        }
        // Another transaction may have retried it.
        if let Ok(decided) = transition(standing(&row)?, Event::Retry) {
            done.jobs += u64::from(outcome::change(db, &row, &decided, now, &mut deltas)?);
        }
    }
    outcome::finish(db, deltas, now)?;
    Ok((done, next(&members)))
}

fn next(members: &[i64]) -> Option<i64> {
    let is_full = members.len() as i64 == STEP;
    members.last().copied().filter(|_| is_full)
}

/// The job of that number, which no other transaction changes until this one has ended.
fn locked(db: &mut Db, id: i64) -> Result<Option<JobRow>, StoreError> {
    db.dialect().lock_job(&JobRef::Number(JobId(id)))?;
    let row = jobs::table.find(id).select(JobRow::as_select());
    Ok(row.first(db).optional()?)
}
