//! Opening a store on PostgreSQL: connect, see whether the schema is ours and current, make it if asked to.
//!
//! A schema that is there is never changed by merely opening it, for nodes on other machines may be of the version
//! that it has; that is what [`migrate`] is for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use diesel::connection::{Instrumentation, InstrumentationEvent, SimpleConnection};
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::sql_types::{BigInt, Bool, Integer, Nullable, Text};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use queuectl_core::Timestamp;
use queuectl_core::settings::Durability;

use super::connect_error;
use crate::StoreError;
use crate::backend::OpenMode;
use crate::error::Problem;
use crate::location::server::Server;
use crate::migrations::NEWEST;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations/postgres");
/// The newest schema that this version knows; each migration sets `store.schema_version`.
const SCHEMA_VERSION: i32 = NEWEST;

/// What a session is told. The planner knows nothing of a queue, whose tables are empty at one moment and huge at the
/// next: every statement of ours has an index, and is to use it, in its order and not by reading all that fits and sorting
/// that. Limits of time only where the server, the role or the
/// location has none: a node that is suspended or cut off in the middle of a cycle must not hold its locks for long. And
/// the server is to notice a node that is gone as soon as the node would notice the server: by default it would keep the
/// connection for two hours, and nodes with a bad network would use them all up.
///
/// All of that is lost, or worse, somebody else's, where a pooler hands sessions around (`pool_mode = transaction`). A session
/// that was told already gives that away: it is marked with a text that is no number.
///
/// In the same way a database gives itself away whose encoding cannot hold every text: of a batch of outcomes or jobs, one
/// with such a text would keep all others from being stored, and what is stored could not be read as text.
const SESSION: &str = "\
    SELECT current_setting('queuectl.session', true)::INTEGER WHERE current_setting('queuectl.session', true) <> ''; \
    SET queuectl.session = 'session_of_another_client'; \
    SELECT ('encoding_of_the_database_' || current_setting('server_encoding'))::INTEGER \
    WHERE current_setting('server_encoding') <> 'UTF8'; \
    SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 3; SET tcp_keepalives_count = 3; \
    SET tcp_user_timeout = 20000; SET jit = off; SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; \
    SET enable_bitmapscan = off; \
    SELECT set_config('statement_timeout', '60s', false) WHERE current_setting('statement_timeout') = '0'; \
    SELECT set_config('lock_timeout', '30s', false) WHERE current_setting('lock_timeout') = '0'; \
    SELECT set_config('idle_in_transaction_session_timeout', '10s', false) \
    WHERE current_setting('idle_in_transaction_session_timeout') = '0';";

/// What a transaction is told that has to do with whole tables, for once.
pub const WHOLE_TABLES: &str = "\
    SET LOCAL statement_timeout = 0; \
    SET LOCAL enable_seqscan = on; SET LOCAL enable_hashjoin = on; SET LOCAL enable_mergejoin = on; \
    SET LOCAL enable_bitmapscan = on;";

/// What is at the location.
enum SchemaState {
    Nothing,
    /// Ours, and the server's time.
    Current(Timestamp),
    Older(i32),
}

/// Opens the store; also yields the server's time, if it was asked for. `broken` is set as soon as the connection should
/// not be used any more.
pub fn open(
    server: &Server,
    mode: OpenMode,
    broken: &Arc<AtomicBool>,
) -> Result<(PgConnection, Option<Timestamp>), StoreError> {
    let mut conn = connect(server)?;
    let mut time = None;
    match look(&mut conn, server)? {
        SchemaState::Current(now) => time = Some(now),
        SchemaState::Older(found) => {
            let known = SCHEMA_VERSION;
            return Err(StoreError::OlderSchema { found, known });
        }
        SchemaState::Nothing if mode == OpenMode::MustExist => return Err(StoreError::Missing),
        SchemaState::Nothing => migrate_in(&mut conn, server)?,
    }
    broken.store(false, Ordering::Relaxed);
    conn.set_instrumentation(Watch(Arc::clone(broken)));
    Ok((conn, time))
}

/// Makes the schema or brings it up to date; not while a node runs.
pub fn migrate(server: &Server) -> Result<(), StoreError> {
    let mut conn = connect(server)?;
    match look(&mut conn, server)? {
        SchemaState::Current(_) => return Ok(()),
        SchemaState::Nothing => {}
        SchemaState::Older(_) => {
            let living = "SELECT count(*) FROM nodes WHERE lease_until > now_ms()";
            if number(&mut conn, living)? > 0 {
                return Err(StoreError::NodesLive);
            }
        }
    }
    migrate_in(&mut conn, server)
}

/// The version of the schema; none if there is no store.
pub fn version(server: &Server) -> Result<Option<i32>, StoreError> {
    Ok(match look(&mut connect(server)?, server)? {
        SchemaState::Nothing => None,
        SchemaState::Older(found) => Some(found),
        SchemaState::Current(_) => Some(SCHEMA_VERSION),
    })
}

fn connect(server: &Server) -> Result<PgConnection, StoreError> {
    let mut conn = PgConnection::establish(&server.conninfo())
        .map_err(|error| connect_error::of_connection(&error, server))?;
    let schema = server.schema();
    // The name is one that needs no quoting but the quotes.
    let durability = durability(Durability::Full);
    conn.batch_execute(&format!(
        "{SESSION} SET search_path = \"{schema}\", pg_temp; {durability}"
    ))?;
    Ok(conn)
}

/// Removes the schema and everything in it.
pub fn drop_schema(server: &Server) -> Result<(), StoreError> {
    let schema = server.schema();
    connect(server)?.batch_execute(&format!("DROP SCHEMA IF EXISTS \"{schema}\" CASCADE"))?;
    Ok(())
}

#[derive(QueryableByName)]
struct Objects {
    #[diesel(sql_type = Bool)]
    schema: bool,
    #[diesel(sql_type = Nullable<Text>)]
    store: Option<String>,
    #[diesel(sql_type = BigInt)]
    tables: i64,
    #[diesel(sql_type = Nullable<Bool>)]
    usable: Option<bool>,
}

#[derive(QueryableByName)]
struct Version {
    #[diesel(sql_type = Integer)]
    schema_version: i32,
    #[diesel(sql_type = BigInt)]
    now: i64,
}

fn objects(conn: &mut PgConnection, server: &Server) -> Result<Objects, StoreError> {
    let query = diesel::sql_query(
        "SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = $1) AS schema, \
         (SELECT relname::TEXT FROM pg_class JOIN pg_namespace AS ns ON ns.oid = relnamespace \
          WHERE nspname = $1 AND relname = 'store' AND relkind = 'r') AS store, \
         (SELECT count(*) FROM pg_class JOIN pg_namespace AS ns ON ns.oid = relnamespace \
          WHERE nspname = $1 AND relkind IN ('r', 'p', 'v', 'm')) AS tables, \
         (SELECT has_schema_privilege(oid, 'USAGE') FROM pg_namespace WHERE nspname = $1) AS usable",
    );
    Ok(query.bind::<Text, _>(server.schema()).get_result(conn)?)
}

/// Looks whose the schema is, and of which version; not within a transaction. To ask for what is nearly always there takes
/// a fraction of the time that a look into the catalogs does.
fn look(conn: &mut PgConnection, server: &Server) -> Result<SchemaState, StoreError> {
    stored_version(conn).or_else(|_| look_closely(conn, server))
}

/// The same, and no statement fails.
fn look_closely(conn: &mut PgConnection, server: &Server) -> Result<SchemaState, StoreError> {
    let there = objects(conn, server)?;
    if there.usable == Some(false) {
        return Err(StoreError::Database {
            problem: Problem::Denied,
            detail: format!("the user lacks USAGE on the schema \"{}\"", server.schema()),
        });
    }
    match there.store {
        Some(_) => stored_version(conn),
        None if there.tables == 0 => Ok(SchemaState::Nothing),
        None => Err(StoreError::Foreign),
    }
}

fn stored_version(conn: &mut PgConnection) -> Result<SchemaState, StoreError> {
    let query = diesel::sql_query("SELECT schema_version, now_ms() AS now FROM store");
    let row: Version = query.get_result(conn)?;
    match row.schema_version {
        SCHEMA_VERSION => Ok(SchemaState::Current(Timestamp(row.now))),
        found if found > SCHEMA_VERSION => Err(StoreError::NewerSchema {
            found,
            known: SCHEMA_VERSION,
        }),
        found => Ok(SchemaState::Older(found)),
    }
}

/// Runs what is missing of the migrations, all or nothing. Another process may be doing the same: the loser of the
/// race finds the schema current.
fn migrate_in(conn: &mut PgConnection, server: &Server) -> Result<(), StoreError> {
    conn.transaction(|conn| {
        let schema = server.schema();
        diesel::sql_query("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))")
            .bind::<Text, _>(format!("queuectl.{schema}"))
            .execute(conn)?;
        if let SchemaState::Current(_) = look_closely(conn, server)? {
            return Ok(());
        }
        // An administrator may have made it for a user who may not.
        if !objects(conn, server)?.schema {
            conn.batch_execute(&format!("CREATE SCHEMA \"{schema}\""))?;
        }
        // A migration may read and write every job there is.
        conn.batch_execute(WHOLE_TABLES)?;
        // The error of a migration says in words alone what the server said.
        let failed = Arc::new(Mutex::new(None));
        conn.set_instrumentation(FirstError(Arc::clone(&failed)));
        let done = conn.run_pending_migrations(MIGRATIONS).map(drop);
        let done = done.map_err(|error| error.to_string());
        conn.set_instrumentation(FirstError(Arc::default()));
        let failed = failed.lock().unwrap_or_else(PoisonError::into_inner).take();
        match done {
            Ok(()) => Ok(()),
            Err(words) => Err(failed.unwrap_or(StoreError::Migration(words))),
        }
    })
}

/// Keeps the first error of a statement.
struct FirstError(Arc<Mutex<Option<StoreError>>>);

impl Instrumentation for FirstError {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        if let InstrumentationEvent::FinishQuery {
            error: Some(error), ..
        } = event
        {
            let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            first.get_or_insert_with(|| StoreError::from(error));
        }
    }
}

/// The server's own choice of what a commit waits for stands, unless it is not to wait at all.
pub fn set_durability(conn: &mut PgConnection, durability: Durability) -> Result<(), StoreError> {
    conn.batch_execute(self::durability(durability))?;
    Ok(())
}

fn durability(durability: Durability) -> &'static str {
    match durability {
        Durability::Full => {
            "RESET synchronous_commit; SELECT set_config('synchronous_commit', 'on', false) \
             WHERE current_setting('synchronous_commit') = 'off';"
        }
        Durability::Normal => "SET synchronous_commit = off;",
    }
}

/// The server's own limit stands, or that of the database, the role or the location. Versions before 14 have none.
pub fn end_when_idle(conn: &mut PgConnection, most: Duration) -> Result<(), StoreError> {
    let ms = most.as_millis();
    conn.batch_execute(&format!(
        "SELECT set_config(name, '{ms}', false) FROM pg_settings \
         WHERE name = 'idle_session_timeout' AND (setting = '0' OR source = 'session')"
    ))?;
    Ok(())
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    value: i64,
}

/// The value of an expression that is one integer.
pub fn number(conn: &mut PgConnection, expression: &str) -> Result<i64, StoreError> {
    let sql = format!("SELECT ({expression})::BIGINT AS value");
    Ok(diesel::sql_query(sql).get_result::<Number>(conn)?.value)
}

/// Watches for errors after which a connection is given up: all but those that the statement itself is to blame for.
/// To connect again costs little, and nothing tells more surely that the new one is whole.
struct Watch(Arc<AtomicBool>);

impl Instrumentation for Watch {
    fn on_connection_event(&mut self, event: InstrumentationEvent<'_>) {
        let InstrumentationEvent::FinishQuery {
            error: Some(error), ..
        } = event
        else {
            return;
        };
        let harmless = match error {
            DieselError::NotFound => true,
            DieselError::DatabaseError(kind, _) => matches!(
                kind,
                DatabaseErrorKind::UniqueViolation
                    | DatabaseErrorKind::CheckViolation
                    | DatabaseErrorKind::NotNullViolation
                    | DatabaseErrorKind::SerializationFailure
            ),
            _ => false,
        };
        if !harmless {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}
