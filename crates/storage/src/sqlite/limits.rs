//! The statements about limits in SQLite's words, and the one that each database has of its own.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Integer, Nullable, SmallInt, Text};
use diesel::sqlite::{Sqlite, SqliteConnection};
use queuectl_core::Timestamp;

use crate::StoreError;
use crate::limits::{ParkedColumns, ParkedRow, json, limit_statements};
use crate::types::text::Words;

limit_statements!(
    Sqlite,
    SqliteConnection,
    "json_each(?) AS each",
    "json_each(?) AS each",
    // Without `OR FAIL` SQLite copies every page first, to take back this statement alone.
    "UPDATE OR FAIL"
);

/// SQLite has no lateral joins, but a statement costs no round trip. The first job of each key, which is what most ends of
/// jobs ask for, is found by one statement.
pub mod one {
    use super::*;

    crate::backend::statements::statements! { Sqlite, SqliteConnection;
        /// The next jobs that wait for a key.
        NextParked { key: String as Text, most: i64 as BigInt } -> ParkedColumns {
            "SELECT job_limits.key, jobs.id, jobs.priority, jobs.limits, jobs.waits, jobs.queue FROM job_limits JOIN jobs \
             ON jobs.id = job_limits.job_id WHERE job_limits.key = ? AND phase = 1 \
             ORDER BY job_limits.priority DESC, job_limits.job_id LIMIT ? + 0"
        }

        /// The first job that waits for each of these keys.
        FirstParked { keys: String as Text } -> ParkedColumns {
            "SELECT each.value, jobs.id, jobs.priority, jobs.limits, jobs.waits, jobs.queue FROM json_each(?) AS each \
             CROSS JOIN jobs ON jobs.id = (SELECT job_id FROM job_limits WHERE job_limits.key = each.value AND phase = 1 \
             ORDER BY job_limits.priority DESC, job_limits.job_id LIMIT 1)"
        }
    }
}

fn next_parked(conn: &mut SqliteConnection, keys: &[(&str, u32)]) -> Result<Vec<ParkedRow>, StoreError> {
    let (ones, others): (Vec<_>, Vec<_>) = keys.iter().partition(|(_, most)| *most == 1);
    let mut parked = Vec::new();
    if !ones.is_empty() {
        let names: Vec<&str> = ones.iter().map(|(key, _)| *key).collect();
        parked = one::FirstParked { keys: json!(&names) }.load::<ParkedRow>(conn)?;
    }
    for (key, most) in others {
        let (key, most) = (key.to_owned(), i64::from(most));
        parked.extend(one::NextParked { key, most }.load::<ParkedRow>(conn)?);
    }
    Ok(parked)
}

/// No other connection writes meanwhile.
#[expect(clippy::unnecessary_wraps, reason = "as on PostgreSQL")]
fn lock(_: &mut SqliteConnection, _shared: bool) -> Result<(), StoreError> {
    Ok(())
}
