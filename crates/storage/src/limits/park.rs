//! Where a job goes that is new, or ready for another reason than room: to the jobs that are ready, or to those that wait for
//! a key. So a claim hardly ever sees what cannot run. Not here: jobs whose time has come, which a claim parks.

use std::collections::BTreeSet;

use queuectl_core::{LimitKey, State, Timestamp, ValidJob};

use super::keys::{Keys, named};
use super::statements::LimitRows;
use crate::StoreError;
use crate::counts::Deltas;
use crate::types::limits::{NewRow, Placement};

/// Decides for each of the new jobs; `waits_for_time` says which are not to start at once. None if no job names a limit.
/// A limit that there is not limits nothing.
pub fn park(
    conn: &mut dyn LimitRows,
    jobs: &[ValidJob],
    waits_for_time: impl Fn(&ValidJob) -> bool,
    now: Timestamp,
) -> Result<Option<Vec<Placement>>, StoreError> {
    if jobs.iter().all(|job| job.limit.is_empty()) {
        return Ok(None);
    }
    // Others may store jobs meanwhile, but no key gets or loses room. What waits for jobs may be given up at once, which needs
    // the lock alone: two transactions that share it would wait for each other.
    conn.lock_limits(jobs.iter().all(|job| job.after.is_empty()))?;
    let mut keys = Keys::default();
    let of_jobs = keys.of_jobs(conn, jobs.iter().map(|job| job.limit.as_slice()))?;
    let mut placements = Vec::with_capacity(jobs.len());
    for (job, counted) in jobs.iter().zip(of_jobs) {
        placements.push(if counted.is_empty() || waits_for_time(job) {
            Placement::Free
        } else {
            place(&mut keys, counted, now)
        });
    }
    keys.store_times(conn)?;
    Ok(Some(placements))
}

/// Puts those of these jobs into their places that are ready, and names the keys that some wait for now.
pub fn place_ready(
    conn: &mut dyn LimitRows,
    keys: &mut Keys,
    jobs: &[i64],
    now: Timestamp,
    deltas: &mut Deltas,
) -> Result<BTreeSet<String>, StoreError> {
    let mut waited_for = BTreeSet::new();
    if jobs.is_empty() {
        return Ok(waited_for);
    }
    keys.lock(conn)?;
    let ready = conn.ready(jobs)?;
    let limits: Vec<Vec<LimitKey>> = ready.iter().map(|(.., limits, _)| named(limits)).collect();
    let of_jobs = keys.of_jobs(conn, limits.iter().map(Vec::as_slice))?;
    let placements = of_jobs.into_iter().map(|counted| place(keys, counted, now));
    let placements: Vec<Placement> = placements.collect();
    let mut parked = Vec::new();
    let mut rows: Vec<NewRow<'_>> = Vec::new();
    for ((job, priority, _, queue), placement) in ready.iter().zip(&placements) {
        rows.extend(placement.rows(*job, *priority));
        if let Placement::Parked(key) = placement {
            waited_for.insert(key.clone());
            parked.push(*job);
            deltas.entered(&queue.text, State::Pending, -1);
            deltas.entered(&queue.text, State::Blocked, 1);
        }
    }
    if !parked.is_empty() {
        conn.park(&parked, now)?;
    }
    if !rows.is_empty() {
        conn.set_rows(&rows)?;
    }
    Ok(waited_for)
}

/// Refuses jobs that name a limit that there is not, or one that counts by key without a key.
///
/// # Errors
/// [`StoreError::NoSuchLimit`], [`StoreError::LimitKey`].
pub fn check(conn: &mut dyn LimitRows, jobs: &[ValidJob]) -> Result<(), StoreError> {
    let mut keys = Keys::default();
    keys.read_limits(conn, jobs.iter().flat_map(|job| &job.limit))?;
    for (index, job) in jobs.iter().enumerate() {
        for key in &job.limit {
            check_key(&keys, key, index)?;
        }
    }
    Ok(())
}

fn check_key(keys: &Keys, key: &LimitKey, index: usize) -> Result<(), StoreError> {
    let Some(limit) = keys.limit(key) else {
        let name = key.name().to_owned();
        return Err(StoreError::NoSuchLimit { name, index });
    };
    if limit.per_key && key.key().is_none() {
        let name = key.name().to_owned();
        return Err(StoreError::LimitKey { name, index });
    }
    Ok(())
}

fn place(keys: &mut Keys, counted: Vec<String>, now: Timestamp) -> Placement {
    // Behind those that wait already, even where there is room: they are about to be woken.
    let others_wait = counted
        .iter()
        .find(|key| keys.get(key).is_some_and(|state| state.has_parked));
    if let Some(key) = others_wait {
        return Placement::Parked(key.clone());
    }
    match keys.first_full(&counted, |state| state.to_admit(now)) {
        Some((key, why)) => {
            if let Some(state) = keys.get(&key) {
                state.parked(Some(why));
            }
            Placement::Parked(key)
        }
        None => {
            keys.each(&counted, |state| state.admit());
            Placement::Admitted(counted)
        }
    }
}
