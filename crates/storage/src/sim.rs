//! What the simulator does to a store from outside: the world that the store sees is set in [`crate::env`].

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use queuectl_core::Timestamp;

pub use crate::env::simulated::*;
use crate::state_dir::NodeGuard;
use crate::{Store, StoreError};

impl NodeGuard {
    /// Lets go of the lock and leaves everything else, as the end of the process does.
    pub fn crash(self) {
        self.let_go();
    }
}

/// Has the server's clock be one that only [`set_server_time`] moves, in the schema of this store.
///
/// # Errors
/// [`StoreError::Database`]; also if the store is on no server.
pub fn own_server_clock(store: &mut Store) -> Result<(), StoreError> {
    on_server(
        store,
        "CREATE TABLE simulated_clock (now BIGINT NOT NULL); INSERT INTO simulated_clock VALUES (0); \
         CREATE OR REPLACE FUNCTION now_ms() RETURNS BIGINT LANGUAGE sql VOLATILE PARALLEL SAFE \
         AS $$ SELECT now FROM simulated_clock $$",
    )
}

/// From now on this is the server's time.
///
/// # Errors
/// [`StoreError::Database`]; also if the store is on no server.
pub fn set_server_time(store: &mut Store, now: Timestamp) -> Result<(), StoreError> {
    on_server(store, &format!("UPDATE simulated_clock SET now = {}", now.0))
}

/// A database in memory, for as long as this is kept.
pub struct InMemory(
    #[expect(dead_code, reason = "the database is there while a connection is open")] rusqlite::Connection,
);

impl InMemory {
    /// Has a copy of a file, whose log is empty, take the file's place.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn copy(file: &std::path::Path) -> Result<InMemory, StoreError> {
        keep_in_memory(Some(file.to_owned()));
        let mut conn = rusqlite::Connection::open(instead_of(file).unwrap_or_default())?;
        let source = rusqlite::Connection::open(file)?;
        rusqlite::backup::Backup::new(&source, &mut conn)?.step(-1)?;
        Ok(InMemory(conn))
    }
}

impl Drop for InMemory {
    fn drop(&mut self) {
        keep_in_memory(None);
    }
}

/// Moves everything from the log of a file into the file itself, which can then be copied, and has it do without a log.
///
/// # Errors
/// [`StoreError::Database`].
pub fn empty_log(store: &mut Store) -> Result<(), StoreError> {
    on_file(
        store,
        "PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode = DELETE",
    )
}

/// Has several jobs have a unique key: what refuses the second is an index.
///
/// # Errors
/// [`StoreError::Database`].
pub fn share_keys(store: &mut Store) -> Result<(), StoreError> {
    on_file(
        store,
        "DROP INDEX jobs_unique; CREATE INDEX jobs_unique ON jobs (unique_key) \
         WHERE unique_key IS NOT NULL AND state <= 4 AND follows IS NULL",
    )
}

/// Has the ledger keep nothing of what operators do.
///
/// # Errors
/// [`StoreError::Database`].
pub fn forget_operators(store: &mut Store) -> Result<(), StoreError> {
    on_file(
        store,
        "DROP TRIGGER IF EXISTS ledger_cancel; DROP TRIGGER IF EXISTS ledger_queue_new",
    )
}

/// How many rows of limits do not fit what their jobs do: none.
///
/// # Errors
/// [`StoreError::Database`].
pub fn misplaced(store: &mut Store) -> Result<i64, StoreError> {
    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = BigInt)]
        count: i64,
    }
    let wrong = crate::limits::WRONG.replacen("count(*)", "count(*) AS count", 1);
    let row: Count = diesel::sql_query(wrong).get_result(store.conn()?)?;
    Ok(row.count)
}

fn on_file(store: &mut Store, sql: &str) -> Result<(), StoreError> {
    Ok(store.conn()?.sqlite()?.batch_execute(sql)?)
}

fn on_server(store: &mut Store, sql: &str) -> Result<(), StoreError> {
    Ok(store.conn()?.postgres()?.batch_execute(sql)?)
}
