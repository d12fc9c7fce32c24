//! Copying limits and what jobs hold of them, with the rest of a store.

use diesel::prelude::*;

use crate::StoreError;
use crate::backend::{Db, insert_rows};
use crate::schema::{job_limits, limit_keys, limits, queue_limits};

/// Rows that are in memory at a time.
const CHUNK: i64 = 1000;

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = limits, treat_none_as_default_value = false)]
pub struct LimitRow {
    name: String,
    running: Option<i32>,
    per_key: bool,
    rate_count: Option<i32>,
    rate_period_ms: Option<i64>,
    burst: Option<i32>,
    busy_status: Option<i32>,
    busy_wait_ms: Option<i64>,
    created_at: i64,
    updated_at: i64,
}

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = job_limits)]
pub struct JobLimitRow {
    job_id: i64,
    key: String,
    priority: i32,
    phase: i16,
}

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = limit_keys, treat_none_as_default_value = false)]
pub struct KeyRow {
    key: String,
    tat: Option<i64>,
    wake_at: Option<i64>,
    busy_until: Option<i64>,
}

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = queue_limits, treat_none_as_default_value = false)]
pub struct QueueRow {
    name: String,
    running: Option<i32>,
    rate_count: Option<i32>,
    rate_period_ms: Option<i64>,
    burst: Option<i32>,
}

/// Some of the rows.
#[derive(Debug)]
pub enum Rows {
    Limits(Vec<LimitRow>),
    Jobs(Vec<JobLimitRow>),
    Keys(Vec<KeyRow>),
    Queues(Vec<QueueRow>),
}

/// Whether there is a limit, or what is left of one.
pub fn is_empty(conn: &mut Db) -> Result<bool, StoreError> {
    let limits: i64 = limits::table.count().get_result(conn)?;
    let jobs: i64 = job_limits::table.count().get_result(conn)?;
    let keys: i64 = limit_keys::table.count().get_result(conn)?;
    let queues: i64 = queue_limits::table.count().get_result(conn)?;
    Ok(limits + jobs + keys + queues == 0)
}

/// Reads all of it, some rows at a time, always in the same portions.
pub fn read(conn: &mut Db, mut take: impl FnMut(Rows) -> Result<(), StoreError>) -> Result<(), StoreError> {
    let all = limits::table.order(limits::name).select(LimitRow::as_select());
    take(Rows::Limits(all.load(conn)?))?;
    let all = queue_limits::table
        .order(queue_limits::name)
        .select(QueueRow::as_select());
    take(Rows::Queues(all.load(conn)?))?;
    let mut after: (i64, String) = (i64::MIN, String::new());
    loop {
        let behind = job_limits::job_id
            .gt(after.0)
            .or(job_limits::job_id.eq(after.0).and(job_limits::key.gt(after.1)));
        let rows: Vec<JobLimitRow> = job_limits::table
            .filter(behind)
            .order((job_limits::job_id, job_limits::key))
            .limit(CHUNK)
            .select(JobLimitRow::as_select())
            .load(conn)?;
        let Some(last) = rows.last() else { break };
        after = (last.job_id, last.key.clone());
        take(Rows::Jobs(rows))?;
    }
    let mut after = String::new();
    loop {
        let rows: Vec<KeyRow> = limit_keys::table
            .filter(limit_keys::key.gt(after))
            .order(limit_keys::key)
            .limit(CHUNK)
            .select(KeyRow::as_select())
            .load(conn)?;
        let Some(last) = rows.last() else {
            return Ok(());
        };
        after = last.key.clone();
        take(Rows::Keys(rows))?;
    }
}

/// Stores rows that were read.
pub fn insert(conn: &mut Db, rows: &Rows) -> Result<(), StoreError> {
    match rows {
        Rows::Limits(rows) => insert_rows!(conn, limits::table, rows),
        Rows::Jobs(rows) => insert_rows!(conn, job_limits::table, rows),
        Rows::Keys(rows) => insert_rows!(conn, limit_keys::table, rows),
        Rows::Queues(rows) => insert_rows!(conn, queue_limits::table, rows),
    }
    Ok(())
}
