//! Whether there is any job of some kind, by the first entry of an index.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, SmallInt, Text};
use queuectl_core::{QueueName, State, Timestamp};

use crate::StoreError;
use crate::backend::Db;
use crate::types::source::Source;

/// A row that says only that there is one.
#[derive(QueryableByName)]
pub struct One {
    #[diesel(sql_type = Integer)]
    one: i32,
}

/// Whether a job of the queue, or any, runs.
pub fn running(conn: &mut Db, queue: Option<&QueueName>) -> Result<bool, StoreError> {
    let row = diesel::sql_query(conn.dialect().words("SELECT 1 AS one FROM jobs INDEXED BY jobs_running WHERE node_id IS NOT NULL AND (?1 = '' OR queue = ?1) LIMIT 1",
    ))
    .bind::<Text, _>(queue.map_or("", |queue| queue.as_str()))
    .get_result::<One>(conn)
    .optional()?;
    Ok(row.is_some_and(|row| row.one == 1))
}

/// Whether a job of the queue is scheduled or waits for its retry.
pub fn waiting(conn: &mut Db, queue: &QueueName) -> Result<bool, StoreError> {
    let row = diesel::sql_query(conn.dialect().words(
        "SELECT 1 AS one FROM jobs INDEXED BY jobs_waiting WHERE due_at IS NOT NULL AND queue = ?1 LIMIT 1",
    ))
    .bind::<Text, _>(queue.as_str())
    .get_result::<One>(conn)
    .optional()?;
    Ok(row.is_some_and(|row| row.one == 1))
}

/// Whether a job of the source ended in that state since then.
pub fn ended_since(
    conn: &mut Db,
    source: &Source,
    state: State,
    since: Timestamp,
) -> Result<bool, StoreError> {
    let (condition, index) = source.within("finished");
    let sql = format!(
        "SELECT 1 AS one FROM jobs {index} WHERE finished_at IS NOT NULL AND {condition} \
         AND state = ?2 AND finished_at >= ?3 LIMIT 1"
    );
    let row = diesel::sql_query(conn.dialect().words(&sql))
        .bind::<Text, _>(source.key())
        .bind::<SmallInt, _>(state.code())
        .bind::<BigInt, _>(since.0)
        .get_result::<One>(conn)
        .optional()?;
    Ok(row.is_some_and(|row| row.one == 1))
}
