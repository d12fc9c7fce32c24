//! Jobs that an operator starts by hand, past pauses, times, holds and limits: which of them a cycle claims first.
//!
//! A start counts as long as nothing else changes the job. It is for one attempt, and its row stays until that has ended: so it
//! can be told which of the running jobs a limit did not let through. The claim itself is each dialect's.

use super::statements::LimitRows;
use crate::StoreError;
use crate::types::cycle::Cycle;

/// The jobs to claim first, of those queues that the node serves, at most as many as the cycle claims. Removes what counts no more.
pub fn started(conn: &mut dyn LimitRows, cycle: &Cycle<'_>) -> Result<Vec<i64>, StoreError> {
    if cycle.claim == 0 {
        return Ok(Vec::new());
    }
    let (mut first, mut void) = (Vec::new(), Vec::new());
    for (job, changed_at, queue, counts) in conn.started()? {
        match queue {
            Some(queue) if counts => {
                if cycle.queues.include(&queue.text) && first.len() < cycle.claim as usize {
                    first.push(job);
                }
            }
            _ => void.push((job, changed_at)),
        }
    }
    if !void.is_empty() {
        conn.forget_starts(&void)?;
    }
    Ok(first)
}
