//! Giving a job up.

use std::collections::HashMap;

use diesel::prelude::*;
use queuectl_core::{BlockedBy, Event, JobId, JobRef, State, Timestamp, Waits, transition};

use super::show::find;
use crate::backend::{Db, on_any};
use crate::counts::Deltas;
use crate::limits::LimitRows;
use crate::outcome::{self, change, standing};
use crate::schema::jobs;
use crate::types::nodes::Wake;
use crate::{Store, StoreError};

/// Jobs that one statement reads.
const CHUNK: usize = 500;

/// What became of a request to cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancelled {
    /// The job is cancelled.
    Now,
    /// The job runs; its node was asked to stop it and records the rest.
    Requested,
}

impl Store {
    /// Cancels a job that waits, or asks the node that runs it to stop it.
    ///
    /// # Errors
    /// [`StoreError::NoSuchJob`]; [`StoreError::Refused`] if the job has ended already.
    pub fn cancel(&mut self, job: &JobRef, now: Timestamp) -> Result<Cancelled, StoreError> {
        let done = self.write_again(|conn| {
            let mut deltas = Deltas::default();
            let done = cancel(conn, job, now, &mut deltas)?;
            outcome::finish(conn, deltas, now)?;
            Ok(done)
        })?;
        self.wake_all(Wake::Control);
        Ok(done)
    }
}

/// The same in a transaction that is the caller's, up to what [`outcome::finish`] does.
pub(crate) fn cancel(
    conn: &mut Db,
    job: &JobRef,
    now: Timestamp,
    deltas: &mut Deltas,
) -> Result<Cancelled, StoreError> {
    if is_parked(conn, job)? {
        // A transaction that settles limits locks the rows of jobs that wait for room, too.
        on_any!(conn, conn => conn.lock_limits(false))?;
    }
    let row = find(conn, job)?;
    let decided = transition(standing(&row)?, Event::Cancel).map_err(|refused| StoreError::Refused {
        job: job.to_string(),
        refused,
    })?;
    if decided.from() == State::Processing {
        diesel::update(jobs::table.find(row.id))
            .set((jobs::cancel_requested.eq(true), jobs::updated_at.eq(now.0)))
            .execute(conn)?;
        return Ok(Cancelled::Requested);
    }
    change(conn, &row, &decided, now, deltas)?;
    Ok(Cancelled::Now)
}

/// Cancels those of these jobs that have not ended. Says whether there was one.
pub(crate) fn cancel_all(
    conn: &mut Db,
    which: &[JobId],
    now: Timestamp,
    deltas: &mut Deltas,
) -> Result<bool, StoreError> {
    let mut any = false;
    for (_, job) in in_lock_order(conn, which)? {
        match cancel(conn, &JobRef::Number(job), now, deltas) {
            Ok(_) => any = true,
            Err(StoreError::Refused { .. } | StoreError::NoSuchJob(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(any)
}

/// Returns jobs in the order in which transactions lock them: first those without gates, as a cycle does, and last those for
/// which limits are locked, which comes after all other rows. Says which those are.
pub(super) fn in_lock_order(conn: &mut Db, which: &[JobId]) -> Result<Vec<(bool, JobId)>, StoreError> {
    let mut keyed = Vec::with_capacity(which.len());
    for some in which.chunks(CHUNK) {
        let ids: Vec<i64> = some.iter().map(|job| job.0).collect();
        let rows: Vec<(i64, i32, i32)> = jobs::table
            .filter(jobs::id.eq_any(&ids))
            .select((jobs::id, jobs::waits, jobs::gates))
            .load(conn)?;
        let rows: HashMap<i64, (i32, i32)> = rows
            .into_iter()
            .map(|(id, waits, gates)| (id, (waits, gates)))
            .collect();
        for job in some {
            // One that is gone may come back by an undo.
            let (waits, gates) = rows.get(&job.0).copied().unwrap_or_default();
            keyed.push((waits_for_room(waits), gates != 0, *job));
        }
    }
    keyed.sort_unstable();
    Ok(keyed.into_iter().map(|(waits, _, job)| (waits, job)).collect())
}

/// Whether a job waits for room.
pub(super) fn is_parked(conn: &mut Db, job: &JobRef) -> Result<bool, StoreError> {
    let waits: Option<i32> = match job {
        JobRef::Number(id) => jobs::table
            .find(id.0)
            .select(jobs::waits)
            .first(conn)
            .optional()?,
        JobRef::Name(name) => jobs::table
            .filter(jobs::name.eq(name.as_str()))
            .select(jobs::waits)
            .first(conn)
            .optional()?,
    };
    Ok(waits.is_some_and(waits_for_room))
}

pub(super) fn waits_for_room(waits: i32) -> bool {
    Waits::from_code(waits).has(BlockedBy::Limit)
}
