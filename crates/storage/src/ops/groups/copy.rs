//! Copying groups and their members, with the rest of a store.

use diesel::prelude::*;

use crate::StoreError;
use crate::backend::{Db, insert_rows};
use crate::outcome::GroupRow;
use crate::schema::{group_members, job_groups};

/// Rows that are in memory at a time.
const CHUNK: i64 = 1000;

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = group_members, treat_none_as_default_value = false)]
pub struct MemberRow {
    group_id: i64,
    job_id: i64,
    place: i64,
    outcome: Option<i16>,
}

/// Some of the rows.
#[derive(Debug)]
pub enum Rows {
    Groups(Vec<GroupRow>),
    Members(Vec<MemberRow>),
}

/// Whether there is no group.
pub fn is_empty(conn: &mut Db) -> Result<bool, StoreError> {
    let first: Option<i64> = job_groups::table.select(job_groups::id).first(conn).optional()?;
    Ok(first.is_none())
}

/// Reads all of it, some rows at a time, always in the same portions.
pub fn read(conn: &mut Db, mut take: impl FnMut(Rows) -> Result<(), StoreError>) -> Result<(), StoreError> {
    let mut after = i64::MIN;
    loop {
        let rows: Vec<GroupRow> = job_groups::table
            .filter(job_groups::id.gt(after))
            .order(job_groups::id)
            .limit(CHUNK)
            .select(GroupRow::as_select())
            .load(conn)?;
        let Some(last) = rows.last() else { break };
        after = last.id;
        take(Rows::Groups(rows))?;
    }
    let mut after = (i64::MIN, i64::MIN);
    loop {
        let behind = group_members::group_id.ge(after.0).and(
            group_members::group_id
                .gt(after.0)
                .or(group_members::job_id.gt(after.1)),
        );
        let rows: Vec<MemberRow> = group_members::table
            .filter(behind)
            .order((group_members::group_id, group_members::job_id))
            .limit(CHUNK)
            .select(MemberRow::as_select())
            .load(conn)?;
        let Some(last) = rows.last() else {
            return Ok(());
        };
        after = (last.group_id, last.job_id);
        take(Rows::Members(rows))?;
    }
}

/// Stores rows that were read.
pub fn insert(conn: &mut Db, rows: &Rows) -> Result<(), StoreError> {
    match rows {
        Rows::Groups(rows) => insert_rows!(conn, job_groups::table, rows),
        Rows::Members(rows) => insert_rows!(conn, group_members::table, rows),
    }
    Ok(())
}
