//! A cycle on SQLite: one prepared statement for each record, which costs no way to a server.

use std::borrow::Cow;

use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;
use queuectl_core::{Attempt, Gates, State, Timestamp, Transition};

use super::claim::{claim, claim_started, pauses};
use super::dialect::add_counts;
use super::inserts::{self, AttemptRow, OutputRow};
use super::known::Known;
use super::statements::{GatesOf, HasHooks, NextDue, Promote, QueueOf, Release};
use crate::backend::Db;
use crate::checksum::AttemptContent;
use crate::counts::Deltas;
use crate::limits::{self, Claims, Keys, Sweep};
use crate::outcome::{self, Change};
use crate::types::cycle::{Cycle, CycleResult, MaybeBusy, PROMOTE_BATCH, Record, WasBusy, cancelled_instead};
use crate::types::limits::Serves;
use crate::types::text::Words;
use crate::{StoreError, env};

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
    for record in cycle.records {
        let Some(done) = release(conn, record, no_hooks, &mut keys, cycle.now, &mut deltas)? else {
            stale.push((record.job, record.fence));
            continue;
        };
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

/// What a job must be without for a record to be applied at once: gates, and hooks for the event.
#[derive(Debug, Clone, Copy)]
struct Without {
    gates: i32,
    no_hooks: bool,
    events: i16,
}

impl Without {
    /// Nothing keeps the record from being applied.
    const NOTHING: Without = Without {
        gates: 0,
        no_hooks: true,
        events: 0,
    };
}

/// A record that was applied.
struct Applied<'a> {
    record: Cow<'a, Record>,
    change: Transition,
    gates: Gates,
    busy: Option<WasBusy>,
}

/// Applies a record; none if its token no longer holds. A plain job costs one statement, and so does one that has no gate
/// but that of limits.
fn release<'a>(
    conn: &mut SqliteConnection,
    record: &'a Record,
    no_hooks: bool,
    keys: &mut Keys,
    now: Timestamp,
    deltas: &mut Deltas,
) -> Result<Option<Applied<'a>>, StoreError> {
    let mut done = Applied {
        record: Cow::Borrowed(record),
        change: record.change,
        // Which limits a job names does not change while it runs.
        gates: if record.is_limited {
            Gates::LIMITS
        } else {
            Gates::NONE
        },
        busy: None,
    };
    let may_be_plain = match record.busy {
        MaybeBusy::No => true,
        MaybeBusy::ByStatus => !record.is_limited,
        MaybeBusy::Until(_) => false,
    };
    let others = Without {
        gates: !done.gates.code(),
        no_hooks,
        events: outcome::events(record.change.from(), record.change.to()),
    };
    if !(may_be_plain && apply(conn, record, record.change, others, now)?) {
        let found = GatesOf {
            id: record.job.0,
            fence: record.fence,
            node_id: record.node.0,
        };
        let Some((gates, limits)) = found.get_result::<(i32, Option<Words>)>(conn).optional()? else {
            return Ok(None);
        };
        done.gates = Gates::from_code(gates);
        if record.busy != MaybeBusy::No {
            let limits = limits.as_ref().map(|words| words.text.as_str());
            let mut changed = record.clone();
            if let Some(until) = limits::busy(conn, keys, &mut changed, done.gates, limits)? {
                let (job, fence) = (record.job, record.fence);
                done.busy = Some(WasBusy { job, fence, until });
            }
            done.change = changed.change;
            done.record = Cow::Owned(changed);
        }
        let is_over =
            done.gates.is_empty() && may_be_plain || outcome::is_superseded(done.gates, &done.change);
        if is_over || !apply(conn, record, done.change, Without::NOTHING, now)? {
            match cancelled_instead(done.change) {
                Some(cancel) if apply(conn, record, cancel, Without::NOTHING, now)? => done.change = cancel,
                _ => return Ok(None),
            }
        }
    }
    if done.change.to() != State::Completed {
        let (queue, _) = QueueOf { id: record.job.0 }.get_result::<(Words, i32)>(conn)?;
        deltas.entered(&queue.text, done.change.to(), 1);
    }
    Ok(Some(done))
}

fn apply(
    conn: &mut SqliteConnection,
    record: &Record,
    change: Transition,
    without: Without,
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
        without: without.gates,
        no_hooks: without.no_hooks,
        events: without.events,
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
                marks: Some(&output.index[..]).filter(|index| !index.is_empty()),
            };
            inserts::insert_one(conn, &row)?;
        }
    }
    Ok(())
}
