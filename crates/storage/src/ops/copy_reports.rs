//! Copying what jobs have said about themselves with the rest of a store.

use diesel::prelude::*;

use super::reports::ReportRow;
use crate::StoreError;
use crate::backend::{Db, on_any};
use crate::schema::reports;

/// Rows that are in memory at a time: each has up to 81 KiB.
const CHUNK: i64 = 100;

/// Reads all of it, some rows at a time, always in the same portions.
pub fn read(
    conn: &mut Db,
    mut take: impl FnMut(Vec<ReportRow>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut after = i64::MIN;
    loop {
        let rows: Vec<ReportRow> = reports::table
            .filter(reports::job_id.gt(after))
            .order(reports::job_id)
            .limit(CHUNK)
            .select(ReportRow::as_select())
            .load(conn)?;
        let Some(last) = rows.last() else {
            return Ok(());
        };
        after = last.job_id;
        take(rows)?;
    }
}

/// Stores rows that were read. Their jobs are there.
pub fn insert(conn: &mut Db, rows: &[ReportRow]) -> Result<(), StoreError> {
    on_any!(conn, conn => diesel::insert_into(reports::table).values(rows).execute(conn))?;
    Ok(())
}
