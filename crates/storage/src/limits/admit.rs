//! What a claim asks: whether all keys of a job have room. Those of which one has none are put back, as if they had not
//! been claimed. A job that was started by hand holds its keys all the same.

use queuectl_core::{LimitKey, State, Timestamp};

use super::keys::{Keys, named};
use super::statements::LimitRows;
use crate::StoreError;
use crate::counts::Deltas;
use crate::env;
use crate::types::cycle::Claimed;
use crate::types::limits::{ADMITTED, HOLDING, PARKED};

/// Which of the claimed jobs were started by hand.
pub enum Started {
    /// These.
    These(Vec<i64>),
    /// That is to be looked up, for jobs that would be put back: an operator may have been quicker than this claim.
    Ask,
}

/// Has those of the claimed jobs hold their keys for which there is room, all of a job's keys or none. Puts the others back
/// and returns how many those were. The jobs are in the order in which they were claimed.
pub fn admit(
    conn: &mut dyn LimitRows,
    keys: &mut Keys,
    claimed: &mut Vec<Claimed>,
    started: &Started,
    now: Timestamp,
    deltas: &mut Deltas,
) -> Result<usize, StoreError> {
    if claimed.iter().all(|job| job.limits.is_none()) {
        return Ok(0);
    }
    keys.lock(conn)?;
    let limited = claimed.iter().filter(|job| job.limits.is_some());
    let limited: Vec<(i64, i32, Vec<LimitKey>)> = limited
        .map(|job| {
            (
                job.id,
                job.priority,
                named(job.limits.as_deref().unwrap_or_default()),
            )
        })
        .collect();
    let of_jobs = keys.of_jobs(conn, limited.iter().map(|(.., named)| named.as_slice()))?;
    let jobs: Vec<i64> = limited.iter().map(|(job, ..)| *job).collect();
    // They are not ready any more; whether they hold what they were let through for is decided now.
    let mut held = conn.hold(&jobs)?;
    for (_, key) in &held {
        if let Some(state) = keys.get(key) {
            state.cleared(ADMITTED);
        }
    }
    held.sort_unstable();
    let (mut rows, mut back, mut parked) = (Vec::new(), Vec::new(), Vec::new());
    let mut past: Vec<(i64, String)> = Vec::new();
    let mut asked: Option<Vec<i64>> = None;
    for ((job, priority, _), counted) in limited.iter().zip(&of_jobs) {
        let full = keys.first_full(counted, |state| state.to_start(now));
        let mut full = full.filter(|_| !env::ignores_limits());
        if let Some((key, _)) = &full {
            let is_started = match started {
                Started::These(jobs) => jobs.contains(job),
                Started::Ask => {
                    if asked.is_none() {
                        asked = Some(conn.claimed_starts(&jobs)?);
                    }
                    asked.as_ref().is_some_and(|asked| asked.contains(job))
                }
            };
            if is_started {
                past.push((*job, key.clone()));
                full = None;
            }
        }
        let Some((key, why)) = full else {
            keys.each(counted, |state| state.start(now));
            let own = of_job(&held, *job);
            let missing = counted.iter().filter(|key| own.iter().all(|(_, of)| of != *key));
            rows.extend(missing.map(|key| (*job, key.as_str(), *priority, HOLDING)));
            // The limit counts by other keys than when the job was let through.
            if own.iter().any(|(_, of)| !counted.contains(of)) {
                keys.set_inexact();
            }
            continue;
        };
        if let Some(state) = keys.get(&key) {
            state.parked(Some(why));
        }
        back.push(*job);
        parked.push((*job, key, *priority));
    }
    if !back.is_empty() {
        conn.put_back(&back, now)?;
        conn.clear(&back)?;
        rows.extend(
            parked
                .iter()
                .map(|(job, key, priority)| (*job, key.as_str(), *priority, PARKED)),
        );
        back.sort_unstable();
        claimed.retain(|job| {
            let stays = back.binary_search(&job.id).is_err();
            if !stays {
                deltas.entered(&job.queue, State::Blocked, 1);
            }
            stays
        });
    }
    if !rows.is_empty() {
        conn.set_rows(&rows)?;
    }
    if !past.is_empty() {
        conn.note_past(&past, now)?;
    }
    Ok(back.len())
}

/// The rows of a job, of rows in the order of their jobs.
fn of_job(rows: &[(i64, String)], job: i64) -> &[(i64, String)] {
    let from = rows.partition_point(|(id, _)| *id < job);
    let own = rows[from..].iter().take_while(|(id, _)| *id == job).count();
    &rows[from..from + own]
}
