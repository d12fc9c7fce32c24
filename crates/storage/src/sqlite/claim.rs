//! Claiming on SQLite: the one place that decides which jobs a claim takes.
//!
//! Paused queues are left out. As long as they have few jobs, those are stepped over in the index of all queues; many would
//! be in the way of every claim, so then the other queues are looked at one by one. Queues with limits are left out, too,
//! and claimed from by themselves, as many jobs as they have room for.

use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;
use queuectl_core::{State, Timestamp};

use super::statements::{
    Claim, Next, NextOfOthers, NextStarted, NextUnpaused, OthersReadyHead, PausedBacklog, ReadyHead,
    StoredPauses, UnpausedQueues, UnpausedReadyHead,
};
use crate::StoreError;
use crate::counts::Deltas;
use crate::error::Problem;
use crate::limits::{LimitParts, json, queue_limit};
use crate::types::cycle::{Claimed, Cycle, Queues};
use crate::types::pause::{Pauses, STEPPED_OVER};
use crate::types::source::Source;
use crate::types::text::Words;

/// The queues that are paused at that moment, and those with limits.
pub fn pauses(conn: &mut SqliteConnection, moment: Timestamp) -> Result<Pauses, StoreError> {
    type Row = (Words, Option<i64>, LimitParts);
    let (mut paused, mut limited) = (Vec::new(), Vec::new());
    let stored: Vec<Row> = StoredPauses {}.load(conn)?;
    for (name, until, parts) in stored {
        match until {
            Some(until) => paused.push((name.text, until)),
            None => limited.push((name.text, queue_limit(parts))),
        }
    }
    Ok(Pauses::at(moment, paused).with_limited(limited))
}

/// How many jobs queues with limits have room for; none of those that have none.
pub type Caps = [(String, u32)];

/// A source with how many jobs it has room for, if it has a limit.
pub type Capped = (Source, Option<u32>);

/// The sources, among those served, that have a job ready; of many single queues those whose next jobs come first.
pub fn ready(
    conn: &mut SqliteConnection,
    queues: &Queues,
    pauses: &Pauses,
    caps: &Caps,
    most: u32,
) -> Result<Vec<Capped>, StoreError> {
    let mut ready = Vec::new();
    for source in Source::served(queues) {
        match source {
            Source::Others if pauses.has_others() && backlog(conn, pauses)? >= STEPPED_OVER => {
                let statement = UnpausedQueues {
                    moment: pauses.moment(),
                    limit: most.into(),
                };
                let queues: Vec<(Words,)> = statement.load(conn)?;
                ready.extend(
                    queues
                        .into_iter()
                        .map(|(queue,)| (Source::Queue(queue.text), None)),
                );
            }
            Source::Queue(name) if pauses.has(&name) || pauses.is_limited(&name) => {}
            source if head(conn, &source, pauses, 1)?.is_empty() => {}
            source => ready.push((source, None)),
        }
    }
    for (queue, room) in caps {
        let source = Source::Queue(queue.clone());
        if !head(conn, &source, pauses, 1)?.is_empty() {
            ready.push((source, Some(*room)));
        }
    }
    Ok(ready)
}

/// How many jobs stand in the way of claims from the others.
fn backlog(conn: &mut SqliteConnection, pauses: &Pauses) -> Result<i64, StoreError> {
    let moment = pauses.moment();
    let (jobs,) = PausedBacklog { moment }.get_result::<(i64,)>(conn)?;
    Ok(jobs)
}

/// The priorities and numbers of the jobs that a source would hand out next.
fn head(
    conn: &mut SqliteConnection,
    source: &Source,
    pauses: &Pauses,
    limit: i64,
) -> Result<Vec<(i32, i64)>, StoreError> {
    let moment = pauses.moment();
    Ok(match source {
        Source::Queue(name) => ReadyHead {
            queue: name.clone(),
            limit,
        }
        .load(conn)?,
        Source::Others if pauses.has_others() => UnpausedReadyHead { moment, limit }.load(conn)?,
        Source::Others => OthersReadyHead { limit }.load(conn)?,
    })
}

/// Claims by priority, then by age, over all served queues.
pub fn claim(
    conn: &mut SqliteConnection,
    cycle: &Cycle<'_>,
    pauses: &Pauses,
    caps: &Caps,
    deltas: &mut Deltas,
) -> Result<Vec<Claimed>, StoreError> {
    let ready = ready(conn, cycle.queues, pauses, caps, cycle.claim)?;
    let shares = match ready.as_slice() {
        [] => return Ok(Vec::new()),
        [(_, cap)] => vec![i64::from(cap.unwrap_or(u32::MAX).min(cycle.claim))],
        _ => shares(conn, &ready, pauses, cycle.claim)?,
    };
    let mut jobs: Vec<Claimed> = Vec::new();
    for ((source, _), limit) in ready.into_iter().zip(shares) {
        if limit > 0 {
            jobs.extend(next(conn, source, pauses, limit)?);
        }
    }
    jobs.sort_by_key(|job| (-i64::from(job.priority), job.id));
    take(conn, cycle, jobs, deltas)
}

/// Claims jobs that were started by hand, whatever pauses and limits say.
pub fn claim_started(
    conn: &mut SqliteConnection,
    cycle: &Cycle<'_>,
    jobs: &[i64],
    deltas: &mut Deltas,
) -> Result<Vec<Claimed>, StoreError> {
    let mut found: Vec<Claimed> = NextStarted { jobs: json!(jobs) }.load(conn)?;
    found.sort_by_key(|job| jobs.iter().position(|id| *id == job.id));
    take(conn, cycle, found, deltas)
}

/// The next jobs of a source.
fn next(
    conn: &mut SqliteConnection,
    source: Source,
    pauses: &Pauses,
    limit: i64,
) -> Result<Vec<Claimed>, StoreError> {
    let moment = pauses.moment();
    Ok(match source {
        Source::Queue(queue) => Next { queue, limit }.load(conn)?,
        Source::Others if pauses.has_others() => NextUnpaused { moment, limit }.load(conn)?,
        Source::Others => NextOfOthers { limit }.load(conn)?,
    })
}

/// Claims the jobs, which this transaction has read. Reading them first costs less than having the change yield them,
/// because SQLite collects what it yields in a table of its own.
fn take(
    conn: &mut SqliteConnection,
    cycle: &Cycle<'_>,
    jobs: Vec<Claimed>,
    deltas: &mut Deltas,
) -> Result<Vec<Claimed>, StoreError> {
    if jobs.is_empty() {
        return Ok(jobs);
    }
    let ids: Vec<i64> = jobs.iter().map(|job| job.id).collect();
    let claim = Claim {
        node_id: cycle.node.0,
        started_at: cycle.now.0,
        updated_at: cycle.now.0,
        jobs: json!(&ids),
    };
    if claim.execute(conn)? != jobs.len() {
        return Err(StoreError::Database {
            problem: Problem::Corrupt,
            detail: "an index lists jobs as ready that are not".to_owned(),
        });
    }
    for job in &jobs {
        deltas.entered(&job.queue, State::Pending, -1);
    }
    Ok(jobs)
}

/// How many of the next `total` jobs come from each of several sources.
fn shares(
    conn: &mut SqliteConnection,
    sources: &[Capped],
    pauses: &Pauses,
    total: u32,
) -> Result<Vec<i64>, StoreError> {
    let most = |index: usize| i64::from(sources[index].1.unwrap_or(u32::MAX).min(total));
    // Of many sources, each has a small part; one that has more is looked at again.
    let total = i64::from(total);
    let few = total / sources.len() as i64 * 2 + 2;
    let mut looked: Vec<i64> = (0..sources.len()).map(|index| few.min(most(index))).collect();
    let mut heads = Vec::new();
    for ((source, _), looked) in sources.iter().zip(&looked) {
        heads.push(head(conn, source, pauses, *looked)?);
    }
    loop {
        let jobs = heads.iter().enumerate();
        let mut all: Vec<(i64, i64, usize)> = jobs
            .flat_map(|(index, head)| {
                head.iter()
                    .map(move |(priority, id)| (-i64::from(*priority), *id, index))
            })
            .collect();
        all.sort_unstable();
        let mut shares = vec![0; sources.len()];
        for (_, _, index) in all.into_iter().take(total as usize) {
            shares[index] += 1;
        }
        let may_have_more = |index: &usize| shares[*index] == looked[*index] && looked[*index] < most(*index);
        let again: Vec<usize> = (0..sources.len()).filter(may_have_more).collect();
        if again.is_empty() {
            return Ok(shares);
        }
        for index in again {
            looked[index] = (looked[index] * 4).min(most(index));
            heads[index] = head(conn, &sources[index].0, pauses, looked[index])?;
        }
    }
}
