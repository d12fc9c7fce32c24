//! What operators did: an entry for each command, written by the transactions that did it.
//!
//! A store that is told of an operation counts its changes there until it ends: [`Store::begin_operation`] for one that stands
//! or falls with its first change, [`Store::open_operation`] for one of many jobs, which can be cut off and go on. Nodes make
//! no operations, and what they remove when its time is over is not kept. Here: entries as such. What is written with a change
//! is in `entry`, how jobs were before in `kept` and `purged`, and which jobs an operation that goes on means in `frozen`. The
//! way back is in `ops/undo`.

mod entry;
mod frozen;
mod kept;
mod purged;
mod tidy;

use diesel::prelude::*;
use queuectl_core::{JobEdit, JobSpec, Timestamp};

pub(super) use self::entry::{Entry, Log, insert};
pub use self::frozen::{Frozen, frozen_request};
pub(super) use self::kept::{Before, EditedParts};
pub(super) use self::purged::{keep, portion, restore};
pub(super) use self::tidy::forget_request;
use crate::backend::Db;
use crate::schema::operations;
use crate::types::list::Position;
use crate::types::operation::{Current, MassDone, NewOperation, Operation, OperationState, Undo};
use crate::types::text::{MaybeWords, Words};
use crate::{Store, StoreError};

/// The kind of an operation that changed a setting, and of the event that says so.
pub(super) const SETTING_CHANGED: &str = "setting changed";

/// A row of `operations`.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = operations)]
pub(super) struct Row {
    pub id: i64,
    #[diesel(deserialize_as = Words)]
    pub kind: String,
    pub at: i64,
    #[diesel(deserialize_as = MaybeWords)]
    pub operator: Option<String>,
    #[diesel(deserialize_as = Words)]
    pub what: String,
    #[diesel(deserialize_as = MaybeWords)]
    pub request: Option<String>,
    pub state: i16,
    pub total: Option<i64>,
    pub changed: i64,
    pub requested: i64,
    pub held_back: i64,
    pub kept: i64,
    pub kept_bytes: i64,
    pub after_ended: Option<i64>,
    pub after_id: Option<i64>,
    pub updated_at: i64,
    pub undo_of: Option<i64>,
    pub undone_by: Option<i64>,
}

/// The statements about operations, for tests that read their query plans.
pub fn statements() -> Vec<(&'static str, &'static str)> {
    entry::all()
}

/// A number that is never negative.
pub(super) fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// The change that an operation is: `cancel` of `dlq:cancel`.
pub(super) fn change_of(kind: &str) -> &str {
    kind.rsplit(':').next().unwrap_or(kind)
}

/// Whether an operation changed schedules.
pub(super) fn is_of_schedules(kind: &str) -> bool {
    kind.starts_with("schedule:")
}

/// Whether such an operation can be undone, if what it changed was kept.
pub(super) fn has_way_back(kind: &str) -> bool {
    is_of_schedules(kind) && matches!(change_of(kind), "edit" | "remove" | "pause" | "resume")
}

/// Says whether an operation can be undone.
pub(super) fn undo_of(row: &Row) -> Undo {
    let impossible = |why: &str| Undo::Impossible(why.to_owned());
    if let Some(by) = row.undone_by {
        return Undo::Undone(by);
    }
    if let Some(other) = row.undo_of {
        return Undo::Impossible(format!(
            "it undid operation {other}; repeat the command of that one instead"
        ));
    }
    match change_of(&row.kind) {
        SETTING_CHANGED if row.request.is_some() => Undo::Possible,
        _ if has_way_back(&row.kind) => match row.request {
            Some(_) => Undo::Possible,
            None => impossible(
                "how the schedules were was not kept, because that is more than 8 MiB, or not for so long (op_retention)",
            ),
        },
        "cancel" | "hold" | "release" | "edit" | "move" | "priority" | "purge" => {
            match (row.kept, row.changed) {
                (1.., _) => Undo::Possible,
                (_, 0) if row.requested > 0 => impossible("the jobs ran and were stopped; retry them"),
                (_, 0) => impossible("it changed no job"),
                _ => impossible("how its jobs were was not kept, or not for so long (op_retention)"),
            }
        }
        "import" => impossible("its jobs can be purged; their label imported-from says which they are"),
        "start" => impossible("the jobs may have started since; hold or cancel those that have not"),
        "retry" => impossible("its jobs may have run since; hold or cancel those that have not"),
        _ => impossible("what it changed is in its description; change it back by hand"),
    }
}

impl Row {
    fn into_operation(self) -> Operation {
        let undo = undo_of(&self);
        Operation {
            id: self.id,
            kind: self.kind,
            at: Timestamp(self.at),
            by: self.operator,
            what: self.what,
            state: match self.state {
                1 => OperationState::Open,
                _ => OperationState::Done,
            },
            total: self.total.map(count),
            done: MassDone {
                changed: count(self.changed),
                requested: count(self.requested),
                held_back: count(self.held_back),
                alike: 0,
            },
            kept: count(self.kept),
            kept_bytes: count(self.kept_bytes),
            updated_at: Timestamp(self.updated_at),
            undo_of: self.undo_of,
            undo,
            request: self.request,
        }
    }
}

pub(super) fn find(conn: &mut Db, id: i64) -> Result<Row, StoreError> {
    let row = operations::table.find(id).select(Row::as_select());
    let row: Option<Row> = row.first(conn).optional()?;
    row.ok_or(StoreError::NoSuchOperation(id))
}

impl Store {
    /// Counts the changes that follow as one operation, which is stored with the first of them.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn begin_operation(&mut self, new: NewOperation) -> Result<(), StoreError> {
        let keeps = !self.settings()?.op_retention.is_zero();
        let by = self.operator.clone();
        self.operation = Some(Current::new(new, by, keeps));
        Ok(())
    }

    /// Stores an operation of many jobs, and counts the changes that follow there. It is open until
    /// [`Store::end_operation`]. Returns its number.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn open_operation(&mut self, new: NewOperation, now: Timestamp) -> Result<i64, StoreError> {
        let keeps = !self.settings()?.op_retention.is_zero();
        let current = Current::new(new, self.operator.clone(), keeps);
        let id = self.write(|conn| insert(conn, &current, OperationState::Open, None, now))?;
        self.operation = Some(current.open(id));
        Ok(id)
    }

    /// Ends the operation: what follows does not count there. Returns its number, if there was something to store.
    ///
    /// # Errors
    /// [`StoreError::Database`]; it is cut off then.
    pub fn end_operation(&mut self, now: Timestamp) -> Result<Option<i64>, StoreError> {
        let Some(current) = self.operation.take() else {
            return Ok(None);
        };
        let Some(id) = current.id.filter(|_| current.is_open) else {
            return Ok(current.id);
        };
        self.write(|conn| {
            let row = diesel::update(operations::table.find(id));
            let ended = (
                operations::state.eq(OperationState::Done.code()),
                operations::updated_at.eq(now.0),
            );
            Ok(row.set(ended).execute(conn)?)
        })?;
        Ok(Some(id))
    }

    /// Takes over the number of the operation once its first change is stored.
    pub(super) fn has_entered(&mut self, id: Option<i64>) {
        if let Some(current) = &mut self.operation {
            current.id = current.id.or(id);
        }
    }

    /// Leaves the operation as it is: it is cut off.
    pub fn leave_operation(&mut self) {
        self.operation = None;
    }

    /// Goes on with an operation that was cut off; `cause` is for one of dead letters of a cause. It is open until
    /// [`Store::end_operation`], and what it does counts once: what was done before is not done again.
    ///
    /// # Errors
    /// [`StoreError::NoSuchOperation`]; [`StoreError::Operation`] if it has ended, or cannot go on.
    pub fn reopen_operation(&mut self, id: i64) -> Result<Frozen, StoreError> {
        let row = find(self.conn()?, id)?;
        let refuse = |problem: String| StoreError::Operation { id, problem };
        if row.state != OperationState::Open.code() {
            return Err(refuse("has ended; there is nothing left to do".to_owned()));
        }
        if let Some(other) = row.undo_of {
            return Err(refuse(format!(
                "undoes operation {other}; `queuectl op:undo {other}` goes on with it"
            )));
        }
        let request = row.request.as_deref().unwrap_or_default();
        let mut frozen = Frozen::read(request).map_err(|why| refuse(format!("cannot go on: {why}")))?;
        frozen.after = match (row.after_ended, row.after_id) {
            (Some(ended), Some(id)) => Some(Position { ended, id }),
            _ => None,
        };
        let keeps = !self.settings()?.op_retention.is_zero();
        let by = self.operator.clone();
        self.operation = Some(Current::new(NewOperation::default(), by, keeps).open(id));
        if frozen.after.is_none() && row.held_back > 0 {
            // It begins at the front again, where it meets those again that it left alone.
            self.write(|conn| {
                let row = diesel::update(operations::table.find(id));
                Ok(row.set(operations::held_back.eq(0)).execute(conn)?)
            })?;
        }
        Ok(frozen)
    }

    /// Goes on with a change that [`Frozen`] describes, but for dead letters of a cause, up to its end.
    ///
    /// # Errors
    /// As [`Store::change_all`] and [`Store::edit_all`]; it is cut off then.
    pub fn go_on(
        &mut self,
        frozen: &Frozen,
        by: &str,
        now: Timestamp,
        mut after_step: impl FnMut(&MassDone),
    ) -> Result<(), StoreError> {
        match &frozen.edit {
            Some(edit) => self.edit_all_after(
                &frozen.filter,
                frozen.after,
                by,
                now,
                &|job| Ok(JobEdit::apply(edit, JobSpec::of(job.clone()))),
                &mut after_step,
            )?,
            None => {
                let change = frozen.filter.change.unwrap_or(crate::MassChange::Cancel);
                self.change_all_after(&frozen.filter, frozen.after, change, now, &mut after_step)?
            }
        };
        Ok(())
    }

    /// An operation.
    ///
    /// # Errors
    /// [`StoreError::NoSuchOperation`].
    pub fn operation(&mut self, id: i64) -> Result<Operation, StoreError> {
        Ok(find(self.conn()?, id)?.into_operation())
    }

    /// The newest operations, or those before one, newest first.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn operations(
        &mut self,
        before: Option<i64>,
        only_open: bool,
        limit: u32,
    ) -> Result<Vec<Operation>, StoreError> {
        let mut query = operations::table
            .filter(operations::id.lt(before.unwrap_or(i64::MAX)))
            .order(operations::id.desc())
            .limit(i64::from(limit))
            .select(Row::as_select())
            .into_boxed();
        if only_open {
            query = query.filter(operations::state.eq(OperationState::Open.code()));
        }
        let rows: Vec<Row> = query.load(self.conn()?)?;
        Ok(rows.into_iter().map(Row::into_operation).collect())
    }
}
