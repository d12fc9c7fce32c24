//! One connection, to SQLite or to PostgreSQL.
//!
//! Queries of the operations are written once, against [`Db`]. What runs for every job is not: the hot path has
//! statements of its own in each dialect, which take the connection inside.

use diesel::backend::Backend as AnyBackend;
use diesel::connection::{AnsiTransactionManager, TransactionManager};
use diesel::deserialize::{self, FromSql};
use diesel::pg::PgConnection;
use diesel::sql_types::Text;
use diesel::sqlite::SqliteConnection;

use super::{Begin, Dialect};
use crate::StoreError;
use crate::env::{self, Transaction};
use crate::error::Problem;
use crate::types::text::Words;

/// A connection to one of the databases.
#[derive(diesel::MultiConnection)]
pub enum Db {
    /// An SQLite file.
    Sqlite(SqliteConnection),
    /// A PostgreSQL server.
    Postgres(PgConnection),
}

/// What queries of the operations are written for.
pub type AnySql = multi_connection_impl::MultiBackend;

impl FromSql<Text, AnySql> for Words {
    fn from_sql(value: <AnySql as AnyBackend>::RawValue<'_>) -> deserialize::Result<Self> {
        value.from_sql::<Self, Text>()
    }
}

/// Runs the same code on whichever connection it is, where Diesel has no words for all of them.
macro_rules! on_any {
    ($db:expr, $conn:ident => $body:expr) => {
        match $db {
            $crate::backend::Db::Sqlite($conn) => $body,
            $crate::backend::Db::Postgres($conn) => $body,
        }
    };
}
pub(crate) use on_any;

impl Db {
    /// The connection inside, for statements of SQLite alone.
    pub fn sqlite(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        match self {
            Db::Sqlite(conn) => Ok(conn),
            _ => Err(other_database()),
        }
    }

    /// The connection inside, for statements of PostgreSQL alone.
    pub fn postgres(&mut self) -> Result<&mut PgConnection, StoreError> {
        match self {
            Db::Postgres(conn) => Ok(conn),
            _ => Err(other_database()),
        }
    }

    /// What this database does in its own way.
    pub fn dialect(&mut self) -> &mut dyn Dialect {
        on_any!(self, conn => conn)
    }

    /// Runs `body`, which only reads, in one moment: it sees nothing that is stored meanwhile.
    pub fn snapshot<T>(
        &mut self,
        body: impl FnOnce(&mut Db) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.transaction(Begin::Snapshot, body)
    }

    /// Runs `body` in one transaction: all of it is stored, or nothing. On SQLite it is the only writer.
    pub fn write<T>(&mut self, body: impl FnOnce(&mut Db) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.transaction(Begin::Write, body)
    }

    fn transaction<T>(
        &mut self,
        begin: Begin,
        body: impl FnOnce(&mut Db) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let sql = self.dialect().begin(begin);
        on_any!(self, conn => AnsiTransactionManager::begin_transaction_sql(conn, sql))?;
        match body(self) {
            Ok(value) => env::end(self, value, begin == Begin::Write),
            Err(error) => {
                // What went wrong first is what matters.
                let _ = self.roll_back();
                Err(error)
            }
        }
    }
}

/// A mistake of ours: each backend has a connection of its own kind.
fn other_database() -> StoreError {
    StoreError::Database {
        problem: Problem::Other,
        detail: "the connection is to another database".to_owned(),
    }
}

impl Transaction for Db {
    fn commit(&mut self) -> Result<(), StoreError> {
        on_any!(self, conn => AnsiTransactionManager::commit_transaction(conn))?;
        Ok(())
    }

    fn roll_back(&mut self) -> Result<(), StoreError> {
        on_any!(self, conn => AnsiTransactionManager::rollback_transaction(conn))?;
        Ok(())
    }
}
