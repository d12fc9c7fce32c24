//! Where a new job goes: to the jobs that are ready, or to those that wait for a key. So a claim never sees what cannot
//! run.

use queuectl_core::{LimitKey, Timestamp, ValidJob};

use super::keys::Keys;
use super::statements::LimitRows;
use crate::StoreError;
use crate::types::limits::Placement;

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
    // Others may store jobs meanwhile, but no key gets or loses room.
    conn.lock_limits(true)?;
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
