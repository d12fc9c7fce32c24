//! Schedules and their ticks as rows, for copies of a whole store: some at a time, in the order of their keys.

use diesel::prelude::*;

use super::rows::{ScheduleRow, TickRow};
use crate::StoreError;
use crate::backend::{Db, on_any};
use crate::schema::{schedules, ticks};

/// Rows that are in memory at a time.
const CHUNK: i64 = 500;

/// Rows of both tables.
#[derive(Debug)]
pub enum Rows {
    Schedules(Vec<ScheduleRow>),
    Ticks(Vec<TickRow>),
}

/// Passes all rows to `each`, schedules first.
pub fn read(conn: &mut Db, mut each: impl FnMut(Rows) -> Result<(), StoreError>) -> Result<(), StoreError> {
    let mut after = String::new();
    loop {
        let rows: Vec<ScheduleRow> = schedules::table
            .filter(schedules::name.gt(&after))
            .order(schedules::name)
            .limit(CHUNK)
            .select(ScheduleRow::as_select())
            .load(conn)?;
        let Some(last) = rows.last() else {
            break;
        };
        after.clone_from(&last.name);
        each(Rows::Schedules(rows))?;
    }
    let mut after = (String::new(), i64::MIN);
    loop {
        let rows: Vec<TickRow> = ticks::table
            .filter(
                ticks::schedule
                    .gt(&after.0)
                    .or(ticks::schedule.eq(&after.0).and(ticks::at.gt(after.1))),
            )
            .order((ticks::schedule, ticks::at))
            .limit(CHUNK)
            .select(TickRow::as_select())
            .load(conn)?;
        let Some(last) = rows.last() else {
            return Ok(());
        };
        after = (last.schedule.clone(), last.at);
        each(Rows::Ticks(rows))?;
    }
}

/// Stores rows.
pub fn write(conn: &mut Db, rows: Rows) -> Result<(), StoreError> {
    match rows {
        Rows::Schedules(rows) => {
            on_any!(conn, conn => diesel::insert_into(schedules::table).values(rows).execute(conn))?
        }
        Rows::Ticks(rows) => {
            on_any!(conn, conn => diesel::insert_into(ticks::table).values(rows).execute(conn))?
        }
    };
    Ok(())
}
