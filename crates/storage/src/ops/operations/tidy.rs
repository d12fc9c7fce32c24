//! Removing operations whose time is over, and what is kept to undo them, in small steps.

use std::time::Duration;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable};
use queuectl_core::Timestamp;
use queuectl_core::limits::{OPERATIONS_KEPT, UNDO_BYTES};

use super::is_of_schedules;
use crate::backend::Db;
use crate::schema::{operation_jobs, operations};
use crate::types::operation::OperationState;
use crate::types::text::Words;
use crate::{Store, StoreError};

/// Jobs that are forgotten by one step.
const STEP: i64 = 500;
/// How long an operation is kept in any case that was cut off, or may go on.
const OPEN_MS: i64 = 24 * 60 * 60 * 1000;

impl Store {
    /// Removes a step's worth of operations that are older than that or too many, and of what is kept of the oldest if that is
    /// too much in all. Returns whether there may be more.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn purge_operations(&mut self, retention: Duration, now: Timestamp) -> Result<bool, StoreError> {
        let kept = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
        let before = now.0.saturating_sub(kept);
        // A read takes no lock, and mostly there is nothing to remove.
        let conn = self.conn()?;
        let newest: Option<i64> = operations::table
            .order(operations::id.desc())
            .select(operations::id)
            .first(conn)
            .optional()?;
        let Some(newest) = newest else { return Ok(false) };
        let oldest: (i64, i64, i16) = operations::table
            .order(operations::id)
            .select((operations::id, operations::updated_at, operations::state))
            .first(conn)?;
        let (id, updated_at, state) = oldest;
        let before = match state == OperationState::Open.code() {
            true => before.min(now.0.saturating_sub(OPEN_MS)),
            false => before,
        };
        if updated_at < before || id <= newest - OPERATIONS_KEPT {
            return self.write_busily(|conn| {
                if !forget_some(conn, id)? {
                    diesel::delete(operations::table.find(id)).execute(conn)?;
                }
                Ok(true)
            });
        }
        let bytes: Option<i64> = operations::table
            .filter(operations::kept_bytes.gt(0))
            .select(sql::<Nullable<BigInt>>("CAST(sum(kept_bytes) AS BIGINT)"))
            .first(conn)?;
        if bytes.unwrap_or(0) <= UNDO_BYTES {
            return Ok(false);
        }
        self.write_busily(|conn| {
            let oldest: Option<(i64, Words)> = operations::table
                .filter(operations::kept_bytes.gt(0))
                .order(operations::id)
                .select((operations::id, operations::kind))
                .first(conn)
                .optional()?;
            if let Some((id, kind)) = oldest
                && !forget_some(conn, id)?
            {
                let none = (operations::kept.eq(0), operations::kept_bytes.eq(0));
                diesel::update(operations::table.find(id))
                    .set(none)
                    .execute(conn)?;
                if is_of_schedules(&kind.text) {
                    forget_request(conn, id)?;
                }
            }
            Ok(true)
        })
    }
}

/// Forgets how schedules were before an operation.
pub(in crate::ops) fn forget_request(conn: &mut Db, id: i64) -> Result<(), StoreError> {
    diesel::update(operations::table.find(id))
        .set(operations::request.eq(None::<String>))
        .execute(conn)?;
    Ok(())
}

/// Forgets how some jobs were before an operation. Returns false if there is none left.
fn forget_some(conn: &mut Db, id: i64) -> Result<bool, StoreError> {
    let of = operation_jobs::operation_id.eq(id);
    let some: Vec<i64> = operation_jobs::table
        .filter(of)
        .order(operation_jobs::job_id)
        .limit(STEP)
        .select(operation_jobs::job_id)
        .load(conn)?;
    let (Some(first), Some(last)) = (some.first(), some.last()) else {
        return Ok(false);
    };
    let range = operation_jobs::job_id.between(first, last);
    diesel::delete(operation_jobs::table.filter(of.and(range))).execute(conn)?;
    Ok(true)
}
