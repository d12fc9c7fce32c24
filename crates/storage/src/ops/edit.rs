//! Changing what was given with a job: what it runs, where and when, its limits and hooks.
//!
//! A transaction reads the job, has the caller say what it becomes, and stores that with all that follows: its checksum, the
//! numbers of jobs in its queue, its place among those that wait for room. What a job runs stands in another row than the job.
//! A claim never combines an old one with a new one: on SQLite it is alone, and on PostgreSQL it passes over a job whose row
//! was changed since it began. Not here: the id, the unique key, the group and the parents of a job, which never change.

use diesel::prelude::*;
use queuectl_core::gates::{block, unblock};
use queuectl_core::{
    BlockedBy, Event, Gates, Job, JobId, JobRef, JobSpec, Refused, Resume, State, Timestamp, ValidJob, Waits,
    transition,
};

use super::cancel::is_parked;
use super::events::note;
use super::mass::check;
use super::operations::{EditedParts, Entry, Log};
use super::show::{find, job_in};
use crate::backend::{Db, on_any};
use crate::checksum::{JobContent, content_of};
use crate::columns::given;
use crate::counts::Deltas;
use crate::limits::LimitRows;
use crate::outcome::{self, Change, apply_blocking, standing};
use crate::rows::JobRow;
use crate::schema::{jobs, payloads};
use crate::types::filter::JobFilter;
use crate::types::jobs::content;
use crate::types::list::Position;
use crate::types::nodes::Wake;
use crate::types::operation::MassDone;
use crate::{Store, StoreError};
use crate::{hooks, labels};

/// Says what a job becomes, or why it stays as it is.
pub type Editor<'a> = &'a dyn Fn(&Job) -> Result<JobSpec, String>;

/// The states in which a job can be edited.
pub const EDITABLE_STATES: [State; 5] = [
    State::Pending,
    State::Scheduled,
    State::Blocked,
    State::Failed,
    State::Dead,
];

/// What became of a job that was edited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    /// The job.
    pub id: JobId,
    /// The parts of it that changed.
    pub changed: Vec<&'static str>,
    /// Its state.
    pub state: State,
    /// What blocks it.
    pub waits: Waits,
}

impl Store {
    /// Changes a job, which must fit. `by` is who does so, for the ledger of events.
    ///
    /// # Errors
    /// [`StoreError::NoSuchJob`]; [`StoreError::Refused`] if it runs or has ended, unless it is dead; [`StoreError::LeftAlone`] if
    /// it does not fit; [`StoreError::NotEdited`] if the result is not valid; [`StoreError::NoSuchLimit`].
    pub fn edit(
        &mut self,
        job: &JobRef,
        only: &JobFilter,
        by: &str,
        now: Timestamp,
        editor: Editor<'_>,
    ) -> Result<Edited, StoreError> {
        let log = Log::of(self.operation.as_ref());
        let (edited, operation) = self.write_again(|conn| {
            let mut entry = log.enter(conn, now)?;
            if is_parked(conn, job)? {
                // Before the job's row, as in `cancel`.
                on_any!(conn, conn => conn.lock_limits(false))?;
            }
            check(conn, job, only)?;
            let mut deltas = Deltas::default();
            let (id, changed) = edit(conn, job, by, now, editor, &mut deltas, &mut entry)?;
            outcome::finish(conn, deltas, now)?;
            let done = MassDone {
                changed: u64::from(!changed.is_empty()),
                ..MassDone::default()
            };
            let operation = entry.id();
            entry.store(conn, &done, None)?;
            let row = find(conn, &JobRef::Number(id))?;
            let edited = Edited {
                id,
                changed,
                state: standing(&row)?.state,
                waits: Waits::from_code(row.waits),
            };
            Ok((edited, operation))
        })?;
        self.has_entered(operation);
        self.wake_all(Wake::Jobs);
        Ok(edited)
    }

    /// Changes all jobs that a filter means, which should be frozen, in steps. Counts those in which something changed.
    /// `after_step` is told what was done by then.
    ///
    /// # Errors
    /// As [`Store::edit`], for the first job whose result is not valid; earlier steps stay done.
    pub fn edit_all(
        &mut self,
        filter: &JobFilter,
        by: &str,
        now: Timestamp,
        editor: Editor<'_>,
        mut after_step: impl FnMut(&MassDone),
    ) -> Result<MassDone, StoreError> {
        self.edit_all_after(filter, None, by, now, editor, &mut after_step)
    }

    /// Changes those behind a place.
    pub(super) fn edit_all_after(
        &mut self,
        filter: &JobFilter,
        after: Option<Position>,
        by: &str,
        now: Timestamp,
        editor: Editor<'_>,
        after_step: &mut dyn FnMut(&MassDone),
    ) -> Result<MassDone, StoreError> {
        self.in_steps_after(
            filter,
            after,
            now,
            Wake::Jobs,
            after_step,
            &|conn, job, deltas, entry| {
                let job = JobRef::Number(job);
                let (changed, alike) = match edit(conn, &job, by, now, editor, deltas, entry) {
                    Err(StoreError::Refused { .. } | StoreError::NoSuchJob(_)) => (0, 0),
                    edited => match edited?.1.is_empty() {
                        true => (0, 1),
                        false => (1, 0),
                    },
                };
                Ok(MassDone {
                    changed,
                    alike,
                    ..MassDone::default()
                })
            },
        )
    }
}

/// Changes a job in a transaction that is the caller's, up to what [`outcome::finish`] does. Returns which parts changed.
pub(super) fn edit(
    conn: &mut Db,
    job: &JobRef,
    by: &str,
    now: Timestamp,
    editor: Editor<'_>,
    deltas: &mut Deltas,
    entry: &mut Entry,
) -> Result<(JobId, Vec<&'static str>), StoreError> {
    let row = find(conn, job)?;
    let at = standing(&row)?;
    if !EDITABLE_STATES.contains(&at.state) {
        let (state, event) = (at.state, "edit");
        return Err(StoreError::Refused {
            job: job.to_string(),
            refused: Refused { state, event },
        });
    }
    let refuse = |why: String| StoreError::NotEdited {
        job: job.to_string(),
        why,
    };
    let id = JobId(row.id);
    let stored = job_in(conn, &JobRef::Number(id))?;
    if let Some(damage) = damage(conn, &row, &stored)? {
        return Err(refuse(damage));
    }
    let before = JobSpec::of(stored.clone());
    let spec = editor(&stored).map_err(refuse)?;
    let valid = spec.validate(now).map_err(|error| refuse(error.to_string()))?;
    let changed = valid.changes(&before);
    if changed.is_empty() {
        return Ok((id, changed));
    }
    let has = |part: &str| changed.contains(&part);
    if has("limit") {
        on_any!(conn, conn => crate::limits::check(conn, std::slice::from_ref(&valid)))?;
    }
    if has("run_at") && at.state == State::Dead {
        let why = "a dead job has no time to start; `queuectl retry` runs it again at once".to_owned();
        return Err(refuse(why));
    }
    let of_hooks = ["on_success", "on_failure", "on_death", "hook_queue"];
    if of_hooks.iter().any(|hook| has(hook)) {
        hooks::replace_of_job(conn, id, &valid)?;
    }
    if has("labels") || has("comment") {
        labels::replace_of_job(conn, id, &valid)?;
    }
    store(conn, &row, &valid, now)?;
    if has("queue") {
        deltas.came(&row.queue, at.state, -1);
        deltas.came(valid.queue(), at.state, 1);
    }
    if has("run_at") {
        let due = valid.start().map(|start| start.at(now));
        start_at(conn, job, due, now, deltas)?;
    }
    if has("limit") || has("priority") {
        place_again(conn, job, now, deltas)?;
    }
    if entry.keeps() {
        let after = job_in(conn, &JobRef::Number(id))?;
        let parts = EditedParts::new(stored, after, &changed);
        entry.keep(id, row.fence, parts.to_json());
    }
    let fields = serde_json::json!({ "by": by, "fields": changed });
    note(conn, id, "edited", fields.to_string(), now)?;
    Ok((id, changed))
}

/// Says how a job is not what was stored, if so: an edit would make it look as if it were.
fn damage(conn: &mut Db, row: &JobRow, job: &Job) -> Result<Option<String>, StoreError> {
    if let Some(what) = &job.unreadable {
        return Ok(Some(format!("a part of it cannot be read: {what}")));
    }
    let payload = payloads::table.find(row.id).select(payloads::payload);
    let payload: String = payload.first(conn)?;
    let content: JobContent<'_> = content_of!(row, &payload);
    let differs = row.sum.is_some_and(|sum| sum != content.sum());
    Ok(differs.then(|| "it is not what was stored; see `queuectl db:check`".to_owned()))
}

macro_rules! given_changes {
    ($row:ident $content:ident $($(#[$doc:meta])* $name:ident: $type:ty, $sql:ty, ($($read:meta)?), $since:literal, $core:tt;)*) => {
        diesel::update(jobs::table.find($row)).set(($(jobs::$name.eq($content.$name),)*))
    };
}

/// Stores what a job is from now on. What it had besides stays.
fn store(conn: &mut Db, row: &JobRow, job: &ValidJob, now: Timestamp) -> Result<(), StoreError> {
    let (id, content) = (row.id, content(job));
    given!(given_changes, id, content).execute(conn)?;
    let gate = |gates: Gates, gate, has| {
        if has {
            gates.with(gate)
        } else {
            gates.without(gate)
        }
    };
    let gates = gate(Gates::from_code(row.gates), Gates::LIMITS, !job.limit.is_empty());
    let gates = gate(gates, Gates::HOOKS, !job.hooks.is_empty());
    let gates = gate(gates, Gates::LABELS, job.has_labels());
    diesel::update(jobs::table.find(id))
        .set((
            jobs::sum.eq(Some(content.sum())),
            jobs::gates.eq(gates.code()),
            jobs::updated_at.eq(now.0),
        ))
        .execute(conn)?;
    conn.dialect()
        .replace_payload(id, job.queue(), job.stored_payload())
}

/// Has a job start at another time. One that waits for something else does so first.
pub(super) fn start_at(
    conn: &mut Db,
    job: &JobRef,
    due: Option<Timestamp>,
    now: Timestamp,
    deltas: &mut Deltas,
) -> Result<(), StoreError> {
    let row = find(conn, job)?;
    let at = standing(&row)?;
    let due = due.filter(|due| *due > now);
    let own = diesel::update(jobs::table.find(row.id));
    let decide = |event| {
        transition(at, event).map_err(|refused| StoreError::Refused {
            job: job.to_string(),
            refused,
        })
    };
    match (at.state, due) {
        (State::Blocked, due) => {
            own.set(jobs::resume_at.eq(due.map(|due| due.0))).execute(conn)?;
        }
        (State::Scheduled | State::Failed, Some(due)) => {
            own.set(jobs::due_at.eq(due.0)).execute(conn)?;
        }
        (State::Scheduled | State::Failed, None) => {
            outcome::change(conn, &row, &decide(Event::Due)?, now, deltas)?;
        }
        (State::Pending, Some(until)) if row.fence == 0 => {
            outcome::change(conn, &row, &decide(Event::PutOff { until })?, now, deltas)?;
        }
        // One that was claimed before is not scheduled but waits for its retry, as after a hold.
        (State::Pending, Some(until)) => {
            let refuse = |refused| StoreError::Refused {
                job: job.to_string(),
                refused,
            };
            let held = block(at, Waits::NONE, BlockedBy::Held).map_err(refuse)?;
            apply_blocking(conn, &row, &held, now, deltas)?;
            let row = find(conn, job)?;
            let resume = Resume::at(Some(until), true, now);
            let waits = Waits::from_code(row.waits);
            let later = unblock(standing(&row)?, waits, BlockedBy::Held, resume).map_err(refuse)?;
            apply_blocking(conn, &row, &later, now, deltas)?;
            let gates = Gates::from_code(row.gates);
            if let Some(change) = later.change.filter(|_| !gates.is_empty()) {
                let change = Change {
                    job: row.id,
                    gates,
                    from: State::Pending,
                    to: change.to(),
                };
                outcome::follow(conn, &change, now, deltas)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// Takes a job out of its place among those that have, or wait for, room, and has it look for one again, by the limits and the
/// priority that it has now.
fn place_again(conn: &mut Db, job: &JobRef, now: Timestamp, deltas: &mut Deltas) -> Result<(), StoreError> {
    let row = find(conn, job)?;
    let at = standing(&row)?;
    let waits = Waits::from_code(row.waits);
    if !waits.has(BlockedBy::Limit) {
        // Also if it names none any more: it may have a place.
        deltas.limited(row.id, at.state);
        return Ok(());
    }
    let resume = Resume::at(row.resume_at.map(Timestamp), row.fence > 0, now);
    let free = unblock(at, waits, BlockedBy::Limit, resume).map_err(|refused| StoreError::Refused {
        job: job.to_string(),
        refused,
    })?;
    let state = apply_blocking(conn, &row, &free, now, deltas)?;
    deltas.limited(row.id, state);
    Ok(())
}
