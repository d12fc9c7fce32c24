//! A cycle on SQLite: prepared statements for each record or for those that are alike, which costs no way to a server.

use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;
use queuectl_core::{Attempt, Gates, State, Timestamp};

use super::claim::{claim, claim_started, pauses};
use super::dialect::add_counts;
use super::inserts::{self, AttemptRow, OutputRow};
use super::known::Known;
use super::release::{self, Applied, release};
use super::statements::{HasHooks, NextDue, Promote, QueueOf};
use crate::StoreError;
use crate::backend::Db;
use crate::checksum::AttemptContent;
use crate::counts::Deltas;
use crate::limits::{self, Claims, Sweep};
use crate::outcome::{self, Change};
use crate::types::cycle::{Cycle, CycleResult, PROMOTE_BATCH};
use crate::types::limits::Serves;
use crate::types::text::Words;

/// Runs one cycle; the transaction is the caller's. Queues are paused that are at `moment`.
pub fn cycle(
    db: &mut Db,
    cycle: &Cycle<'_>,
    moment: Timestamp,
    sweep: &mut Sweep,
    known: &mut Known,
) -> Result<CycleResult, StoreError> {
    let conn = db.sqlite()?;
    let mut stale = Vec::new();
    let mut gated = Vec::new();
    let mut deltas = Deltas::default();
    let mut keys = known.take(conn)?;
    let mut busy = Vec::new();
    let mut applied = Vec::with_capacity(cycle.records.len());
    let no_hooks = cycle.records.is_empty() || !HasHooks {}.get_result::<(bool,)>(conn)?.0;
    let together = release::together(conn, cycle.records, no_hooks, cycle.now)?;
    for (record, is_released) in cycle.records.iter().zip(together) {
        let done = match is_released {
            true => Some(Applied::at_once(record)),
            false => release(conn, record, no_hooks, &mut keys, cycle.now)?,
        };
        let Some(done) = done else {
            stale.push((record.job, record.fence));
            continue;
        };
        if done.change.to() != State::Completed {
            let (queue, _) = QueueOf { id: record.job.0 }.get_result::<(Words, i32)>(conn)?;
            deltas.entered(&queue.text, done.change.to(), 1);
        }
        busy.extend(done.busy);
        if !done.gates.is_empty() {
            gated.push(Change {
                job: record.job.0,
                gates: done.gates,
                from: done.change.from(),
                to: done.change.to(),
            });
        }
        applied.push(done.record);
    }
    let attempts: Vec<&Attempt> = applied
        .iter()
        .filter_map(|record| record.attempt.as_ref())
        .collect();
    insert_attempts(conn, &attempts)?;
    if !no_hooks || gated.iter().any(|change| change.gates != Gates::LIMITS) {
        // Jobs that follow may be stored, which take their places by themselves.
        keys.forget_states();
    }
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
    let started = limits::started(conn, cycle)?;
    if !started.is_empty() {
        // Their starts count for the rates of their queues, which are read before.
        limits::caps(conn, &mut keys, &pauses.limited(cycle.queues), cycle.now)?;
        let some = claim_started(conn, cycle, &started, &mut deltas)?;
        claims.admit_started(conn, &mut keys, some, &mut deltas)?;
    }
    while let Some(more) = claims.more() {
        let caps = limits::caps(conn, &mut keys, &pauses.limited(cycle.queues), cycle.now)?;
        let some = claim(conn, &more, &pauses, &caps, &mut deltas)?;
        claims.admit(conn, &mut keys, sweep, &serves, some, &mut deltas)?;
    }
    keys.store_times(conn)?;
    add_counts(conn, deltas)?;
    let (next_due, total_changes) = next_due(conn)?;
    let most = pauses.most_running();
    let freed = limits::freed(conn, &most, cycle.records, &stale, claims.claimed())?;
    let result = claims.result(stale, busy, freed, &keys, pauses.or_next_end(next_due));
    known.keep(keys, total_changes);
    Ok(result)
}

/// When the next waiting job is due, and how many rows this connection has written so far.
pub fn next_due(conn: &mut SqliteConnection) -> Result<(Option<Timestamp>, i64), StoreError> {
    let (due, wake, total_changes): (Option<i64>, Option<i64>, i64) = NextDue {}.get_result(conn)?;
    Ok((due.into_iter().chain(wake).min().map(Timestamp), total_changes))
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
                marks: Some(&output.index[..]).filter(|index| !index.is_empty()),
            };
            inserts::insert_one(conn, &row)?;
        }
    }
    Ok(())
}
