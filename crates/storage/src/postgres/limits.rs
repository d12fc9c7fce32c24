//! The statements about limits in PostgreSQL's words, and those that each database has of its own.

use diesel::pg::{Pg, PgConnection};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Nullable, SmallInt, Text};
use queuectl_core::Timestamp;

use crate::StoreError;
use crate::limits::{ParkedColumns, ParkedRow, json, limit_statements};
use crate::types::text::Words;

limit_statements!(
    Pg,
    PgConnection,
    "json_array_elements_text(CAST(? AS json)) AS each (value)",
    "json_array_elements(CAST(? AS json)) AS each (value)",
    "UPDATE"
);

pub mod one {
    use super::*;

    crate::backend::statements::statements! { Pg, PgConnection;
        /// The next jobs that wait for each of these keys.
        NextParked { keys: Vec<String> as Array<Text>, most: Vec<i64> as Array<BigInt> } -> ParkedColumns {
            "SELECT asked.key, jobs.id, jobs.priority, jobs.limits, jobs.waits, jobs.queue FROM unnest(?, ?) AS asked (key, most) \
             CROSS JOIN LATERAL (SELECT job_id, priority FROM job_limits WHERE job_limits.key = asked.key AND phase = 1 \
             ORDER BY priority DESC, job_id LIMIT asked.most) AS next JOIN jobs ON jobs.id = next.job_id \
             ORDER BY asked.key, next.priority DESC, next.job_id"
        }

        /// Has others wait that decide about limits of this store. Taken before any row of a job that waits for a key, so
        /// that no two transactions wait for each other.
        Lock {} -> () {
            "SELECT pg_advisory_xact_lock(identity) FROM store"
        }

        /// The same for those who only add jobs that wait.
        LockShared {} -> () {
            "SELECT pg_advisory_xact_lock_shared(identity) FROM store"
        }
    }
}

fn next_parked(conn: &mut PgConnection, keys: &[(&str, u32)]) -> Result<Vec<ParkedRow>, StoreError> {
    let (keys, most) = keys
        .iter()
        .map(|(key, most)| ((*key).to_owned(), i64::from(*most)))
        .unzip();
    Ok(one::NextParked { keys, most }.load(conn)?)
}

fn lock(conn: &mut PgConnection, shared: bool) -> Result<(), StoreError> {
    match shared {
        true => one::LockShared {}.execute(conn)?,
        false => one::Lock {}.execute(conn)?,
    };
    Ok(())
}
