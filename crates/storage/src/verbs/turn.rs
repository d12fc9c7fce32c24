//! One turn of a dispatcher: record what ended, make due what is due, claim for the free slots, all in one
//! transaction and so with one commit.
//!
//! The decisions about ended attempts come from outside; this applies them where the fencing token still holds.

use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;
use queuectl_core::transition::Standing;
use queuectl_core::{Attempt, Event, JobId, NodeId, QueueName, State, Timestamp, Transition, transition};

use crate::rows::{JobRow, count};
use crate::sqlite::counts::Deltas;
use crate::sqlite::inserts::{self, AttemptRow, OutputRow};
use crate::sqlite::statements::{
    CancelRequested, Claim, NextDue, Promote, QueueOf, ReadyHead, ReadyQueues, Release,
};
use crate::{Store, StoreError};

/// Most waiting jobs that one turn makes ready; the rest follows in the next.
const PROMOTE_BATCH: i64 = 1000;

/// Which queues a node serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Queues {
    /// Every queue there is.
    All,
    /// These.
    Only(Vec<QueueName>),
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

/// What a dispatcher wants of a turn.
#[derive(Debug)]
pub struct Turn<'a> {
    /// The node.
    pub node: NodeId,
    /// What ended since the last turn.
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
    pub name: Option<String>,
    /// Its queue.
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
    pub executor: String,
    /// The stored payload.
    pub payload: String,
}

/// A count as SQL has it: an integer that is never negative.
pub struct Count(u32);

impl From<Count> for u32 {
    fn from(value: Count) -> u32 {
        value.0
    }
}

impl Queryable<diesel::sql_types::Integer, diesel::sqlite::Sqlite> for Count {
    type Row = i32;
    fn build(row: i32) -> diesel::deserialize::Result<Self> {
        Ok(Count(count(row)))
    }
}

/// What a turn did.
#[derive(Debug, Default, PartialEq)]
pub struct TurnResult {
    /// Records whose token no longer held; they changed nothing.
    pub stale: Vec<(JobId, i64)>,
    /// Jobs that were claimed, in the order in which they should start.
    pub claimed: Vec<Claimed>,
    /// When the next waiting job is due.
    pub next_due: Option<Timestamp>,
}

impl Store {
    /// Runs one turn.
    ///
    /// # Errors
    /// [`StoreError::Database`]: nothing of the turn happened; the same turn can be tried again.
    pub fn turn(&mut self, turn: &Turn<'_>) -> Result<TurnResult, StoreError> {
        self.write_busily(|conn| {
            let mut stale = Vec::new();
            let mut deltas = Deltas::default();
            let mut attempts = Vec::with_capacity(turn.records.len());
            for record in turn.records {
                if release(conn, record, turn.now, &mut deltas)? {
                    attempts.extend(&record.attempt);
                } else {
                    stale.push((record.job, record.fence));
                }
            }
            insert_attempts(conn, &attempts)?;
            promote(conn, turn.now, &mut deltas)?;
            let claimed = if turn.claim > 0 {
                claim(conn, turn, &mut deltas)?
            } else {
                Vec::new()
            };
            deltas.store(conn)?;
            Ok(TurnResult {
                stale,
                claimed,
                next_due: next_due(conn)?,
            })
        })
    }

    /// Whether a turn would find a job to make due or to claim. Reads only.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn has_work(&mut self, queues: &Queues, now: Timestamp) -> Result<bool, StoreError> {
        Ok(next_due(&mut self.conn)?.is_some_and(|due| due <= now) || self.has_ready(queues)?)
    }

    pub(crate) fn has_ready(&mut self, queues: &Queues) -> Result<bool, StoreError> {
        Ok(!ready_queues(&mut self.conn, queues)?.is_empty())
    }

    /// When the next waiting job is due. Reads only.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn next_due(&mut self) -> Result<Option<Timestamp>, StoreError> {
        next_due(&mut self.conn)
    }

    /// The jobs among those that the node runs whose cancellation was asked for, with their fencing tokens.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn cancel_requested(&mut self, node: NodeId) -> Result<Vec<(JobId, i64)>, StoreError> {
        let rows: Vec<(i64, i64)> = CancelRequested { node_id: node.0 }.load(&mut self.conn)?;
        Ok(rows.into_iter().map(|(id, fence)| (JobId(id), fence)).collect())
    }
}

fn next_due(conn: &mut SqliteConnection) -> Result<Option<Timestamp>, StoreError> {
    let row: Option<(i64,)> = NextDue {}.get_result(conn).optional()?;
    Ok(row.map(|(due,)| Timestamp(due)))
}

fn promote(conn: &mut SqliteConnection, now: Timestamp, deltas: &mut Deltas) -> Result<(), StoreError> {
    let statement = Promote {
        updated_at: now.0,
        now: now.0,
        limit: PROMOTE_BATCH,
    };
    for (queue, fence) in statement.load::<(String, i64)>(conn)? {
        let from = if fence == 0 {
            State::Scheduled
        } else {
            State::Failed
        };
        deltas.entered(&queue, from, -1);
        deltas.entered(&queue, State::Pending, 1);
    }
    Ok(())
}

/// Applies a record; false if its token no longer holds. A job that would run again although somebody asked to cancel
/// it is cancelled: it may have ended by itself before the request could reach it.
fn release(
    conn: &mut SqliteConnection,
    record: &Record,
    now: Timestamp,
    deltas: &mut Deltas,
) -> Result<bool, StoreError> {
    let mut change = record.change;
    if !apply(conn, record, change, now)? {
        let standing = Standing {
            state: change.from(),
            attempts: change.attempts(),
            system_failures: change.system_failures(),
        };
        match transition(standing, Event::Cancel) {
            Ok(cancel) if !change.to().is_final() && apply(conn, record, cancel, now)? => change = cancel,
            _ => return Ok(false),
        }
    }
    if change.to() != State::Completed {
        let (queue,) = QueueOf { id: record.job.0 }.get_result::<(String,)>(conn)?;
        deltas.entered(&queue, change.to(), 1);
    }
    Ok(true)
}

fn apply(
    conn: &mut SqliteConnection,
    record: &Record,
    change: Transition,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let changed = Release {
        state: change.to().code(),
        attempts: i32::try_from(change.attempts()).unwrap_or(i32::MAX),
        system_failures: i32::try_from(change.system_failures()).unwrap_or(i32::MAX),
        due_at: change.due_at().map(|due| due.0),
        finished_at: change.to().is_final().then_some(now.0),
        cancel_requested: false,
        updated_at: now.0,
        id: record.job.0,
        fence: record.fence,
        node_id: record.node.0,
        cancel_at_most: change.to().is_final(),
    }
    .execute(conn)?;
    Ok(changed == 1)
}

/// Keeps ended attempts and what they printed.
fn insert_attempts(conn: &mut SqliteConnection, attempts: &[&Attempt]) -> Result<(), StoreError> {
    let rows: Vec<AttemptRow<'_>> = attempts
        .iter()
        .map(|attempt| AttemptRow {
            job_id: attempt.job.0,
            fence: attempt.fence,
            attempt: i32::try_from(attempt.attempt).unwrap_or(i32::MAX),
            node_id: attempt.node.0,
            worker: i32::try_from(attempt.worker).unwrap_or(i32::MAX),
            outcome: attempt.outcome.kind.code(),
            exit_code: attempt.outcome.exit_code,
            signal: attempt.outcome.signal,
            message: &attempt.outcome.message,
            started_at: attempt.started_at.0,
            finished_at: attempt.finished_at.0,
            output_bytes: i64::try_from(attempt.output.total_bytes).unwrap_or(i64::MAX),
        })
        .collect();
    inserts::insert(conn, &rows, |_, _| Ok(())).map_err(|(_, error)| error)?;
    for attempt in attempts {
        let output = &attempt.output;
        if !(output.head.is_empty() && output.tail.is_empty()) {
            let row = OutputRow {
                job_id: attempt.job.0,
                fence: attempt.fence,
                head: &output.head,
                tail: &output.tail,
            };
            inserts::insert_one(conn, &row)?;
        }
    }
    Ok(())
}

/// The queues, among those served, that have a job ready.
fn ready_queues(conn: &mut SqliteConnection, queues: &Queues) -> Result<Vec<String>, StoreError> {
    let ready: Vec<(String,)> = ReadyQueues {}.load(conn)?;
    let served = |name: &String| match queues {
        Queues::All => true,
        Queues::Only(names) => names.iter().any(|served| served.as_str() == name),
    };
    Ok(ready.into_iter().map(|(name,)| name).filter(served).collect())
}

/// Claims by priority, then by age, over all served queues.
fn claim(
    conn: &mut SqliteConnection,
    turn: &Turn<'_>,
    deltas: &mut Deltas,
) -> Result<Vec<Claimed>, StoreError> {
    let queues = ready_queues(conn, turn.queues)?;
    let shares = match queues.as_slice() {
        [] => return Ok(Vec::new()),
        [_] => vec![i64::from(turn.claim)],
        _ => shares(conn, &queues, turn.claim)?,
    };
    let mut claimed: Vec<Claimed> = Vec::new();
    for (queue, limit) in queues.into_iter().zip(shares) {
        if limit == 0 {
            continue;
        }
        let now = turn.now.0;
        let statement = Claim {
            node_id: turn.node.0,
            started_at: now,
            updated_at: now,
            queue: queue.clone(),
            limit,
        };
        let jobs = statement.load::<Claimed>(conn)?;
        deltas.entered(&queue, State::Pending, -(jobs.len() as i64));
        claimed.extend(jobs);
    }
    // RETURNING promises no order.
    claimed.sort_by_key(|job| (-i64::from(job.priority), job.id));
    Ok(claimed)
}

/// How many of the next `total` jobs come from each of several queues.
fn shares(conn: &mut SqliteConnection, queues: &[String], total: u32) -> Result<Vec<i64>, StoreError> {
    let mut heads: Vec<(i64, i64, usize)> = Vec::new();
    for (index, queue) in queues.iter().enumerate() {
        let head: Vec<(i32, i64)> = ReadyHead {
            queue: queue.clone(),
            limit: i64::from(total),
        }
        .load(conn)?;
        heads.extend(
            head.into_iter()
                .map(|(priority, id)| (-i64::from(priority), id, index)),
        );
    }
    heads.sort_unstable();
    let mut shares = vec![0; queues.len()];
    for (_, _, index) in heads.into_iter().take(total as usize) {
        shares[index] += 1;
    }
    Ok(shares)
}

/// Applies a decision to a job that is not running; false if it no longer stands where the decision saw it.
pub(crate) fn change(
    conn: &mut SqliteConnection,
    row: &JobRow,
    change: &Transition,
    now: Timestamp,
) -> Result<bool, StoreError> {
    debug_assert!(
        change.from() != State::Processing,
        "running jobs are changed by their node"
    );
    let changed = crate::sqlite::statements::Change {
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
