//! A cycle on SQLite: one prepared statement for each record, which costs no way to a server.

use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;
use queuectl_core::{Attempt, State, Timestamp, Transition};

use super::inserts::{self, AttemptRow, OutputRow};
use super::statements::{Claim, NextDue, Promote, QueueOf, ReadyHead, ReadyQueues, Release};
use crate::StoreError;
use crate::checksum::AttemptContent;
use crate::counts::Deltas;
use crate::ops::cycle::{Claimed, Cycle, CycleResult, PROMOTE_BATCH, Queues, Record, cancelled_instead};
use crate::words::Words;

/// Runs one cycle; the transaction is the caller's.
pub fn cycle(conn: &mut SqliteConnection, cycle: &Cycle<'_>) -> Result<CycleResult, StoreError> {
    let mut stale = Vec::new();
    let mut deltas = Deltas::default();
    let mut attempts = Vec::with_capacity(cycle.records.len());
    for record in cycle.records {
        if release(conn, record, cycle.now, &mut deltas)? {
            attempts.extend(&record.attempt);
        } else {
            stale.push((record.job, record.fence));
        }
    }
    insert_attempts(conn, &attempts)?;
    let statement = Promote {
        updated_at: cycle.now.0,
        now: cycle.now.0,
        limit: PROMOTE_BATCH,
    };
    let promoted: Vec<(Words, i64)> = statement.load(conn)?;
    let promoted = promoted.into_iter().map(|(queue, fence)| (queue.text, fence));
    deltas.promoted(&promoted.collect::<Vec<_>>());
    let claimed = if cycle.claim > 0 {
        claim(conn, cycle, &mut deltas)?
    } else {
        Vec::new()
    };
    deltas.store_sqlite(conn)?;
    Ok(CycleResult {
        stale,
        claimed,
        next_due: next_due(conn)?,
    })
}

/// When the next waiting job is due.
pub fn next_due(conn: &mut SqliteConnection) -> Result<Option<Timestamp>, StoreError> {
    let row: Option<(i64,)> = NextDue {}.get_result(conn).optional()?;
    Ok(row.map(|(due,)| Timestamp(due)))
}

/// Applies a record; false if its token no longer holds.
fn release(
    conn: &mut SqliteConnection,
    record: &Record,
    now: Timestamp,
    deltas: &mut Deltas,
) -> Result<bool, StoreError> {
    let mut change = record.change;
    if !apply(conn, record, change, now)? {
        match cancelled_instead(change) {
            Some(cancel) if apply(conn, record, cancel, now)? => change = cancel,
            _ => return Ok(false),
        }
    }
    if change.to() != State::Completed {
        let (queue,) = QueueOf { id: record.job.0 }.get_result::<(Words,)>(conn)?;
        deltas.entered(&queue.text, change.to(), 1);
    }
    Ok(true)
}

fn apply(
    conn: &mut SqliteConnection,
    record: &Record,
    change: Transition,
    now: Timestamp,
) -> Result<bool, StoreError> {
    #[cfg(feature = "sim")]
    if crate::sim::is_disabled(crate::sim::Guard::Fencing) {
        return super::unfenced::apply(conn, record, change, now);
    }
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
        .map(|attempt| {
            let of = AttemptContent::new(attempt, &attempt.outcome.message);
            AttemptRow {
                job_id: of.job_id,
                fence: of.fence,
                attempt: of.attempt,
                node_id: of.node_id,
                worker: of.worker,
                outcome: of.outcome,
                exit_code: of.exit_code,
                signal: of.signal,
                message: of.message,
                started_at: of.started_at,
                finished_at: of.finished_at,
                output_bytes: of.output_bytes,
                sum: of.sum(),
            }
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
pub fn ready_queues(conn: &mut SqliteConnection, queues: &Queues) -> Result<Vec<String>, StoreError> {
    let ready: Vec<(Words,)> = ReadyQueues {}.load(conn)?;
    Ok(queues.served(ready.into_iter().map(|(name,)| name.text)))
}

/// Claims by priority, then by age, over all served queues.
fn claim(
    conn: &mut SqliteConnection,
    cycle: &Cycle<'_>,
    deltas: &mut Deltas,
) -> Result<Vec<Claimed>, StoreError> {
    let queues = ready_queues(conn, cycle.queues)?;
    let shares = match queues.as_slice() {
        [] => return Ok(Vec::new()),
        [_] => vec![i64::from(cycle.claim)],
        _ => shares(conn, &queues, cycle.claim)?,
    };
    let mut claimed: Vec<Claimed> = Vec::new();
    for (queue, limit) in queues.into_iter().zip(shares) {
        if limit == 0 {
            continue;
        }
        let now = cycle.now.0;
        let statement = Claim {
            node_id: cycle.node.0,
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
