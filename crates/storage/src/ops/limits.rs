//! Limits as an operator handles them: set, shown, removed. What they do to jobs is in `limits/`.

use std::collections::BTreeMap;
use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Integer, Nullable, SmallInt, Text};
use queuectl_core::limits::LIMITS;
use queuectl_core::{JobId, Limit, LimitChange, LimitName, Timestamp};

use crate::backend::{Db, on_any};
use crate::limits::{LimitRow, LimitRows, limit, named};
use crate::types::limits::{HOLDING, NewRow, PARKED};
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
    /// Until when an attempt found it busy; it may be past.
    pub busy_until: Option<Timestamp>,
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

/// A key that no job holds, and whose first waiting job has waited for long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StarvingLimit {
    /// The key, with the limit's name.
    pub key: String,
    /// Since when that job waits.
    pub since: Timestamp,
}

#[derive(QueryableByName)]
struct FirstOfKey {
    #[diesel(sql_type = Text)]
    key: String,
    #[diesel(sql_type = Nullable<BigInt>)]
    since: Option<i64>,
}

/// The first keys, by name, that no job holds and that are not put off, each with the time since which its first job waits. It
/// hops from key to key, however many jobs wait for one.
const NOT_HELD: &str = "WITH RECURSIVE hop (key) AS (SELECT min(key) FROM job_limits WHERE phase = 1 UNION ALL \
     SELECT (SELECT min(job_limits.key) FROM job_limits WHERE phase = 1 AND job_limits.key > hop.key) FROM hop \
     WHERE hop.key IS NOT NULL) \
     SELECT key, (SELECT jobs.updated_at FROM job_limits JOIN jobs ON jobs.id = job_limits.job_id \
     WHERE job_limits.key = hop.key AND phase = 1 ORDER BY job_limits.priority DESC, job_limits.job_id LIMIT 1) AS since \
     FROM hop WHERE key IS NOT NULL \
     AND NOT EXISTS (SELECT 1 FROM job_limits WHERE job_limits.key = hop.key AND phase = 2) \
     AND NOT EXISTS (SELECT 1 FROM limit_keys WHERE limit_keys.key = hop.key AND busy_until > ?1) LIMIT 1000";

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
    #[diesel(sql_type = Nullable<BigInt>)]
    busy_until: Option<i64>,
}

#[derive(QueryableByName)]
struct Held {
    #[diesel(sql_type = BigInt)]
    job: i64,
    #[diesel(sql_type = Integer)]
    priority: i32,
    #[diesel(sql_type = SmallInt)]
    phase: i16,
    #[diesel(sql_type = Nullable<Text>)]
    limits: Option<String>,
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

/// The keys of a limit, among those in one index: each phase has its own. The first two conditions say where to look.
macro_rules! keys_in {
    ($phase:literal) => {
        concat!(
            "phase = ",
            $phase,
            " AND key >= ?1 AND key < ?3 AND (key = ?1 OR key > ?2)"
        )
    };
}

/// The jobs of each key of a limit, by what they do.
const COUNTS: &str = concat!(
    "SELECT found.key AS key, phase, count(*) AS jobs, max(limit_keys.wake_at) AS wake_at, \
     max(limit_keys.busy_until) AS busy_until FROM (SELECT key, phase FROM job_limits WHERE ",
    keys_in!(1),
    " UNION ALL SELECT key, phase FROM job_limits WHERE ",
    keys_in!(2),
    " UNION ALL SELECT key, phase FROM job_limits WHERE ",
    keys_in!(3),
    ") AS found LEFT JOIN limit_keys ON limit_keys.key = found.key GROUP BY found.key, phase"
);

/// Has keys know of no more starts than this: their TAT is at most that.
const CLAMP: &str = "UPDATE limit_keys SET tat = ?4 WHERE (key = ?1 OR (key > ?2 AND key < ?3)) AND tat > ?4";

/// Has keys know of no starts, and not be busy.
const FORGET: &str =
    "UPDATE limit_keys SET tat = NULL, busy_until = NULL WHERE key = ?1 OR (key > ?2 AND key < ?3)";

/// Has keys not be busy, and know of no more starts than this.
const RESUME: &str = "UPDATE limit_keys SET busy_until = NULL, tat = CASE WHEN tat > ?4 THEN ?4 ELSE tat END \
     WHERE (key = ?1 OR (key > ?2 AND key < ?3)) AND busy_until > ?5";

/// Running jobs, and those that were let through, with all limits that they name.
const HELD: &str = concat!(
    "SELECT held.job_id AS job, held.priority AS priority, phase, jobs.limits AS limits \
     FROM (SELECT job_id, priority, phase FROM job_limits WHERE ",
    keys_in!(2),
    " UNION ALL SELECT job_id, priority, phase FROM job_limits WHERE ",
    keys_in!(3),
    ") AS held JOIN jobs ON jobs.id = held.job_id ORDER BY held.job_id"
);
const REMOVE_HELD: &str = concat!(
    "DELETE FROM job_limits WHERE (job_id, key) IN (SELECT job_id, key FROM job_limits WHERE ",
    keys_in!(2),
    " UNION ALL SELECT job_id, key FROM job_limits WHERE ",
    keys_in!(3),
    ")"
);

/// Has all keys looked at that jobs wait for.
const LOOK_AT_ALL: &str = concat!(
    "INSERT INTO limit_keys (key, tat, wake_at) \
     SELECT DISTINCT key, CAST(NULL AS BIGINT), CAST(?4 AS BIGINT) FROM job_limits WHERE ",
    keys_in!(1),
    " ON CONFLICT (key) DO UPDATE SET wake_at = excluded.wake_at"
);

/// Running jobs that hold keys of a limit and were started by hand.
const STARTED: &str = concat!(
    "SELECT count(*) AS jobs FROM job_limits JOIN starts ON starts.job_id = job_limits.job_id AND claimed \
     JOIN jobs ON jobs.id = starts.job_id AND jobs.fence = starts.fence WHERE ",
    keys_in!(2)
);

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
        let operator = self.operator_at(now);
        let set = self.write(|db| {
            on_any!(db, conn => conn.lock_limits(false))?;
            let before = read(db, name)?;
            if before.is_none() && read_all(db)?.len() >= LIMITS {
                return Err(StoreError::TooManyLimits);
            }
            let is_new = before.is_none();
            let from = before.as_ref().map(Limit::options);
            let rate_before = before.as_ref().and_then(|limit| limit.rate);
            let limit = change.apply(name, before, now)?;
            store(db, &limit)?;
            if is_new {
                count_as_named(db, &limit)?;
            }
            if limit.rate != rate_before {
                clamp(
                    db,
                    name,
                    limit.rate.map_or(0, |rate| rate.after(None, now, rate.burst)),
                )?;
            }
            look_at_all(db, name, now)?;
            let what = [("limit", name.as_str())];
            operator.changed(db, "limit set", &what, from, Some(limit.options()))?;
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
        let operator = self.operator_at(now);
        let removed = self.write(|db| {
            on_any!(db, conn => conn.lock_limits(false))?;
            let from = read(db, name)?.map(|limit| limit.options());
            let sql = db.dialect().words("DELETE FROM limits WHERE name = ?1");
            let removed = diesel::sql_query(sql)
                .bind::<Text, _>(name.as_str().to_owned())
                .execute(db)?;
            of_limit!(db, FORGET, name).execute(db)?;
            look_at_all(db, name, now)?;
            let what = [("limit", name.as_str())];
            operator.changed(db, "limit removed", &what, from, None)?;
            Ok(removed > 0)
        })?;
        self.wake_all(Wake::Jobs);
        Ok(removed)
    }

    /// Ends the time for which attempts put off a limit, or only one of its keys. Jobs that wait for it go on, no faster than
    /// its rate. Returns the number of keys that were put off.
    ///
    /// # Errors
    /// [`StoreError::NoSuchLimit`].
    pub fn resume_limit(
        &mut self,
        name: &LimitName,
        key: Option<&str>,
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        let operator = self.operator_at(now);
        let resumed = self.write(|db| {
            on_any!(db, conn => conn.lock_limits(false))?;
            let name_missing = || StoreError::NoSuchLimit {
                name: name.to_string(),
                index: 0,
            };
            let limit = read(db, name)?.ok_or_else(name_missing)?;
            let tat = limit.rate.map_or(0, |rate| rate.after(None, now, rate.burst));
            let (one, from, to) = match key {
                Some(key) => (format!("{name}:{key}"), String::new(), String::new()),
                None => (name.to_string(), format!("{name}:"), format!("{name};")),
            };
            let resumed = diesel::sql_query(db.dialect().words(RESUME))
                .bind::<Text, _>(one)
                .bind::<Text, _>(from)
                .bind::<Text, _>(to)
                .bind::<BigInt, _>(tat)
                .bind::<BigInt, _>(now.0)
                .execute(db)?;
            look_at_all(db, name, now)?;
            if resumed > 0 {
                let what = [("limit", name.as_str())];
                let rest = serde_json::json!({ "key": key, "keys": resumed });
                operator.note(db, "limit resumed", &what, rest)?;
            }
            Ok(resumed)
        })?;
        self.wake_all(Wake::Jobs);
        Ok(resumed)
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

    /// How many of the running jobs that count for a limit were started by hand. They may be more than it allows.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn started_past(&mut self, name: &LimitName) -> Result<u64, StoreError> {
        #[derive(QueryableByName)]
        struct Count {
            #[diesel(sql_type = BigInt)]
            jobs: i64,
        }
        let conn = self.conn()?;
        let found: Count = of_limit!(conn, STARTED, name).get_result(conn)?;
        Ok(u64::try_from(found.jobs).unwrap_or(0))
    }

    /// Keys whose first waiting job has waited for longer than that, although no job holds the key, and no attempt found it
    /// busy. Looks at 1000 keys.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn starving_limits(
        &mut self,
        wait: Duration,
        now: Timestamp,
    ) -> Result<Vec<StarvingLimit>, StoreError> {
        let conn = self.conn()?;
        let sql = conn.dialect().words(NOT_HELD);
        let found: Vec<FirstOfKey> = diesel::sql_query(sql).bind::<BigInt, _>(now.0).load(conn)?;
        let found = found.into_iter().filter_map(|row| {
            let (key, since) = (row.key, Timestamp(row.since?));
            (now.since(since) > wait).then_some(StarvingLimit { key, since })
        });
        Ok(found.collect())
    }

    /// Jobs that hold a key (in the order in which they started), and those that wait for it (in the order in which they will
    /// go on): at most `most` of each.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn jobs_of_key(&mut self, key: &str, most: u32) -> Result<Vec<KeyJob>, StoreError> {
        self.conn()?.snapshot(|db| {
            let mut jobs = holders_of(db, key, most)?;
            jobs.extend(jobs_in(
                db,
                key,
                PARKED,
                "updated_at",
                "job_limits.priority DESC, id",
                most,
            )?);
            Ok(jobs)
        })
    }
}

/// The jobs that hold a key, in the order in which they started, in the caller's transaction.
pub fn holders_of(db: &mut Db, key: &str, most: u32) -> Result<Vec<KeyJob>, StoreError> {
    jobs_in(db, key, HOLDING, "started_at", "since, id", most)
}

fn jobs_in(
    db: &mut Db,
    key: &str,
    phase: i16,
    since: &str,
    order: &str,
    most: u32,
) -> Result<Vec<KeyJob>, StoreError> {
    let sql = format!(
        "SELECT jobs.id AS id, jobs.name AS name, jobs.queue AS queue, job_limits.key AS key, \
         coalesce(jobs.{since}, jobs.updated_at) AS since FROM job_limits JOIN jobs ON jobs.id = job_limits.job_id \
         WHERE job_limits.key = ?1 AND phase = {phase} ORDER BY {order} LIMIT ?2"
    );
    let rows: Vec<JobOfKey> = diesel::sql_query(db.dialect().words(&sql))
        .bind::<Text, _>(key.to_owned())
        .bind::<BigInt, _>(i64::from(most))
        .load(db)?;
    let jobs = rows.into_iter().map(|row| KeyJob {
        job: JobId(row.id),
        name: row.name.map(String::from),
        queue: row.queue,
        key: row.key,
        runs: phase == HOLDING,
        since: Timestamp(row.since),
    });
    Ok(jobs.collect())
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

/// Has the keys of a limit owe no more starts than that many ns since 1970 pay for: what an earlier rate made them owe may
/// take a later one far longer.
fn clamp(db: &mut Db, name: &LimitName, tat: i64) -> Result<(), StoreError> {
    of_limit!(db, CLAMP, name).bind::<BigInt, _>(tat).execute(db)?;
    Ok(())
}

/// Has the jobs that name a limit which is new count for the keys that it counts: one of the same name, under which they
/// started, may have counted others.
fn count_as_named(db: &mut Db, limit: &Limit) -> Result<(), StoreError> {
    let held: Vec<Held> = of_limit!(db, HELD, &limit.name).load(db)?;
    if held.is_empty() {
        return Ok(());
    }
    of_limit!(db, REMOVE_HELD, &limit.name).execute(db)?;
    let mut rows = BTreeMap::new();
    for held in &held {
        for key in named(held.limits.as_deref().unwrap_or_default()) {
            if key.name() == limit.name.as_str() {
                rows.insert(
                    (held.job, limit.counted(&key).to_owned()),
                    (held.priority, held.phase),
                );
            }
        }
    }
    let rows: Vec<NewRow<'_>> = rows
        .iter()
        .map(|((job, key), (priority, phase))| (*job, key.as_str(), *priority, *phase))
        .collect();
    on_any!(db, conn => conn.set_rows(&rows))
}

fn key_uses(db: &mut Db, name: &LimitName) -> Result<Vec<KeyUse>, StoreError> {
    let counts: Vec<KeyCount> = of_limit!(db, COUNTS, name).load(db)?;
    let mut keys = BTreeMap::<String, KeyUse>::new();
    for count in counts {
        let key = keys.entry(count.key.clone()).or_insert_with(|| KeyUse {
            key: count.key,
            running: 0,
            waiting: 0,
            next_at: count.wake_at.map(Timestamp),
            busy_until: count.busy_until.map(Timestamp),
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
