//! Giving keys back, and making ready what waited for them: by priority, then by age.

use std::collections::{BTreeMap, BTreeSet};

use queuectl_core::{BlockedBy, LimitKey, State, Timestamp};

use super::keys::{Keys, named};
use super::statements::{LimitRows, ParkedRow};
use crate::StoreError;
use crate::counts::Deltas;
use crate::types::limits::{ADMITTED, NewRow, PARKED, rows};

/// Keys that one transaction looks at because their time has come; the rest follows in the next.
const DUE: u32 = 200;
/// How often a transaction looks for more jobs of a key, where those it found wait for another key.
const ROUNDS: usize = 4;
/// Most jobs of a key that a round looks at.
const ROUND_MOST: u32 = 1000;

/// Takes from these jobs what they held, waited for or were let through for. Returns the keys that may have room now.
pub fn release(
    conn: &mut dyn LimitRows,
    keys: &mut Keys,
    jobs: &[i64],
) -> Result<BTreeSet<String>, StoreError> {
    let mut freed = BTreeSet::new();
    if jobs.is_empty() {
        return Ok(freed);
    }
    keys.lock(conn)?;
    for (key, phase) in conn.clear(jobs)? {
        // If it was read before, what was read has changed.
        if let Some(state) = keys.get(&key) {
            state.cleared(phase);
        }
        if phase != PARKED {
            freed.insert(key);
        }
    }
    Ok(freed)
}

/// Looks at the keys whose time has come.
pub fn settle_due(
    conn: &mut dyn LimitRows,
    keys: &mut Keys,
    now: Timestamp,
    deltas: &mut Deltas,
) -> Result<(), StoreError> {
    if conn.due_keys(now, 1)?.is_empty() {
        return Ok(());
    }
    keys.lock(conn)?;
    // Under the lock, another node may have looked.
    let due = conn.due_keys(now, DUE)?.into_iter().collect();
    settle(conn, keys, due, now, deltas)
}

/// Makes the next jobs ready that wait for these keys, as many as there is room for.
pub fn settle(
    conn: &mut dyn LimitRows,
    keys: &mut Keys,
    mut which: BTreeSet<String>,
    now: Timestamp,
    deltas: &mut Deltas,
) -> Result<(), StoreError> {
    if which.is_empty() {
        return Ok(());
    }
    keys.lock(conn)?;
    keys.read(conn, which.iter().map(String::as_str))?;
    for key in &which {
        if let Some(state) = keys.get(key) {
            state.looked_at();
        }
    }
    for _ in 0..ROUNDS {
        let mut asked: BTreeMap<String, u32> = BTreeMap::new();
        which.retain(|key| {
            let Some(state) = keys.get(key).filter(|state| state.has_parked) else {
                return false;
            };
            match state.to_admit(now) {
                Ok(room) => {
                    asked.insert(key.clone(), room.min(ROUND_MOST));
                    true
                }
                Err(full) => {
                    state.parked(Some(full));
                    false
                }
            }
        });
        if asked.is_empty() {
            return Ok(());
        }
        // One more of each, to know whether others wait behind them.
        let more: Vec<(&str, u32)> = asked.iter().map(|(key, room)| (key.as_str(), room + 1)).collect();
        let mut found = conn.next_parked(&more)?;
        let mut left = asked.clone();
        found.retain(|(key, ..)| match left.get_mut(key) {
            Some(0) => {
                left.remove(key);
                false
            }
            Some(room) => {
                *room -= 1;
                true
            }
            None => false,
        });
        // Of which there was no such other.
        for key in left.keys() {
            if let Some(state) = keys.get(key) {
                state.has_parked = false;
            }
        }
        wake(conn, keys, found, now, deltas)?;
    }
    // What was found waits for other keys now; there may be more behind it.
    for key in &which {
        if let Some(state) = keys.get(key).filter(|state| state.has_parked) {
            match state.to_admit(now) {
                Ok(_) => state.look_again(now),
                Err(full) => state.parked(Some(full)),
            }
        }
    }
    Ok(())
}

/// Makes those of the jobs ready whose keys all have room; the others wait for one that has none.
pub fn wake(
    conn: &mut dyn LimitRows,
    keys: &mut Keys,
    parked: Vec<ParkedRow>,
    now: Timestamp,
    deltas: &mut Deltas,
) -> Result<(), StoreError> {
    if parked.is_empty() {
        return Ok(());
    }
    // One that is held, too, waits for that alone from now on: it takes no room from others.
    let (parked, others): (Vec<ParkedRow>, Vec<ParkedRow>) = parked
        .into_iter()
        .partition(|(.., waits)| *waits == BlockedBy::Limit as i32);
    if !others.is_empty() {
        let jobs: Vec<i64> = others.iter().map(|(_, job, ..)| *job).collect();
        conn.unpark(&jobs, now)?;
        conn.clear(&jobs)?;
    }
    let limits: Vec<Vec<LimitKey>> = parked
        .iter()
        .map(|(_, _, _, limits, _)| named(limits.as_deref().unwrap_or_default()))
        .collect();
    let of_jobs = keys.of_jobs(conn, limits.iter().map(Vec::as_slice))?;
    let mut moved: Vec<(i64, String, i32)> = Vec::new();
    let mut ready: Vec<(i64, Vec<String>, i32)> = Vec::new();
    for ((key, job, priority, ..), counted) in parked.into_iter().zip(of_jobs) {
        match keys.first_full(&counted, |state| state.to_admit(now)) {
            None => {
                keys.each(&counted, |state| state.admit());
                ready.push((job, counted, priority));
            }
            Some((full, why)) => {
                if let Some(state) = keys.get(&full) {
                    state.parked(Some(why));
                }
                if full != key {
                    moved.push((job, full, priority));
                }
            }
        }
    }
    if !moved.is_empty() {
        let jobs: Vec<i64> = moved.iter().map(|(job, ..)| *job).collect();
        conn.clear(&jobs)?;
        let rows: Vec<NewRow<'_>> = moved
            .iter()
            .map(|(job, key, priority)| (*job, key.as_str(), *priority, PARKED))
            .collect();
        conn.set_rows(&rows)?;
    }
    let jobs: Vec<i64> = ready.iter().map(|(job, ..)| *job).collect();
    if jobs.is_empty() {
        return Ok(());
    }
    let woken = conn.wake(&jobs, now)?;
    keys.woken.extend(woken.iter().map(|(job, _)| *job));
    for (_, queue) in &woken {
        deltas.entered(&queue.text, State::Blocked, -1);
        deltas.entered(&queue.text, State::Pending, 1);
    }
    let rows: Vec<NewRow<'_>> = ready
        .iter()
        .flat_map(|(job, counted, priority)| rows(*job, counted, *priority, ADMITTED))
        .collect();
    conn.set_rows(&rows)
}
