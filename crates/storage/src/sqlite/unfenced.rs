//! What recording an outcome would be without the fencing token: for the simulator, whose checks must find it.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Nullable, SmallInt};
use diesel::sqlite::{Sqlite, SqliteConnection};
use queuectl_core::{Timestamp, Transition};

use crate::StoreError;
use crate::ops::cycle::Record;
use crate::statements::statements;

statements! { Sqlite, SqliteConnection;
    /// `Release` without its guards.
    ReleaseAnyhow {
        state: i16 as SmallInt,
        attempts: i32 as Integer,
        system_failures: i32 as Integer,
        due_at: Option<i64> as Nullable<BigInt>,
        finished_at: Option<i64> as Nullable<BigInt>,
        updated_at: i64 as BigInt,
        id: i64 as BigInt,
    } -> () {
        "UPDATE jobs SET state = ?, attempts = ?, system_failures = ?, due_at = ?, finished_at = ?, \
         cancel_requested = 0, updated_at = ?, node_id = NULL WHERE id = ?"
    }

    /// Makes room for an attempt that was kept before.
    ForgetAttempt { id: i64 as BigInt, fence: i64 as BigInt } -> () {
        "DELETE FROM attempts WHERE job_id = ? AND fence = ?"
    }
}

/// Applies a record whatever has become of the job meanwhile.
pub fn apply(
    conn: &mut SqliteConnection,
    record: &Record,
    change: Transition,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let (id, fence) = (record.job.0, record.fence);
    debug_assert_eq!(all().len(), 2);
    ForgetAttempt { id, fence }.execute(conn)?;
    let changed = ReleaseAnyhow {
        state: change.to().code(),
        attempts: i32::try_from(change.attempts()).unwrap_or(i32::MAX),
        system_failures: i32::try_from(change.system_failures()).unwrap_or(i32::MAX),
        due_at: change.due_at().map(|due| due.0),
        finished_at: change.to().is_final().then_some(now.0),
        updated_at: now.0,
        id,
    }
    .execute(conn)?;
    Ok(changed == 1)
}
