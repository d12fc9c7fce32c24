//! The statements about edges in SQLite's words.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Integer, Nullable, SmallInt, Text};
use diesel::sqlite::{Sqlite, SqliteConnection};
use queuectl_core::{Gates, State, Timestamp};

use crate::StoreError;
use crate::limits::json;
use crate::outcome::edge_statements;
use crate::types::text::Words;

edge_statements!(Sqlite, SqliteConnection, "json_each(?) AS each");

/// No other connection writes meanwhile.
#[expect(clippy::unnecessary_wraps, reason = "as on PostgreSQL")]
fn lock(_: &mut SqliteConnection, _jobs: &[i64]) -> Result<(), StoreError> {
    Ok(())
}
