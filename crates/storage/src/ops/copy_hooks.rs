//! Copying hooks, those of jobs and all others, with the rest of a store.

use diesel::prelude::*;

use crate::StoreError;
use crate::backend::{Db, on_any};
use crate::hooks::{AlertRow, HookRow, JobHooksRow, all, all_alerts};
use crate::schema::{alerts, hooks, job_hooks};

/// Rows that are in memory at a time: each has up to three commands.
const CHUNK: i64 = 200;

/// Some of the rows.
#[derive(Debug)]
pub enum Rows {
    Hooks(Vec<HookRow>),
    Alerts(Vec<AlertRow>),
    Jobs(Vec<JobHooksRow>),
}

/// Whether there is a hook.
pub fn is_empty(conn: &mut Db) -> Result<bool, StoreError> {
    let hooks: i64 = hooks::table.count().get_result(conn)?;
    let jobs: i64 = job_hooks::table.count().get_result(conn)?;
    Ok(hooks + jobs == 0)
}

/// Reads all of it, some rows at a time, always in the same portions.
pub fn read(conn: &mut Db, mut take: impl FnMut(Rows) -> Result<(), StoreError>) -> Result<(), StoreError> {
    take(Rows::Hooks(all(conn)?))?;
    take(Rows::Alerts(all_alerts(conn)?))?;
    let mut after = i64::MIN;
    loop {
        let rows: Vec<JobHooksRow> = job_hooks::table
            .filter(job_hooks::job_id.gt(after))
            .order(job_hooks::job_id)
            .limit(CHUNK)
            .select(JobHooksRow::as_select())
            .load(conn)?;
        let Some(last) = rows.last() else {
            return Ok(());
        };
        after = last.job_id;
        take(Rows::Jobs(rows))?;
    }
}

/// Stores rows that were read.
pub fn insert(conn: &mut Db, rows: &Rows) -> Result<(), StoreError> {
    match rows {
        Rows::Hooks(rows) => {
            on_any!(conn, conn => diesel::insert_into(hooks::table).values(rows).execute(conn))?
        }
        Rows::Alerts(rows) => {
            on_any!(conn, conn => diesel::insert_into(alerts::table).values(rows).execute(conn))?
        }
        Rows::Jobs(rows) => {
            on_any!(conn, conn => diesel::insert_into(job_hooks::table).values(rows).execute(conn))?
        }
    };
    Ok(())
}
