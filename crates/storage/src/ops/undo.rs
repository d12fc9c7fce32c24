//! The way back: what an operation changed becomes what it was, as far as nothing else has happened to it since.
//!
//! An undo is an operation itself, in steps. A step says how far it is, and takes jobs that are as before out of what is kept, in
//! the transaction that changes them, so an undo that is cut off goes on where it stopped, and counts every job once. Jobs that
//! it leaves alone stay kept: once what happened to them since is undone, it can be repeated for them. A state is not written back as it was: the job
//! goes back by the transitions that lead there, so that groups, limits and jobs that wait for it follow.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use queuectl_core::{BlockedBy, Event, JobId, JobRef, State, Timestamp, Waits, transition};

use super::cancel::in_lock_order;
use super::edit::{edit, start_at};
use super::hold::{hold, release};
use super::operations::{
    Before, EditedParts, Entry, Log, Row, SETTING_CHANGED, change_of, count, find as find_operation,
    forget_request, insert, is_of_schedules, restore, undo_of,
};
use super::operator::{Operator, SettingChange};
use super::queue_settings::check_queues;
use super::schedules;
use super::settings::{put, value_of};
use super::show::{find, job_in};
use super::unique;
use crate::backend::{Db, on_any};
use crate::counts::Deltas;
use crate::limits::LimitRows;
use crate::outcome::{self, set_unmet, standing};
use crate::rows::JobRow;
use crate::schema::{jobs, operation_jobs, operations};
use crate::state_dir::Lane;
use crate::types::list::Position;
use crate::types::nodes::Wake;
use crate::types::operation::{Current, MassDone, NewOperation, OperationState, Undo, Undone};
use crate::{Store, StoreError};

/// Jobs of one transaction, and bytes of what is kept of them.
const STEP: i64 = 200;
const STEP_BYTES: i64 = 8 * 1024 * 1024;
/// Jobs that were left alone of which it is said why.
const REASONS: usize = 10;

/// How a job was.
#[derive(Debug, Queryable)]
struct KeptJob {
    job_id: i64,
    fence: i64,
    updated_at: i64,
    kept: String,
}

impl Store {
    /// Stores that an operation is being undone, which [`Store::undo`] goes on with. Returns the number of the undo.
    ///
    /// # Errors
    /// [`StoreError::NoSuchOperation`]; [`StoreError::Operation`] if it cannot be undone; [`StoreError::Database`].
    pub fn open_undo(&mut self, id: i64, by: &str, now: Timestamp) -> Result<i64, StoreError> {
        Ok(self.begin_undo(id, by, now)?.0)
    }

    /// Undoes an operation, or goes on with its undo. `after_step` is told how many jobs have been looked at.
    ///
    /// # Errors
    /// [`StoreError::NoSuchOperation`]; [`StoreError::Operation`] if it cannot be undone; [`StoreError::Database`]: earlier
    /// steps stay done.
    pub fn undo(
        &mut self,
        id: i64,
        by: &str,
        now: Timestamp,
        mut after_step: impl FnMut(u64),
    ) -> Result<Undone, StoreError> {
        let (undo, kind) = self.begin_undo(id, by, now)?;
        let log = Log::of(Some(
            &Current::new(NewOperation::default(), None, false).open(undo),
        ));
        let is_at_once = kind == SETTING_CHANGED || is_of_schedules(&kind);
        let mut reasons = Vec::new();
        loop {
            let (step, said) = self.write_again_in(Lane::Busy, |conn| {
                let entry = log.enter(conn, now)?;
                match is_at_once {
                    true => undo_at_once(conn, (id, &kind), entry, by, now),
                    false => undo_some(conn, (id, &kind), entry, by, now),
                }
            })?;
            reasons.extend(said);
            reasons.truncate(REASONS);
            let is_end = step.jobs() + step.held_back == 0;
            let row = find_operation(self.conn()?, undo)?;
            after_step(count(row.changed + row.held_back));
            if is_end || is_at_once {
                break;
            }
        }
        let ended = self.write(|conn| {
            let ended = (
                operations::state.eq(OperationState::Done.code()),
                operations::updated_at.eq(now.0),
            );
            let open = operations::state.eq(OperationState::Open.code());
            let closed = diesel::update(operations::table.find(undo).filter(open))
                .set(ended)
                .execute(conn)?;
            let ended = find_operation(conn, undo)?;
            // Another that went on with the same undo may have ended it, and counted its jobs.
            if closed > 0 {
                settle(conn, id, &ended)?;
            }
            Ok(ended)
        })?;
        self.wake_all(Wake::Jobs);
        if is_at_once {
            self.wake_all(Wake::Control);
        }
        Ok(Undone {
            operation: undo,
            restored: count(ended.changed),
            left: count(ended.held_back),
            reasons,
        })
    }

    /// Stores that an operation is being undone, which ends it, or finds the undo that was cut off.
    fn begin_undo(&mut self, id: i64, by: &str, now: Timestamp) -> Result<(i64, String), StoreError> {
        self.write(|conn| {
            // A step that is under way ends first.
            let lock = diesel::update(operations::table.find(id));
            lock.set(operations::updated_at.eq(now.0)).execute(conn)?;
            let row = find_operation(conn, id)?;
            let refuse = |problem: String| StoreError::Operation { id, problem };
            match undo_of(&row) {
                Undo::Possible => {}
                Undo::Impossible(why) => return Err(refuse(format!("cannot be undone: {why}"))),
                Undo::Undone(undo) => {
                    let open = find_operation(conn, undo);
                    return match open {
                        Ok(open) if open.state == OperationState::Open.code() => Ok((undo, row.kind)),
                        _ => Err(refuse(format!("was undone by operation {undo}"))),
                    };
                }
            }
            let new = NewOperation {
                kind: "undo".to_owned(),
                what: format!("operation {id}: {} {}", row.kind, row.what),
                request: None,
                total: Some(count(row.kept.max(1))),
            };
            let current = Current::new(new, Some(by.to_owned()), false);
            let undo = insert(conn, &current, OperationState::Open, Some(id), now)?;
            let own = diesel::update(operations::table.find(id));
            let undone = (
                operations::state.eq(OperationState::Done.code()),
                operations::undone_by.eq(Some(undo)),
            );
            own.set(undone).execute(conn)?;
            Ok((undo, row.kind))
        })
    }
}

/// Says of an operation what is still kept of it, after its undo. If jobs were left alone, it can be undone again.
fn settle(conn: &mut Db, id: i64, ended: &Row) -> Result<(), StoreError> {
    let row = match find_operation(conn, id) {
        // It was removed meanwhile.
        Err(StoreError::NoSuchOperation(_)) => return Ok(()),
        row => row?,
    };
    let kept = (row.kept - ended.changed).max(0);
    let is_over = match is_of_schedules(&row.kind) {
        true => ended.held_back == 0,
        false => kept == 0,
    };
    if is_over && is_of_schedules(&row.kind) {
        forget_request(conn, id)?;
    }
    let left = (
        operations::kept.eq(kept),
        operations::kept_bytes.eq(if is_over { 0 } else { row.kept_bytes }),
        operations::undone_by.eq(Some(ended.id).filter(|_| ended.held_back == 0)),
    );
    diesel::update(operations::table.find(id))
        .set(left)
        .execute(conn)?;
    Ok(())
}

/// Undoes the change of a setting, or of schedules.
fn undo_at_once(
    conn: &mut Db,
    (id, kind): (i64, &str),
    entry: Entry,
    by: &str,
    now: Timestamp,
) -> Result<(MassDone, Vec<String>), StoreError> {
    if let Some(undo) = entry.id() {
        let row = find_operation(conn, undo)?;
        if row.changed + row.held_back > 0 {
            // It was cut off after this.
            return Ok((MassDone::default(), Vec::new()));
        }
    }
    let request = find_operation(conn, id)?.request.unwrap_or_default();
    let (changed, left) = match is_of_schedules(kind) {
        true => schedules::undo(conn, &request, now)?,
        false => match undo_setting(conn, &request, by, now)? {
            None => (1, Vec::new()),
            Some(why) => (0, vec![why]),
        },
    };
    let done = MassDone {
        changed,
        held_back: left.len() as u64,
        ..MassDone::default()
    };
    entry.store(conn, &done, None)?;
    Ok((done, left))
}

/// Undoes what happened to the next jobs.
fn undo_some(
    conn: &mut Db,
    (id, kind): (i64, &str),
    entry: Entry,
    by: &str,
    now: Timestamp,
) -> Result<(MassDone, Vec<String>), StoreError> {
    let mut deltas = Deltas::default();
    let mut done = MassDone::default();
    let mut reasons = Vec::new();
    let after = match entry.id() {
        Some(undo) => find_operation(conn, undo)?.after_id,
        None => None,
    };
    let mut some: HashMap<i64, KeptJob> = next(conn, id, after)?
        .into_iter()
        .map(|job| (job.job_id, job))
        .collect();
    let numbers: Vec<JobId> = some.keys().map(|job| JobId(*job)).collect();
    let mut has_locked_limits = false;
    for (waits_for_room, job) in in_lock_order(conn, &numbers)? {
        let Some(kept) = some.remove(&job.0) else { continue };
        if waits_for_room && !has_locked_limits {
            // Before its row, as in `cancel`.
            on_any!(conn, conn => conn.lock_limits(false))?;
            has_locked_limits = true;
        }
        conn.dialect().lock_job(&JobRef::Number(job))?;
        let left = match change_of(kind) {
            "purge" => restore(conn, &kept.kept, id, now, &mut deltas)?,
            "edit" | "move" | "priority" => undo_edit(conn, job, &kept, by, now, &mut deltas)?,
            change => undo_change(conn, change, job, &kept, now, &mut deltas)?,
        };
        match left {
            None => {
                done.changed += 1;
                diesel::delete(operation_jobs::table.find((id, job.0))).execute(conn)?;
            }
            Some(why) => {
                done.held_back += 1;
                if reasons.len() < REASONS {
                    reasons.push(format!("job {job} {why}"));
                }
            }
        }
    }
    outcome::finish(conn, deltas, now)?;
    let last = numbers.iter().max();
    entry.store(conn, &done, last.map(|job| Position { ended: 0, id: job.0 }))?;
    Ok((done, reasons))
}

/// The next jobs of an operation behind one.
fn next(conn: &mut Db, id: i64, after: Option<i64>) -> Result<Vec<KeptJob>, StoreError> {
    let behind = operation_jobs::job_id.gt(after.unwrap_or(i64::MIN));
    let of = operation_jobs::operation_id.eq(id).and(behind);
    let sizes: Vec<(i64, i64)> = operation_jobs::table
        .filter(of)
        .order(operation_jobs::job_id)
        .limit(STEP)
        .select((
            operation_jobs::job_id,
            diesel::dsl::sql::<BigInt>("CAST(octet_length(kept) AS BIGINT)"),
        ))
        .load(conn)?;
    let mut bytes = 0;
    let fits = sizes.iter().enumerate().take_while(|(index, (_, size))| {
        bytes += size;
        *index == 0 || bytes <= STEP_BYTES
    });
    let Some((_, (last, _))) = fits.last() else {
        return Ok(Vec::new());
    };
    let some = operation_jobs::table
        .filter(of.and(operation_jobs::job_id.le(*last)))
        .order(operation_jobs::job_id)
        .select((
            operation_jobs::job_id,
            operation_jobs::fence,
            operation_jobs::updated_at,
            operation_jobs::kept,
        ));
    Ok(some.load(conn)?)
}

/// Finds a job that was purged since, or not.
fn still_there(conn: &mut Db, job: JobId) -> Result<Option<JobRow>, StoreError> {
    match find(conn, &JobRef::Number(job)) {
        Err(StoreError::NoSuchJob(_)) => Ok(None),
        row => row.map(Some),
    }
}

fn unreadable(error: &serde_json::Error) -> String {
    format!("stays as it is: what was kept of it cannot be read: {error}")
}

/// Puts back the parts of a job that are still as the edit left them.
fn undo_edit(
    conn: &mut Db,
    job: JobId,
    kept: &KeptJob,
    by: &str,
    now: Timestamp,
    deltas: &mut Deltas,
) -> Result<Option<String>, StoreError> {
    let parts: EditedParts = match serde_json::from_str(&kept.kept) {
        Ok(parts) => parts,
        Err(error) => return Ok(Some(unreadable(&error))),
    };
    if still_there(conn, job)?.is_none() {
        return Ok(Some("is gone".to_owned()));
    }
    let number = JobRef::Number(job);
    let spec = match parts.back(job_in(conn, &number)?) {
        None => return Ok(Some("was changed again since".to_owned())),
        Some(Err(why)) => return Ok(Some(format!("stays as it is: {why}"))),
        Some(Ok(spec)) => spec,
    };
    match edit(
        conn,
        &number,
        by,
        now,
        &|_| Ok(spec.clone()),
        deltas,
        &mut Entry::default(),
    ) {
        Ok(_) => Ok(None),
        Err(StoreError::Refused { refused, .. }) => Ok(Some(format!("is {} now", refused.state))),
        Err(StoreError::NotEdited { why, .. }) => Ok(Some(format!("stays as it is: {why}"))),
        Err(error @ StoreError::NoSuchLimit { .. }) => Ok(Some(format!("stays as it is: {error}"))),
        Err(error) => Err(error),
    }
}

/// Takes a job back that nothing has happened to since.
fn undo_change(
    conn: &mut Db,
    change: &str,
    job: JobId,
    kept: &KeptJob,
    now: Timestamp,
    deltas: &mut Deltas,
) -> Result<Option<String>, StoreError> {
    let before: Before = match serde_json::from_str(&kept.kept) {
        Ok(before) => before,
        Err(error) => return Ok(Some(unreadable(&error))),
    };
    let Some(row) = still_there(conn, job)? else {
        return Ok(Some("is gone".to_owned()));
    };
    let state = standing(&row)?.state;
    let is_held = Waits::from_code(row.waits).has(BlockedBy::Held);
    let stands = match change {
        "cancel" => state == State::Cancelled,
        "hold" => is_held,
        _ => !is_held && !state.is_final() && state != State::Processing,
    };
    if !stands || row.fence != kept.fence || row.updated_at != kept.updated_at {
        return Ok(Some(format!("is {state} now and was changed since")));
    }
    let number = JobRef::Number(job);
    match change {
        "cancel" => {
            if unique::holder_of(conn, &row)?.is_some() {
                return Ok(Some("stays cancelled: another job has its unique key".to_owned()));
            }
            take_back(conn, &row, &before, now, deltas)?;
        }
        "hold" => {
            release(conn, &number, now, deltas)?;
        }
        _ => {
            hold(conn, &number, now, deltas)?;
            if before.unmet.is_some() {
                set_unmet(conn, job.0, before.unmet, now)?;
            }
        }
    }
    Ok(None)
}

/// Gives a cancelled job back its attempts, its time, and who held it.
fn take_back(
    conn: &mut Db,
    row: &JobRow,
    before: &Before,
    now: Timestamp,
    deltas: &mut Deltas,
) -> Result<(), StoreError> {
    let number = JobRef::Number(JobId(row.id));
    let decided = transition(standing(row)?, Event::Retry).map_err(|refused| StoreError::Refused {
        job: row.id.to_string(),
        refused,
    })?;
    outcome::change(conn, row, &decided, now, deltas)?;
    let counts = (
        jobs::attempts.eq(before.attempts),
        jobs::system_failures.eq(before.system_failures),
    );
    diesel::update(jobs::table.find(row.id))
        .set(counts)
        .execute(conn)?;
    if let Some(due) = before.due_at.filter(|due| *due > now.0) {
        start_at(conn, &number, Some(Timestamp(due)), now, deltas)?;
    }
    if Waits::from_code(before.waits).has(BlockedBy::Held) {
        hold(conn, &number, now, deltas)?;
        if before.unmet.is_some() {
            set_unmet(conn, row.id, before.unmet, now)?;
        }
    }
    Ok(())
}

/// Gives a setting the value again that an operation took from it. Returns why not, if it has another one since.
fn undo_setting(
    conn: &mut Db,
    request: &str,
    by: &str,
    now: Timestamp,
) -> Result<Option<String>, StoreError> {
    let Ok(change) = serde_json::from_str::<SettingChange>(request) else {
        return Ok(Some("what was changed cannot be read".to_owned()));
    };
    let key = change.key();
    let value = value_of(conn, &key)?;
    if value != change.to {
        let shown = value.map_or_else(|| "its default".to_owned(), |value| format!("'{value}'"));
        return Ok(Some(format!("{key} was changed since, to {shown}")));
    }
    let mut what = vec![("setting", change.setting.as_str())];
    what.extend(change.queue.as_deref().map(|queue| ("queue", queue)));
    let operator = Operator::undoing(by, now);
    operator.changed(conn, SETTING_CHANGED, &what, value, change.from.clone())?;
    put(conn, &key, change.from.as_deref())?;
    check_queues(conn)?;
    Ok(None)
}
