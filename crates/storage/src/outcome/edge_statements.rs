//! What each database is asked about edges: each statement is for all jobs of a step, which come as one JSON array. The text
//! is the same for both but for how an array becomes rows.

use diesel::sql_types::{BigInt, Integer, Nullable, SmallInt, Text};
use queuectl_core::transition::Standing;
use queuectl_core::{Gates, State, Timestamp, Unmet, Waits};

use super::verdict::{Child, Step};
use crate::StoreError;
use crate::types::readable::count;
use crate::types::text::{MaybeWords, Words};

/// A [`Child`] as it is read.
pub type ChildRow = (
    (i64, i16, i32, i32),
    (i64, i32, i32),
    (Option<i64>, Option<i64>, MaybeWords),
    (i64, Option<i64>, Option<i16>),
);

/// The columns of a [`ChildRow`].
pub type ChildColumns = (
    (BigInt, SmallInt, Integer, Integer),
    (BigInt, Integer, Integer),
    (Nullable<BigInt>, Nullable<BigInt>, Nullable<Text>),
    (BigInt, Nullable<BigInt>, Nullable<SmallInt>),
);

/// Understands a [`ChildRow`].
pub fn child(row: ChildRow) -> Result<Child, StoreError> {
    let ((id, state, attempts, system_failures), (fence, gates, waits), own, edges) = row;
    let (resume_at, unmet, unique_key) = own;
    let (open, failed, policy) = edges;
    let state = State::from_code(state).ok_or(StoreError::Unreadable {
        job: id,
        what: "state",
    })?;
    Ok(Child {
        id,
        at: Standing {
            state,
            attempts: count(attempts),
            system_failures: count(system_failures),
        },
        gates: Gates::from_code(gates),
        waits: Waits::from_code(waits),
        resume_at,
        was_claimed: fence > 0,
        unmet,
        unique_key: unique_key.into(),
        open,
        failed,
        policy: policy.and_then(Unmet::from_code).unwrap_or_default(),
    })
}

/// The statements about edges, in a transaction that is the caller's.
pub trait EdgeRows {
    /// The jobs that wait for one of these, or were given up for it.
    fn children_of(&mut self, parents: &[i64]) -> Result<Vec<i64>, StoreError>;

    /// Has others wait until this transaction has changed the jobs. In the order of their numbers.
    fn lock_rows(&mut self, jobs: &[i64]) -> Result<(), StoreError>;

    /// Settles the edges from jobs that ended. One whose condition was met before stays as it is.
    fn settle_edges(&mut self, parents: &[i64], outcome: State) -> Result<(), StoreError>;

    /// Jobs with edges, and how these stand. Jobs that were removed are left out.
    fn children(&mut self, jobs: &[i64]) -> Result<Vec<Child>, StoreError>;

    /// Takes a step with jobs that still stand where it begins. Returns those, with their queues.
    fn take(&mut self, step: &Step, jobs: &[i64], now: Timestamp) -> Result<Vec<(i64, Words)>, StoreError>;
}

/// Declares the statements for a database: `$numbers` makes rows of a JSON array.
macro_rules! edge_statements {
    ($backend:ty, $connection:ty, $numbers:literal) => {
        $crate::backend::statements::statements! { $backend, $connection;
            /// The jobs at the ends of edges that are not met.
            ChildrenOf { parents: String as Text } -> (BigInt,) {
                concat!(
                    "SELECT DISTINCT child FROM edges WHERE parent IN (SELECT CAST(each.value AS BIGINT) FROM ",
                    $numbers, ") AND ", $crate::backend::statements::not_met!(), " ORDER BY child"
                )
            }

            /// Settles edges.
            SettleEdges { outcome: i16 as SmallInt, parents: String as Text } -> () {
                concat!(
                    "UPDATE edges SET outcome = ? WHERE parent IN (SELECT CAST(each.value AS BIGINT) FROM ",
                    $numbers, ") AND ", $crate::backend::statements::not_met!()
                )
            }

            /// Jobs, and how they stand to those that they wait for: how many have not ended, the first that did not end as
            /// it has to, and what becomes of the job then.
            Children { jobs: String as Text } -> $crate::outcome::ChildColumns {
                concat!(
                    "SELECT jobs.id, jobs.state, jobs.attempts, jobs.system_failures, jobs.fence, jobs.gates, jobs.waits, \
                     jobs.resume_at, jobs.unmet, jobs.unique_key, stand.open, stand.failed, stand.policy FROM \
                     (SELECT child, count(*) - count(outcome) AS open, min(CASE WHEN unmet <> 3 AND outcome IS NOT NULL AND ",
                    $crate::backend::statements::not_met!(),
                    " THEN parent END) AS failed, max(unmet) AS policy FROM edges WHERE child IN \
                     (SELECT CAST(each.value AS BIGINT) FROM ", $numbers, ") GROUP BY child) AS stand \
                     JOIN jobs ON jobs.id = stand.child ORDER BY jobs.id"
                )
            }

            /// Takes a step. `state + 0` keeps a planner that knows nothing of the table from walking over all blocked jobs.
            Take {
                state: i16 as SmallInt,
                attempts: i32 as Integer,
                system_failures: i32 as Integer,
                due_at: Option<i64> as Nullable<BigInt>,
                finished_at: Option<i64> as Nullable<BigInt>,
                updated_at: i64 as BigInt,
                waits: i32 as Integer,
                resume_at: Option<i64> as Nullable<BigInt>,
                unmet: Option<i64> as Nullable<BigInt>,
                is_blocked: bool as Bool,
                was_held: i32 as Integer,
                jobs: String as Text,
                from: i16 as SmallInt,
            } -> (BigInt, Text) {
                concat!(
                    "UPDATE jobs SET state = ?, attempts = ?, system_failures = ?, due_at = ?, finished_at = ?, \
                     updated_at = ?, waits = ?, resume_at = ?, unmet = ?, \
                     follows = CASE WHEN ? THEN follows END, gates = (gates & ~65536) | ?, cancel_requested = FALSE \
                     WHERE id IN (SELECT CAST(each.value AS BIGINT) FROM ", $numbers, ") AND state + 0 = ? \
                     RETURNING id, queue"
                )
            }
        }

        impl $crate::outcome::EdgeRows for $connection {
            fn children_of(&mut self, parents: &[i64]) -> Result<Vec<i64>, StoreError> {
                let statement = ChildrenOf { parents: json!(parents) };
                let found: Vec<(i64,)> = statement.load(self)?;
                Ok(found.into_iter().map(|(child,)| child).collect())
            }

            fn lock_rows(&mut self, jobs: &[i64]) -> Result<(), StoreError> {
                lock(self, jobs)
            }

            fn settle_edges(&mut self, parents: &[i64], outcome: State) -> Result<(), StoreError> {
                let (outcome, parents) = (outcome.code(), json!(parents));
                SettleEdges { outcome, parents }.execute(self)?;
                Ok(())
            }

            fn children(&mut self, jobs: &[i64]) -> Result<Vec<$crate::outcome::Child>, StoreError> {
                let rows: Vec<$crate::outcome::ChildRow> = Children { jobs: json!(jobs) }.load(self)?;
                rows.into_iter().map($crate::outcome::child).collect()
            }

            fn take(
                &mut self,
                step: &$crate::outcome::Step,
                jobs: &[i64],
                now: Timestamp,
            ) -> Result<Vec<(i64, Words)>, StoreError> {
                let statement = Take {
                    state: step.to.code(),
                    attempts: i32::try_from(step.attempts).unwrap_or(i32::MAX),
                    system_failures: i32::try_from(step.system_failures).unwrap_or(i32::MAX),
                    due_at: step.due_at.map(|due| due.0),
                    finished_at: step.to.is_final().then_some(now.0),
                    updated_at: now.0,
                    waits: step.waits,
                    resume_at: step.resume_at,
                    unmet: step.unmet,
                    is_blocked: step.to == State::Blocked,
                    was_held: if step.was_held { Gates::WAS_HELD.code() } else { 0 },
                    jobs: json!(jobs),
                    from: step.from.code(),
                };
                Ok(statement.load(self)?)
            }
        }
    };
}
pub(crate) use edge_statements;
