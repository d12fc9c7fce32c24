//! What a job waits for, by name, for those who ask why it does not run: jobs, limits, and the holder of its unique key.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};
use queuectl_core::explain::{LimitFact, WaitsFor};
use queuectl_core::{BlockedBy, Job, State, Timestamp};

use super::edges::parents_of;
use super::limits::holders_of;
use super::revival::revived_by;
use super::schedules::open_runs;
use super::start::retried_parent;
use crate::StoreError;
use crate::backend::{Db, on_any};
use crate::limits::{LimitRow, LimitRows, limit};
use crate::schema::jobs;
use crate::states::sql as states;
use crate::types::limits::PARKED;
use crate::types::text::MaybeWords;

/// Holders of a limit that are named.
const HOLDERS: u32 = 5;

/// Looks up what a job waits for, in the caller's transaction.
pub fn waits_for(conn: &mut Db, job: &Job, now: Timestamp) -> Result<WaitsFor, StoreError> {
    let mut found = WaitsFor::default();
    let waits = |by| job.waits.has(by);
    if waits(BlockedBy::Dependency) {
        let parents = parents_of(conn, job.id)?.into_iter();
        let open = parents.filter(|parent| parent.is_met.is_none());
        found.jobs = open
            .map(|parent| parent.name.unwrap_or_else(|| parent.id.to_string()))
            .collect();
    }
    if let Some(unmet) = &job.unmet {
        let id = public_ids(conn, &[unmet.id.0])?.pop();
        found.unmet = Some((id.unwrap_or_else(|| unmet.id.to_string()), unmet.state));
    }
    if let Some(parent) = retried_parent(conn, job.id.0, job.waits, job.gates)? {
        found.retried = public_ids(conn, &[parent])?.pop();
    }
    if job.unmet.is_some()
        && let Some(open) = revived_by(conn, job.id)?
    {
        found.revived_by = public_ids(conn, &[open.0])?.pop();
    }
    if waits(BlockedBy::Unique) || (job.state == State::Cancelled && job.unmet.is_some()) {
        found.key_holder = key_holder(conn, job)?;
    }
    if waits(BlockedBy::Overlap)
        && let Some(schedule) = job.payload.env.get("QUEUECTL_SCHEDULE")
    {
        let earlier = open_runs(conn, schedule)?.into_iter();
        let earlier: Vec<i64> = earlier.filter(|run| *run < job.id.0).collect();
        found.runs = public_ids(conn, &earlier)?;
    }
    if waits(BlockedBy::Limit) {
        found.limits = full_limits(conn, job, now)?;
    }
    Ok(found)
}

/// The ids of jobs that are there, as users see them, by their numbers.
fn public_ids(conn: &mut Db, ids: &[i64]) -> Result<Vec<String>, StoreError> {
    let rows: Vec<(i64, MaybeWords)> = jobs::table
        .filter(jobs::id.eq_any(ids))
        .order(jobs::id)
        .select((jobs::id, jobs::name))
        .load(conn)?;
    let named = rows
        .into_iter()
        .map(|(id, name)| Option::<String>::from(name).unwrap_or_else(|| id.to_string()));
    Ok(named.collect())
}

/// The other job that has a job's unique key and has not ended.
fn key_holder(conn: &mut Db, job: &Job) -> Result<Option<String>, StoreError> {
    let Some(key) = &job.unique else {
        return Ok(None);
    };
    let holder: Option<i64> = jobs::table
        .filter(jobs::unique_key.is_not_null())
        .filter(jobs::unique_key.eq(key.as_str()))
        .filter(sql::<Bool>(states!("state <= {failed} AND follows IS NULL")))
        .filter(jobs::id.ne(job.id.0))
        .select(jobs::id)
        .first(conn)
        .optional()?;
    match holder {
        Some(holder) => Ok(public_ids(conn, &[holder])?.pop()),
        None => Ok(None),
    }
}

#[derive(QueryableByName)]
struct Key {
    #[diesel(sql_type = Text)]
    key: String,
}

/// The limits whose keys a job waits for, as they stand.
fn full_limits(conn: &mut Db, job: &Job, now: Timestamp) -> Result<Vec<LimitFact>, StoreError> {
    let sql = format!("SELECT key FROM job_limits WHERE job_id = ?1 AND phase = {PARKED} ORDER BY key");
    let keys: Vec<Key> = diesel::sql_query(conn.dialect().words(&sql))
        .bind::<BigInt, _>(job.id.0)
        .load(conn)?;
    let mut facts = Vec::new();
    for Key { key } in keys {
        let name = key.split_once(':').map_or(key.as_str(), |(name, _)| name);
        let rows: Vec<LimitRow> = on_any!(conn, conn => conn.limits_named(&[name]))?;
        let Some(limit) = rows.into_iter().next().map(limit) else {
            continue;
        };
        let stands = on_any!(conn, conn => conn.key_rows(&[key.as_str()]))?;
        let (held, tat) = stands
            .first()
            .map_or((0, None), |((_, held, ..), (tat, ..))| (*held, *tat));
        let next_start = limit
            .rate
            .filter(|rate| rate.room(tat, now) == 0)
            .and_then(|rate| Some(rate.next(tat?)));
        let holders = holders_of(conn, &key, HOLDERS)?;
        facts.push(LimitFact {
            running: limit.running,
            held: u64::try_from(held).unwrap_or(0),
            holders: holders
                .into_iter()
                .map(|job| job.name.unwrap_or_else(|| job.job.to_string()))
                .collect(),
            next_start,
            key,
        });
    }
    Ok(facts)
}
