//! Changes of state of plain jobs, by a few statements for all jobs of a step.
//!
//! A job is plain if nothing follows from its change but the change itself: it has no gates, does not run, waits for no room
//! and for no other job. Those that become the same are changed by one statement. The other jobs of a step are left to the caller, which changes
//! them one by one. Not here: which jobs are meant, edits and purges.

use std::collections::{BTreeMap, HashMap};

use diesel::prelude::*;
use queuectl_core::gates::{block, unblock};
use queuectl_core::transition::Standing;
use queuectl_core::{BlockedBy, Event, JobId, Refused, Resume, State, Timestamp, Waits, transition};

use super::cancel::waits_for_room;
use super::listing;
use super::operations::{Before, Entry};
use crate::StoreError;
use crate::backend::{Db, on_any};
use crate::counts::Deltas;
use crate::outcome::{EdgeRows, Step};
use crate::schema::jobs;
use crate::types::filter::{JobFilter, MassChange};
use crate::types::operation::MassDone;
use crate::types::readable::count;

/// Rows that one statement reads.
const CHUNK: usize = 500;

/// What of a job's row decides what becomes of it.
#[derive(Debug, Queryable)]
struct PlainRow {
    id: i64,
    state: i16,
    attempts: i32,
    system_failures: i32,
    fence: i64,
    due_at: Option<i64>,
    resume_at: Option<i64>,
    waits: i32,
    unmet: Option<i64>,
    gates: i32,
    follows: Option<i64>,
    has_key: bool,
}

impl PlainRow {
    /// Whether nothing else follows from this change.
    fn is_plain(&self, change: MassChange) -> bool {
        change != MassChange::Start
            && self.gates == 0
            && self.state != State::Processing.code()
            && !waits_for_room(self.waits)
            && self.follows.is_none()
            && self.unmet.is_none()
            // Another job may have its key.
            && !(change == MassChange::Retry && self.has_key)
    }

    fn before(&self) -> Before {
        Before {
            attempts: self.attempts,
            system_failures: self.system_failures,
            due_at: self.due_at.or(self.resume_at),
            waits: self.waits,
            unmet: self.unmet,
        }
    }

    /// The step that the change is; none if it does not change the state.
    fn step(&self, at: Standing, change: MassChange, now: Timestamp) -> Result<Option<Step>, Refused> {
        let waits = Waits::from_code(self.waits);
        let blocking = match change {
            MassChange::Cancel => return Ok(Some(Step::of(&transition(at, Event::Cancel)?))),
            MassChange::Retry => return Ok(Some(Step::of(&transition(at, Event::Retry)?))),
            MassChange::Hold => block(at, waits, BlockedBy::Held)?,
            MassChange::Release => {
                let resume = Resume::at(self.resume_at.map(Timestamp), self.fence > 0, now);
                unblock(at, waits, BlockedBy::Held, resume)?
            }
            MassChange::Purge | MassChange::Start => return Ok(None),
        };
        Ok(blocking.change.map(|change| Step {
            waits: blocking.waits.code(),
            // A blocked job is not in the index of those that are due.
            resume_at: self.due_at.filter(|_| change.to() == State::Blocked),
            ..Step::of(&change)
        }))
    }
}

/// Changes the plain jobs among these that fit. Returns what was done, and the jobs that are not plain.
pub(super) fn change_plain(
    conn: &mut Db,
    (filter, change): (&JobFilter, MassChange),
    selected: &[JobId],
    now: Timestamp,
    deltas: &mut Deltas,
    entry: &mut Entry,
) -> Result<(MassDone, Vec<JobId>), StoreError> {
    let all: Vec<i64> = selected.iter().map(|job| job.0).collect();
    let seem_plain: Vec<i64> = read(conn, &all)?
        .iter()
        .filter(|row| row.is_plain(change))
        .map(|row| row.id)
        .collect();
    if seem_plain.is_empty() {
        return Ok((MassDone::default(), selected.to_vec()));
    }
    on_any!(conn, conn => conn.lock_rows(&seem_plain))?;
    // As they are now: on a server others may have changed them before they were locked.
    let rows = read(conn, &seem_plain)?;
    let rows: HashMap<i64, PlainRow> = rows
        .into_iter()
        .filter(|row| row.is_plain(change))
        .map(|row| (row.id, row))
        .collect();
    let (plain, mut others): (Vec<JobId>, Vec<JobId>) =
        selected.iter().partition(|job| rows.contains_key(&job.0));
    let mut alike: BTreeMap<Step, Vec<i64>> = BTreeMap::new();
    for (id, state) in listing::fitting(conn, filter, &plain)? {
        let Some(row) = rows.get(&id) else { continue };
        let at = Standing {
            state,
            attempts: count(row.attempts),
            system_failures: count(row.system_failures),
        };
        match row.step(at, change, now) {
            Ok(Some(step)) => alike.entry(step).or_default().push(id),
            Ok(None) => others.push(JobId(id)),
            // It stands where the change does not apply to it.
            Err(_) => {}
        }
    }
    let mut done = MassDone::default();
    for (step, ids) in alike {
        for (id, queue) in on_any!(conn, conn => conn.take(&step, &ids, now))? {
            done.changed += 1;
            deltas.entered(&queue.text, step.from, -1);
            deltas.entered(&queue.text, step.to, 1);
            // What a retry leads to cannot be taken back.
            if let Some(row) = rows.get(&id).filter(|_| change != MassChange::Retry)
                && entry.keeps()
            {
                entry.keep(JobId(id), row.fence, row.before().to_json());
            }
        }
    }
    Ok((done, others))
}

fn read(conn: &mut Db, ids: &[i64]) -> Result<Vec<PlainRow>, StoreError> {
    let mut rows = Vec::with_capacity(ids.len());
    for some in ids.chunks(CHUNK) {
        let found: Vec<PlainRow> = jobs::table
            .filter(jobs::id.eq_any(some))
            .select((
                jobs::id,
                jobs::state,
                jobs::attempts,
                jobs::system_failures,
                jobs::fence,
                jobs::due_at,
                jobs::resume_at,
                jobs::waits,
                jobs::unmet,
                jobs::gates,
                jobs::follows,
                jobs::unique_key.is_not_null(),
            ))
            .load(conn)?;
        rows.extend(found);
    }
    Ok(rows)
}
