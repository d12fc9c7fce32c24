//! The statement that stores jobs of which some have keys. Unlike [`super::insert_jobs`] it leaves out what conflicts with a
//! job that is there, and so looks into every unique index for each row.

use std::collections::HashSet;

use diesel::RunQueryDsl;
use diesel::pg::{Pg, PgConnection};
use diesel::sql_types::{Array, BigInt, Double, Integer, Nullable, SmallInt, Text};
use queuectl_core::Timestamp;

use super::portions;
use super::statements::NextNumbers;
use crate::StoreError;
use crate::backend::statements::statements;
use crate::checksum::JobContent;
use crate::columns::{Value, given, names};
use crate::counts::Deltas;
use crate::types::jobs::{NewJob, content};

macro_rules! insert_keyed {
    ($($(#[$doc:meta])* $name:ident: $type:ty, $sql:ty, ($($read:meta)?), $since:literal, $core:tt;)*) => {
        statements! { Pg, PgConnection;
            /// Stores jobs whose names and keys no other has. One whose key another transaction is storing waits for that.
            InsertKeyed {
                id: Vec<i64> as Array<BigInt>,
                state: Vec<i16> as Array<SmallInt>,
                due_at: Vec<Option<i64>> as Array<Nullable<BigInt>>,
                payload: Vec<String> as Array<Text>,
                sum: Vec<i32> as Array<Integer>,
                follows: Vec<Option<i64>> as Array<Nullable<BigInt>>,
                gates: Vec<i32> as Array<Integer>,
                $($name: Vec<$type> as Array<$sql>,)*
                created_at: i64 as BigInt,
            } -> (BigInt,) {
                concat!(
                    "WITH new AS MATERIALIZED (SELECT * FROM unnest(?, ?, ?, ?, ?, ?, ?",
                    $(parameter!($name),)*
                    ") AS new (id, state, due_at, payload, sum, follows, gates",
                    given!(names),
                    ")), stored AS (\
                     INSERT INTO jobs (id, state, due_at, created_at, updated_at, attempts, fence, system_failures, \
                     cancel_requested, sum, follows, gates",
                    given!(names),
                    ") SELECT id, state, due_at, at.now, at.now, 0, 0, 0, FALSE, sum, follows, \
                     gates",
                    given!(names),
                    " FROM new, (SELECT ?::BIGINT AS now) AS at ON CONFLICT DO NOTHING RETURNING id), \
                     payload AS (INSERT INTO payloads (job_id, queue, payload) \
                     SELECT id, queue, payload FROM new WHERE id IN (SELECT id FROM stored)) \
                     SELECT id FROM stored"
                )
            }
        }

        impl InsertKeyed {
            /// Stores nothing yet.
            pub fn new(now: Timestamp) -> InsertKeyed {
                InsertKeyed {
                    id: Vec::new(),
                    state: Vec::new(),
                    due_at: Vec::new(),
                    payload: Vec::new(),
                    sum: Vec::new(),
                    follows: Vec::new(),
                    gates: Vec::new(),
                    $($name: Vec::new(),)*
                    created_at: now.0,
                }
            }

            /// Stores that job as well.
            pub fn push(&mut self, new: &NewJob<'_>, job: &JobContent<'_>) {
                self.id.push(new.id);
                self.state.push(new.state.code());
                self.due_at.push(new.due_at.map(|due| due.0));
                self.payload.push(job.payload.to_owned());
                self.sum.push(job.sum());
                self.follows.push(new.follows);
                self.gates.push(new.gates.code());
                $(self.$name.push(<$type as Value>::own(job.$name));)*
            }
        }
    };
}

/// One more parameter.
macro_rules! parameter {
    ($name:ident) => {
        ", ?"
    };
}

given!(insert_keyed);

/// Reserves numbers for jobs, in ascending order.
pub fn reserve_numbers(conn: &mut PgConnection, count: usize) -> Result<Vec<i64>, StoreError> {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let numbers: Vec<(i64, i64)> = NextNumbers { count }.load(conn)?;
    let mut ids: Vec<i64> = numbers.into_iter().map(|(id, _)| id).collect();
    ids.sort_unstable();
    Ok(ids)
}

/// Stores new jobs and counts them, but those whose name or key another has; which ones. Jobs with keys are to be in the
/// order of these: who stores the same ones then waits, and never in a circle.
pub fn insert_new(
    conn: &mut PgConnection,
    jobs: &[NewJob<'_>],
    now: Timestamp,
    deltas: &mut Deltas,
) -> Result<Vec<bool>, StoreError> {
    let mut stored: HashSet<i64> = HashSet::new();
    for portion in portions(jobs.iter().map(|new| new.job.stored_payload().len())) {
        let mut rows = InsertKeyed::new(now);
        for new in &jobs[portion] {
            rows.push(new, &content(new.job));
        }
        stored.extend(rows.load::<(i64,)>(conn)?.into_iter().map(|(id,)| id));
    }
    let which = jobs.iter().map(|new| {
        let is_stored = stored.contains(&new.id);
        if is_stored {
            deltas.came(new.job.queue(), new.state, 1);
        }
        is_stored
    });
    Ok(which.collect())
}
