//! Claiming: which queues have jobs, from which of them a claim takes how many, and where in a queue it begins.
//!
//! A claim takes the first jobs of an index. What was claimed before is still in there until vacuum has removed it, which
//! it cannot as long as any transaction on the server is older: a report, a backup. Each claim would step over all of
//! that, and over more with every job. So when one took long, those after it pass over what it passed over, and look
//! there only now and then, in a small part of the time. Meanwhile a job that comes back to its queue, and so is older
//! than others of its priority, waits for as long. That is done for one queue at a time.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use diesel::prelude::*;

use queuectl_core::Timestamp;

use super::statements::{Claim, ClaimBehind, Outlook, Shares};
use crate::StoreError;
use crate::types::cycle::{Claimed, Cycle, CycleResult, Queues};

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
fn in_order(mut claimed: Vec<Claimed>) -> Vec<Claimed> {
    claimed.sort_by_key(|job| (-i64::from(job.priority), job.id));
    claimed
}

/// Claims by priority, then by age, over all served queues.
pub fn claim(
    conn: &mut PgConnection,
    cycle: &Cycle<'_>,
    queues: Vec<String>,
    cursor: &mut ClaimCursor,
) -> Result<Vec<Claimed>, StoreError> {
    let total = i64::from(cycle.claim);
    let shares: HashMap<String, i64> = match queues.as_slice() {
        [] => return Ok(Vec::new()),
        [only] => HashMap::from([(only.clone(), total)]),
        _ => Shares {
            queues: queues.clone(),
            limit: total,
            most: total,
        }
        .load::<(String, i64)>(conn)?
        .into_iter()
        .collect(),
    };
    let mut claimed: Vec<Claimed> = Vec::new();
    for (queue, limit) in shares {
        claimed.extend(cursor.claim(conn, cycle, &queue, limit)?);
    }
    Ok(in_order(claimed))
}

/// A cycle that only claims, from a single queue.
pub struct ClaimOnly {
    queue: String,
    next_due: Option<Timestamp>,
}

impl ClaimOnly {
    /// Looks whether the cycle can be such a one. Reads only.
    pub fn look(
        conn: &mut PgConnection,
        cycle: &Cycle<'_>,
        cursor: &ClaimCursor,
    ) -> Result<Option<ClaimOnly>, StoreError> {
        if !cycle.records.is_empty() || cycle.claim == 0 {
            return Ok(None);
        }
        let outlook = outlook(conn, cursor)?;
        let mut served = cycle.queues.served(outlook.ready.into_iter()).into_iter();
        let only = served.next().filter(|_| served.next().is_none());
        let queue = only.filter(|_| outlook.due.is_none_or(|due| due > cycle.now));
        Ok(queue.map(|queue| ClaimOnly {
            queue,
            next_due: outlook.due,
        }))
    }

    /// Claims.
    pub fn claim(
        self,
        conn: &mut PgConnection,
        cycle: &Cycle<'_>,
        cursor: &mut ClaimCursor,
    ) -> Result<CycleResult, StoreError> {
        Ok(CycleResult {
            stale: Vec::new(),
            claimed: cursor.claim(conn, cycle, &self.queue, i64::from(cycle.claim))?,
            next_due: self.next_due,
        })
    }
}

/// What there is to do.
pub struct Prospect {
    pub due: Option<Timestamp>,
    pub ready: Vec<String>,
}

/// Looks what there is to do.
pub fn outlook(conn: &mut PgConnection, cursor: &ClaimCursor) -> Result<Prospect, StoreError> {
    // No queue has an empty name.
    let except = cursor.queue().unwrap_or_default();
    let statement = Outlook {
        before: except.to_owned(),
        after: except.to_owned(),
    };
    let (due, mut ready): (Option<i64>, Vec<String>) = statement.get_result(conn)?;
    ready.extend(cursor.queue().map(str::to_owned));
    Ok(Prospect {
        due: due.map(Timestamp),
        ready,
    })
}

/// The queues, among those served, that have a job ready.
pub fn ready_queues(
    conn: &mut PgConnection,
    queues: &Queues,
    cursor: &ClaimCursor,
) -> Result<Vec<String>, StoreError> {
    Ok(queues.served(outlook(conn, cursor)?.ready.into_iter()))
}
