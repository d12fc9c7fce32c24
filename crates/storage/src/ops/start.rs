//! Starting jobs by hand: the next free node claims them first, past pauses, times, holds and limits. Not past other jobs that
//! they wait for. What the claim makes of it is in `limits/started.rs`.

use diesel::prelude::*;
use queuectl_core::gates::unblock;
use queuectl_core::{
    BlockedBy, Event, Gates, JobId, JobRef, Refused, Resume, State, Timestamp, Waits, transition,
};
use serde_json::json;

use super::events::note;
use super::show::find;
use crate::backend::statements::{AskStart, CountStarts, CountWaitingStarts, ForgetStarts, StartedBy, Unmet};
use crate::backend::{Db, on_any};
use crate::counts::Deltas;
use crate::limits::LimitRows;
use crate::outcome::{apply, apply_blocking, standing};
use crate::rows::JobRow;
use crate::schema::jobs;
use crate::types::text::MaybeWords;
use crate::{Store, StoreError};

/// Most jobs that were started and wait for a node.
const STARTS: usize = 1000;

impl Store {
    /// Removes what says of attempts that have ended that they were started by hand, and what counts no more.
    pub(super) fn forget_starts(&mut self) -> Result<(), StoreError> {
        let (starts,): (i64,) = CountStarts {}.get_result(self.conn()?)?;
        if starts > 0 {
            self.write(|conn| Ok(ForgetStarts {}.execute(conn)?))?;
        }
        Ok(())
    }
}

/// Who started a job by hand that waits to be claimed, if somebody did.
pub(super) fn started_by(conn: &mut Db, job: JobId) -> Result<Option<String>, StoreError> {
    let by: Option<(MaybeWords,)> = StartedBy { id: job.0 }.get_result(conn).optional()?;
    Ok(by.map(|(by,)| Option::<String>::from(by).unwrap_or_else(|| "an operator".to_owned())))
}

/// Starts a job in a transaction that is the caller's, up to what [`crate::outcome::finish`] does. The caller has locked limits
/// if the job waits for room.
pub(super) fn start(
    conn: &mut Db,
    job: &JobRef,
    by: Option<&str>,
    now: Timestamp,
    deltas: &mut Deltas,
) -> Result<(), StoreError> {
    let mut row = find(conn, job)?;
    let at = standing(&row)?;
    let waits = Waits::from_code(row.waits);
    if let Some(why) = not_passed(conn, &row, waits)? {
        let job = job.to_string();
        return Err(StoreError::NotStarted { job, why });
    }
    let refuse = |refused| StoreError::Refused {
        job: job.to_string(),
        refused,
    };
    let (waiting,): (i64,) = CountWaitingStarts {}.get_result(conn)?;
    if usize::try_from(waiting).is_ok_and(|waiting| waiting >= STARTS) {
        return Err(StoreError::TooMany {
            what: "started jobs that wait for a node",
            most: STARTS,
        });
    }
    // It looks for no room: a full limit would have it wait again.
    row.gates = Gates::from_code(row.gates).without(Gates::LIMITS).code();
    match at.state {
        State::Pending => {}
        State::Scheduled | State::Failed => {
            let due = transition(at, Event::Due).map_err(refuse)?;
            apply(conn, &row, &due, Waits::NONE, now, deltas)?;
        }
        State::Blocked => {
            if waits.has(BlockedBy::Limit) {
                on_any!(conn, conn => conn.clear(&[row.id]))?;
            }
            let last = match waits.has(BlockedBy::Held) {
                true => BlockedBy::Held,
                false => BlockedBy::Limit,
            };
            let only = Waits::NONE.with(last);
            let freed = unblock(at, only, last, Resume::Now).map_err(refuse)?;
            apply_blocking(conn, &row, &freed, now, deltas)?;
        }
        state => {
            let event = "start";
            return Err(refuse(Refused { state, event }));
        }
    }
    let operator = by.map(str::to_owned);
    AskStart { operator, id: row.id }.execute(conn)?;
    let detail = json!({ "by": by }).to_string();
    note(conn, JobId(row.id), "start requested", detail, now)
}

/// What a job waits for that a start does not pass over.
fn not_passed(conn: &mut Db, row: &JobRow, waits: Waits) -> Result<Option<String>, StoreError> {
    let why = if waits.has(BlockedBy::Dependency) {
        "it waits for other jobs, which a start does not pass over; `queuectl explain` names them".to_owned()
    } else if let Some(parent) = row.unmet.filter(|_| waits.has(BlockedBy::Held)) {
        format!(
            "it is held because job {parent} did not end as it needs; `queuectl release` has it go on without"
        )
    } else if let Some(parent) = retried_parent(conn, row.id, waits, Gates::from_code(row.gates))? {
        format!(
            "job {parent} was retried, and a start does not pass over it; `queuectl release` has it wait for that job"
        )
    } else if waits.has(BlockedBy::Unique) {
        "it runs after the job that has its unique key".to_owned()
    } else if waits.has(BlockedBy::Overlap) {
        "it runs after earlier runs of its schedule".to_owned()
    } else {
        return Ok(None);
    };
    Ok(Some(why))
}

/// A parent of a held job that did not end as the job needs and runs again: a release would wait for that.
pub(super) fn retried_parent(
    conn: &mut Db,
    job: i64,
    waits: Waits,
    gates: Gates,
) -> Result<Option<i64>, StoreError> {
    if !waits.has(BlockedBy::Held) || !gates.has(Gates::DEPENDS) {
        return Ok(None);
    }
    let unmet: Vec<(i64,)> = Unmet { child: job }.load(conn)?;
    let unmet: Vec<i64> = unmet.into_iter().map(|(parent,)| parent).collect();
    let open = jobs::table
        .filter(jobs::id.eq_any(unmet))
        .filter(jobs::state.lt(State::Completed.code()))
        .order(jobs::id)
        .select(jobs::id);
    Ok(open.first(conn).optional()?)
}
