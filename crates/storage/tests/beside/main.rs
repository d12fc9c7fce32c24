//! What a store keeps, looked at and damaged beside it, on both databases.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod limits;
mod operations;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use queuectl_core::Timestamp;
use queuectl_storage::Store;
use queuectl_testkit::{TempStore, conformance, skipped};

const NOW: Timestamp = Timestamp(1_000_000);

/// A connection beside the store's.
enum Beside {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

impl Beside {
    fn execute(&mut self, sql: &str) {
        match self {
            Beside::Sqlite(conn) => conn.batch_execute(sql),
            Beside::Postgres(conn) => conn.batch_execute(sql),
        }
        .unwrap();
    }

    fn count(&mut self, table: &str) -> i64 {
        let query = diesel::sql_query(format!("SELECT count(*) AS number FROM {table}"));
        let found: Number = match self {
            Beside::Sqlite(conn) => query.get_result(conn),
            Beside::Postgres(conn) => query.get_result(conn),
        }
        .unwrap();
        found.number
    }
}

/// Runs a check on both databases.
fn on_both(test: &str, check: impl Fn(&mut Store, &mut Beside)) {
    let mut temp = TempStore::sqlite();
    let path = temp.path().to_str().unwrap().to_owned();
    let mut beside = Beside::Sqlite(SqliteConnection::establish(&path).unwrap());
    check(&mut temp.store, &mut beside);
    let Some(mut temp) = TempStore::postgres() else {
        skipped(test, conformance::NO_SERVER);
        return;
    };
    let url = std::env::var("QUEUECTL_TEST_POSTGRES").unwrap();
    let mut beside = Beside::Postgres(PgConnection::establish(&url).unwrap());
    let schema = temp
        .location
        .to_string()
        .split("schema=")
        .nth(1)
        .unwrap()
        .to_owned();
    beside.execute(&format!("SET search_path = {schema}"));
    check(&mut temp.store, &mut beside);
}
