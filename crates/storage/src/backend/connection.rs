//! One connection, to SQLite or to PostgreSQL.
//!
//! Queries of the operations are written once, against [`Db`]. What runs for every job is not: the hot path has
//! statements of its own in each dialect, which take the connection inside.
//!
//! There are hundreds of queries, each a type of its own, so [`Db`] runs them as one type, [`Erased`]: Diesel's code that
//! prepares, binds and steps is compiled once for each database, not once for each query.

use diesel::backend::Backend as AnyBackend;
use diesel::connection::{
    AnsiTransactionManager, CacheSize, Connection, Instrumentation, LoadConnection, SimpleConnection,
    TransactionManager,
};
use diesel::deserialize::{self, FromSql};
use diesel::expression::QueryMetadata;
use diesel::internal::derives::multiconnection::ConnectionSealed;
use diesel::pg::PgConnection;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Text, Untyped};
use diesel::sqlite::SqliteConnection;
use diesel::{ConnectionResult, QueryResult};

use super::{Begin, Dialect};
use crate::StoreError;
use crate::env::{self, Transaction};
use crate::error::Problem;
use crate::types::text::Words;

/// A connection to one of the databases.
pub struct Db {
    /// The connection inside.
    pub inner: AnyConnection,
}

/// The connections there are.
#[derive(diesel::MultiConnection)]
pub enum AnyConnection {
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
        match &mut $db.inner {
            $crate::backend::AnyConnection::Sqlite($conn) => $body,
            $crate::backend::AnyConnection::Postgres($conn) => $body,
        }
    };
}
pub(crate) use on_any;

/// Stores rows, as many with a statement as both databases take.
macro_rules! insert_rows {
    ($db:expr, $table:expr, $rows:expr) => {
        for some in $rows.chunks(500) {
            $crate::backend::on_any!($db, conn => diesel::insert_into($table).values(some).execute(conn))?;
        }
    };
}
pub(crate) use insert_rows;

impl Db {
    /// The connection inside, for statements of SQLite alone.
    pub fn sqlite(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        match &mut self.inner {
            AnyConnection::Sqlite(conn) => Ok(conn),
            _ => Err(other_database()),
        }
    }

    /// The connection inside, for statements of PostgreSQL alone.
    pub fn postgres(&mut self) -> Result<&mut PgConnection, StoreError> {
        match &mut self.inner {
            AnyConnection::Postgres(conn) => Ok(conn),
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
        AnsiTransactionManager::begin_transaction_sql(self, sql)?;
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
        Ok(AnsiTransactionManager::commit_transaction(self)?)
    }

    fn roll_back(&mut self) -> Result<(), StoreError> {
        Ok(AnsiTransactionManager::rollback_transaction(self)?)
    }
}

/// A query whose type is not known any more. Diesel then caches its statement by the text.
struct Erased<Q>(Q);

impl<Q: QueryFragment<AnySql>> QueryFragment<AnySql> for Erased<Q> {
    fn walk_ast<'b>(&'b self, pass: AstPass<'_, 'b, AnySql>) -> QueryResult<()> {
        self.0.walk_ast(pass)
    }
}

impl<Q> QueryId for Erased<Q> {
    type QueryId = ();

    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Q> Query for Erased<Q> {
    type SqlType = Untyped;
}

impl LoadConnection for Db {
    type Cursor<'conn, 'query> = <AnyConnection as LoadConnection>::Cursor<'conn, 'query>;
    type Row<'conn, 'query> = <AnyConnection as LoadConnection>::Row<'conn, 'query>;

    fn load<'conn, 'query, T>(&'conn mut self, query: T) -> QueryResult<Self::Cursor<'conn, 'query>>
    where
        T: Query + QueryFragment<AnySql> + QueryId + 'query,
        AnySql: QueryMetadata<T::SqlType>,
    {
        load_erased(&mut self.inner, Box::new(query))
    }
}

/// Runs a query, whatever it is.
fn load_erased<'conn, 'query>(
    conn: &'conn mut AnyConnection,
    query: Box<dyn QueryFragment<AnySql> + 'query>,
) -> QueryResult<<AnyConnection as LoadConnection>::Cursor<'conn, 'query>> {
    conn.load(Erased(query))
}

impl Connection for Db {
    type Backend = AnySql;
    type TransactionManager = AnsiTransactionManager;

    fn establish(url: &str) -> ConnectionResult<Self> {
        AnyConnection::establish(url).map(Db::from)
    }

    fn execute_returning_count<T>(&mut self, query: &T) -> QueryResult<usize>
    where
        T: QueryFragment<AnySql> + QueryId,
    {
        let query: &dyn QueryFragment<AnySql> = query;
        self.inner.execute_returning_count(&Erased(query))
    }

    fn transaction_state(&mut self) -> &mut AnsiTransactionManager {
        on_any!(self, conn => conn.transaction_state())
    }

    fn instrumentation(&mut self) -> &mut dyn Instrumentation {
        self.inner.instrumentation()
    }

    fn set_instrumentation(&mut self, instrumentation: impl Instrumentation) {
        self.inner.set_instrumentation(instrumentation);
    }

    fn set_prepared_statement_cache_size(&mut self, size: CacheSize) {
        self.inner.set_prepared_statement_cache_size(size);
    }
}

impl SimpleConnection for Db {
    fn batch_execute(&mut self, sql: &str) -> QueryResult<()> {
        self.inner.batch_execute(sql)
    }
}

// Of the traits that Diesel seals, like those that the derive above implements.
impl ConnectionSealed for Db {}

impl From<AnyConnection> for Db {
    fn from(inner: AnyConnection) -> Self {
        Db { inner }
    }
}

impl From<SqliteConnection> for Db {
    fn from(conn: SqliteConnection) -> Self {
        AnyConnection::Sqlite(conn).into()
    }
}

impl From<PgConnection> for Db {
    fn from(conn: PgConnection) -> Self {
        AnyConnection::Postgres(conn).into()
    }
}
