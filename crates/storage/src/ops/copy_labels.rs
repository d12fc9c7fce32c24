//! Copying labels and comments with the rest of a store.

use diesel::prelude::*;

use crate::StoreError;
use crate::backend::{Db, insert_rows};
use crate::labels::{LabelRow, next};
use crate::schema::job_labels;

/// Rows that are in memory at a time.
const CHUNK: i64 = 1000;

/// Reads all of them, some at a time, always in the same portions.
pub fn read(
    conn: &mut Db,
    mut take: impl FnMut(Vec<LabelRow>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut after = (i64::MIN, String::new());
    while let Some(rows) = next(conn, &mut after, CHUNK)? {
        take(rows)?;
    }
    Ok(())
}

/// Stores rows that were read.
pub fn insert(conn: &mut Db, rows: &[LabelRow]) -> Result<(), StoreError> {
    insert_rows!(conn, job_labels::table, rows);
    Ok(())
}
