//! One cycle of a dispatcher: record what ended, make due what is due, claim for the free slots, all in one
//! transaction and so with one commit.
//!
//! The decisions about ended attempts come from outside; this applies them where the fencing token still holds.

use std::time::Duration;

use diesel::prelude::*;
use queuectl_core::transition::Standing;
use queuectl_core::{Attempt, Event, JobId, NodeId, QueueName, State, Timestamp, Transition, transition};

use crate::checksum::JobContent;
use crate::connection::Db;
use crate::counts::Deltas;
use crate::postgres::claim::ClaimCursor;
use crate::rows::{JobRow, count, fault};
use crate::words::{MaybeWords, WholeWords, Words};
use crate::{Problem, Store, StoreError, postgres, sqlite};

/// Most waiting jobs that one cycle makes ready; the rest follows in the next.
pub(crate) const PROMOTE_BATCH: i64 = 1000;

/// Which queues a node serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Queues {
    /// Every queue there is.
    All,
    /// These.
    Only(Vec<QueueName>),
}

impl Queues {
    /// Those of the queues that are served.
    pub(crate) fn served(&self, ready: impl Iterator<Item = String>) -> Vec<String> {
        let served = |name: &String| match self {
            Queues::All => true,
            Queues::Only(names) => names.iter().any(|served| served.as_str() == name),
        };
        ready.filter(served).collect()
    }
}

/// The end of a claim: what the job becomes, and the attempt to keep, if one was made.
#[derive(Debug, Clone)]
pub struct Record {
    /// The job.
    pub job: JobId,
    /// The fencing token of the claim.
    pub fence: i64,
    /// The node that claimed it.
    pub node: NodeId,
    /// What it becomes.
    pub change: Transition,
    /// The attempt; none for a job that was given back before it started.
    pub attempt: Option<Attempt>,
}

/// What a dispatcher wants of a cycle.
#[derive(Debug, Clone, Copy)]
pub struct Cycle<'a> {
    /// The node.
    pub node: NodeId,
    /// What ended since the last cycle.
    pub records: &'a [Record],
    /// How many jobs to claim at most.
    pub claim: u32,
    /// From which queues.
    pub queues: &'a Queues,
    /// The current time.
    pub now: Timestamp,
}

/// A job that was claimed.
#[derive(Debug, Clone, PartialEq, Queryable)]
pub struct Claimed {
    /// The job's number.
    pub id: i64,
    /// The id the user chose, if any.
    #[diesel(deserialize_as = MaybeWords)]
    pub name: Option<String>,
    /// Its queue.
    #[diesel(deserialize_as = Words)]
    pub queue: String,
    /// Its priority.
    pub priority: i32,
    /// The attempt's number, from 1.
    #[diesel(deserialize_as = Count)]
    pub attempt: u32,
    /// The fencing token.
    pub fence: i64,
    /// Times in a row that the executor could not run it.
    #[diesel(deserialize_as = Count)]
    pub system_failures: u32,
    /// Its own number of retries, if it has one.
    pub max_retries: Option<i32>,
    /// Its own back-off base in seconds, if it has one.
    pub backoff_base: Option<f64>,
    /// Its own timeout in ms, if it has one.
    pub timeout_ms: Option<i64>,
    /// Its executor.
    #[diesel(deserialize_as = Words)]
    pub executor: String,
    /// The stored payload; empty if there is none, or one that is over its limit or no text.
    #[diesel(deserialize_as = WholeWords)]
    pub payload: String,
    /// The checksum over what never changes of the job; none if it was stored without.
    pub sum: Option<i32>,
}

impl Claimed {
    /// What of the job cannot be read, so that it cannot be run. One that has a checksum was stored by the program itself.
    pub fn fault(&self) -> Option<String> {
        if self.sum.is_some() {
            return None;
        }
        let payload = Some(self.payload.as_str()).filter(|payload| !payload.is_empty());
        fault(self.name.as_deref(), &self.queue, &self.executor, payload).err()
    }

    /// Whether what the job runs, and how, is what was stored.
    pub fn is_intact(&self) -> bool {
        let of = JobContent {
            name: self.name.as_deref(),
            queue: &self.queue,
            priority: self.priority,
            max_retries: self.max_retries,
            backoff_base: self.backoff_base,
            timeout_ms: self.timeout_ms,
            executor: &self.executor,
            payload: &self.payload,
        };
        self.sum.is_none_or(|sum| sum == of.sum())
    }
}

/// A count as SQL has it: an integer that is never negative.
pub struct Count(u32);

impl From<Count> for u32 {
    fn from(value: Count) -> u32 {
        value.0
    }
}

impl<DB: diesel::backend::Backend> Queryable<diesel::sql_types::Integer, DB> for Count
where
    i32: diesel::deserialize::FromSql<diesel::sql_types::Integer, DB>,
{
    type Row = i32;
    fn build(row: i32) -> diesel::deserialize::Result<Self> {
        Ok(Count(count(row)))
    }
}

/// What a cycle did.
#[derive(Debug, Default, PartialEq)]
pub struct CycleResult {
    /// Records whose token no longer held; they changed nothing.
    pub stale: Vec<(JobId, i64)>,
    /// Jobs that were claimed, in the order in which they should start.
    pub claimed: Vec<Claimed>,
    /// When the next waiting job is due.
    pub next_due: Option<Timestamp>,
}

impl Store {
    /// Runs one cycle.
    ///
    /// # Errors
    /// [`StoreError::Database`]: nothing of the cycle happened; the same cycle can be tried again.
    pub fn cycle(&mut self, cycle: &Cycle<'_>) -> Result<CycleResult, StoreError> {
        let done = match self.cycle_at_once(cycle) {
            Err(error) if is_refused(&error) && !cycle.records.is_empty() => self.cycle_one_by_one(cycle),
            done => done,
        };
        #[cfg(feature = "sim")]
        crate::sim::tell(crate::sim::Seen::Cycle(cycle, done.as_ref()));
        done
    }

    /// Records by themselves outcomes that the database did not take together, each as far as it takes it; then the rest of
    /// the cycle.
    fn cycle_one_by_one(&mut self, cycle: &Cycle<'_>) -> Result<CycleResult, StoreError> {
        let mut stale = Vec::new();
        for record in cycle.records {
            let mut recorded = None;
            for reduced in Reduced::ALL {
                let record = reduced.of(record);
                let records = std::slice::from_ref(&record);
                let single = Cycle {
                    node: cycle.node,
                    records,
                    claim: 0,
                    queues: cycle.queues,
                    now: cycle.now,
                };
                match self.cycle_at_once(&single) {
                    Err(error) if is_refused(&error) => {
                        let (job, fence) = (record.job.0, record.fence);
                        tracing::error!(
                            job,
                            fence,
                            what = reduced.what(),
                            "the database does not take an outcome: {error}"
                        );
                    }
                    done => {
                        recorded = Some(done?.stale);
                        break;
                    }
                }
            }
            // It stays with the node, as far as the database knows, and is rescued when that has ended.
            stale.extend(recorded.unwrap_or_else(|| vec![(record.job, record.fence)]));
        }
        let rest = self.cycle_at_once(&Cycle {
            records: &[],
            ..*cycle
        })?;
        Ok(CycleResult { stale, ..rest })
    }

    fn cycle_at_once(&mut self, cycle: &Cycle<'_>) -> Result<CycleResult, StoreError> {
        let mut cursor = std::mem::take(&mut self.cursor);
        let done = match self.claim_only(cycle, &mut cursor) {
            Ok(None) => self.write_busily(|conn| match conn {
                Db::Sqlite(conn) => sqlite::cycle::cycle(conn, cycle),
                Db::Postgres(conn) => postgres::cycle::cycle(conn, cycle, &mut cursor),
            }),
            Ok(Some(done)) => Ok(done),
            Err(error) => Err(error),
        };
        self.cursor = cursor;
        done
    }

    /// How long a claim on PostgreSQL takes that is long, and for how long at least what it passed over is passed over
    /// then. For tests.
    #[doc(hidden)]
    pub fn set_long_claims(&mut self, long: Duration, pause: Duration) {
        (self.cursor.long, self.cursor.pause) = (long, pause);
    }

    /// A cycle that has nothing to do but claim is a single statement on PostgreSQL, if that can do it.
    fn claim_only(
        &mut self,
        cycle: &Cycle<'_>,
        cursor: &mut ClaimCursor,
    ) -> Result<Option<CycleResult>, StoreError> {
        let Db::Postgres(conn) = self.conn()? else {
            return Ok(None);
        };
        let Some(single) = postgres::cycle::ClaimOnly::look(conn, cycle, cursor)? else {
            return Ok(None);
        };
        self.write_once(|conn| match conn {
            Db::Sqlite(_) => Ok(None),
            Db::Postgres(conn) => single.claim(conn, cycle, cursor).map(Some),
        })
    }

    /// Whether a cycle would find a job to make due or to claim. Reads only.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn has_work(&mut self, queues: &Queues, now: Timestamp) -> Result<bool, StoreError> {
        Ok(self.next_due()?.is_some_and(|due| due <= now) || self.has_ready(queues)?)
    }

    pub(crate) fn has_ready(&mut self, queues: &Queues) -> Result<bool, StoreError> {
        let cursor = std::mem::take(&mut self.cursor);
        let ready = self.conn().and_then(|conn| match conn {
            Db::Sqlite(conn) => sqlite::cycle::ready_queues(conn, queues),
            Db::Postgres(conn) => postgres::cycle::ready_queues(conn, queues, &cursor),
        });
        self.cursor = cursor;
        let ready = ready?;
        Ok(!ready.is_empty())
    }

    /// When the next waiting job is due. Reads only.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn next_due(&mut self) -> Result<Option<Timestamp>, StoreError> {
        match self.conn()? {
            Db::Sqlite(conn) => sqlite::cycle::next_due(conn),
            Db::Postgres(conn) => postgres::cycle::next_due(conn),
        }
    }
}

/// How much of an outcome is recorded that the database does not take as it is.
#[derive(Clone, Copy)]
enum Reduced {
    Nothing,
    Output,
    Words,
    Attempt,
}

impl Reduced {
    const ALL: [Reduced; 4] = [
        Reduced::Nothing,
        Reduced::Output,
        Reduced::Words,
        Reduced::Attempt,
    ];

    fn what(self) -> &'static str {
        match self {
            Reduced::Nothing => "all of it",
            Reduced::Output => "without what it printed",
            Reduced::Words => "without its reason",
            Reduced::Attempt => "without the attempt",
        }
    }

    fn of(self, record: &Record) -> Record {
        let mut record = record.clone();
        if let (Reduced::Output | Reduced::Words, Some(attempt)) = (self, &mut record.attempt) {
            attempt.output.head.clear();
            attempt.output.tail.clear();
            if let Reduced::Words = self {
                "the database did not take the reason".clone_into(&mut attempt.outcome.message);
            }
        }
        if let Reduced::Attempt = self {
            record.attempt = None;
        }
        record
    }
}

/// Whether the database does not take what it is given: not now, and not later.
fn is_refused(error: &StoreError) -> bool {
    error.problem() == Some(Problem::Refused)
}

/// What becomes of a running job that would run again although somebody asked to cancel it: it may have ended by
/// itself before the request could reach it. None for a job that ended for good.
pub(crate) fn cancelled_instead(change: Transition) -> Option<Transition> {
    let standing = Standing {
        state: change.from(),
        attempts: change.attempts(),
        system_failures: change.system_failures(),
    };
    let cancel = transition(standing, Event::Cancel).ok();
    cancel.filter(|_| !change.to().is_final())
}

/// Applies a decision to a job that is not running; false if it no longer stands where the decision saw it.
pub(crate) fn change(
    conn: &mut Db,
    row: &JobRow,
    change: &Transition,
    now: Timestamp,
) -> Result<bool, StoreError> {
    debug_assert!(
        change.from() != State::Processing,
        "running jobs are changed by their node"
    );
    let changed = crate::statements::Change {
        state: change.to().code(),
        attempts: i32::try_from(change.attempts()).unwrap_or(i32::MAX),
        system_failures: i32::try_from(change.system_failures()).unwrap_or(i32::MAX),
        due_at: change.due_at().map(|due| due.0),
        finished_at: change.to().is_final().then_some(now.0),
        updated_at: now.0,
        id: row.id,
        from: change.from().code(),
        fence: row.fence,
    }
    .execute(conn)?;
    if changed == 1 {
        let mut deltas = Deltas::default();
        deltas.entered(&row.queue, change.from(), -1);
        deltas.entered(&row.queue, change.to(), 1);
        deltas.store(conn)?;
    }
    Ok(changed == 1)
}
