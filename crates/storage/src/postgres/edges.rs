//! The statements about edges in PostgreSQL's words, and the one that it has of its own.

use diesel::pg::{Pg, PgConnection};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Nullable, SmallInt, Text};
use queuectl_core::{Gates, State, Timestamp};

use crate::StoreError;
use crate::limits::json;
use crate::outcome::edge_statements;
use crate::types::text::Words;

edge_statements!(
    Pg,
    PgConnection,
    "json_array_elements_text(CAST(? AS json)) AS each (value)"
);

pub mod one {
    use super::*;

    crate::backend::statements::statements! { Pg, PgConnection;
        /// Has others wait until this transaction has changed these jobs.
        LockRows { jobs: Vec<i64> as Array<BigInt> } -> () {
            "SELECT id FROM jobs WHERE id = ANY (?) ORDER BY id FOR UPDATE"
        }
    }
}

fn lock(conn: &mut PgConnection, jobs: &[i64]) -> Result<(), StoreError> {
    let jobs = jobs.to_vec();
    one::LockRows { jobs }.execute(conn)?;
    Ok(())
}
