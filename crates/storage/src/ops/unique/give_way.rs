//! How the job that has a key gives way to a new one: put off, cancelled, or followed by it.
//!
//! Each change is guarded on what was seen before: if another transaction was quicker, there is [`Plan::Again`].

use diesel::prelude::*;
use queuectl_core::{Event, Gates, State, Timestamp, ValidJob, transition};

use super::holders::{public_id, successor};
use super::{Plan, existing, leave};
use crate::StoreError;
use crate::backend::Db;
use crate::backend::statements::AddGates;
use crate::counts::Deltas;
use crate::outcome::{change, standing};
use crate::rows::JobRow;
use crate::schema::jobs;

/// Puts a job off that has never begun: it starts as long after this call as the call says, unless it was stored too long
/// ago. One that has begun runs again after this call anyway.
pub fn put_off(
    conn: &mut Db,
    holder: &JobRow,
    job: &ValidJob,
    now: Timestamp,
    deltas: &mut Deltas,
) -> Result<Plan, StoreError> {
    let at = standing(holder)?;
    let Some((by, most)) = job.debounce().filter(|_| holder.fence == 0) else {
        return Ok(leave(holder, at.state));
    };
    let until = now.after(by).min(Timestamp(holder.created_at).after(most));
    if until <= now {
        return Ok(leave(holder, at.state));
    }
    let same = jobs::table.filter(jobs::id.eq(holder.id).and(jobs::state.eq(holder.state)));
    let same = diesel::update(same.filter(jobs::fence.eq(0)));
    let is_put_off = match at.state {
        State::Pending => match transition(at, Event::PutOff { until }) {
            Ok(decided) => change(conn, holder, &decided, now, deltas)?,
            Err(_) => false,
        },
        State::Blocked => {
            let due = jobs::resume_at.eq(until.0);
            same.set((due, jobs::updated_at.eq(now.0))).execute(conn)? == 1
        }
        _ => {
            let due = jobs::due_at.eq(until.0);
            same.set((due, jobs::updated_at.eq(now.0))).execute(conn)? == 1
        }
    };
    let state = match at.state {
        State::Blocked => State::Blocked,
        _ => State::Scheduled,
    };
    Ok(match is_put_off {
        true => leave(holder, state),
        false => Plan::Again,
    })
}

/// Cancels a job that waits; the new one takes its place.
pub fn replace(
    conn: &mut Db,
    holder: &JobRow,
    follows: Option<i64>,
    now: Timestamp,
    deltas: &mut Deltas,
) -> Result<Plan, StoreError> {
    let at = standing(holder)?;
    let decided = transition(at, Event::Cancel).map_err(|refused| StoreError::Refused {
        job: public_id(holder),
        refused,
    })?;
    Ok(match change(conn, holder, &decided, now, deltas)? {
        true => Plan::Store {
            replaced: Some(existing(holder, at.state)),
            follows,
        },
        false => Plan::Again,
    })
}

/// Has a job follow one that runs: from now on that one runs no more than once, and there is one that follows it and no
/// more. A call that only puts off does so to the one that follows already.
pub fn follow_running(
    conn: &mut Db,
    running: &JobRow,
    job: &ValidJob,
    now: Timestamp,
    deltas: &mut Deltas,
) -> Result<Plan, StoreError> {
    // This waits for a cycle that is ending the job, and one that would end it waits for this.
    let marked = AddGates {
        gates: Gates::SUCCESSOR.code(),
        id: running.id,
        fence: running.fence,
    };
    if marked.execute(conn)? == 0 {
        return Ok(Plan::Again);
    }
    match successor(conn, running)? {
        None => Ok(Plan::Store {
            replaced: job
                .debounce()
                .is_none()
                .then(|| existing(running, State::Processing)),
            follows: Some(running.id),
        }),
        Some(waiting) if job.debounce().is_some() => put_off(conn, &waiting, job, now, deltas),
        Some(waiting) => replace(conn, &waiting, Some(running.id), now, deltas),
    }
}
