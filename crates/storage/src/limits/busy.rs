//! Attempts that found something busy: they do not count, and put off the keys that stand for what is busy.
//!
//! An attempt says so by the busy status of one of its job's limits, or its executor says it (HTTP 429, for example). The
//! limits decide as they are when the attempt ends, so this is part of the transaction that records it.

use std::time::Duration;

use queuectl_core::limits::{BUSY_ROUNDS, BUSY_WAIT};
use queuectl_core::transition::Standing;
use queuectl_core::{Event, Gates, LimitKey, OutcomeKind, Timestamp, transition};

use super::keys::{Keys, named};
use super::statements::LimitRows;
use crate::StoreError;
use crate::types::cycle::{MaybeBusy, Record};

/// Changes what a record says of an attempt that found something busy, and has its keys put off when limits are settled. `limits` are those that the
/// job names. Returns whether it did, and until when what it found is busy.
pub fn busy(
    conn: &mut dyn LimitRows,
    keys: &mut Keys,
    record: &mut Record,
    gates: Gates,
    limits: Option<&str>,
) -> Result<Option<Timestamp>, StoreError> {
    let Some(attempt) = &mut record.attempt else {
        return Ok(None);
    };
    let mut limits = named(limits.filter(|_| gates.has(Gates::LIMITS)).unwrap_or_default());
    if !limits.is_empty() {
        keys.read_limits(conn, &limits)?;
    }
    let Some(wait) = said(keys, &mut limits, record.busy, attempt.outcome.exit_code) else {
        return Ok(None);
    };
    if conn.busy_attempts(record.job.0, BUSY_ROUNDS)? >= BUSY_ROUNDS {
        attempt.outcome.message = format!(
            "{}; it was busy {BUSY_ROUNDS} times in a row, so this attempt counts",
            attempt.outcome.message
        );
        return Ok(None);
    }
    let until = attempt.finished_at.after(wait);
    let is_its_own = limits.is_empty();
    keys.put_off_later(limits, until);
    attempt.outcome.kind = OutcomeKind::Busy;
    let standing = Standing {
        state: record.change.from(),
        attempts: record.change.attempts(),
        system_failures: record.change.system_failures(),
    };
    // A job whose key is put off waits for that.
    let until_due = is_its_own.then_some(until);
    if let Ok(change) = transition(standing, Event::Busy { until: until_due }) {
        record.change = change;
    }
    Ok(Some(until))
}

/// For how long what the attempt found is busy, if it said so. Leaves the limits that stand for it.
fn said(
    keys: &Keys,
    limits: &mut Vec<LimitKey>,
    busy: MaybeBusy,
    exit_code: Option<i32>,
) -> Option<Duration> {
    let of = |key: &LimitKey| keys.limit(key).and_then(|limit| limit.busy);
    let by_status = |key: &LimitKey| of(key).filter(|busy| Some(busy.status) == exit_code);
    let most = Duration::from_millis(BUSY_WAIT.max_ms);
    let wait = match busy {
        MaybeBusy::No => return None,
        MaybeBusy::Until(wait) => {
            // One that only counts what runs stands for nothing that could be busy.
            limits.retain(|key| {
                keys.limit(key)
                    .is_some_and(|limit| limit.rate.is_some() || limit.busy.is_some())
            });
            wait
        }
        MaybeBusy::ByStatus => {
            limits.retain(|key| by_status(key).is_some());
            let waits = limits.iter().filter_map(by_status).map(|busy| busy.wait_ms);
            Duration::from_millis(waits.max()?)
        }
    };
    Some(wait.clamp(Duration::from_millis(1), most))
}

/// The key of a job with these limits that is put off longest, if one is, and until when.
pub fn busy_key(
    conn: &mut dyn LimitRows,
    limits: &[LimitKey],
    now: Timestamp,
) -> Result<Option<(String, Timestamp)>, StoreError> {
    let mut keys = Keys::default();
    let counted = keys.of_jobs(conn, [limits])?.into_iter().flatten();
    let busy = counted.filter_map(|key| {
        let until = keys.get(&key)?.busy(now)?;
        Some((key, until))
    });
    Ok(busy.max_by_key(|(_, until)| *until))
}
