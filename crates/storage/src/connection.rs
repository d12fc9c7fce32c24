//! One connection, to SQLite or to PostgreSQL.
//!
//! Queries of the verbs are written once, against [`Db`]. What runs for every job is not: the hot path has
//! statements of its own for each database, which take the connection inside.

use diesel::connection::{AnsiTransactionManager, TransactionManager};
use diesel::pg::PgConnection;
use diesel::sqlite::SqliteConnection;

use crate::StoreError;
#[cfg(feature = "sim")]
use crate::sim::{self, Fault, Guard};

/// A connection to one of the databases.
#[derive(diesel::MultiConnection)]
pub enum Db {
    /// An SQLite file.
    Sqlite(SqliteConnection),
    /// A PostgreSQL server.
    Postgres(PgConnection),
}

/// What queries of the verbs are written for.
pub type Backend = multi_connection_impl::MultiBackend;

/// How a transaction that writes begins on SQLite.
const WRITE: &str = "BEGIN IMMEDIATE";

impl Db {
    /// Runs `body`, which only reads, in one moment: it sees nothing that is stored meanwhile.
    pub fn snapshot<T>(
        &mut self,
        body: impl FnOnce(&mut Db) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.transaction(
            "BEGIN",
            "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY",
            body,
        )
    }

    /// Runs `body` in one transaction: all of it is stored, or nothing. On SQLite it is the only writer.
    pub fn write<T>(&mut self, body: impl FnOnce(&mut Db) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.transaction(WRITE, "BEGIN", body)
    }

    /// Runs `body`, which is a single statement. On a server that is a transaction by itself.
    pub fn write_once<T>(
        &mut self,
        body: impl FnOnce(&mut Db) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match self {
            // The simulator has commits fail.
            Db::Postgres(_) if !cfg!(feature = "sim") => body(self),
            _ => self.write(body),
        }
    }

    fn transaction<T>(
        &mut self,
        on_sqlite: &str,
        on_postgres: &str,
        body: impl FnOnce(&mut Db) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        #[cfg(feature = "sim")]
        let body = |conn: &mut Db| {
            let done = body(conn)?;
            match (on_sqlite == WRITE).then(sim::fault).flatten() {
                Some(fault @ Fault::Refused) if !sim::is_disabled(Guard::Commit) => Err(sim::error(fault)),
                fault => Ok((done, fault)),
            }
        };
        match self {
            Db::Sqlite(conn) => AnsiTransactionManager::begin_transaction_sql(conn, on_sqlite)?,
            Db::Postgres(conn) => AnsiTransactionManager::begin_transaction_sql(conn, on_postgres)?,
        }
        match body(self) {
            #[cfg(feature = "sim")]
            Ok((value, Some(Fault::Refused))) => {
                match self {
                    Db::Sqlite(conn) => AnsiTransactionManager::rollback_transaction(conn)?,
                    Db::Postgres(conn) => AnsiTransactionManager::rollback_transaction(conn)?,
                }
                Ok(value)
            }
            Ok(value) => {
                match self {
                    Db::Sqlite(conn) => AnsiTransactionManager::commit_transaction(conn)?,
                    Db::Postgres(conn) => AnsiTransactionManager::commit_transaction(conn)?,
                }
                #[cfg(feature = "sim")]
                let value = match value {
                    (value, None) => value,
                    (_, Some(fault)) => return Err(sim::error(fault)),
                };
                Ok(value)
            }
            Err(error) => {
                // What went wrong first is what matters.
                let _ = match self {
                    Db::Sqlite(conn) => AnsiTransactionManager::rollback_transaction(conn),
                    Db::Postgres(conn) => AnsiTransactionManager::rollback_transaction(conn),
                };
                Err(error)
            }
        }
    }
}
