//! Limits as an operator handles them: set, shown, removed. What they do to jobs is in `limits/`.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Integer, Nullable, SmallInt, Text};
use queuectl_core::limits::LIMITS;
use queuectl_core::{JobId, Limit, LimitChange, LimitName, Timestamp};

use crate::backend::{Db, on_any};
use crate::limits::{LimitRow, LimitRows, limit};
use crate::types::limits::{HOLDING, PARKED};
use crate::types::nodes::Wake;
use crate::types::text::Words;
use crate::{Store, StoreError};

/// A limit with the jobs that it concerns, over all its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitUse {
    /// The limit.
    pub limit: Limit,
    /// Jobs that run, each once for each key of the limit that it has.
    pub running: u64,
    /// Jobs that wait for it.
    pub waiting: u64,
    /// Keys that jobs hold or wait for.
    pub keys: u64,
}

/// A key of a limit, with the jobs that it concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyUse {
    /// The key, with the limit's name.
    pub key: String,
    /// Jobs that run.
    pub running: u64,
    /// Jobs that wait for it.
    pub waiting: u64,
    /// When the next start is allowed, if that is what it waits for.
    pub next_at: Option<Timestamp>,
}

/// A job that holds a key or waits for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyJob {
    /// The job.
    pub job: JobId,
    /// Its id, if the user chose one.
    pub name: Option<String>,
    /// Its queue.
    pub queue: String,
    /// The key.
    pub key: String,
    /// Whether it runs; if not, it waits.
    pub runs: bool,
    /// Since when it runs or waits.
    pub since: Timestamp,
}

#[derive(QueryableByName)]
struct KeyCount {
    #[diesel(sql_type = Text)]
    key: String,
    #[diesel(sql_type = SmallInt)]
    phase: i16,
    #[diesel(sql_type = BigInt)]
    jobs: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    wake_at: Option<i64>,
}

#[derive(QueryableByName)]
struct JobOfKey {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Nullable<Text>)]
    name: Option<Words>,
    #[diesel(sql_type = Text, deserialize_as = Words)]
    queue: String,
    #[diesel(sql_type = Text)]
    key: String,
    #[diesel(sql_type = BigInt)]
    since: i64,
}

/// The jobs of each key of a limit, by what they do.
const COUNTS: &str = "SELECT job_limits.key AS key, phase, count(*) AS jobs, max(limit_keys.wake_at) AS wake_at \
     FROM job_limits LEFT JOIN limit_keys ON limit_keys.key = job_limits.key \
     WHERE job_limits.key = ?1 OR (job_limits.key > ?2 AND job_limits.key < ?3) GROUP BY job_limits.key, phase";

/// Removes what keys know of their starts, if no job waits for them.
const FORGET: &str = "DELETE FROM limit_keys WHERE (key = ?1 OR (key > ?2 AND key < ?3)) AND wake_at IS NULL";

/// Has all keys looked at that jobs wait for.
const LOOK_AT_ALL: &str = "INSERT INTO limit_keys (key, tat, wake_at) \
     SELECT DISTINCT key, CAST(NULL AS BIGINT), CAST(?4 AS BIGINT) FROM job_limits \
     WHERE phase = 1 AND (key = ?1 OR (key > ?2 AND key < ?3)) \
     ON CONFLICT (key) DO UPDATE SET wake_at = excluded.wake_at";

const SET: &str = "INSERT INTO limits (name, running, per_key, rate_count, rate_period_ms, burst, busy_status, \
     busy_wait_ms, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) \
     ON CONFLICT (name) DO UPDATE SET running = excluded.running, rate_count = excluded.rate_count, \
     rate_period_ms = excluded.rate_period_ms, burst = excluded.burst, busy_status = excluded.busy_status, \
     busy_wait_ms = excluded.busy_wait_ms, updated_at = excluded.updated_at";

/// Runs a statement about the keys of a limit: its name alone, and everything behind its name and a colon.
macro_rules! of_limit {
    ($db:expr, $sql:expr, $name:expr) => {{
        let words = $db.dialect().words($sql);
        diesel::sql_query(words)
            .bind::<Text, _>($name.as_str().to_owned())
            .bind::<Text, _>(format!("{}:", $name))
            .bind::<Text, _>(format!("{};", $name))
    }};
}

impl Store {
    /// Makes a limit or changes it. Jobs that wait for it go on as soon as there is room; jobs that run go on in any case.
    ///
    /// # Errors
    /// [`StoreError::Limit`], [`StoreError::TooManyLimits`].
    pub fn set_limit(
        &mut self,
        name: &LimitName,
        change: &LimitChange,
        now: Timestamp,
    ) -> Result<Limit, StoreError> {
        let set = self.write(|db| {
            on_any!(db, conn => conn.lock_limits(false))?;
            let before = read(db, name)?;
            if before.is_none() && read_all(db)?.len() >= LIMITS {
                return Err(StoreError::TooManyLimits);
            }
            let had_rate = before.as_ref().is_some_and(|limit| limit.rate.is_some());
            let limit = change.apply(name, before, now)?;
            store(db, &limit)?;
            if had_rate && limit.rate.is_none() {
                of_limit!(db, FORGET, name).execute(db)?;
            }
            look_at_all(db, name, now)?;
            Ok(limit)
        })?;
        self.wake_all(Wake::Jobs);
        Ok(set)
    }

    /// Removes a limit. Jobs that name it go on without; jobs that wait for it alone become ready. Returns false if there is
    /// none of that name.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn remove_limit(&mut self, name: &LimitName, now: Timestamp) -> Result<bool, StoreError> {
        let removed = self.write(|db| {
            on_any!(db, conn => conn.lock_limits(false))?;
            let sql = db.dialect().words("DELETE FROM limits WHERE name = ?1");
            let removed = diesel::sql_query(sql)
                .bind::<Text, _>(name.as_str().to_owned())
                .execute(db)?;
            look_at_all(db, name, now)?;
            of_limit!(db, FORGET, name).execute(db)?;
            Ok(removed > 0)
        })?;
        self.wake_all(Wake::Jobs);
        Ok(removed)
    }

    /// All limits by name, with the jobs that they concern. Reads a row for each key of each such job.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn limits(&mut self) -> Result<Vec<LimitUse>, StoreError> {
        self.conn()?.snapshot(|db| {
            let mut all = Vec::new();
            for limit in read_all(db)? {
                let keys = key_uses(db, &limit.name)?;
                all.push(LimitUse {
                    running: keys.iter().map(|key| key.running).sum(),
                    waiting: keys.iter().map(|key| key.waiting).sum(),
                    keys: keys.len() as u64,
                    limit,
                });
            }
            Ok(all)
        })
    }

    /// A limit and its keys that jobs hold or wait for, by name. None if there is no such limit.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn limit(&mut self, name: &LimitName) -> Result<Option<(Limit, Vec<KeyUse>)>, StoreError> {
        self.conn()?.snapshot(|db| match read(db, name)? {
            Some(limit) => Ok(Some((limit, key_uses(db, name)?))),
            None => Ok(None),
        })
    }

    /// Jobs that hold a key (in the order in which they started), and those that wait for it (in the order in which they will
    /// go on): at most `most` of each.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn jobs_of_key(&mut self, key: &str, most: u32) -> Result<Vec<KeyJob>, StoreError> {
        self.conn()?.snapshot(|db| {
            let mut jobs = Vec::new();
            for (phase, order) in [(HOLDING, "since, id"), (PARKED, "job_limits.priority DESC, id")] {
                let since = if phase == HOLDING { "started_at" } else { "updated_at" };
                let sql = format!(
                    "SELECT jobs.id AS id, jobs.name AS name, jobs.queue AS queue, job_limits.key AS key, \
                     coalesce(jobs.{since}, jobs.updated_at) AS since FROM job_limits JOIN jobs ON jobs.id = job_limits.job_id \
                     WHERE job_limits.key = ?1 AND phase = {phase} ORDER BY {order} LIMIT ?2"
                );
                let rows: Vec<JobOfKey> = diesel::sql_query(db.dialect().words(&sql))
                    .bind::<Text, _>(key.to_owned())
                    .bind::<BigInt, _>(i64::from(most))
                    .load(db)?;
                jobs.extend(rows.into_iter().map(|row| KeyJob {
                    job: JobId(row.id),
                    name: row.name.map(String::from),
                    queue: row.queue,
                    key: row.key,
                    runs: phase == HOLDING,
                    since: Timestamp(row.since),
                }));
            }
            Ok(jobs)
        })
    }
}

fn read(db: &mut Db, name: &LimitName) -> Result<Option<Limit>, StoreError> {
    let rows: Vec<LimitRow> = on_any!(db, conn => conn.limits_named(&[name.as_str()]))?;
    Ok(rows.into_iter().next().map(limit))
}

fn read_all(db: &mut Db) -> Result<Vec<Limit>, StoreError> {
    #[derive(QueryableByName)]
    struct Name {
        #[diesel(sql_type = Text, deserialize_as = Words)]
        name: String,
    }
    let names: Vec<Name> = diesel::sql_query("SELECT name FROM limits ORDER BY name").load(db)?;
    let names: Vec<&str> = names.iter().map(|row| row.name.as_str()).collect();
    let rows: Vec<LimitRow> = on_any!(db, conn => conn.limits_named(&names))?;
    let mut limits: Vec<Limit> = rows.into_iter().map(limit).collect();
    limits.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(limits)
}

fn store(db: &mut Db, limit: &Limit) -> Result<(), StoreError> {
    let number = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    let ms = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
    let words = db.dialect().words(SET);
    diesel::sql_query(words)
        .bind::<Text, _>(limit.name.as_str().to_owned())
        .bind::<Nullable<Integer>, _>(limit.running.map(number))
        .bind::<Bool, _>(limit.per_key)
        .bind::<Nullable<Integer>, _>(limit.rate.map(|rate| number(rate.count)))
        .bind::<Nullable<BigInt>, _>(limit.rate.map(|rate| ms(rate.period_ms)))
        .bind::<Nullable<Integer>, _>(limit.rate.map(|rate| number(rate.burst)))
        .bind::<Nullable<Integer>, _>(limit.busy.map(|busy| busy.status))
        .bind::<Nullable<BigInt>, _>(limit.busy.map(|busy| ms(busy.wait_ms)))
        .bind::<BigInt, _>(limit.created_at.0)
        .bind::<BigInt, _>(limit.updated_at.0)
        .execute(db)?;
    Ok(())
}

fn look_at_all(db: &mut Db, name: &LimitName, now: Timestamp) -> Result<(), StoreError> {
    of_limit!(db, LOOK_AT_ALL, name)
        .bind::<BigInt, _>(now.0)
        .execute(db)?;
    Ok(())
}

fn key_uses(db: &mut Db, name: &LimitName) -> Result<Vec<KeyUse>, StoreError> {
    let counts: Vec<KeyCount> = of_limit!(db, COUNTS, name).load(db)?;
    let mut keys = std::collections::BTreeMap::<String, KeyUse>::new();
    for count in counts {
        let key = keys.entry(count.key.clone()).or_insert_with(|| KeyUse {
            key: count.key,
            running: 0,
            waiting: 0,
            next_at: count.wake_at.map(Timestamp),
        });
        let jobs = u64::try_from(count.jobs).unwrap_or(0);
        match count.phase {
            HOLDING => key.running += jobs,
            PARKED => key.waiting += jobs,
            _ => {}
        }
    }
    // What was only let through neither holds a key nor waits for one.
    let keys = keys.into_values();
    Ok(keys.filter(|key| key.running + key.waiting > 0).collect())
}
