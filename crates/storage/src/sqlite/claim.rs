//! Claiming on SQLite: the one place that decides which jobs a claim takes.

use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;
use queuectl_core::State;

use super::statements::{Claim, ClaimOthers, OthersReadyHead, ReadyHead};
use crate::StoreError;
use crate::counts::Deltas;
use crate::types::cycle::{Claimed, Cycle, Queues};
use crate::types::source::Source;

/// The sources, among those served, that have a job ready.
pub fn ready(conn: &mut SqliteConnection, queues: &Queues) -> Result<Vec<Source>, StoreError> {
    let mut ready = Vec::new();
    for source in Source::served(queues) {
        if !head(conn, &source, 1)?.is_empty() {
            ready.push(source);
        }
    }
    Ok(ready)
}

/// The priorities and numbers of the jobs that a source would hand out next.
fn head(conn: &mut SqliteConnection, source: &Source, limit: i64) -> Result<Vec<(i32, i64)>, StoreError> {
    Ok(match source {
        Source::Queue(name) => ReadyHead {
            queue: name.clone(),
            limit,
        }
        .load(conn)?,
        Source::Others => OthersReadyHead { limit }.load(conn)?,
    })
}

/// Claims by priority, then by age, over all served queues.
pub fn claim(
    conn: &mut SqliteConnection,
    cycle: &Cycle<'_>,
    deltas: &mut Deltas,
) -> Result<Vec<Claimed>, StoreError> {
    let ready = ready(conn, cycle.queues)?;
    let shares = match ready.as_slice() {
        [] => return Ok(Vec::new()),
        [_] => vec![i64::from(cycle.claim)],
        _ => shares(conn, &ready, cycle.claim)?,
    };
    let mut claimed: Vec<Claimed> = Vec::new();
    for (source, limit) in ready.into_iter().zip(shares) {
        if limit > 0 {
            claimed.extend(claim_from(conn, cycle, source, limit)?);
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
fn shares(conn: &mut SqliteConnection, sources: &[Source], total: u32) -> Result<Vec<i64>, StoreError> {
    let mut heads: Vec<(i64, i64, usize)> = Vec::new();
    for (index, source) in sources.iter().enumerate() {
        let head = head(conn, source, i64::from(total))?.into_iter();
        heads.extend(head.map(|(priority, id)| (-i64::from(priority), id, index)));
    }
    heads.sort_unstable();
    let mut shares = vec![0; sources.len()];
    for (_, _, index) in heads.into_iter().take(total as usize) {
        shares[index] += 1;
    }
    Ok(shares)
}
