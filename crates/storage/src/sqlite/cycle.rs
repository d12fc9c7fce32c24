//! A cycle on SQLite: one prepared statement for each record, which costs no way to a server.

use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;
use queuectl_core::{Attempt, Gates, State, Timestamp, Transition};

use super::claim::{claim, pauses};
use super::dialect::add_counts;
use super::inserts::{self, AttemptRow, OutputRow};
use super::statements::{GatesOf, NextDue, Promote, QueueOf, Release};
use crate::backend::Db;
use crate::checksum::AttemptContent;
use crate::counts::Deltas;
use crate::limits::{self, Claims, Keys, Sweep};
use crate::outcome::{self, Change};
use crate::types::cycle::{Cycle, CycleResult, PROMOTE_BATCH, Record, cancelled_instead};
use crate::types::limits::Serves;
use crate::types::text::Words;
use crate::{StoreError, env};

/// Runs one cycle; the transaction is the caller's. Queues are paused that are at `moment`.
pub fn cycle(
    db: &mut Db,
    cycle: &Cycle<'_>,
    moment: Timestamp,
    sweep: &mut Sweep,
) -> Result<CycleResult, StoreError> {
    let conn = db.sqlite()?;
    let mut stale = Vec::new();
    let mut gated = Vec::new();
    let mut deltas = Deltas::default();
    let mut attempts = Vec::with_capacity(cycle.records.len());
    for record in cycle.records {
        let Some((change, gates)) = release(conn, record, cycle.now, &mut deltas)? else {
            stale.push((record.job, record.fence));
            continue;
        };
        attempts.extend(&record.attempt);
        if !gates.is_empty() {
            gated.push(Change {
                job: record.job.0,
                gates,
                from: change.from(),
                to: change.to(),
            });
        }
    }
    insert_attempts(conn, &attempts)?;
    let mut keys = Keys::default();
    outcome::follow_all(db, &gated, &mut keys, cycle.now, &mut deltas)?;
    let conn = db.sqlite()?;
    limits::settle_due(conn, &mut keys, cycle.now, &mut deltas)?;
    let statement = Promote {
        updated_at: cycle.now.0,
        now: cycle.now.0,
        limit: PROMOTE_BATCH,
    };
    let promoted: Vec<(Words, i64)> = statement.load(conn)?;
    let promoted = promoted.into_iter().map(|(queue, fence)| (queue.text, fence));
    deltas.promoted(&promoted.collect::<Vec<_>>());
    let pauses = pauses(conn, moment)?;
    let serves = Serves::new(cycle.queues, &pauses);
    let mut claims = Claims::new(cycle);
    while let Some(more) = claims.more() {
        let some = claim(conn, &more, &pauses, &mut deltas)?;
        claims.admit(conn, &mut keys, sweep, &serves, some, &mut deltas)?;
    }
    keys.store_times(conn)?;
    add_counts(conn, deltas)?;
    let next_due = pauses.or_next_end(next_due(conn)?);
    Ok(claims.result(stale, &keys, next_due))
}

/// When the next waiting job is due.
pub fn next_due(conn: &mut SqliteConnection) -> Result<Option<Timestamp>, StoreError> {
    let (due, wake): (Option<i64>, Option<i64>) = NextDue {}.get_result(conn)?;
    Ok(due.into_iter().chain(wake).min().map(Timestamp))
}

/// All gates.
const ANY: i32 = -1;

/// Applies a record, and returns the change that was made and the job's gates; none if its token no longer holds. A plain job
/// costs one statement.
fn release(
    conn: &mut SqliteConnection,
    record: &Record,
    now: Timestamp,
    deltas: &mut Deltas,
) -> Result<Option<(Transition, Gates)>, StoreError> {
    let mut change = record.change;
    let mut gates = Gates::NONE;
    if !apply(conn, record, change, ANY, now)? {
        let found = GatesOf {
            id: record.job.0,
            fence: record.fence,
            node_id: record.node.0,
        };
        let Some((found,)) = found.get_result::<(i32,)>(conn).optional()? else {
            return Ok(None);
        };
        gates = Gates::from_code(found);
        let is_over = gates.is_empty() || outcome::is_superseded(gates, &change);
        if is_over || !apply(conn, record, change, 0, now)? {
            match cancelled_instead(change) {
                Some(cancel) if apply(conn, record, cancel, 0, now)? => change = cancel,
                _ => return Ok(None),
            }
        }
    }
    if change.to() != State::Completed {
        let (queue, _) = QueueOf { id: record.job.0 }.get_result::<(Words, i32)>(conn)?;
        deltas.entered(&queue.text, change.to(), 1);
    }
    Ok(Some((change, gates)))
}

fn apply(
    conn: &mut SqliteConnection,
    record: &Record,
    change: Transition,
    without: i32,
    now: Timestamp,
) -> Result<bool, StoreError> {
    if let Some(applied) = env::apply_unfenced(conn, record, change, now) {
        return applied;
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
        without,
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
