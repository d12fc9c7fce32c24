//! Claiming on SQLite: the one place that decides which jobs a claim takes.
//!
//! Paused queues are left out. As long as they have few jobs, those are stepped over in the index of all queues; many would
//! be in the way of every claim, so then the other queues are looked at one by one.

use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;
use queuectl_core::{State, Timestamp};

use super::statements::{
    Claim, ClaimOthers, ClaimUnpaused, OthersReadyHead, PausedBacklog, ReadyHead, StoredPauses,
    UnpausedQueues, UnpausedReadyHead,
};
use crate::StoreError;
use crate::counts::Deltas;
use crate::types::cycle::{Claimed, Cycle, Queues};
use crate::types::pause::{Pauses, STEPPED_OVER};
use crate::types::source::Source;
use crate::types::text::Words;

/// The queues that are paused at that moment.
pub fn pauses(conn: &mut SqliteConnection, moment: Timestamp) -> Result<Pauses, StoreError> {
    let stored: Vec<(Words, i64)> = StoredPauses {}.load(conn)?;
    let stored = stored.into_iter().map(|(name, until)| (name.text, until));
    Ok(Pauses::at(moment, stored))
}

/// The sources, among those served, that have a job ready; of many single queues those whose next jobs come first.
pub fn ready(
    conn: &mut SqliteConnection,
    queues: &Queues,
    pauses: &Pauses,
    most: u32,
) -> Result<Vec<Source>, StoreError> {
    let mut ready = Vec::new();
    for source in Source::served(queues) {
        match source {
            Source::Others if pauses.has_others() && backlog(conn, pauses)? >= STEPPED_OVER => {
                let statement = UnpausedQueues {
                    moment: pauses.moment(),
                    limit: most.into(),
                };
                let queues: Vec<(Words,)> = statement.load(conn)?;
                ready.extend(queues.into_iter().map(|(queue,)| Source::Queue(queue.text)));
            }
            Source::Queue(name) if pauses.has(&name) => {}
            source if head(conn, &source, pauses, 1)?.is_empty() => {}
            source => ready.push(source),
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
    deltas: &mut Deltas,
) -> Result<Vec<Claimed>, StoreError> {
    let ready = ready(conn, cycle.queues, pauses, cycle.claim)?;
    let shares = match ready.as_slice() {
        [] => return Ok(Vec::new()),
        [_] => vec![i64::from(cycle.claim)],
        _ => shares(conn, &ready, pauses, cycle.claim)?,
    };
    let mut claimed: Vec<Claimed> = Vec::new();
    for (source, limit) in ready.into_iter().zip(shares) {
        if limit > 0 {
            claimed.extend(claim_from(conn, cycle, source, pauses, limit)?);
        }
    }
    for job in &claimed {
        deltas.entered(&job.queue, State::Pending, -1);
    }
    // RETURNING promises no order.
    claimed.sort_by_key(|job| (-i64::from(job.priority), job.id));
    Ok(claimed)
}

fn claim_from(
    conn: &mut SqliteConnection,
    cycle: &Cycle<'_>,
    source: Source,
    pauses: &Pauses,
    limit: i64,
) -> Result<Vec<Claimed>, StoreError> {
    let (node_id, now) = (cycle.node.0, cycle.now.0);
    Ok(match source {
        Source::Queue(queue) => Claim {
            node_id,
            started_at: now,
            updated_at: now,
            queue,
            limit,
        }
        .load(conn)?,
        Source::Others if pauses.has_others() => ClaimUnpaused {
            node_id,
            started_at: now,
            updated_at: now,
            moment: pauses.moment(),
            limit,
        }
        .load(conn)?,
        Source::Others => ClaimOthers {
            node_id,
            started_at: now,
            updated_at: now,
            limit,
        }
        .load(conn)?,
    })
}

/// How many of the next `total` jobs come from each of several sources.
fn shares(
    conn: &mut SqliteConnection,
    sources: &[Source],
    pauses: &Pauses,
    total: u32,
) -> Result<Vec<i64>, StoreError> {
    // Of many sources, each has a small part; one that has more is looked at again.
    let total = i64::from(total);
    let few = (total / sources.len() as i64 * 2 + 2).min(total);
    let mut looked = vec![few; sources.len()];
    let mut heads = Vec::new();
    for source in sources {
        heads.push(head(conn, source, pauses, few)?);
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
        let may_have_more = |index: &usize| shares[*index] == looked[*index] && looked[*index] < total;
        let again: Vec<usize> = (0..sources.len()).filter(may_have_more).collect();
        if again.is_empty() {
            return Ok(shares);
        }
        for index in again {
            looked[index] = (looked[index] * 4).min(total);
            heads[index] = head(conn, &sources[index], pauses, looked[index])?;
        }
    }
}
