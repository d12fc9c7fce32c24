//! A cycle on PostgreSQL: as few statements as can be, each for all jobs at once, for each costs a way to the server.
//!
//! The order is that of SQLite, and so is what it does to a job; the conformance suite holds both to it.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use diesel::prelude::*;
use queuectl_core::{Attempt, Gates, JobId, Timestamp, Transition};

use super::claim::{ClaimCursor, caps, claim, claim_started, outlook};
use super::dialect::add_counts;
use super::portions;
use super::statements::{GatedOf, HoldNode, InsertAttempts, InsertOutputs, NextDue, Promote, Release};
use crate::StoreError;
use crate::backend::Db;
use crate::checksum::AttemptContent;
use crate::counts::Deltas;
use crate::limits::{self, Claims, Keys, Sweep};
use crate::outcome::{self, Change};
use crate::types::cycle::{Cycle, CycleResult, MaybeBusy, PROMOTE_BATCH, Record, WasBusy, cancelled_instead};
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
    let mut keys = Keys::default();
    let Applied { stale, busy, changes } = record(conn, cycle.records, &mut keys, cycle.now, &mut deltas)?;
    outcome::follow_all(db, &changes, &mut keys, cycle.now, &mut deltas)?;
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
    let most = ahead.pauses.most_running();
    let mut due = ahead.due;
    let mut claims = Claims::new(cycle);
    if taken_over == Some((false,)) {
        if ahead.any_started {
            let started = limits::started(conn, cycle)?;
            if !started.is_empty() {
                // Their starts count for the rates of their queues, which are read before.
                caps(conn, cycle, &ahead, &mut keys)?;
                let some = claim_started(conn, cycle, &started)?;
                claims.admit_started(conn, &mut keys, some, &mut deltas)?;
            }
        }
        let mut ahead = Some(ahead);
        while let Some(more) = claims.more() {
            // What was put back, or made ready, is not where it was.
            let ahead = match ahead.take() {
                Some(ahead) => ahead,
                None => outlook(conn, cycle.queues, moment, more.claim, cursor)?,
            };
            let serves = Serves::new(cycle.queues, &ahead.pauses);
            let caps = caps(conn, &more, &ahead, &mut keys)?;
            let some = claim(conn, &more, ahead, &caps, cursor)?;
            claims.admit(conn, &mut keys, sweep, &serves, some, &mut deltas)?;
        }
    }
    if keys.store_times(conn)? {
        due = next_due(conn)?;
    }
    let freed = limits::freed(conn, &most, cycle.records, &stale, claims.claimed())?;
    add_counts(conn, deltas)?;
    let due = [due, next_end].into_iter().flatten().min();
    Ok(claims.result(stale, busy, freed, &keys, due))
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
            None => {
                let caps = caps(conn, &more, &ahead, &mut keys)?;
                claim(conn, &more, ahead, &caps, cursor)?
            }
        };
        claims.admit(conn, &mut keys, sweep, &serves, some, &mut deltas)?;
    }
    keys.store_times(conn)?;
    add_counts(conn, deltas)?;
    let due = next_due(conn)?;
    let due = [due, next_end].into_iter().flatten().min();
    Ok(claims.result(done.stale, done.busy, done.freed, &keys, due))
}

/// When the next waiting job is due.
pub fn next_due(conn: &mut PgConnection) -> Result<Option<Timestamp>, StoreError> {
    let (due,): (Option<i64>,) = NextDue {}.get_result(conn)?;
    Ok(due.map(Timestamp))
}

/// All gates.
const ANY: i32 = -1;

/// What became of records.
#[derive(Default)]
struct Applied {
    /// The tokens of those that no longer hold.
    stale: Vec<(JobId, i64)>,
    busy: Vec<WasBusy>,
    /// The changes of jobs that have gates.
    changes: Vec<Change>,
}

/// Applies records where their tokens hold, and keeps the attempts of those. Plain jobs cost one statement for all of them.
fn record(
    conn: &mut PgConnection,
    records: &[Record],
    keys: &mut Keys,
    now: Timestamp,
    deltas: &mut Deltas,
) -> Result<Applied, StoreError> {
    let token = |record: &Record| (record.job.0, record.fence);
    let mut done = Applied::default();
    let plain = records
        .iter()
        .filter(|record| !matches!(record.busy, MaybeBusy::Until(_)));
    let plain: Vec<(&Record, Transition)> = plain.map(|record| (record, record.change)).collect();
    let mut applied = release(conn, &plain, ANY, now, deltas)?;
    let mut left: Vec<Cow<'_, Record>> = records.iter().map(Cow::Borrowed).collect();
    left.retain(|record| !applied.contains(&token(record)));
    // As they were found to be busy.
    let mut changed: HashMap<(i64, i64), Record> = HashMap::new();
    if !left.is_empty() {
        let found = gates(conn, &left)?;
        for record in &mut left {
            let Some((gates, limits)) = found.get(&token(record)).filter(|_| record.busy != MaybeBusy::No)
            else {
                continue;
            };
            let record = record.to_mut();
            let until = limits::busy(conn, keys, record, *gates, limits.as_deref())?;
            done.busy.extend(until.map(|until| WasBusy {
                job: record.job,
                fence: record.fence,
                until,
            }));
            changed.insert(token(record), record.clone());
        }
        let to_apply = left.iter().filter(|record| {
            // Those without gates, too: the hook for which one was passed over may have been removed since.
            let found = found.get(&token(record));
            found.is_some_and(|(gates, _)| !outcome::is_superseded(*gates, &record.change))
        });
        let to_apply: Vec<(&Record, Transition)> =
            to_apply.map(|record| (record.as_ref(), record.change)).collect();
        let as_decided = release(conn, &to_apply, 0, now, deltas)?;
        let to_cancel = left.iter().filter(|record| !as_decided.contains(&token(record)));
        let to_cancel: Vec<(&Record, Transition)> = to_cancel
            .filter_map(|record| Some((record.as_ref(), cancelled_instead(record.change)?)))
            .collect();
        let cancelled = release(conn, &to_cancel, 0, now, deltas)?;
        let mut note = |decided: &[(&Record, Transition)], applied: &HashSet<(i64, i64)>| {
            for (record, change) in decided
                .iter()
                .filter(|(record, _)| applied.contains(&token(record)))
            {
                if let Some((gates, _)) = found.get(&token(record)).filter(|(gates, _)| !gates.is_empty()) {
                    done.changes.push(Change {
                        job: record.job.0,
                        gates: *gates,
                        from: change.from(),
                        to: change.to(),
                    });
                }
            }
        };
        note(&to_apply, &as_decided);
        note(&to_cancel, &cancelled);
        applied.extend(as_decided);
        applied.extend(cancelled);
        // Nodes that lock the same jobs do it in the same order.
        done.changes.sort_unstable_by_key(|change| change.job);
        done.changes.dedup_by_key(|change| change.job);
    }
    done.busy
        .retain(|busy| applied.contains(&(busy.job.0, busy.fence)));
    let mut attempts = Vec::new();
    for record in records {
        // Taken out, so that of two records with one token only the first counts.
        if applied.remove(&token(record)) {
            attempts.extend(&changed.get(&token(record)).unwrap_or(record).attempt);
        } else {
            done.stale.push((record.job, record.fence));
        }
    }
    keep(conn, &attempts)?;
    Ok(done)
}

/// The gates of running jobs and the limits that they name, by their tokens. They stay what they are until the transaction
/// ends.
fn gates(conn: &mut PgConnection, records: &[Cow<'_, Record>]) -> Result<Found, StoreError> {
    // Transactions that lock the same jobs do it in the same order.
    let mut records: Vec<&Record> = records.iter().map(AsRef::as_ref).collect();
    records.sort_unstable_by_key(|record| record.job);
    let statement = GatedOf {
        id: records.iter().map(|record| record.job.0).collect(),
        fence: records.iter().map(|record| record.fence).collect(),
        node_id: records.iter().map(|record| record.node.0).collect(),
    };
    let found = statement
        .load::<(i64, i64, i32, Option<String>)>(conn)?
        .into_iter();
    Ok(found
        .map(|(id, fence, gates, limits)| ((id, fence), (Gates::from_code(gates), limits)))
        .collect())
}

/// Gates and limits of jobs, by their tokens.
type Found = HashMap<(i64, i64), (Gates, Option<String>)>;

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
        events: Vec::new(),
        updated_at: now.0,
        without,
    };
    // Transactions that lock the same jobs do it in the same order.
    let mut in_order: Vec<&(&Record, Transition)> = decided.iter().collect();
    in_order.sort_unstable_by_key(|(record, _)| record.job);
    for (record, change) in in_order {
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
        // Once those with gates are known, so are those with hooks.
        let events = outcome::events(change.from(), change.to());
        rows.events.push(if without == ANY { events } else { 0 });
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
            marks: column(attempts, |attempt| {
                Some(attempt.output.index.clone()).filter(|index| !index.is_empty())
            }),
        }
        .execute(conn)?;
    }
    Ok(())
}
