//! Dependencies: what the end of a job does to those that wait for it.
//!
//! The transaction that ends a job settles its edges. A job whose edges are all met goes on; one of whose edges cannot be met
//! any more is cancelled, or held. If the parent is retried and succeeds, what was cancelled or held for it goes on after
//! all. A cancelled job is itself the end of its own edges, and so on: a list of changes that are still to be followed, so
//! that a long chain takes no stack.

use std::collections::VecDeque;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use queuectl_core::gates::{block, unblock};
use queuectl_core::{
    BlockedBy, Event, Gates, JobId, JobRef, Resume, State, Timestamp, Unmet, Waits, transition,
};

use super::apply::{Kept, apply, apply_blocking, apply_with, standing};
use super::{Change, Mechanism};
use crate::backend::Db;
use crate::backend::statements::{
    ForgetEdges, Reopen, SetUnmet, SettleEdges, Unmet as UnmetOf, WaitFor, Waiting, Waive,
};
use crate::counts::Deltas;
use crate::rows::JobRow;
use crate::schema::jobs;
use crate::states::sql as states;
use crate::{StoreError, env};

/// The gates that are looked at here.
const OWN: Gates = Gates::DEPENDANTS.with(Gates::DEPENDS);

pub const MECHANISM: Mechanism = Mechanism {
    gates: OWN,
    follow,
    forget,
};

/// Settles the edges of a job that ended; one that was retried waits again where it has to.
fn follow(db: &mut Db, change: &Change, now: Timestamp, deltas: &mut Deltas) -> Result<(), StoreError> {
    if change.gates.has(Gates::DEPENDS) && change.from.is_final() && change.to == State::Pending {
        wait_again(db, change.job, now, deltas)?;
    }
    let mut to_follow = VecDeque::from([*change]);
    while let Some(change) = to_follow.pop_front() {
        if change.gates.has(Gates::DEPENDANTS) && change.to.is_final() && env::settles_dependencies() {
            for child in settle_edges(db, &change)? {
                to_follow.extend(settle_one(db, child, now, deltas)?);
            }
        }
    }
    Ok(())
}

/// An edge outlives its parent, not its child.
fn forget(db: &mut Db, job: i64) -> Result<(), StoreError> {
    ForgetEdges { child: job }.execute(db)?;
    Ok(())
}

/// Settles the edges from a job that ended. Returns the jobs at their ends, which no other transaction changes until this one
/// has ended: of two parents that end at the same time, the second finds what the first has done.
fn settle_edges(db: &mut Db, ended: &Change) -> Result<Vec<i64>, StoreError> {
    let parent = ended.job;
    let children: Vec<(i64,)> = WaitFor { parent }.load(db)?;
    for (child,) in &children {
        db.dialect().lock_job(&JobRef::Number(JobId(*child)))?;
    }
    let outcome = ended.to.code();
    SettleEdges { outcome, parent }.execute(db)?;
    Ok(children.into_iter().map(|(child,)| child).collect())
}

/// Has a job go on, or gives it up, as its edges say, and does all that follows.
pub fn settle(db: &mut Db, job: i64, now: Timestamp, deltas: &mut Deltas) -> Result<(), StoreError> {
    if let Some(change) = settle_one(db, job, now, deltas)? {
        follow(db, &change, now, deltas)?;
    }
    Ok(())
}

/// Has a job go on, or gives it up, as its edges say. What follows by other mechanisms is done; what follows from the change
/// that is returned is not.
fn settle_one(
    db: &mut Db,
    job: i64,
    now: Timestamp,
    deltas: &mut Deltas,
) -> Result<Option<Change>, StoreError> {
    let Some(row) = read(db, job)? else {
        return Ok(None);
    };
    let from = standing(&row)?.state;
    let to = decide(db, &row, from, now, deltas)?;
    if from == to {
        return Ok(None);
    }
    let gates = Gates::from_code(row.gates);
    let change = Change { job, gates, from, to };
    let others = gates.without(OWN);
    if !others.is_empty() {
        let change = Change {
            gates: others,
            ..change
        };
        super::follow(db, &change, now, deltas)?;
    }
    Ok(Some(change))
}

fn read(db: &mut Db, job: i64) -> Result<Option<JobRow>, StoreError> {
    let row = jobs::table.find(job).select(JobRow::as_select());
    Ok(row.first(db).optional()?)
}

/// What becomes of a job; the state that it has then.
fn decide(
    db: &mut Db,
    row: &JobRow,
    state: State,
    now: Timestamp,
    deltas: &mut Deltas,
) -> Result<State, StoreError> {
    let (open, unmet, policy) =
        Waiting { child: row.id }.get_result::<(i64, Option<i64>, Option<i16>)>(db)?;
    let waits = Waits::from_code(row.waits);
    match (state, unmet) {
        (State::Blocked, Some(parent)) if waits.has(BlockedBy::Dependency) => {
            match policy.and_then(Unmet::from_code) {
                Some(Unmet::Hold) => hold(db, row, parent, now),
                _ => cancel(db, row, parent, now, deltas),
            }
        }
        (State::Blocked, None) => {
            // It was held for a parent that has ended as it has to after all.
            let held_for_parent = row.unmet.is_some() && !waits.has(BlockedBy::Dependency);
            let (by, waits) = match (held_for_parent, open) {
                (true, 0) => (BlockedBy::Held, waits),
                (true, _) => {
                    let waits = waits.without(BlockedBy::Held).with(BlockedBy::Dependency);
                    set_waits(db, row, waits, None, now)?;
                    return Ok(State::Blocked);
                }
                (false, 0) if waits.has(BlockedBy::Dependency) => (BlockedBy::Dependency, waits),
                (false, _) => return Ok(state),
            };
            let resume = Resume::at(row.resume_at.map(Timestamp), row.fence > 0, now);
            let going_on =
                unblock(standing(row)?, waits, by, resume).map_err(|refused| refused_of(row, refused))?;
            if held_for_parent {
                SetUnmet {
                    unmet: None,
                    id: row.id,
                }
                .execute(db)?;
            }
            apply_blocking(db, row, &going_on, now, deltas)
        }
        (State::Cancelled, None) if row.unmet.is_some() => revive(db, row, open, now, deltas),
        _ => Ok(state),
    }
}

/// A running job cannot stand here, nor one that does not have that reason.
fn refused_of(row: &JobRow, refused: queuectl_core::Refused) -> StoreError {
    StoreError::Refused {
        job: row.id.to_string(),
        refused,
    }
}

/// Changes what blocks a job that stays blocked, and for whom.
fn set_waits(
    db: &mut Db,
    row: &JobRow,
    waits: Waits,
    unmet: Option<i64>,
    now: Timestamp,
) -> Result<(), StoreError> {
    crate::backend::statements::SetWaits {
        waits: waits.code(),
        updated_at: now.0,
        id: row.id,
    }
    .execute(db)?;
    SetUnmet { unmet, id: row.id }.execute(db)?;
    Ok(())
}

/// Holds a job whose parent did not end as it had to.
fn hold(db: &mut Db, row: &JobRow, parent: i64, now: Timestamp) -> Result<State, StoreError> {
    let waits = Waits::from_code(row.waits)
        .without(BlockedBy::Dependency)
        .with(BlockedBy::Held);
    set_waits(db, row, waits, Some(parent), now)?;
    Ok(State::Blocked)
}

/// Cancels a job whose parent did not end as it had to. It keeps its time, for if it is revived.
fn cancel(
    db: &mut Db,
    row: &JobRow,
    parent: i64,
    now: Timestamp,
    deltas: &mut Deltas,
) -> Result<State, StoreError> {
    let change = transition(standing(row)?, Event::Cancel).map_err(|refused| refused_of(row, refused))?;
    let kept = Kept {
        waits: Waits::NONE,
        resume_at: row.resume_at,
        unmet: Some(parent),
    };
    apply_with(db, row, &change, kept, now, deltas)?;
    Ok(change.to())
}

/// Has a job go on that was cancelled for a parent which has ended as it has to after all. Others may still have to end. It
/// stays cancelled if another job has its unique key.
fn revive(
    db: &mut Db,
    row: &JobRow,
    open: i64,
    now: Timestamp,
    deltas: &mut Deltas,
) -> Result<State, StoreError> {
    if is_key_taken(db, row)? {
        return Ok(State::Cancelled);
    }
    let resume_at = row.resume_at;
    let retried = transition(standing(row)?, Event::Retry).map_err(|refused| refused_of(row, refused))?;
    apply(db, row, &retried, Waits::NONE, now, deltas)?;
    let resume = Resume::at(resume_at.map(Timestamp), row.fence > 0, now);
    if open == 0 && resume == Resume::Now {
        return Ok(retried.to());
    }
    let Some(row) = read(db, row.id)? else {
        return Ok(retried.to());
    };
    let blocked = block(standing(&row)?, Waits::NONE, BlockedBy::Dependency)
        .map_err(|refused| refused_of(&row, refused))?;
    if let Some(change) = &blocked.change {
        let kept = Kept {
            waits: blocked.waits,
            resume_at,
            unmet: None,
        };
        apply_with(db, &row, change, kept, now, deltas)?;
    }
    if open > 0 {
        return Ok(State::Blocked);
    }
    let Some(row) = read(db, row.id)? else {
        return Ok(State::Blocked);
    };
    let going_on = unblock(standing(&row)?, blocked.waits, BlockedBy::Dependency, resume)
        .map_err(|refused| refused_of(&row, refused))?;
    apply_blocking(db, &row, &going_on, now, deltas)
}

/// Whether another job that has not ended has the unique key of this one, which then cannot run.
fn is_key_taken(db: &mut Db, row: &JobRow) -> Result<bool, StoreError> {
    let Some(key) = &row.unique_key else {
        return Ok(false);
    };
    let holder: Option<i64> = jobs::table
        .filter(jobs::unique_key.is_not_null())
        .filter(jobs::unique_key.eq(key))
        .filter(sql::<Bool>(states!("state <= {failed} AND follows IS NULL")))
        .select(jobs::id)
        .first(db)
        .optional()?;
    Ok(holder.is_some())
}

/// A job that an operator retries waits again for parents that were retried, too. Those that have ended, or are gone, it goes
/// on without: that is what the operator asks for.
fn wait_again(db: &mut Db, job: i64, now: Timestamp, deltas: &mut Deltas) -> Result<(), StoreError> {
    let unmet: Vec<(i64,)> = UnmetOf { child: job }.load(db)?;
    for (parent,) in unmet {
        db.dialect().lock_job(&JobRef::Number(JobId(parent)))?;
        let state: Option<i16> = jobs::table
            .find(parent)
            .select(jobs::state)
            .first(db)
            .optional()?;
        let has_ended = state.and_then(State::from_code).is_none_or(State::is_final);
        match has_ended {
            true => Waive { child: job, parent }.execute(db)?,
            false => Reopen { child: job, parent }.execute(db)?,
        };
    }
    let (open, ..) = Waiting { child: job }.get_result::<(i64, Option<i64>, Option<i16>)>(db)?;
    let row = match read(db, job)? {
        Some(row) if open > 0 => row,
        _ => return Ok(()),
    };
    let waits = Waits::from_code(row.waits);
    let blocked =
        block(standing(&row)?, waits, BlockedBy::Dependency).map_err(|refused| refused_of(&row, refused))?;
    apply_blocking(db, &row, &blocked, now, deltas)?;
    Ok(())
}
