//! Claiming: which sources have jobs, from which of them a claim takes how many, and where in a source it begins.
//!
//! A claim takes the first jobs of an index. What was claimed before is still in there until vacuum has removed it, which
//! it cannot as long as any transaction on the server is older: a report, a backup. Each claim would step over all of
//! that, and over more with every job. So when one took long, those after it pass over what it passed over, and look
//! there only now and then, in a small part of the time. Meanwhile a job that comes back to its queue, and so is older
//! than others of its priority, waits for as long. That is done for one source at a time.
//!
//! Paused queues are left out. As long as they have few jobs, those are stepped over in the index of all queues; many would
//! be in the way of every claim, so then the other queues are looked at one by one. Queues with limits are left out, too,
//! and claimed from by themselves, as many jobs as they have room for.

use std::time::{Duration, Instant};

use diesel::prelude::*;
use queuectl_core::{QueueLimit, Timestamp};

use super::statements::{
    Claim, ClaimBehind, ClaimOthers, ClaimOthersBehind, ClaimStarted, Outlook, OutlookOf, PausedBacklog,
    QueueLimits, ReadyOf, Shares, SharesOf, SharesWithin, UnpausedQueues, UnpausedReady,
};
use crate::StoreError;
use crate::limits::{self, Keys, LimitParts, queue_limit};
use crate::types::cycle::{Claimed, Cycle, CycleResult, Queues};
use crate::types::pause::{Pauses, STEPPED_OVER};
use crate::types::source::Source;

/// A claim that takes longer than this, and this much more for each job, has stepped over much.
const LONG: Duration = Duration::from_millis(20);
const LONG_PER_JOB: Duration = Duration::from_micros(100);
/// Later claims pass over it for this many times the duration of that claim.
const PAUSE_TIMES: u32 = 20;
/// And at least for this time.
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
    source: Source,
    priority: i32,
    id: i64,
    until: Instant,
}

impl ClaimCursor {
    /// The source that has such jobs. Whether there are others of it ready is not worth a look.
    pub fn source(&self) -> Option<&Source> {
        let resume = self
            .resume
            .as_ref()
            .filter(|resume| Instant::now() < resume.until);
        resume.map(|resume| &resume.source)
    }

    /// Claims the next jobs of a source, by priority and then by age, unless the node was taken over; counts them.
    pub fn claim(
        &mut self,
        conn: &mut PgConnection,
        cycle: &Cycle<'_>,
        source: &Source,
        with: With,
        limit: i64,
    ) -> Result<Vec<Claimed>, StoreError> {
        if self.source() == Some(source)
            && let Some(resume) = &mut self.resume
        {
            return resume.claim(conn, cycle, with, limit);
        }
        let start = Instant::now();
        let claimed = between(conn, cycle, source, (i32::MIN, i32::MAX), with, limit)?;
        let took = start.elapsed();
        let long = self.long + LONG_PER_JOB * claimed.len() as u32;
        self.resume.take_if(|resume| resume.source == *source);
        if let Some(last) = claimed.last().filter(|_| took >= long) {
            self.resume = Some(ResumePoint {
                source: source.clone(),
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
        with: With,
        limit: i64,
    ) -> Result<Vec<Claimed>, StoreError> {
        let missing = |claimed: &Vec<Claimed>| limit - claimed.len() as i64;
        let above = (self.priority.saturating_add(1), i32::MAX);
        let mut claimed = match self.priority {
            i32::MAX => Vec::new(),
            _ => between(conn, cycle, &self.source, above, with, limit)?,
        };
        if missing(&claimed) > 0 {
            let behind = self.claim_behind(conn, cycle, with, missing(&claimed))?;
            self.id = behind.last().map_or(self.id, |last| last.id);
            claimed.extend(behind);
        }
        let below = (i32::MIN, self.priority.saturating_sub(1));
        if missing(&claimed) > 0 && self.priority > i32::MIN {
            let limit = missing(&claimed);
            claimed.extend(between(conn, cycle, &self.source, below, with, limit)?);
        }
        Ok(claimed)
    }
    /// Claims jobs of its priority that are behind it.
    fn claim_behind(
        &self,
        conn: &mut PgConnection,
        cycle: &Cycle<'_>,
        with: With,
        limit: i64,
    ) -> Result<Vec<Claimed>, StoreError> {
        let (node, now) = (cycle.node.0, cycle.now.0);
        Ok(in_order(match &self.source {
            Source::Queue(name) => ClaimBehind {
                holds: node,
                node_id: node,
                started_at: now,
                updated_at: now,
                capped: with.capped,
                queue: name.clone(),
                priority: self.priority,
                id: self.id,
                moment: with.moment,
                limit,
            }
            .load(conn)?,
            Source::Others => ClaimOthersBehind {
                holds: node,
                node_id: node,
                started_at: now,
                updated_at: now,
                priority: self.priority,
                id: self.id,
                moment: with.moment,
                limit,
            }
            .load(conn)?,
        }))
    }
}

/// Claims jobs that were started by hand, in this order, unless the node was taken over; counts them.
pub fn claim_started(
    conn: &mut PgConnection,
    cycle: &Cycle<'_>,
    jobs: &[i64],
) -> Result<Vec<Claimed>, StoreError> {
    let (node, now) = (cycle.node.0, cycle.now.0);
    let claim = ClaimStarted {
        holds: node,
        node_id: node,
        started_at: now,
        updated_at: now,
        jobs: jobs.to_vec(),
        limit: i64::from(cycle.claim),
    };
    let mut claimed: Vec<Claimed> = claim.load(conn)?;
    claimed.sort_by_key(|job| jobs.iter().position(|id| *id == job.id));
    Ok(claimed)
}

/// Claims jobs of these priorities.
fn between(
    conn: &mut PgConnection,
    cycle: &Cycle<'_>,
    source: &Source,
    (least, most): (i32, i32),
    with: With,
    limit: i64,
) -> Result<Vec<Claimed>, StoreError> {
    let (node, now) = (cycle.node.0, cycle.now.0);
    Ok(in_order(match source {
        Source::Queue(name) => Claim {
            holds: node,
            node_id: node,
            started_at: now,
            updated_at: now,
            capped: with.capped,
            queue: name.clone(),
            least,
            most,
            moment: with.moment,
            limit,
        }
        .load(conn)?,
        Source::Others => ClaimOthers {
            holds: node,
            node_id: node,
            started_at: now,
            updated_at: now,
            least,
            most,
            moment: with.moment,
            limit,
        }
        .load(conn)?,
    }))
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
    ahead: Prospect,
    caps: &[(String, u32)],
    cursor: &mut ClaimCursor,
) -> Result<Vec<Claimed>, StoreError> {
    let total = i64::from(cycle.claim);
    let moment = ahead.pauses.moment();
    let capped = ready_of(conn, caps)?;
    let shares: Vec<(Source, i64)> = match (ahead.ready.as_slice(), capped.as_slice()) {
        ([], []) => return Ok(Vec::new()),
        ([only], []) => vec![(only.clone(), total)],
        ([], [(queue, room)]) => vec![(Source::Queue(queue.clone()), total.min(*room))],
        (ready, []) => shares(conn, ready, moment, total)?,
        (ready, capped) => shares_within(conn, ready, capped, moment, total)?,
    };
    let mut claimed: Vec<Claimed> = Vec::new();
    for (source, limit) in shares {
        let is_capped = capped.iter().any(|(queue, _)| source.key() == queue);
        let with = With {
            moment,
            capped: is_capped,
        };
        claimed.extend(cursor.claim(conn, cycle, &source, with, limit)?);
    }
    Ok(in_order(claimed))
}

/// Those of the queues with limits that have a job ready, with how many jobs each has room for.
pub fn ready_of(conn: &mut PgConnection, caps: &[(String, u32)]) -> Result<Vec<(String, i64)>, StoreError> {
    if caps.is_empty() {
        return Ok(Vec::new());
    }
    let queues = caps.iter().map(|(queue, _)| queue.clone()).collect();
    let ready: Vec<(String,)> = ReadyOf { queues }.load(conn)?;
    let is_ready = |queue: &str| ready.iter().any(|(ready,)| ready == queue);
    let caps = caps.iter().filter(|(queue, _)| is_ready(queue));
    Ok(caps
        .map(|(queue, room)| (queue.clone(), i64::from(*room)))
        .collect())
}

/// How many of the next `total` jobs come from each of several sources, of which some have limits.
fn shares_within(
    conn: &mut PgConnection,
    ready: &[Source],
    capped: &[(String, i64)],
    moment: i64,
    total: i64,
) -> Result<Vec<(Source, i64)>, StoreError> {
    let plain = ready.iter().filter(|source| **source != Source::Others);
    let plain = plain.map(|source| (source.key().to_owned(), total));
    let capped = capped
        .iter()
        .map(|(queue, room)| (queue.clone(), total.min(*room)));
    let (queues, room) = plain.chain(capped).unzip();
    let shares: Vec<(String, i64)> = SharesWithin {
        moment,
        others: if ready.contains(&Source::Others) { total } else { 0 },
        queues,
        room,
        most: total,
    }
    .load(conn)?;
    let shares = shares.into_iter();
    Ok(shares.map(|(key, jobs)| (Source::with_key(key), jobs)).collect())
}

/// How many of the next `total` jobs come from each of several sources.
fn shares(
    conn: &mut PgConnection,
    ready: &[Source],
    moment: i64,
    total: i64,
) -> Result<Vec<(Source, i64)>, StoreError> {
    let shares: Vec<(String, i64)> = match ready.contains(&Source::Others) {
        true => Shares {
            limit: total,
            moment,
            others: total,
            most: total,
        }
        .load(conn)?,
        false => SharesOf {
            queues: ready.iter().map(|source| source.key().to_owned()).collect(),
            limit: total,
            most: total,
        }
        .load(conn)?,
    };
    let shares = shares.into_iter();
    Ok(shares.map(|(key, jobs)| (Source::with_key(key), jobs)).collect())
}

/// Which queues a claim leaves out: those paused at that moment, and those with limits unless it is capped by that limit.
#[derive(Debug, Clone, Copy)]
pub struct With {
    moment: i64,
    capped: bool,
}

/// A cycle that only claims, from a single source.
pub struct ClaimOnly {
    source: Source,
    moment: i64,
    next_due: Option<Timestamp>,
}

impl ClaimOnly {
    /// Looks whether the cycle can be such a one. Reads only.
    pub fn look(
        conn: &mut PgConnection,
        cycle: &Cycle<'_>,
        moment: Timestamp,
        cursor: &ClaimCursor,
    ) -> Result<Option<ClaimOnly>, StoreError> {
        if !cycle.records.is_empty() || cycle.claim == 0 {
            return Ok(None);
        }
        let outlook = outlook(conn, cycle.queues, moment, cycle.claim, cursor)?;
        if outlook.any_started || !outlook.pauses.limited(cycle.queues).is_empty() {
            return Ok(None);
        }
        let is_due = outlook.due.is_some_and(|due| due <= cycle.now);
        Ok(match <[Source; 1]>::try_from(outlook.ready) {
            Ok([source]) if !is_due => Some(ClaimOnly {
                source,
                moment: outlook.pauses.moment(),
                next_due: outlook.pauses.or_next_end(outlook.due),
            }),
            _ => None,
        })
    }

    /// Claims.
    pub fn claim(
        self,
        conn: &mut PgConnection,
        cycle: &Cycle<'_>,
        cursor: &mut ClaimCursor,
    ) -> Result<CycleResult, StoreError> {
        let with = With {
            moment: self.moment,
            capped: false,
        };
        Ok(CycleResult {
            stale: Vec::new(),
            busy: Vec::new(),
            freed: Vec::new(),
            unblocked: 0,
            claimed: cursor.claim(conn, cycle, &self.source, with, i64::from(cycle.claim))?,
            checkpoints: Vec::new(),
            next_due: self.next_due,
        })
    }
}

/// What there is to do.
pub struct Prospect {
    pub due: Option<Timestamp>,
    pub pauses: Pauses,
    /// Whether jobs were started by hand that no node has claimed.
    pub any_started: bool,
    pub ready: Vec<Source>,
}

/// Looks what there is to do. Queues are left out that are paused at that moment or have limits; of many single queues, those are named
/// whose next jobs come first.
pub fn outlook(
    conn: &mut PgConnection,
    queues: &Queues,
    moment: Timestamp,
    most: u32,
    cursor: &ClaimCursor,
) -> Result<Prospect, StoreError> {
    let (due, names, ends, any_limited, any_started, mut ready) = match queues {
        Queues::All => {
            let [default, others] = Source::all();
            let statement = Outlook {
                default: cursor.source() == Some(&default),
                others: cursor.source() == Some(&others),
            };
            type Row = (Option<i64>, Vec<String>, Vec<i64>, bool, bool, bool, bool);
            let row: Row = statement.get_result(conn)?;
            let (due, names, ends, any_limited, any_started, has_default, has_others) = row;
            let ready = [(default, has_default), (others, has_others)];
            let ready = ready.into_iter().filter(|(_, is_ready)| *is_ready);
            (
                due,
                names,
                ends,
                any_limited,
                any_started,
                ready.map(|(source, _)| source).collect(),
            )
        }
        Queues::Only(served) => {
            let statement = OutlookOf {
                queues: served.iter().map(ToString::to_string).collect(),
                known: cursor
                    .source()
                    .map_or(String::new(), |source| source.key().to_owned()),
            };
            type Row = (Option<i64>, Vec<String>, Vec<i64>, bool, bool, Vec<String>);
            let (due, names, ends, any_limited, any_started, ready): Row = statement.get_result(conn)?;
            (
                due,
                names,
                ends,
                any_limited,
                any_started,
                ready.into_iter().map(Source::Queue).collect(),
            )
        }
    };
    let mut pauses = Pauses::at(moment, names.into_iter().zip(ends));
    if any_limited {
        pauses = pauses.with_limited(queue_limits(conn)?);
    }
    if !pauses.is_empty() {
        ready = unpaused(conn, ready, &pauses, most)?;
    }
    Ok(Prospect {
        due: due.map(Timestamp),
        pauses,
        any_started,
        ready,
    })
}

/// The queues with limits, as they are now.
fn queue_limits(conn: &mut PgConnection) -> Result<Vec<(String, QueueLimit)>, StoreError> {
    let rows: Vec<(String, LimitParts)> = QueueLimits {}.load(conn)?;
    Ok(rows
        .into_iter()
        .map(|(queue, parts)| (queue, queue_limit(parts)))
        .collect())
}

/// How many jobs the queues with limits have room for that are served. Their limits are read again once no other claim can
/// be under way that takes room.
pub fn caps(
    conn: &mut PgConnection,
    cycle: &Cycle<'_>,
    ahead: &Prospect,
    keys: &mut Keys,
) -> Result<Vec<(String, u32)>, StoreError> {
    if ahead.pauses.limited(cycle.queues).is_empty() {
        return Ok(Vec::new());
    }
    keys.lock(conn)?;
    let pauses = ahead.pauses.clone().with_limited(queue_limits(conn)?);
    limits::caps(conn, keys, &pauses.limited(cycle.queues), cycle.now)
}

/// What is left of sources that have jobs ready when some queues are paused or have limits.
fn unpaused(
    conn: &mut PgConnection,
    ready: Vec<Source>,
    pauses: &Pauses,
    most: u32,
) -> Result<Vec<Source>, StoreError> {
    let moment = pauses.moment();
    let mut left = Vec::new();
    for source in ready {
        match source {
            Source::Queue(name) if pauses.has(&name) || pauses.is_limited(&name) => {}
            Source::Others if pauses.has_others() => {
                let (backlog,): (i64,) = PausedBacklog { moment }.get_result(conn)?;
                if backlog < STEPPED_OVER {
                    let (is_ready,): (bool,) = UnpausedReady { moment }.get_result(conn)?;
                    left.extend(is_ready.then_some(Source::Others));
                    continue;
                }
                let limit = most.into();
                let queues: Vec<(String,)> = UnpausedQueues { moment, limit }.load(conn)?;
                left.extend(queues.into_iter().map(|(queue,)| Source::Queue(queue)));
            }
            source => left.push(source),
        }
    }
    Ok(left)
}
