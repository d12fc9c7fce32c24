//! A cycle on PostgreSQL: as few statements as can be, each for all jobs at once, for each costs a way to the server.
//!
//! The order is that of SQLite, and so is what it does to a job; the conformance suite holds both to it.

use std::collections::{HashMap, HashSet};

use diesel::prelude::*;
use queuectl_core::{Attempt, Gates, JobId, Timestamp, Transition};

use super::claim::{ClaimCursor, claim, outlook};
use super::dialect::add_counts;
use super::portions;
use super::statements::{GatedOf, HoldNode, InsertAttempts, InsertOutputs, NextDue, Promote, Release};
use crate::StoreError;
use crate::backend::Db;
use crate::checksum::AttemptContent;
use crate::counts::Deltas;
use crate::limits::{self, Claims, Keys, Sweep};
use crate::outcome::{self, Change};
use crate::types::cycle::{Cycle, CycleResult, PROMOTE_BATCH, Record, cancelled_instead};
use crate::types::limits::Serves;
use crate::types::text::storable;

/// Runs one cycle; the transaction is the caller's. Queues are paused that are at `moment`.
pub fn cycle(
    db: &mut Db,
    cycle: &Cycle<'_>,
    moment: Timestamp,
    cursor: &mut ClaimCursor,
    sweep: &mut Sweep,
) -> Result<CycleResult, StoreError> {
    let conn = db.postgres()?;
    // First of all: a node that was taken over must not claim, and one that claims must not be taken over meanwhile.
    let taken_over = HoldNode {
        node_id: cycle.node.0,
    }
    .get_result::<(bool,)>(conn)
    .optional()?;
    let mut deltas = Deltas::default();
    let (stale, gated) = record(conn, cycle.records, cycle.now, &mut deltas)?;
    let mut keys = Keys::default();
    outcome::follow_all(db, &gated, &mut keys, cycle.now, &mut deltas)?;
    let conn = db.postgres()?;
    let mut ahead = outlook(conn, cycle.queues, moment, cycle.claim, cursor)?;
    if ahead.due.is_some_and(|due| due <= cycle.now) {
        let statement = Promote {
            updated_at: cycle.now.0,
            now: cycle.now.0,
            limit: PROMOTE_BATCH,
        };
        deltas.promoted(&statement.load::<(String, i64)>(conn)?);
        limits::settle_due(conn, &mut keys, cycle.now, &mut deltas)?;
        ahead = outlook(conn, cycle.queues, moment, cycle.claim, cursor)?;
    }
    let next_end = ahead.pauses.or_next_end(None);
    let mut due = ahead.due;
    let mut claims = Claims::new(cycle);
    if taken_over == Some((false,)) {
        let mut ahead = Some(ahead);
        while let Some(more) = claims.more() {
            // What was put back, or made ready, is not where it was.
            let ahead = match ahead.take() {
                Some(ahead) => ahead,
                None => outlook(conn, cycle.queues, moment, more.claim, cursor)?,
            };
            let serves = Serves::new(cycle.queues, &ahead.pauses);
            let some = claim(conn, &more, ahead, cursor)?;
            claims.admit(conn, &mut keys, sweep, &serves, some, &mut deltas)?;
        }
    }
    if keys.store_times(conn)? {
        due = next_due(conn)?;
    }
    add_counts(conn, deltas)?;
    Ok(claims.result(stale, &keys, [due, next_end].into_iter().flatten().min()))
}

/// Completes a claim that was a transaction by itself: what it claimed holds its keys, or is put back, and then more is
/// claimed. A node that was taken over meanwhile gets none of the jobs that name limits.
pub fn admit(
    conn: &mut PgConnection,
    cycle: &Cycle<'_>,
    moment: Timestamp,
    done: CycleResult,
    cursor: &mut ClaimCursor,
    sweep: &mut Sweep,
) -> Result<CycleResult, StoreError> {
    let node_id = cycle.node.0;
    let taken_over = HoldNode { node_id }.get_result::<(bool,)>(conn).optional()?;
    if taken_over != Some((false,)) {
        let claimed = done.claimed.into_iter();
        let claimed = claimed.filter(|job| job.limits.is_none()).collect();
        return Ok(CycleResult { claimed, ..done });
    }
    let (mut deltas, mut keys, mut claims) = (Deltas::default(), Keys::default(), Claims::new(cycle));
    let mut some = Some(done.claimed);
    let mut next_end = None;
    while let Some(more) = claims.more() {
        let ahead = outlook(conn, cycle.queues, moment, more.claim, cursor)?;
        let serves = Serves::new(cycle.queues, &ahead.pauses);
        next_end = ahead.pauses.or_next_end(None);
        let some = match some.take() {
            Some(some) => some,
            None => claim(conn, &more, ahead, cursor)?,
        };
        claims.admit(conn, &mut keys, sweep, &serves, some, &mut deltas)?;
    }
    keys.store_times(conn)?;
    add_counts(conn, deltas)?;
    let due = next_due(conn)?;
    Ok(claims.result(done.stale, &keys, [due, next_end].into_iter().flatten().min()))
}

/// When the next waiting job is due.
pub fn next_due(conn: &mut PgConnection) -> Result<Option<Timestamp>, StoreError> {
    let (due,): (Option<i64>,) = NextDue {}.get_result(conn)?;
    Ok(due.map(Timestamp))
}

/// All gates.
const ANY: i32 = -1;

/// Applies records where their tokens hold, and keeps the attempts of those. Returns the tokens of the others, and the
/// changes of jobs that have gates. Plain jobs cost one statement for all of them.
#[expect(clippy::type_complexity, reason = "two lists, each of which says what it is")]
fn record(
    conn: &mut PgConnection,
    records: &[Record],
    now: Timestamp,
    deltas: &mut Deltas,
) -> Result<(Vec<(JobId, i64)>, Vec<Change>), StoreError> {
    let token = |record: &Record| (record.job.0, record.fence);
    let all: Vec<(&Record, Transition)> = records.iter().map(|record| (record, record.change)).collect();
    let mut applied = release(conn, &all, ANY, now, deltas)?;
    let mut left: Vec<&Record> = records.iter().collect();
    left.retain(|record| !applied.contains(&token(record)));
    let mut changes = Vec::new();
    if !left.is_empty() {
        let gates = gates(conn, &left)?;
        let with_gates = left.iter().filter(|record| {
            let gates = gates.get(&token(record));
            gates.is_some_and(|gates| !outcome::is_superseded(*gates, &record.change))
        });
        let with_gates: Vec<(&Record, Transition)> =
            with_gates.map(|record| (*record, record.change)).collect();
        let as_decided = release(conn, &with_gates, 0, now, deltas)?;
        left.retain(|record| !as_decided.contains(&token(record)));
        let left = left.iter();
        let left: Vec<(&Record, Transition)> = left
            .filter_map(|record| Some((*record, cancelled_instead(record.change)?)))
            .collect();
        let cancelled = release(conn, &left, 0, now, deltas)?;
        let mut note = |decided: &[(&Record, Transition)], applied: &HashSet<(i64, i64)>| {
            for (record, change) in decided
                .iter()
                .filter(|(record, _)| applied.contains(&token(record)))
            {
                if let Some(gates) = gates.get(&token(record)) {
                    changes.push(Change {
                        job: record.job.0,
                        gates: *gates,
                        from: change.from(),
                        to: change.to(),
                    });
                }
            }
        };
        note(&with_gates, &as_decided);
        note(&left, &cancelled);
        applied.extend(as_decided);
        applied.extend(cancelled);
        // Nodes that lock the same jobs do it in the same order.
        changes.sort_unstable_by_key(|change| change.job);
        changes.dedup_by_key(|change| change.job);
    }
    let mut stale = Vec::new();
    let mut attempts = Vec::new();
    for record in records {
        // Taken out, so that of two records with one token only the first counts.
        if applied.remove(&token(record)) {
            attempts.extend(&record.attempt);
        } else {
            stale.push((record.job, record.fence));
        }
    }
    keep(conn, &attempts)?;
    Ok((stale, changes))
}

/// The gates of those running jobs that have any, by their tokens. They stay what they are until the transaction ends.
fn gates(conn: &mut PgConnection, records: &[&Record]) -> Result<HashMap<(i64, i64), Gates>, StoreError> {
    // Transactions that lock the same jobs do it in the same order.
    let mut records = records.to_vec();
    records.sort_unstable_by_key(|record| record.job);
    let statement = GatedOf {
        id: records.iter().map(|record| record.job.0).collect(),
        fence: records.iter().map(|record| record.fence).collect(),
        node_id: records.iter().map(|record| record.node.0).collect(),
    };
    let found = statement.load::<(i64, i64, i32)>(conn)?.into_iter();
    Ok(found
        .filter(|(_, _, gates)| *gates != 0)
        .map(|(id, fence, gates)| ((id, fence), Gates::from_code(gates)))
        .collect())
}

/// Applies decisions to running jobs; the tokens of those that it was applied to.
fn release(
    conn: &mut PgConnection,
    decided: &[(&Record, Transition)],
    without: i32,
    now: Timestamp,
    deltas: &mut Deltas,
) -> Result<HashSet<(i64, i64)>, StoreError> {
    let mut rows = Release {
        id: Vec::new(),
        fence: Vec::new(),
        node_id: Vec::new(),
        state: Vec::new(),
        attempts: Vec::new(),
        system_failures: Vec::new(),
        due_at: Vec::new(),
        finished_at: Vec::new(),
        cancel_at_most: Vec::new(),
        updated_at: now.0,
        without,
    };
    for (record, change) in decided {
        let ended = change.to().is_final();
        rows.id.push(record.job.0);
        rows.fence.push(record.fence);
        rows.node_id.push(record.node.0);
        rows.state.push(change.to().code());
        rows.attempts
            .push(i32::try_from(change.attempts()).unwrap_or(i32::MAX));
        rows.system_failures
            .push(i32::try_from(change.system_failures()).unwrap_or(i32::MAX));
        rows.due_at.push(change.due_at().map(|due| due.0));
        rows.finished_at.push(ended.then_some(now.0));
        rows.cancel_at_most.push(ended);
    }
    if rows.id.is_empty() {
        return Ok(HashSet::new());
    }
    let mut applied = HashMap::new();
    for (id, fence, queue) in rows.load::<(i64, i64, String)>(conn)? {
        applied.insert((id, fence), queue);
    }
    for (record, change) in decided {
        if let Some(queue) = applied.get(&(record.job.0, record.fence)) {
            deltas.entered(queue, change.to(), 1);
        }
    }
    Ok(applied.into_keys().collect())
}

/// Keeps attempts and what they printed.
fn keep(conn: &mut PgConnection, attempts: &[&Attempt]) -> Result<(), StoreError> {
    fn column<T>(attempts: &[&Attempt], value: impl Fn(&Attempt) -> T) -> Vec<T> {
        attempts.iter().map(|attempt| value(attempt)).collect()
    }
    for portion in portions(attempts.iter().map(|attempt| attempt.outcome.message.len())) {
        let attempts = &attempts[portion];
        let messages = column(attempts, |attempt| storable(&attempt.outcome.message));
        let with_messages = attempts.iter().zip(&messages);
        let sums = with_messages.map(|(attempt, message)| AttemptContent::new(attempt, message).sum());
        let sums = sums.collect();
        InsertAttempts {
            job_id: column(attempts, |attempt| attempt.job.0),
            fence: column(attempts, |attempt| attempt.fence),
            attempt: column(attempts, |attempt| {
                i32::try_from(attempt.attempt).unwrap_or(i32::MAX)
            }),
            node_id: column(attempts, |attempt| attempt.node.0),
            worker: column(attempts, |attempt| {
                i32::try_from(attempt.worker).unwrap_or(i32::MAX)
            }),
            outcome: column(attempts, |attempt| attempt.outcome.kind.code()),
            exit_code: column(attempts, |attempt| attempt.outcome.exit_code),
            signal: column(attempts, |attempt| attempt.outcome.signal),
            message: messages,
            started_at: column(attempts, |attempt| attempt.started_at.0),
            finished_at: column(attempts, |attempt| attempt.finished_at.0),
            output_bytes: column(attempts, |attempt| {
                i64::try_from(attempt.output.total_bytes).unwrap_or(i64::MAX)
            }),
            sum: sums,
        }
        .execute(conn)?;
    }
    let printed = |attempt: &Attempt| attempt.output.head.len() + attempt.output.tail.len();
    let attempts: Vec<&Attempt> = attempts
        .iter()
        .copied()
        .filter(|attempt| printed(attempt) > 0)
        .collect();
    for portion in portions(attempts.iter().map(|attempt| printed(attempt))) {
        let attempts = &attempts[portion];
        InsertOutputs {
            job_id: column(attempts, |attempt| attempt.job.0),
            fence: column(attempts, |attempt| attempt.fence),
            head: column(attempts, |attempt| attempt.output.head.clone()),
            tail: column(attempts, |attempt| attempt.output.tail.clone()),
        }
        .execute(conn)?;
    }
    Ok(())
}
