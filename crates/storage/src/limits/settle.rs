//! Giving keys back, and making ready what waited for them: by priority, then by age.

use std::collections::{BTreeSet, HashMap};

use queuectl_core::{BlockedBy, LimitKey, State, Timestamp};

use super::keys::{Keys, named};
use super::statements::{LimitRows, ParkedRow};
use crate::StoreError;
use crate::counts::Deltas;
use crate::types::limits::{ADMITTED, NewRow, PARKED};

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
    which: BTreeSet<String>,
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
    let mut open: Vec<String> = which.into_iter().collect();
    for _ in 0..ROUNDS {
        let mut asked: Vec<u32> = Vec::new();
        // What the next look at a key depends on is known only if it is known whether others wait behind those found.
        let mut more: Vec<u32> = Vec::new();
        open.retain(|key| {
            let Some(state) = keys.get(key).filter(|state| state.has_parked) else {
                return false;
            };
            match state.to_admit(now) {
                Ok(room) => {
                    let room = room.min(ROUND_MOST);
                    asked.push(room);
                    more.push(room + u32::from(state.has_rate()));
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
        let names = open.iter().map(String::as_str);
        let mut found = conn.next_parked(&names.clone().zip(more.iter().copied()).collect::<Vec<_>>())?;
        // How many were found of each, and how many of them there is room for.
        let mut counts: HashMap<&str, (u32, u32)> = names.zip(asked.iter().map(|room| (0, *room))).collect();
        found.retain(|(key, ..)| {
            counts.get_mut(key.as_str()).is_some_and(|(found, room)| {
                *found += 1;
                *found <= *room
            })
        });
        for (key, more) in open.iter().zip(&more) {
            let is_last = counts.get(key.as_str()).is_some_and(|(found, _)| found < more);
            if let Some(state) = keys.get(key).filter(|_| is_last) {
                state.has_parked = false;
            }
        }
        wake(conn, keys, found, now, deltas)?;
    }
    // What was found waits for other keys now; there may be more behind it.
    for key in &open {
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
        .partition(|(.., waits, _)| *waits == BlockedBy::Limit as i32);
    if !others.is_empty() {
        let jobs: Vec<i64> = others.iter().map(|(_, job, ..)| *job).collect();
        conn.unpark(&jobs, now)?;
        conn.clear(&jobs)?;
    }
    let limits: Vec<Vec<LimitKey>> = parked
        .iter()
        .map(|(.., limits, _, _)| named(limits.as_deref().unwrap_or_default()))
        .collect();
    let of_jobs = keys.of_jobs(conn, limits.iter().map(Vec::as_slice))?;
    let mut moved: Vec<(i64, String, i32)> = Vec::new();
    let mut ready: Vec<i64> = Vec::new();
    let mut renamed: Vec<i64> = Vec::new();
    // Rows that jobs which are ready do not have yet. That of the key that a job waited for is there, and changes its phase.
    let mut further: Vec<(i64, String, i32)> = Vec::new();
    for ((key, job, priority, ..), counted) in parked.into_iter().zip(of_jobs) {
        match keys.first_full(&counted, |state| state.to_admit(now)) {
            None => {
                keys.each(&counted, |state| state.admit());
                // The limit may count by other keys than when it was parked.
                if !counted.contains(&key) {
                    renamed.push(job);
                }
                let others = counted.into_iter().filter(|counted| *counted != key);
                further.extend(others.map(|counted| (job, counted, priority)));
                ready.push(job);
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
    if !renamed.is_empty() {
        conn.clear(&renamed)?;
    }
    if ready.is_empty() {
        return Ok(());
    }
    let woken = conn.wake(&ready, now)?;
    keys.woken.extend(woken.iter().map(|(job, _)| *job));
    for (_, queue) in &woken {
        deltas.entered(&queue.text, State::Blocked, -1);
        deltas.entered(&queue.text, State::Pending, 1);
    }
    conn.let_through(&ready)?;
    if further.is_empty() {
        return Ok(());
    }
    let rows: Vec<NewRow<'_>> = further
        .iter()
        .map(|(job, key, priority)| (*job, key.as_str(), *priority, ADMITTED))
        .collect();
    conn.set_rows(&rows)
}
