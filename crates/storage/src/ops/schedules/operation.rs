//! Changes of schedules as operations: what is kept of them for an undo. Not the undo itself, nor the ticks.

use diesel::prelude::*;
use queuectl_core::Timestamp;
use serde::{Deserialize, Serialize};

use super::rows::ScheduleRow;
use crate::StoreError;
use crate::backend::Db;
use crate::ops::operations::{has_way_back, insert};
use crate::schema::schedules;
use crate::types::operation::{Current, OperationState};

/// Most bytes that are kept for an undo.
const KEPT_BYTES: usize = 8 * 1024 * 1024;

/// A schedule before an operation and after it; none where there was none.
#[derive(Debug, Serialize, Deserialize)]
pub struct Changed {
    pub name: String,
    pub before: Option<ScheduleRow>,
    pub after: Option<ScheduleRow>,
}

/// The schedule of that name, if there is one.
pub fn read(conn: &mut Db, name: &str) -> Result<Option<ScheduleRow>, StoreError> {
    let row = schedules::table.find(name).select(ScheduleRow::as_select());
    Ok(row.get_result(conn).optional()?)
}

/// Stores the operation that the store was told of, if it was, with what it changed if it can be undone: names and rows before it.
/// Returns its number.
pub fn enter(
    conn: &mut Db,
    current: Option<&Current>,
    changed: Vec<(String, Option<ScheduleRow>)>,
    now: Timestamp,
) -> Result<Option<i64>, StoreError> {
    let Some(current) = current.filter(|_| !changed.is_empty()) else {
        return Ok(None);
    };
    let mut current = current.clone();
    if current.keeps && has_way_back(&current.new.kind) {
        let mut kept = Vec::with_capacity(changed.len());
        for (name, before) in changed {
            let after = read(conn, &name)?;
            kept.push(Changed { name, before, after });
        }
        let request = serde_json::to_string(&kept).ok();
        current.new.request = request.filter(|request| request.len() <= KEPT_BYTES);
    }
    insert(conn, &current, OperationState::Done, None, now).map(Some)
}
