//! Claiming from one queue, and where that begins.
//!
//! A claim takes the first jobs of an index. What was claimed before is still in there until vacuum has removed it, which
//! it cannot as long as any transaction on the server is older: a report, a backup. Each claim would step over all of
//! that, and over more with every job. So when one took long, those after it pass over what it passed over, and look
//! there only now and then, in a small part of the time. Meanwhile a job that comes back to its queue, and so is older
//! than others of its priority, waits for as long. That is done for one queue at a time.

use std::time::{Duration, Instant};

use diesel::prelude::*;

use super::statements::{Claim, ClaimBehind};
use crate::StoreError;
use crate::ops::cycle::{Claimed, Cycle};

/// A claim that takes longer than this, and this much more for each job, has stepped over much.
const LONG: Duration = Duration::from_millis(20);
const LONG_PER_JOB: Duration = Duration::from_micros(100);
/// For how long it is passed over then: so many times what that claim took, and at least so long.
const PAUSE_TIMES: u32 = 20;
const PAUSE_LEAST: Duration = Duration::from_secs(1);

/// What claims pass over.
#[derive(Debug)]
pub struct ClaimCursor {
    resume: Option<ResumePoint>,
    pub long: Duration,
    pub pause: Duration,
}

impl Default for ClaimCursor {
    fn default() -> ClaimCursor {
        ClaimCursor {
            resume: None,
            long: LONG,
            pause: PAUSE_LEAST,
        }
    }
}

/// Jobs of that priority up to this one are passed over for a while.
#[derive(Debug)]
struct ResumePoint {
    queue: String,
    priority: i32,
    id: i64,
    until: Instant,
}

impl ClaimCursor {
    /// The queue that has such jobs. Whether there are others of it ready is not worth a look.
    pub fn queue(&self) -> Option<&str> {
        let resume = self
            .resume
            .as_ref()
            .filter(|resume| Instant::now() < resume.until);
        resume.map(|resume| resume.queue.as_str())
    }

    /// Claims the next jobs of a queue, by priority and then by age, unless the node was taken over; counts them.
    pub fn claim(
        &mut self,
        conn: &mut PgConnection,
        cycle: &Cycle<'_>,
        queue: &str,
        limit: i64,
    ) -> Result<Vec<Claimed>, StoreError> {
        if self.queue() == Some(queue)
            && let Some(resume) = &mut self.resume
        {
            return resume.claim(conn, cycle, limit);
        }
        let start = Instant::now();
        let claimed = between(conn, cycle, queue, (i32::MIN, i32::MAX), limit)?;
        let took = start.elapsed();
        let long = self.long + LONG_PER_JOB * claimed.len() as u32;
        self.resume.take_if(|resume| resume.queue == queue);
        if let Some(last) = claimed.last().filter(|_| took >= long) {
            self.resume = Some(ResumePoint {
                queue: queue.to_owned(),
                priority: last.priority,
                id: last.id,
                until: Instant::now() + (took * PAUSE_TIMES).max(self.pause),
            });
        }
        Ok(claimed)
    }
}

impl ResumePoint {
    /// Claims what is above, behind and below it, in this order.
    fn claim(
        &mut self,
        conn: &mut PgConnection,
        cycle: &Cycle<'_>,
        limit: i64,
    ) -> Result<Vec<Claimed>, StoreError> {
        let missing = |claimed: &Vec<Claimed>| limit - claimed.len() as i64;
        let above = (self.priority.saturating_add(1), i32::MAX);
        let mut claimed = match self.priority {
            i32::MAX => Vec::new(),
            _ => between(conn, cycle, &self.queue, above, limit)?,
        };
        if missing(&claimed) > 0 {
            let statement = ClaimBehind {
                holds: cycle.node.0,
                node_id: cycle.node.0,
                started_at: cycle.now.0,
                updated_at: cycle.now.0,
                queue: self.queue.clone(),
                priority: self.priority,
                id: self.id,
                limit: missing(&claimed),
            };
            let behind = in_order(statement.load(conn)?);
            self.id = behind.last().map_or(self.id, |last| last.id);
            claimed.extend(behind);
        }
        let below = (i32::MIN, self.priority.saturating_sub(1));
        if missing(&claimed) > 0 && self.priority > i32::MIN {
            claimed.extend(between(conn, cycle, &self.queue, below, missing(&claimed))?);
        }
        Ok(claimed)
    }
}

/// Claims jobs of these priorities.
fn between(
    conn: &mut PgConnection,
    cycle: &Cycle<'_>,
    queue: &str,
    (least, most): (i32, i32),
    limit: i64,
) -> Result<Vec<Claimed>, StoreError> {
    let statement = Claim {
        holds: cycle.node.0,
        node_id: cycle.node.0,
        started_at: cycle.now.0,
        updated_at: cycle.now.0,
        queue: queue.to_owned(),
        least,
        most,
        limit,
    };
    Ok(in_order(statement.load(conn)?))
}

/// RETURNING promises no order.
pub fn in_order(mut claimed: Vec<Claimed>) -> Vec<Claimed> {
    claimed.sort_by_key(|job| (-i64::from(job.priority), job.id));
    claimed
}
