//! Limits of queues. A queue with a limit is claimed from by itself, as many jobs as it has room for; its jobs stay pending
//! meanwhile, also those that were stored before it had one.
//!
//! What counts is which jobs of the queue run, as the jobs themselves say, read under the same lock as the keys of limits. So
//! no slot is stored anywhere, and none can leak. What the starts of a rate have used up is a key in `limit_keys`.

use std::collections::HashMap;

use queuectl_core::{JobId, QueueLimit, QueueName, Timestamp};

use super::keys::Keys;
use super::statements::{LimitRows, rate};
use crate::StoreError;
use crate::types::cycle::{Claimed, Record};

/// A queue's limit as it is stored: running jobs; count, period in ms and burst of a rate.
pub type LimitParts = (Option<i32>, Option<i32>, Option<i64>, Option<i32>);

/// Reads a queue's limit. Numbers that the schema's checks do not let in are brought into their ranges.
pub fn queue_limit((running, count, period, burst): LimitParts) -> QueueLimit {
    QueueLimit {
        running: running.map(|running| u32::try_from(running).unwrap_or(0)),
        rate: rate(count, period, burst),
    }
}

/// Which of the queues with a limit of running jobs have room after a cycle and had none before it: other nodes are to
/// look there.
pub fn freed(
    conn: &mut dyn LimitRows,
    most: &[(String, u32)],
    records: &[Record],
    stale: &[(JobId, i64)],
    claimed: &[Claimed],
) -> Result<Vec<QueueName>, StoreError> {
    if most.is_empty() || records.is_empty() {
        return Ok(Vec::new());
    }
    let ended = records
        .iter()
        .filter(|record| !stale.contains(&(record.job, record.fence)));
    let ended: Vec<i64> = ended.map(|record| record.job.0).collect();
    let ended: HashMap<String, i64> = conn.queues_of(&ended)?.into_iter().collect();
    let most = most.iter().filter(|(queue, _)| ended.contains_key(queue));
    let most: Vec<(&str, i64)> = most
        .map(|(queue, most)| (queue.as_str(), i64::from(*most)))
        .collect();
    if most.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<&str> = most.iter().map(|(queue, _)| *queue).collect();
    let running: HashMap<String, i64> = conn.running_in(&names)?.into_iter().collect();
    let has_come_free = |(queue, most): &(&str, i64)| {
        let after = running.get(*queue).copied().unwrap_or(0);
        let started = claimed.iter().filter(|job| job.queue == *queue).count() as i64;
        after < *most && after - started + ended.get(*queue).copied().unwrap_or(0) >= *most
    };
    let freed = most.into_iter().filter(has_come_free);
    Ok(freed
        .map(|(queue, _)| QueueName::as_stored(queue.to_owned()))
        .collect())
}

/// How many jobs each of these queues may start now; those are left out that may start none. Others that claim from queues
/// with limits wait until this transaction has ended.
pub fn caps(
    conn: &mut dyn LimitRows,
    keys: &mut Keys,
    limited: &[(String, QueueLimit)],
    now: Timestamp,
) -> Result<Vec<(String, u32)>, StoreError> {
    if limited.is_empty() {
        return Ok(Vec::new());
    }
    keys.lock(conn)?;
    keys.read_queues(conn, limited)?;
    let mut caps = Vec::new();
    for (queue, _) in limited {
        if let Ok(room) = keys.queue_room(queue, now) {
            caps.push((queue.clone(), room));
        }
    }
    Ok(caps)
}
