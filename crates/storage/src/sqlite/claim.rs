//! Claiming on SQLite: the one place that decides which jobs a claim takes.

use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;
use queuectl_core::State;

use super::statements::{Claim, ReadyHead, ReadyQueues};
use crate::StoreError;
use crate::counts::Deltas;
use crate::types::cycle::{Claimed, Cycle, Queues};
use crate::types::text::Words;

/// The queues, among those served, that have a job ready.
pub fn ready_queues(conn: &mut SqliteConnection, queues: &Queues) -> Result<Vec<String>, StoreError> {
    let ready: Vec<(Words,)> = ReadyQueues {}.load(conn)?;
    Ok(queues.served(ready.into_iter().map(|(name,)| name.text)))
}

/// Claims by priority, then by age, over all served queues.
pub fn claim(
    conn: &mut SqliteConnection,
    cycle: &Cycle<'_>,
    deltas: &mut Deltas,
) -> Result<Vec<Claimed>, StoreError> {
    let queues = ready_queues(conn, cycle.queues)?;
    let shares = match queues.as_slice() {
        [] => return Ok(Vec::new()),
        [_] => vec![i64::from(cycle.claim)],
        _ => shares(conn, &queues, cycle.claim)?,
    };
    let mut claimed: Vec<Claimed> = Vec::new();
    for (queue, limit) in queues.into_iter().zip(shares) {
        if limit == 0 {
            continue;
        }
        let now = cycle.now.0;
        let statement = Claim {
            node_id: cycle.node.0,
            started_at: now,
            updated_at: now,
            queue: queue.clone(),
            limit,
        };
        let jobs = statement.load::<Claimed>(conn)?;
        deltas.entered(&queue, State::Pending, -(jobs.len() as i64));
        claimed.extend(jobs);
    }
    // RETURNING promises no order.
    claimed.sort_by_key(|job| (-i64::from(job.priority), job.id));
    Ok(claimed)
}

/// How many of the next `total` jobs come from each of several queues.
fn shares(conn: &mut SqliteConnection, queues: &[String], total: u32) -> Result<Vec<i64>, StoreError> {
    let mut heads: Vec<(i64, i64, usize)> = Vec::new();
    for (index, queue) in queues.iter().enumerate() {
        let head: Vec<(i32, i64)> = ReadyHead {
            queue: queue.clone(),
            limit: i64::from(total),
        }
        .load(conn)?;
        heads.extend(
            head.into_iter()
                .map(|(priority, id)| (-i64::from(priority), id, index)),
        );
    }
    heads.sort_unstable();
    let mut shares = vec![0; queues.len()];
    for (_, _, index) in heads.into_iter().take(total as usize) {
        shares[index] += 1;
    }
    Ok(shares)
}
