//! The statement that stores jobs, many at once.

use diesel::pg::{Pg, PgConnection};
use diesel::sql_types::{Array, BigInt, Double, Integer, Nullable, SmallInt, Text};
use queuectl_core::Timestamp;

use crate::backend::statements::statements;
use crate::checksum::JobContent;
use crate::columns::{Value, given, names};
use crate::types::jobs::First;

macro_rules! insert_jobs {
    ($($(#[$doc:meta])* $name:ident: $type:ty, $sql:ty, ($($read:meta)?), $since:literal, $core:tt;)*) => {
        statements! { Pg, PgConnection;
            /// Stores jobs.
            InsertJobs {
                id: Vec<i64> as Array<BigInt>,
                state: Vec<i16> as Array<SmallInt>,
                due_at: Vec<Option<i64>> as Array<Nullable<BigInt>>,
                payload: Vec<String> as Array<Text>,
                sum: Vec<i32> as Array<Integer>,
                gates: Vec<i32> as Array<Integer>,
                waits: Vec<i32> as Array<Integer>,
                $($name: Vec<$type> as Array<$sql>,)*
                created_at: i64 as BigInt,
            } -> (BigInt,) {
                concat!(
                    "WITH new AS MATERIALIZED (SELECT * FROM unnest(?, ?, ?, ?, ?, ?, ?",
                    $(parameter!($name),)*
                    ") AS new (id, state, due_at, payload, sum, gates, waits",
                    given!(names),
                    ")), stored AS (INSERT INTO payloads (job_id, queue, payload) SELECT id, queue, payload FROM new) \
                     INSERT INTO jobs (id, state, due_at, created_at, updated_at, attempts, fence, system_failures, \
                     cancel_requested, sum, gates, waits",
                    given!(names),
                    ") SELECT id, state, due_at, at.now, at.now, 0, 0, 0, FALSE, sum, gates, waits",
                    given!(names),
                    " FROM new, (SELECT ?::BIGINT AS now) AS at \
                     ON CONFLICT (name) WHERE name IS NOT NULL DO NOTHING RETURNING id"
                )
            }
        }

        impl InsertJobs {
            /// Stores nothing yet.
            pub fn new(now: Timestamp) -> InsertJobs {
                InsertJobs {
                    id: Vec::new(),
                    state: Vec::new(),
                    due_at: Vec::new(),
                    payload: Vec::new(),
                    sum: Vec::new(),
                    gates: Vec::new(),
                    waits: Vec::new(),
                    $($name: Vec::new(),)*
                    created_at: now.0,
                }
            }

            /// Stores that job as well.
            pub fn push(&mut self, id: i64, job: &JobContent<'_>, first: &First) {
                self.id.push(id);
                self.state.push(first.state.code());
                self.due_at.push(first.due_at.map(|due| due.0));
                self.gates.push(first.gates.code());
                self.waits.push(first.waits.code());
                self.payload.push(job.payload.to_owned());
                self.sum.push(job.sum());
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

given!(insert_jobs);
