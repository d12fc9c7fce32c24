//! What a transaction writes about the operation that it belongs to: how far that is, and how its jobs were before.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, SmallInt, Text};
use queuectl_core::limits::{OPERATION_CHARS, UNDO_BYTES};
use queuectl_core::{JobId, Timestamp};

use super::is_of_schedules;
use crate::StoreError;
use crate::backend::statements::statements;
use crate::backend::{AnySql, Db, insert_rows};
use crate::schema::operation_jobs;
use crate::types::list::Position;
use crate::types::operation::{Current, MassDone, OperationState};
use crate::types::text::storable;

statements! { AnySql, Db;
    /// Stores an operation. Yields its number.
    EnterOperation {
        kind: String as Text,
        at: i64 as BigInt,
        operator: Option<String> as Nullable<Text>,
        what: String as Text,
        request: Option<String> as Nullable<Text>,
        state: i16 as SmallInt,
        total: Option<i64> as Nullable<BigInt>,
        kept_bytes: i64 as BigInt,
        updated_at: i64 as BigInt,
        undo_of: Option<i64> as Nullable<BigInt>,
    } -> (BigInt,) {
        "INSERT INTO operations (kind, at, operator, what, request, state, total, changed, requested, held_back, kept, \
         kept_bytes, updated_at, undo_of) VALUES (?, ?, ?, ?, ?, ?, ?, 0, 0, 0, 0, ?, ?, ?) RETURNING id"
    }

    /// Locks an operation that has not ended. Yields how much is kept of it.
    LockOpen { updated_at: i64 as BigInt, id: i64 as BigInt } -> (BigInt,) {
        "UPDATE operations SET updated_at = ? WHERE id = ? AND state = 1 RETURNING kept_bytes"
    }

    /// Locks an operation. Yields the same.
    Lock { updated_at: i64 as BigInt, id: i64 as BigInt } -> (BigInt,) {
        "UPDATE operations SET updated_at = ? WHERE id = ? RETURNING kept_bytes"
    }

    /// Adds what was done.
    AddDone {
        changed: i64 as BigInt,
        requested: i64 as BigInt,
        held_back: i64 as BigInt,
        kept: i64 as BigInt,
        kept_bytes: i64 as BigInt,
        after_ended: Option<i64> as Nullable<BigInt>,
        after_id: Option<i64> as Nullable<BigInt>,
        id: i64 as BigInt,
    } -> () {
        "UPDATE operations SET changed = changed + ?, requested = requested + ?, held_back = held_back + ?, kept = kept + ?, \
         kept_bytes = kept_bytes + ?, after_ended = coalesce(?, after_ended), after_id = coalesce(?, after_id) WHERE id = ?"
    }
}

/// What one transaction keeps at most of how jobs were, in bytes, but for the last of them.
const STEP_BYTES: i64 = 8 * 1024 * 1024;

fn size(kept: &str) -> i64 {
    i64::try_from(kept.len()).unwrap_or(i64::MAX)
}

/// Stores the entry of an operation. Returns its number.
pub(in crate::ops) fn insert(
    conn: &mut Db,
    current: &Current,
    state: OperationState,
    undo_of: Option<i64>,
    now: Timestamp,
) -> Result<i64, StoreError> {
    let new = current.new.clone();
    let shortened: String = new.what.chars().take(OPERATION_CHARS).collect();
    // Of schedules, what was changed is kept in the entry itself.
    let kept = new.request.as_deref().filter(|_| is_of_schedules(&new.kind));
    let entry = EnterOperation {
        kept_bytes: kept.map_or(0, size),
        kind: new.kind,
        at: now.0,
        operator: current.by.clone(),
        what: storable(&shortened),
        request: new.request,
        state: state.code(),
        total: new.total.map(|jobs| i64::try_from(jobs).unwrap_or(i64::MAX)),
        updated_at: now.0,
        undo_of,
    };
    let (id,) = entry.get_result::<(i64,)>(conn)?;
    Ok(id)
}

/// The operation that a transaction belongs to, if it belongs to one.
#[derive(Debug, Clone, Default)]
pub(in crate::ops) struct Log(Option<Current>);

impl Log {
    pub fn of(current: Option<&Current>) -> Log {
        Log(current.cloned())
    }

    /// Begins what a transaction writes about it. On a server, others that go on with the same operation wait from here on.
    pub fn enter(&self, conn: &mut Db, now: Timestamp) -> Result<Entry, StoreError> {
        let Some(current) = &self.0 else {
            return Ok(Entry::default());
        };
        let (updated_at, mut bytes) = (now.0, 0);
        let id = match current.id {
            None => insert(conn, current, OperationState::Done, None, now)?,
            Some(id) if current.is_open => {
                let locked = LockOpen { updated_at, id }.get_result::<(i64,)>(conn);
                (bytes,) = locked.optional()?.ok_or_else(|| StoreError::Operation {
                    id,
                    problem: "was ended by another command; see `queuectl op:show`".to_owned(),
                })?;
                id
            }
            Some(id) => match (Lock { updated_at, id }).get_result::<(i64,)>(conn).optional()? {
                Some((kept,)) => {
                    bytes = kept;
                    id
                }
                // It was removed meanwhile; the change is not refused for that.
                None => return Ok(Entry::default()),
            },
        };
        Ok(Entry {
            id: Some(id),
            by: current.by.clone(),
            room: if current.keeps { UNDO_BYTES - bytes } else { 0 },
            now: now.0,
            ..Entry::default()
        })
    }
}

#[derive(Debug, Insertable)]
#[diesel(table_name = operation_jobs)]
struct KeptRow {
    operation_id: i64,
    job_id: i64,
    fence: i64,
    updated_at: i64,
    kept: String,
}

/// What a transaction writes about an operation.
#[derive(Debug, Default)]
pub(in crate::ops) struct Entry {
    id: Option<i64>,
    by: Option<String>,
    /// Bytes that may still be kept.
    room: i64,
    now: i64,
    kept: Vec<KeptRow>,
    bytes: i64,
}

impl Entry {
    /// The number of the operation, if there is one.
    pub fn id(&self) -> Option<i64> {
        self.id
    }

    /// Who does it, if that is known.
    pub fn by(&self) -> Option<&str> {
        self.by.as_deref()
    }

    /// Whether it is kept how jobs were.
    pub fn keeps(&self) -> bool {
        self.id.is_some() && self.bytes < self.room
    }

    /// Whether this transaction keeps as much as one should: all of it is in memory until it is stored.
    pub fn is_full(&self) -> bool {
        self.bytes >= STEP_BYTES
    }

    /// Keeps how a job was that was just changed.
    pub fn keep(&mut self, job: JobId, fence: i64, kept: String) {
        let Some(operation_id) = self.id else { return };
        self.bytes += size(&kept);
        self.kept.push(KeptRow {
            operation_id,
            job_id: job.0,
            fence,
            updated_at: self.now,
            kept,
        });
    }

    /// Keeps nothing of jobs that were not changed after all.
    pub fn forget(&mut self, jobs: &[i64]) {
        self.kept.retain(|row| !jobs.contains(&row.job_id));
        self.bytes = self.kept.iter().map(|row| size(&row.kept)).sum();
    }

    /// Writes it, with what the transaction did, and behind which place the operation goes on.
    pub fn store(self, conn: &mut Db, done: &MassDone, after: Option<Position>) -> Result<(), StoreError> {
        let Some(id) = self.id else { return Ok(()) };
        let rows = self.kept;
        let number = |jobs: u64| i64::try_from(jobs).unwrap_or(i64::MAX);
        AddDone {
            changed: number(done.changed),
            requested: number(done.requested),
            held_back: number(done.held_back),
            kept: number(rows.len() as u64),
            kept_bytes: self.bytes,
            after_ended: after.map(|place| place.ended),
            after_id: after.map(|place| place.id),
            id,
        }
        .execute(conn)?;
        insert_rows!(conn, operation_jobs::table, rows);
        Ok(())
    }
}
