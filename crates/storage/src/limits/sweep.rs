//! The net under [`settle`](super::settle): a look at all keys, some at a time, about once a second.
//!
//! A job that was let through may be one that no node claims: its queue is paused, or its nodes have stopped. Others that
//! wait for the same key must not wait for it. So a node that could run more looks for jobs of its own queues that wait
//! although their keys have room, and takes no account of those that were let through. It also removes what is kept of keys
//! whose starts have all been paid for.

use std::collections::{BTreeMap, BTreeSet};

use queuectl_core::Timestamp;

use super::keys::Keys;
use super::settle::{settle, wake};
use super::statements::{LimitRows, ParkedRow};
use crate::StoreError;
use crate::counts::Deltas;
use crate::types::limits::Serves;

/// Keys that one look covers.
const KEYS: u32 = 500;
/// Jobs that one look reads at most behind those that were let through, besides a page of the first ones of each key.
const JOBS: usize = 10_000;
/// Keys whose place is remembered.
const PLACES: usize = 10_000;
/// Jobs that are read at a time.
const PAGE: u32 = 500;
/// Time between two looks, in ms.
const PAUSE_MS: i64 = 1000;
/// The same where the last one found something, in ms: a slot that comes back finds nothing by itself there.
const SHORT_PAUSE_MS: i64 = 50;
/// Before the first job that waits for a key.
const FRONT: (i32, i64) = (i32::MAX, i64::MIN);

/// How far the looks at the keys are.
#[derive(Debug, Default)]
pub struct Sweep {
    next: Option<Timestamp>,
    /// The last key that was looked at.
    behind: String,
    /// The last key of which it was looked what is kept.
    times_behind: String,
    /// Of keys with more jobs than a look reads, up to which job it did.
    places: BTreeMap<String, (i32, i64)>,
}

impl Sweep {
    /// Whether it is time for a look; if so, the next one is later.
    pub fn is_due(&mut self, now: Timestamp) -> bool {
        // A clock that was set back must not keep looks away.
        let is_due = self
            .next
            .is_none_or(|next| next <= now || next.0 > now.0.saturating_add(PAUSE_MS));
        if is_due {
            self.next = Some(Timestamp(now.0.saturating_add(PAUSE_MS)));
        }
        is_due
    }

    /// The last look found something, and the next one may. Returns when that is.
    pub fn go_on(&mut self, now: Timestamp) -> Timestamp {
        let next = Timestamp(now.0.saturating_add(SHORT_PAUSE_MS));
        *self.next.insert(next)
    }
}

/// Makes jobs of these queues ready that wait although their keys have room.
pub fn sweep(
    conn: &mut dyn LimitRows,
    at: &mut Sweep,
    keys: &mut Keys,
    serves: &Serves<'_>,
    now: Timestamp,
    deltas: &mut Deltas,
) -> Result<(), StoreError> {
    forget(conn, at, keys, now)?;
    let some = conn.keys_behind(&at.behind, KEYS)?;
    let is_last = some.len() < KEYS as usize;
    at.behind = some.last().filter(|_| !is_last).cloned().unwrap_or_default();
    if some.is_empty() {
        return Ok(());
    }
    keys.lock(conn)?;
    keys.read(conn, some.iter().map(String::as_str))?;
    let mut plain = BTreeSet::new();
    let mut left = JOBS;
    for key in some {
        let Some(state) = keys.get(&key).filter(|state| state.has_parked) else {
            at.places.remove(&key);
            continue;
        };
        if state.to_admit(now).is_ok() {
            plain.insert(key);
        } else if let Ok(room) = state.to_start(now) {
            let found = pass_over(conn, at, &key, serves, room.min(KEYS) as usize, &mut left)?;
            keys.each(std::slice::from_ref(&key), |state| state.forget_admitted());
            wake(conn, keys, found, now, deltas)?;
        }
    }
    settle(conn, keys, plain, now, deltas)
}

/// The next jobs of these queues that wait for a key, up to `most`, in the order in which they wait: first a look at the
/// front, then from where the last look stopped, as far as `left` goes.
fn pass_over(
    conn: &mut dyn LimitRows,
    at: &mut Sweep,
    key: &str,
    serves: &Serves<'_>,
    most: usize,
    left: &mut usize,
) -> Result<Vec<ParkedRow>, StoreError> {
    let mut found: Vec<ParkedRow> = Vec::new();
    let mut place = FRONT;
    let mut go_on_from = at.places.remove(key);
    loop {
        let page = conn.parked_behind(key, place, PAGE)?;
        let is_last = page.len() < PAGE as usize;
        for row in page {
            if found.len() == most {
                break;
            }
            let (_, job, priority, ..) = row;
            if serves.include(&row.5.text) {
                found.push(row);
            } else if found.is_empty() {
                // The next look begins before the first one that was found.
                place = (priority, job);
            }
        }
        if !found.is_empty() || is_last {
            break;
        }
        // In their order, higher priorities come first.
        let order = |(priority, job): (i32, i64)| (-i64::from(priority), job);
        place = go_on_from
            .take()
            .filter(|from| order(*from) > order(place))
            .unwrap_or(place);
        if *left < PAGE as usize {
            break;
        }
        *left -= PAGE as usize;
    }
    let is_far = place != FRONT;
    if at.places.len() >= PLACES {
        at.places.clear();
    }
    if is_far && (!found.is_empty() || *left < PAGE as usize) {
        at.places.insert(key.to_owned(), place);
    }
    Ok(found)
}

/// Removes what is kept of keys where it says nothing any more: their starts have been paid for, and no time is to come.
fn forget(
    conn: &mut dyn LimitRows,
    at: &mut Sweep,
    keys: &mut Keys,
    now: Timestamp,
) -> Result<(), StoreError> {
    let some = conn.times_behind(&at.times_behind, now, KEYS)?;
    let is_last = some.len() < KEYS as usize;
    let last = some.last().filter(|_| !is_last);
    at.times_behind = last.map(|(key, _)| key.clone()).unwrap_or_default();
    let over: Vec<&str> = some
        .iter()
        .filter(|(_, is_over)| *is_over)
        .map(|(key, _)| key.as_str())
        .collect();
    if !over.is_empty() {
        keys.lock(conn)?;
        conn.forget(&over, now)?;
    }
    Ok(())
}
