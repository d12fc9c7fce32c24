//! What a claim sees of one job, in one moment, for those who ask why it does not run.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Text};
use queuectl_core::explain::{AHEAD, WaitsFor};
use queuectl_core::{Attempt, Job, JobRef, Timestamp};

use super::groups::{GroupUse, group_use};
use super::pause::pauses_in;
use super::queue_limits::{QueueLimitUse, queue_limits_in};
use super::show::{job_in, last_in};
use super::start::started_by;
use super::waits_for::waits_for;
use crate::backend::{Db, on_any};
use crate::limits::busy_key;
use crate::states::sql;
use crate::types::pause::Pause;
use crate::{Store, StoreError};

/// Groups of a job that are looked at: each is counted.
const GROUPS: usize = 20;

/// What a claim sees of a job.
#[derive(Debug)]
pub struct ClaimFacts {
    /// The job.
    pub job: Job,
    /// The pause of its queue, if it is in force.
    pub pause: Option<Pause>,
    /// Its newest ended attempt.
    pub last: Option<Attempt>,
    /// Who started it by hand, if it waits to be claimed for that.
    pub started_by: Option<String>,
    /// Whether the condition of a claim holds for it.
    pub claimable: bool,
    /// The key of a limit that it names, if what that stands for is busy, and until when.
    pub busy: Option<(String, Timestamp)>,
    /// The limit of its queue, and how that stands, if it has one.
    pub queue_limit: Option<QueueLimitUse>,
    /// What it waits for.
    pub waits_for: WaitsFor,
    /// The first groups that it is a member of.
    pub groups: Vec<GroupUse>,
    /// Ready jobs of its queue that come first, counted up to [`AHEAD`]; for a job that is ready itself.
    pub ahead: u64,
}

#[derive(QueryableByName)]
struct Ahead {
    #[diesel(sql_type = BigInt)]
    jobs: i64,
}

/// Only the first jobs are looked at, however many there are.
const FIRST: &str = sql!(
    "SELECT count(*) AS jobs FROM (SELECT priority, id FROM jobs INDEXED BY jobs_ready WHERE state = {pending} AND queue = ?1 \
     ORDER BY priority DESC, id LIMIT ?2) AS first WHERE priority > ?3 OR (priority = ?3 AND id < ?4)"
);

impl Store {
    /// What a claim sees of a job.
    ///
    /// # Errors
    /// [`StoreError::NoSuchJob`].
    pub fn claim_facts(&mut self, job: &JobRef, now: Timestamp) -> Result<ClaimFacts, StoreError> {
        self.conn()?.snapshot(|conn| {
            let job = job_in(conn, job)?;
            let groups = job.groups.iter().take(GROUPS);
            let groups: Result<Vec<GroupUse>, StoreError> =
                groups.map(|name| group_use(conn, name.as_str())).collect();
            Ok(ClaimFacts {
                pause: pauses_in(conn, now)?.remove(job.queue.as_str()),
                last: last_in(conn, job.id)?,
                started_by: started_by(conn, job.id)?,
                claimable: conn.dialect().is_claimable(job.id, now)?,
                ahead: ahead(conn, &job)?,
                queue_limit: queue_limits_in(conn, now)?.remove(job.queue.as_str()),
                busy: on_any!(conn, conn => busy_key(conn, &job.limit, now))?,
                waits_for: waits_for(conn, &job, now)?,
                groups: groups?,
                job,
            })
        })
    }
}

fn ahead(conn: &mut Db, job: &Job) -> Result<u64, StoreError> {
    let found: Ahead = diesel::sql_query(conn.dialect().words(FIRST))
        .bind::<Text, _>(job.queue.as_str())
        .bind::<BigInt, _>(i64::try_from(AHEAD).unwrap_or(i64::MAX))
        .bind::<Integer, _>(job.priority)
        .bind::<BigInt, _>(job.id.0)
        .get_result(conn)?;
    Ok(u64::try_from(found.jobs).unwrap_or(0))
}
