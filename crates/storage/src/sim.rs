//! What the simulator does to a store from outside: the world that the store sees is set in [`crate::env`].

use std::path::{Path, PathBuf};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use queuectl_core::Timestamp;
use rusqlite::backup::Backup;
use rusqlite::config::DbConfig;

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

/// A database in memory, for as long as this is kept. Each store in it leaves its connection to the next.
pub struct InMemory {
    conn: rusqlite::Connection,
    file: PathBuf,
    /// What makes it what it was at first.
    reset: String,
}

impl InMemory {
    /// Copies a file whose log is empty.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn copy(file: &Path) -> Result<InMemory, StoreError> {
        keep_in_memory(file);
        let mut conn = rusqlite::Connection::open(instead_of(file).unwrap_or_default())?;
        let source = rusqlite::Connection::open(file)?;
        Backup::new(&source, &mut conn)?.step(-1)?;
        conn.execute_batch("PRAGMA foreign_keys = OFF; ATTACH ':memory:' AS first")?;
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
        Backup::new_with_names(&source, "main", &mut conn, "first")?.step(-1)?;
        let mut reset = "BEGIN IMMEDIATE;".to_owned();
        {
            // The numbers that were given out are a table, too.
            let mut tables = conn.prepare("SELECT name FROM main.sqlite_master WHERE type = 'table'")?;
            for table in tables.query_map([], |row| row.get::<_, String>(0))? {
                let table = table?;
                reset += &format!("DELETE FROM main.{table};");
                let some = format!("SELECT EXISTS (SELECT 1 FROM first.{table})");
                if conn.query_row(&some, [], |row| row.get(0))? {
                    reset += &format!("INSERT INTO main.{table} SELECT * FROM first.{table};");
                }
            }
        }
        reset += "COMMIT";
        let file = file.to_owned();
        Ok(InMemory { conn, file, reset })
    }

    /// Has the database be what it was at first, and stores in the file be in it.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn begin(&self) -> Result<(), StoreError> {
        keep_in_memory(&self.file);
        Ok(self.conn.execute_batch(&self.reset)?)
    }
}

impl Drop for InMemory {
    fn drop(&mut self) {
        forget_in_memory(&self.file);
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
