//! The net under [`settle`](super::settle): a look at all keys, some at a time, about once a second.
//!
//! A job that was let through may be one that no node claims: its queue is paused, or its nodes have stopped. Others that
//! wait for the same key must not wait for it. So a node that could run more looks for jobs of its own queues that wait
//! although their keys have room, and takes no account of those that were let through.

use std::collections::BTreeSet;

use queuectl_core::Timestamp;

use super::keys::Keys;
use super::settle::{settle, wake};
use super::statements::LimitRows;
use crate::StoreError;
use crate::counts::Deltas;
use crate::types::limits::Serves;

/// Keys that one look covers.
const KEYS: u32 = 500;
/// Time between two looks, in ms.
const PAUSE_MS: i64 = 1000;

/// How far the looks at the keys are.
#[derive(Debug, Default)]
pub struct Sweep {
    next: Option<Timestamp>,
    behind: String,
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
}

/// Makes jobs of these queues ready that wait although their keys have room.
pub fn sweep(
    conn: &mut dyn LimitRows,
    at: &mut Sweep,
    keys: &mut Keys,
    serves: &Serves,
    now: Timestamp,
    deltas: &mut Deltas,
) -> Result<(), StoreError> {
    let some = conn.keys_behind(&at.behind, KEYS)?;
    let is_last = some.len() < KEYS as usize;
    at.behind = some.last().filter(|_| !is_last).cloned().unwrap_or_default();
    if some.is_empty() {
        return Ok(());
    }
    keys.lock(conn)?;
    keys.read(conn, some.iter().map(String::as_str))?;
    let mut plain = BTreeSet::new();
    for key in some {
        let Some(state) = keys.get(&key).filter(|state| state.has_parked) else {
            continue;
        };
        if state.to_admit(now).is_ok() {
            plain.insert(key);
        } else if let Ok(room) = state.to_start(now) {
            let room = room.min(KEYS);
            let found = conn.next_parked_of(&key, serves, room)?;
            keys.each(std::slice::from_ref(&key), |state| state.forget_admitted());
            wake(conn, keys, found, now, deltas)?;
        }
    }
    settle(conn, keys, plain, now, deltas)
}
