//! What each database is asked about limits: each statement is for all keys or jobs of a cycle, which come as one JSON
//! array. The text is the same for both but for how an array becomes rows.

use diesel::sql_types::{BigInt, Bool, Integer, Nullable, Text};
use queuectl_core::{Busy, Limit, LimitName, Rate, Timestamp};

use crate::StoreError;
use crate::types::limits::{NewRow, Serves};
use crate::types::text::Words;

/// A limit as it is stored.
pub type LimitRow = (
    (Words, Option<i32>, bool),
    (Option<i32>, Option<i64>, Option<i32>),
    (Option<i32>, Option<i64>),
    (i64, i64),
);

/// The columns of a [`LimitRow`].
pub type LimitColumns = (
    (Text, Nullable<Integer>, Bool),
    (Nullable<Integer>, Nullable<BigInt>, Nullable<Integer>),
    (Nullable<Integer>, Nullable<BigInt>),
    (BigInt, BigInt),
);

/// Reads a limit. Numbers that the schema's checks do not let in are brought into their ranges.
pub fn limit(row: LimitRow) -> Limit {
    let ((name, running, per_key), (count, period, burst), (status, wait), (created_at, updated_at)) = row;
    let positive = |number: i32| u32::try_from(number).unwrap_or(0);
    Limit {
        name: LimitName::as_stored(name.text),
        running: running.map(positive),
        per_key,
        rate: count.zip(period).map(|(count, period)| Rate {
            count: positive(count).max(1),
            period_ms: u64::try_from(period).unwrap_or(1).max(1),
            burst: burst.map_or(1, positive).max(1),
        }),
        busy: status.zip(wait).map(|(status, wait)| Busy {
            status,
            wait_ms: u64::try_from(wait).unwrap_or(0),
        }),
        created_at: Timestamp(created_at),
        updated_at: Timestamp(updated_at),
    }
}

/// A key as it stands: the key, jobs that hold it, jobs that were let through, whether one waits, its TAT in ns, and when
/// it is to be looked at again.
pub type KeyRow = (String, i64, i64, bool, Option<i64>, Option<i64>);
pub type KeyColumns = (Text, BigInt, BigInt, Bool, Nullable<BigInt>, Nullable<BigInt>);

/// A job that waits: the key that it waits for, its number, its priority, all limits that it names, and what blocks it.
pub type ParkedRow = (String, i64, i32, Option<String>, i32);
pub type ParkedColumns = (Text, BigInt, Integer, Nullable<Text>, Integer);

/// The statements about limits, in a transaction that is the caller's.
pub trait LimitRows {
    /// Has other transactions wait that decide about limits; with `shared`, only those that ask without it.
    fn lock_limits(&mut self, shared: bool) -> Result<(), StoreError>;

    /// The limits of these names.
    fn limits_named(&mut self, names: &[&str]) -> Result<Vec<LimitRow>, StoreError>;

    /// How these keys stand.
    fn key_rows(&mut self, keys: &[&str]) -> Result<Vec<KeyRow>, StoreError>;

    /// The next jobs that wait for each of these keys, in order, up to the number beside the key.
    fn next_parked(&mut self, keys: &[(&str, u32)]) -> Result<Vec<ParkedRow>, StoreError>;

    /// Up to `most` of the first 2000 jobs that wait for a key, which a node would claim.
    fn next_parked_of(&mut self, key: &str, serves: &Serves, most: u32)
    -> Result<Vec<ParkedRow>, StoreError>;

    /// Makes blocked jobs ready that wait for nothing but room; their numbers and queues.
    fn wake(&mut self, jobs: &[i64], now: Timestamp) -> Result<Vec<(i64, Words)>, StoreError>;

    /// Jobs that are blocked for other reasons, too, do not wait for room any more.
    fn unpark(&mut self, jobs: &[i64], now: Timestamp) -> Result<(), StoreError>;

    /// Blocks jobs that were just claimed, as if they had not been.
    fn put_back(&mut self, jobs: &[i64], now: Timestamp) -> Result<(), StoreError>;

    /// Has jobs that were let through hold their keys; their rows.
    fn hold(&mut self, jobs: &[i64]) -> Result<Vec<(i64, String)>, StoreError>;

    /// Stores rows, or their new phase.
    fn set_rows(&mut self, rows: &[NewRow<'_>]) -> Result<(), StoreError>;

    /// Removes all rows of these jobs: the keys, each with the phase.
    fn clear(&mut self, jobs: &[i64]) -> Result<Vec<(String, i16)>, StoreError>;

    /// Sets TAT and time to look again of keys.
    fn set_times(&mut self, times: &[(&str, Option<i64>, Option<i64>)]) -> Result<(), StoreError>;

    /// Keys that are to be looked at by now, at most `most`.
    fn due_keys(&mut self, now: Timestamp, most: u32) -> Result<Vec<String>, StoreError>;

    /// The next `most` keys behind this one that a job holds, waits for or was let through for.
    fn keys_behind(&mut self, key: &str, most: u32) -> Result<Vec<String>, StoreError>;
}

/// Values as a JSON array.
macro_rules! json {
    ($values:expr) => {
        serde_json::to_string($values).unwrap_or_else(|_| "[]".to_owned())
    };
}
pub(crate) use json;

/// Declares the statements for a database: `$texts` and `$rows` make rows of a JSON array of texts, and of arrays.
macro_rules! limit_statements {
    ($backend:ty, $connection:ty, $texts:literal, $rows:literal) => {
        $crate::backend::statements::statements! { $backend, $connection;
            /// The limits of these names.
            LimitsNamed { names: String as Text } -> $crate::limits::LimitColumns {
                concat!(
                    "SELECT name, running, per_key, rate_count, rate_period_ms, burst, busy_status, busy_wait_ms, \
                     created_at, updated_at FROM limits WHERE name IN (SELECT each.value FROM ", $texts, ")"
                )
            }

            /// How these keys stand.
            KeyRows { keys: String as Text } -> $crate::limits::KeyColumns {
                concat!(
                    "SELECT each.value, \
                     (SELECT count(*) FROM job_limits WHERE job_limits.key = each.value AND phase = 2), \
                     (SELECT count(*) FROM job_limits WHERE job_limits.key = each.value AND phase = 3), \
                     EXISTS (SELECT 1 FROM job_limits WHERE job_limits.key = each.value AND phase = 1), \
                     limit_keys.tat, limit_keys.wake_at FROM ",
                    $texts,
                    " LEFT JOIN limit_keys ON limit_keys.key = each.value"
                )
            }

            /// The next jobs that wait for a key and belong to a queue that is served, among the first 2000.
            NextParkedOf {
                key: String as Text,
                all: bool as Bool,
                served: String as Text,
                paused: String as Text,
                most: i64 as BigInt,
            }
                -> $crate::limits::ParkedColumns {
                concat!(
                    "SELECT first.key, jobs.id, jobs.priority, jobs.limits, jobs.waits FROM \
                     (SELECT key, job_id, priority FROM job_limits WHERE key = ? AND phase = 1 \
                     ORDER BY priority DESC, job_id LIMIT 2000) AS first JOIN jobs ON jobs.id = first.job_id \
                     WHERE (? OR jobs.queue IN (SELECT each.value FROM ", $texts, ")) \
                     AND jobs.queue NOT IN (SELECT each.value FROM ", $texts, ") \
                     ORDER BY first.priority DESC, first.job_id LIMIT ? + 0"
                )
            }

            /// Makes jobs ready that wait for nothing but room. `state + 0` keeps a planner that knows nothing of the table from
            /// walking over all blocked jobs.
            WakeParked { updated_at: i64 as BigInt, jobs: String as Text } -> (BigInt, Text) {
                concat!(
                    "UPDATE jobs SET state = {pending}, waits = 0, updated_at = ? WHERE id IN \
                     (SELECT CAST(each.value AS BIGINT) FROM ", $texts, ") AND state + 0 = {blocked} AND waits = 4 \
                     RETURNING id, queue"
                )
            }

            /// Has jobs that are blocked for other reasons, too, wait for those alone.
            Unpark { updated_at: i64 as BigInt, jobs: String as Text } -> () {
                concat!(
                    "UPDATE jobs SET waits = waits - 4, updated_at = ? WHERE id IN \
                     (SELECT CAST(each.value AS BIGINT) FROM ", $texts, ") AND state + 0 = {blocked} AND waits > 4"
                )
            }

            /// Takes a claim back: the job is blocked, and its attempt does not count.
            PutBack { updated_at: i64 as BigInt, jobs: String as Text } -> () {
                concat!(
                    "UPDATE jobs SET state = {blocked}, waits = 4, attempts = attempts - 1, node_id = NULL, started_at = \
                     (SELECT max(attempts.started_at) FROM attempts WHERE attempts.job_id = jobs.id), updated_at = ? \
                     WHERE id IN (SELECT CAST(each.value AS BIGINT) FROM ", $texts, ") AND state = {processing}"
                )
            }

            /// Has jobs that were let through hold their keys. They are found by their numbers, which the `+ 0` sees to.
            HoldKeys { jobs: String as Text } -> (BigInt, Text) {
                concat!(
                    "UPDATE job_limits SET phase = 2 WHERE phase + 0 = 3 AND job_id IN \
                     (SELECT CAST(each.value AS BIGINT) FROM ", $texts, ") RETURNING job_id, key"
                )
            }

            /// Stores rows, or their new phase.
            SetRows { rows: String as Text } -> () {
                concat!(
                    "INSERT INTO job_limits (job_id, key, priority, phase) SELECT CAST(each.value->>0 AS BIGINT), \
                     each.value->>1, CAST(each.value->>2 AS INTEGER), CAST(each.value->>3 AS SMALLINT) FROM ",
                    $rows,
                    " WHERE TRUE ON CONFLICT (job_id, key) DO UPDATE SET phase = excluded.phase"
                )
            }

            /// Removes all rows of jobs.
            ClearRows { jobs: String as Text } -> (Text, SmallInt) {
                concat!(
                    "DELETE FROM job_limits WHERE job_id IN (SELECT CAST(each.value AS BIGINT) FROM ", $texts,
                    ") RETURNING key, phase"
                )
            }

            /// Sets TAT and time to look again of keys.
            SetTimes { rows: String as Text } -> () {
                concat!(
                    "INSERT INTO limit_keys (key, tat, wake_at) SELECT each.value->>0, \
                     CAST(each.value->>1 AS BIGINT), CAST(each.value->>2 AS BIGINT) FROM ",
                    $rows,
                    " WHERE TRUE ON CONFLICT (key) DO UPDATE SET tat = excluded.tat, wake_at = excluded.wake_at"
                )
            }

            /// Keys that are to be looked at by now.
            DueKeys { now: i64 as BigInt, most: i64 as BigInt } -> (Text,) {
                "SELECT key FROM limit_keys WHERE wake_at IS NOT NULL AND wake_at <= ? ORDER BY wake_at LIMIT ? + 0"
            }

            /// The next keys behind one.
            KeysBehind { key: String as Text, most: i64 as BigInt } -> (Text,) {
                "WITH RECURSIVE behind (key) AS (SELECT min(key) FROM job_limits WHERE key > ? UNION ALL \
                 SELECT (SELECT min(job_limits.key) FROM job_limits WHERE job_limits.key > behind.key) FROM behind \
                 WHERE behind.key IS NOT NULL) SELECT key FROM behind WHERE key IS NOT NULL LIMIT ? + 0"
            }
        }

        impl $crate::limits::LimitRows for $connection {
            fn lock_limits(&mut self, shared: bool) -> Result<(), StoreError> {
                lock(self, shared)
            }

            fn limits_named(&mut self, names: &[&str]) -> Result<Vec<$crate::limits::LimitRow>, StoreError> {
                Ok(LimitsNamed { names: json!(names) }.load(self)?)
            }

            fn key_rows(&mut self, keys: &[&str]) -> Result<Vec<$crate::limits::KeyRow>, StoreError> {
                Ok(KeyRows { keys: json!(keys) }.load(self)?)
            }

            fn next_parked(&mut self, keys: &[(&str, u32)]) -> Result<Vec<$crate::limits::ParkedRow>, StoreError> {
                next_parked(self, keys)
            }

            fn next_parked_of(
                &mut self,
                key: &str,
                serves: &$crate::types::limits::Serves,
                most: u32,
            ) -> Result<Vec<$crate::limits::ParkedRow>, StoreError> {
                let (all, served, paused) = serves.parts();
                let statement = NextParkedOf {
                    key: key.to_owned(),
                    all,
                    served: json!(served),
                    paused: json!(paused),
                    most: most.into(),
                };
                Ok(statement.load(self)?)
            }

            fn wake(&mut self, jobs: &[i64], now: Timestamp) -> Result<Vec<(i64, Words)>, StoreError> {
                let (updated_at, jobs) = (now.0, json!(jobs));
                Ok(WakeParked { updated_at, jobs }.load(self)?)
            }

            fn unpark(&mut self, jobs: &[i64], now: Timestamp) -> Result<(), StoreError> {
                let (updated_at, jobs) = (now.0, json!(jobs));
                Unpark { updated_at, jobs }.execute(self)?;
                Ok(())
            }

            fn put_back(&mut self, jobs: &[i64], now: Timestamp) -> Result<(), StoreError> {
                let (updated_at, jobs) = (now.0, json!(jobs));
                PutBack { updated_at, jobs }.execute(self)?;
                Ok(())
            }

            fn hold(&mut self, jobs: &[i64]) -> Result<Vec<(i64, String)>, StoreError> {
                Ok(HoldKeys { jobs: json!(jobs) }.load(self)?)
            }

            fn set_rows(&mut self, rows: &[$crate::types::limits::NewRow<'_>]) -> Result<(), StoreError> {
                SetRows { rows: json!(rows) }.execute(self)?;
                Ok(())
            }

            fn clear(&mut self, jobs: &[i64]) -> Result<Vec<(String, i16)>, StoreError> {
                Ok(ClearRows { jobs: json!(jobs) }.load(self)?)
            }

            fn set_times(&mut self, times: &[(&str, Option<i64>, Option<i64>)]) -> Result<(), StoreError> {
                SetTimes { rows: json!(times) }.execute(self)?;
                Ok(())
            }

            fn due_keys(&mut self, now: Timestamp, most: u32) -> Result<Vec<String>, StoreError> {
                let statement = DueKeys { now: now.0, most: most.into() };
                Ok(statement.load::<(String,)>(self)?.into_iter().map(|(key,)| key).collect())
            }

            fn keys_behind(&mut self, key: &str, most: u32) -> Result<Vec<String>, StoreError> {
                let (key, most) = (key.to_owned(), most.into());
                let statement = KeysBehind { key, most };
                Ok(statement.load::<(String,)>(self)?.into_iter().map(|(key,)| key).collect())
            }
        }
    };
}
pub(crate) use limit_statements;
