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
use crate::verbs::turn::{Claimed, Turn};

/// A claim that takes longer than this, and this much more for each job, has stepped over much.
const LONG: Duration = Duration::from_millis(20);
const LONG_PER_JOB: Duration = Duration::from_micros(100);
/// For how long it is passed over then: so many times what that claim took, and at least so long.
const PAUSE_TIMES: u32 = 20;
const PAUSE_LEAST: Duration = Duration::from_secs(1);

/// What claims pass over.
#[derive(Debug)]
pub struct Front {
    place: Option<Place>,
    pub long: Duration,
    pub pause: Duration,
}

impl Default for Front {
    fn default() -> Front {
        Front {
            place: None,
            long: LONG,
            pause: PAUSE_LEAST,
        }
    }
}

/// Jobs of that priority up to this one are passed over for a while.
#[derive(Debug)]
struct Place {
    queue: String,
    priority: i32,
    id: i64,
    until: Instant,
}

impl Front {
    /// The queue that has such jobs. Whether there are others of it ready is not worth a look.
    pub fn queue(&self) -> Option<&str> {
        let place = self.place.as_ref().filter(|place| Instant::now() < place.until);
        place.map(|place| place.queue.as_str())
    }

    /// Claims the next jobs of a queue, by priority and then by age, unless the node was taken over; counts them.
    pub fn claim(
        &mut self,
        conn: &mut PgConnection,
        turn: &Turn<'_>,
        queue: &str,
        limit: i64,
    ) -> Result<Vec<Claimed>, StoreError> {
        if self.queue() == Some(queue)
            && let Some(place) = &mut self.place
        {
            return place.claim(conn, turn, limit);
        }
        let start = Instant::now();
        let claimed = between(conn, turn, queue, (i32::MIN, i32::MAX), limit)?;
        let took = start.elapsed();
        let long = self.long + LONG_PER_JOB * claimed.len() as u32;
        self.place.take_if(|place| place.queue == queue);
        if let Some(last) = claimed.last().filter(|_| took >= long) {
            self.place = Some(Place {
                queue: queue.to_owned(),
                priority: last.priority,
                id: last.id,
                until: Instant::now() + (took * PAUSE_TIMES).max(self.pause),
            });
        }
        Ok(claimed)
    }
}

impl Place {
    /// Claims what is above, behind and below it, in this order.
    fn claim(
        &mut self,
        conn: &mut PgConnection,
        turn: &Turn<'_>,
        limit: i64,
    ) -> Result<Vec<Claimed>, StoreError> {
        let missing = |claimed: &Vec<Claimed>| limit - claimed.len() as i64;
        let above = (self.priority.saturating_add(1), i32::MAX);
        let mut claimed = match self.priority {
            i32::MAX => Vec::new(),
            _ => between(conn, turn, &self.queue, above, limit)?,
        };
        if missing(&claimed) > 0 {
            let statement = ClaimBehind {
                holds: turn.node.0,
                node_id: turn.node.0,
                started_at: turn.now.0,
                updated_at: turn.now.0,
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
            claimed.extend(between(conn, turn, &self.queue, below, missing(&claimed))?);
        }
        Ok(claimed)
    }
}

/// Claims jobs of these priorities.
fn between(
    conn: &mut PgConnection,
    turn: &Turn<'_>,
    queue: &str,
    (least, most): (i32, i32),
    limit: i64,
) -> Result<Vec<Claimed>, StoreError> {
    let statement = Claim {
        holds: turn.node.0,
        node_id: turn.node.0,
        started_at: turn.now.0,
        updated_at: turn.now.0,
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
