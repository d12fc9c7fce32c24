//! Who has a key.

use std::collections::HashMap;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use queuectl_core::{BlockedBy, JobId, Timestamp};

use crate::StoreError;
use crate::backend::Db;
use crate::backend::statements::StartAsSuccessor;
use crate::env::{self, Guard};
use crate::outcome::standing;
use crate::rows::JobRow;
use crate::schema::jobs;
use crate::states::sql as states;

/// Keys that one statement looks for.
const KEYS: usize = 500;

/// The jobs that have these keys: one that has not ended, else one that keeps its key although it has.
pub fn holders(conn: &mut Db, keys: &[&str], now: Timestamp) -> Result<HashMap<String, JobRow>, StoreError> {
    let mut found = HashMap::new();
    if env::is_disabled(Guard::Keys) {
        return Ok(found);
    }
    for keys in keys.chunks(KEYS) {
        let mut rows = lasting(conn, keys, now)?;
        rows.extend(live(conn, keys)?);
        let named = rows
            .into_iter()
            .filter_map(|row| Some((row.unique_key.clone()?, row)));
        found.extend(named);
    }
    Ok(found)
}

/// The jobs that have these keys and have not ended.
fn live(conn: &mut Db, keys: &[&str]) -> Result<Vec<JobRow>, StoreError> {
    let query = jobs::table
        .filter(jobs::unique_key.is_not_null())
        .filter(jobs::unique_key.eq_any(keys))
        .filter(sql::<Bool>(states!("state <= {failed} AND follows IS NULL")))
        .select(JobRow::as_select());
    Ok(query.load(conn)?)
}

/// The jobs that keep these keys for a time, whatever became of them. Cancelling a job gives its key back.
pub fn lasting(conn: &mut Db, keys: &[&str], now: Timestamp) -> Result<Vec<JobRow>, StoreError> {
    let query = jobs::table
        .filter(sql::<Bool>(states!(
            "unique_ms IS NOT NULL AND state <> {cancelled}"
        )))
        .filter(jobs::unique_key.eq_any(keys))
        .filter((jobs::created_at + jobs::unique_ms.assume_not_null()).gt(now.0))
        .order(jobs::id)
        .select(JobRow::as_select());
    Ok(query.load(conn)?)
}

/// The job that follows this one.
pub fn successor(conn: &mut Db, running: &JobRow) -> Result<Option<JobRow>, StoreError> {
    let query = jobs::table
        .filter(jobs::unique_key.is_not_null())
        .filter(jobs::unique_key.eq(&running.unique_key))
        .filter(sql::<Bool>(states!("state <= {failed} AND follows IS NOT NULL")))
        .select(JobRow::as_select());
    Ok(query.first(conn).optional()?)
}

/// Has a new job, which is blocked, wait for the one that it follows. It is due at that time after that.
pub fn start_as_successor(conn: &mut Db, job: JobId, due: Option<Timestamp>) -> Result<(), StoreError> {
    StartAsSuccessor {
        waits: BlockedBy::Unique as i32,
        resume_at: due.map(|due| due.0),
        id: job.0,
    }
    .execute(conn)?;
    Ok(())
}

/// Refuses to run a job again whose key another has. To be called in the transaction that makes a job run again which has
/// ended; the index refuses what another transaction stores meanwhile.
pub fn check_free(conn: &mut Db, row: &JobRow) -> Result<(), StoreError> {
    match holder_of(conn, row)? {
        None => Ok(()),
        Some(holder) => Err(StoreError::KeyHeld {
            job: public_id(row),
            key: row.unique_key.clone().unwrap_or_default(),
            state: standing(&holder)?.state,
            holder: public_id(&holder),
        }),
    }
}

/// The other job that has the key of this one and has not ended. Whatever makes a job run again which has ended asks this, and
/// leaves the job alone if there is one.
pub fn holder_of(conn: &mut Db, row: &JobRow) -> Result<Option<JobRow>, StoreError> {
    let Some(key) = row.unique_key.as_deref() else {
        return Ok(None);
    };
    let found = live(conn, &[key])?;
    Ok(found.into_iter().find(|holder| holder.id != row.id))
}

/// The id that users see.
pub fn public_id(row: &JobRow) -> String {
    row.name.clone().unwrap_or_else(|| row.id.to_string())
}
