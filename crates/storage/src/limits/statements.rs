//! What each database is asked about limits: each statement is for all keys or jobs of a cycle, which come as one JSON
//! array. The text is the same for both but for how an array becomes rows.

use diesel::sql_types::{BigInt, Bool, Integer, Nullable, Text};
use queuectl_core::{Busy, Limit, LimitName, Rate, Timestamp};

use crate::StoreError;
use crate::types::limits::NewRow;
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
    Limit {
        name: LimitName::as_stored(name.text),
        running: running.map(|running| u32::try_from(running).unwrap_or(0)),
        per_key,
        rate: rate(count, period, burst),
        busy: status.zip(wait).map(|(status, wait)| Busy {
            status,
            wait_ms: u64::try_from(wait).unwrap_or(0),
        }),
        created_at: Timestamp(created_at),
        updated_at: Timestamp(updated_at),
    }
}

/// Reads a rate.
pub fn rate(count: Option<i32>, period: Option<i64>, burst: Option<i32>) -> Option<Rate> {
    let positive = |number: i32| u32::try_from(number).unwrap_or(0).max(1);
    count.zip(period).map(|(count, period)| Rate {
        count: positive(count),
        period_ms: u64::try_from(period).unwrap_or(1).max(1),
        burst: burst.map_or(1, positive),
    })
}

/// A start by hand: its job, when it was, the job's queue, and whether it still counts.
pub type StartRow = (i64, i64, Option<Words>, bool);

/// A key as it stands: the key, jobs that hold it, jobs that were let through, whether one waits; its TAT in ns, when it is
/// to be looked at again, and until when it is busy.
pub type KeyRow = ((String, i64, i64, bool), KeyTimes);
pub type KeyColumns = (
    (Text, BigInt, BigInt, Bool),
    (Nullable<BigInt>, Nullable<BigInt>, Nullable<BigInt>),
);
pub type KeyTimes = (Option<i64>, Option<i64>, Option<i64>);

/// A job that waits: the key that it waits for, its number, its priority, all limits that it names, what blocks it, and its
/// queue.
pub type ParkedRow = (String, i64, i32, Option<String>, i32, Words);
pub type ParkedColumns = (Text, BigInt, Integer, Nullable<Text>, Integer, Text);

/// A job that is ready: its number, its priority, all limits that it names, and its queue.
pub type ReadyRow = (i64, i32, String, Words);
pub type ReadyColumns = (BigInt, Integer, Text, Text);

/// The statements about limits, in a transaction that is the caller's.
pub trait LimitRows {
    /// Has other transactions wait that decide about limits; with `shared`, only those that ask without it.
    fn lock_limits(&mut self, shared: bool) -> Result<(), StoreError>;

    /// The limits of these names.
    fn limits_named(&mut self, names: &[&str]) -> Result<Vec<LimitRow>, StoreError>;

    /// How these keys stand.
    fn key_rows(&mut self, keys: &[&str]) -> Result<Vec<KeyRow>, StoreError>;

    /// How many jobs of each of these queues run, if any does.
    fn running_in(&mut self, queues: &[&str]) -> Result<Vec<(String, i64)>, StoreError>;

    /// How many of these jobs each queue has.
    fn queues_of(&mut self, jobs: &[i64]) -> Result<Vec<(String, i64)>, StoreError>;

    /// The next jobs that wait for each of these keys, in order, up to the number beside the key.
    fn next_parked(&mut self, keys: &[(&str, u32)]) -> Result<Vec<ParkedRow>, StoreError>;

    /// The next `most` jobs that wait for a key behind a place in their order, a priority and a job.
    fn parked_behind(
        &mut self,
        key: &str,
        place: (i32, i64),
        most: u32,
    ) -> Result<Vec<ParkedRow>, StoreError>;

    /// Which of these jobs are ready and name limits, in the order in which they are claimed.
    fn ready(&mut self, jobs: &[i64]) -> Result<Vec<ReadyRow>, StoreError>;

    /// Has jobs that are ready wait for room.
    fn park(&mut self, jobs: &[i64], now: Timestamp) -> Result<(), StoreError>;

    /// Makes blocked jobs ready that wait for nothing but room; their numbers and queues.
    fn wake(&mut self, jobs: &[i64], now: Timestamp) -> Result<Vec<(i64, Words)>, StoreError>;

    /// Jobs that are blocked for other reasons, too, do not wait for room any more.
    fn unpark(&mut self, jobs: &[i64], now: Timestamp) -> Result<(), StoreError>;

    /// Blocks jobs that were just claimed, as if they had not been.
    fn put_back(&mut self, jobs: &[i64], now: Timestamp) -> Result<(), StoreError>;

    /// Lets jobs through for the keys that they wait for.
    fn let_through(&mut self, jobs: &[i64]) -> Result<(), StoreError>;

    /// Has jobs that were let through hold their keys; their rows.
    fn hold(&mut self, jobs: &[i64]) -> Result<Vec<(i64, String)>, StoreError>;

    /// Stores rows, or their new phase.
    fn set_rows(&mut self, rows: &[NewRow<'_>]) -> Result<(), StoreError>;

    /// Removes all rows of these jobs: the keys, each with the phase.
    fn clear(&mut self, jobs: &[i64]) -> Result<Vec<(String, i16)>, StoreError>;

    /// Sets the times of keys.
    fn set_times(&mut self, times: &[(&str, KeyTimes)]) -> Result<(), StoreError>;

    /// How many of the last `most` attempts of a job ended as busy.
    fn busy_attempts(&mut self, job: i64, most: u32) -> Result<u32, StoreError>;

    /// Keys that are to be looked at by now, at most `most`.
    fn due_keys(&mut self, now: Timestamp, most: u32) -> Result<Vec<String>, StoreError>;

    /// The next `most` keys behind this one that something is kept of, and whether that says nothing any more at `now`.
    fn times_behind(
        &mut self,
        key: &str,
        now: Timestamp,
        most: u32,
    ) -> Result<Vec<(String, bool)>, StoreError>;

    /// Removes what is kept of these keys where it says nothing any more.
    fn forget(&mut self, keys: &[&str], now: Timestamp) -> Result<(), StoreError>;

    /// The next `most` keys behind this one that a job waits for.
    fn keys_behind(&mut self, key: &str, most: u32) -> Result<Vec<String>, StoreError>;

    /// The jobs that were started by hand and not claimed since, with the times of that, their queues and whether it still counts.
    fn started(&mut self) -> Result<Vec<StartRow>, StoreError>;

    /// Which of these jobs, just claimed, were started by hand for this attempt. Keeps that they were claimed.
    fn claimed_starts(&mut self, jobs: &[i64]) -> Result<Vec<i64>, StoreError>;

    /// Removes what says that these jobs were started by hand at those times.
    fn forget_starts(&mut self, starts: &[(i64, i64)]) -> Result<(), StoreError>;

    /// Writes events that say which limits these jobs were started past.
    fn note_past(&mut self, past: &[(i64, String)], now: Timestamp) -> Result<(), StoreError>;
}

/// Values as a JSON array.
macro_rules! json {
    ($values:expr) => {
        serde_json::to_string($values).unwrap_or_else(|_| "[]".to_owned())
    };
}
pub(crate) use json;

/// Declares the statements for a database: `$texts` and `$rows` make rows of a JSON array of texts, and of arrays, and
/// `$update` changes rows in a transaction that fails with the statement.
macro_rules! limit_statements {
    ($backend:ty, $connection:ty, $texts:literal, $rows:literal, $update:literal) => {
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
                     limit_keys.tat, limit_keys.wake_at, limit_keys.busy_until FROM ",
                    $texts,
                    " LEFT JOIN limit_keys ON limit_keys.key = each.value"
                )
            }

            /// How many jobs of each of these queues run. Of all that run, because few do.
            RunningIn { queues: String as Text } -> (Text, BigInt) {
                concat!(
                    "SELECT queue, count(*) FROM jobs WHERE node_id IS NOT NULL AND queue || '' IN (SELECT each.value FROM ",
                    $texts, ") GROUP BY queue"
                )
            }

            /// How many of these jobs each queue has.
            QueuesOf { jobs: String as Text } -> (Text, BigInt) {
                concat!(
                    "SELECT queue, count(*) FROM jobs WHERE id IN (SELECT CAST(each.value AS BIGINT) FROM ",
                    $texts, ") GROUP BY queue"
                )
            }

            /// The next jobs that wait for a key behind one of them: of its priority, and of lower ones.
            ParkedBehind {
                key: String as Text,
                priority: i32 as Integer,
                job: i64 as BigInt,
                of_priority: i64 as BigInt,
                key_again: String as Text,
                below: i32 as Integer,
                of_others: i64 as BigInt,
                most: i64 as BigInt,
            }
                -> $crate::limits::ParkedColumns {
                "SELECT next.key, jobs.id, jobs.priority, jobs.limits, jobs.waits, jobs.queue FROM (\
                 SELECT * FROM (SELECT key, job_id, priority FROM job_limits WHERE key = ? AND phase = 1 AND priority = ? \
                 AND job_id > ? ORDER BY priority DESC, job_id LIMIT ? + 0) AS same UNION ALL \
                 SELECT * FROM (SELECT key, job_id, priority FROM job_limits WHERE key = ? AND phase = 1 AND priority < ? \
                 ORDER BY priority DESC, job_id LIMIT ? + 0) AS lower) AS next JOIN jobs ON jobs.id = next.job_id \
                 ORDER BY next.priority DESC, next.job_id LIMIT ? + 0"
            }

            /// Which of these jobs are ready and name limits.
            Ready { jobs: String as Text } -> $crate::limits::ReadyColumns {
                concat!(
                    "SELECT id, priority, limits, queue FROM jobs WHERE id IN (SELECT CAST(each.value AS BIGINT) FROM ",
                    $texts, ") AND state + 0 = {pending} AND limits IS NOT NULL ORDER BY priority DESC, id"
                )
            }

            /// Has jobs that are ready wait for room.
            ParkReady { updated_at: i64 as BigInt, jobs: String as Text } -> () {
                concat!(
                    $update, " jobs SET state = {blocked}, waits = 4, updated_at = ? WHERE id IN \
                     (SELECT CAST(each.value AS BIGINT) FROM ", $texts, ") AND state + 0 = {pending}"
                )
            }

            /// Makes jobs ready that wait for nothing but room. `state + 0` keeps a planner that knows nothing of the table from
            /// walking over all blocked jobs.
            WakeParked { updated_at: i64 as BigInt, jobs: String as Text } -> (BigInt, Text) {
                concat!(
                    $update, " jobs SET state = {pending}, waits = 0, updated_at = ? WHERE id IN \
                     (SELECT CAST(each.value AS BIGINT) FROM ", $texts, ") AND state + 0 = {blocked} AND waits = 4 \
                     RETURNING id, queue"
                )
            }

            /// Has jobs that are blocked for other reasons, too, wait for those alone.
            Unpark { updated_at: i64 as BigInt, jobs: String as Text } -> () {
                concat!(
                    $update, " jobs SET waits = waits - 4, updated_at = ? WHERE id IN \
                     (SELECT CAST(each.value AS BIGINT) FROM ", $texts, ") AND state + 0 = {blocked} AND waits > 4"
                )
            }

            /// Takes a claim back: the job is blocked, and its attempt does not count.
            PutBack { updated_at: i64 as BigInt, jobs: String as Text } -> () {
                concat!(
                    $update, " jobs SET state = {blocked}, waits = 4, attempts = attempts - 1, node_id = NULL, started_at = \
                     (SELECT max(attempts.started_at) FROM attempts WHERE attempts.job_id = jobs.id), updated_at = ? \
                     WHERE id IN (SELECT CAST(each.value AS BIGINT) FROM ", $texts, ") AND state = {processing}"
                )
            }

            /// Lets jobs through for the keys that they wait for. They are found by their numbers, which the `+ 0` sees to.
            LetThrough { jobs: String as Text } -> () {
                concat!(
                    $update, " job_limits SET phase = 3 WHERE phase + 0 = 1 AND job_id IN \
                     (SELECT CAST(each.value AS BIGINT) FROM ", $texts, ")"
                )
            }

            /// Has jobs that were let through hold their keys. They are found by their numbers, which the `+ 0` sees to.
            HoldKeys { jobs: String as Text } -> (BigInt, Text) {
                concat!(
                    $update, " job_limits SET phase = 2 WHERE phase + 0 = 3 AND job_id IN \
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

            /// Sets the times of keys.
            SetTimes { rows: String as Text } -> () {
                concat!(
                    "INSERT INTO limit_keys (key, tat, wake_at, busy_until) SELECT each.value->>0, \
                     CAST(each.value->>1 AS BIGINT), CAST(each.value->>2 AS BIGINT), CAST(each.value->>3 AS BIGINT) FROM ",
                    $rows,
                    " WHERE TRUE ON CONFLICT (key) DO UPDATE SET tat = excluded.tat, wake_at = excluded.wake_at, \
                     busy_until = excluded.busy_until"
                )
            }

            /// How many of the last attempts of a job ended as busy.
            BusyAttempts { job: i64 as BigInt, most: i64 as BigInt } -> (BigInt,) {
                "SELECT count(*) FROM (SELECT outcome FROM attempts WHERE job_id = ? ORDER BY fence DESC LIMIT ? + 0) AS last \
                 WHERE outcome = 9"
            }

            /// Keys that are to be looked at by now.
            DueKeys { now: i64 as BigInt, most: i64 as BigInt } -> (Text,) {
                "SELECT key FROM limit_keys WHERE wake_at IS NOT NULL AND wake_at <= ? ORDER BY wake_at LIMIT ? + 0"
            }

            /// The next keys behind one that something is kept of, and whether that says nothing any more.
            TimesBehind { now_ns: i64 as BigInt, now: i64 as BigInt, key: String as Text, most: i64 as BigInt } -> (Text, Bool) {
                "SELECT key, wake_at IS NULL AND coalesce(tat, 0) <= ? AND coalesce(busy_until, 0) <= ? FROM limit_keys \
                 WHERE key > ? ORDER BY key LIMIT ? + 0"
            }

            /// Removes what is kept of keys where it says nothing any more.
            ForgetKeys { keys: String as Text, now_ns: i64 as BigInt, now: i64 as BigInt } -> () {
                concat!(
                    "DELETE FROM limit_keys WHERE key IN (SELECT each.value FROM ", $texts,
                    ") AND wake_at IS NULL AND coalesce(tat, 0) <= ? AND coalesce(busy_until, 0) <= ?"
                )
            }

            /// Jobs that were started by hand and not claimed since, those first that were started first. One that was just claimed
            /// by a node that has not yet asked whether it was started is left to that node.
            Started {} -> (BigInt, BigInt, Nullable<Text>, Bool) {
                "SELECT starts.job_id, changed_at, jobs.queue, coalesce(jobs.state = {pending} AND jobs.fence + 1 = starts.fence \
                 AND jobs.updated_at = changed_at, FALSE) FROM starts LEFT JOIN jobs ON jobs.id = starts.job_id \
                 WHERE NOT claimed AND NOT coalesce(jobs.fence = starts.fence AND jobs.node_id IS NOT NULL, FALSE) \
                 ORDER BY changed_at, starts.job_id LIMIT 1000"
            }

            /// Those of running jobs that were started by hand for this attempt.
            ClaimedStarts { jobs: String as Text } -> (BigInt,) {
                concat!(
                    "UPDATE starts SET claimed = TRUE FROM jobs WHERE jobs.id = starts.job_id AND starts.fence = jobs.fence \
                     AND job_id IN (SELECT CAST(each.value AS BIGINT) FROM ", $texts, ") RETURNING job_id"
                )
            }

            /// Removes what says that jobs were started by hand, unless they were started again since that was read.
            DropStarts { rows: String as Text } -> () {
                concat!(
                    "DELETE FROM starts WHERE EXISTS (SELECT 1 FROM ", $rows, " WHERE CAST(each.value->>0 AS BIGINT) = job_id \
                     AND CAST(each.value->>1 AS BIGINT) = changed_at)"
                )
            }

            /// Writes events that say which limits jobs were started past, if events are recorded.
            NotePast { at: i64 as BigInt, rows: String as Text } -> () {
                concat!(
                    "INSERT INTO events (at, job_id, kind, detail) SELECT ?, CAST(each.value->>0 AS BIGINT), 'limit exceeded', \
                     each.value->>1 FROM ", $rows,
                    " WHERE EXISTS (SELECT 1 FROM settings WHERE key = 'event_retention' AND value <> '0 s')"
                )
            }

            /// The next keys behind one that a job waits for.
            KeysBehind { key: String as Text, most: i64 as BigInt } -> (Text,) {
                "WITH RECURSIVE behind (key) AS (SELECT min(key) FROM job_limits WHERE phase = 1 AND key > ? UNION ALL \
                 SELECT (SELECT min(job_limits.key) FROM job_limits WHERE phase = 1 AND job_limits.key > behind.key) FROM behind \
                 WHERE behind.key IS NOT NULL) SELECT key FROM behind WHERE key IS NOT NULL LIMIT ? + 0"
            }
        }

        impl $crate::limits::LimitRows for $connection {
            fn started(&mut self) -> Result<Vec<$crate::limits::StartRow>, StoreError> {
                Ok(Started {}.load(self)?)
            }

            fn claimed_starts(&mut self, jobs: &[i64]) -> Result<Vec<i64>, StoreError> {
                let found: Vec<(i64,)> = ClaimedStarts { jobs: json!(jobs) }.load(self)?;
                Ok(found.into_iter().map(|(job,)| job).collect())
            }

            fn forget_starts(&mut self, starts: &[(i64, i64)]) -> Result<(), StoreError> {
                DropStarts { rows: json!(starts) }.execute(self)?;
                Ok(())
            }

            fn note_past(&mut self, past: &[(i64, String)], now: Timestamp) -> Result<(), StoreError> {
                let rows: Vec<_> = past
                    .iter()
                    .map(|(job, key)| (job, serde_json::json!({ "limit": key }).to_string()))
                    .collect();
                NotePast { at: now.0, rows: json!(&rows) }.execute(self)?;
                Ok(())
            }

            fn lock_limits(&mut self, shared: bool) -> Result<(), StoreError> {
                lock(self, shared)
            }

            fn limits_named(&mut self, names: &[&str]) -> Result<Vec<$crate::limits::LimitRow>, StoreError> {
                Ok(LimitsNamed { names: json!(names) }.load(self)?)
            }

            fn key_rows(&mut self, keys: &[&str]) -> Result<Vec<$crate::limits::KeyRow>, StoreError> {
                Ok(KeyRows { keys: json!(keys) }.load(self)?)
            }

            fn running_in(&mut self, queues: &[&str]) -> Result<Vec<(String, i64)>, StoreError> {
                let rows: Vec<(Words, i64)> = RunningIn { queues: json!(queues) }.load(self)?;
                Ok(rows.into_iter().map(|(queue, jobs)| (queue.text, jobs)).collect())
            }

            fn queues_of(&mut self, jobs: &[i64]) -> Result<Vec<(String, i64)>, StoreError> {
                let rows: Vec<(Words, i64)> = QueuesOf { jobs: json!(jobs) }.load(self)?;
                Ok(rows.into_iter().map(|(queue, jobs)| (queue.text, jobs)).collect())
            }

            fn next_parked(&mut self, keys: &[(&str, u32)]) -> Result<Vec<$crate::limits::ParkedRow>, StoreError> {
                next_parked(self, keys)
            }

            fn parked_behind(
                &mut self,
                key: &str,
                (priority, job): (i32, i64),
                most: u32,
            ) -> Result<Vec<$crate::limits::ParkedRow>, StoreError> {
                let (key, most) = (key.to_owned(), i64::from(most));
                let statement = ParkedBehind {
                    key: key.clone(),
                    priority,
                    job,
                    of_priority: most,
                    key_again: key,
                    below: priority,
                    of_others: most,
                    most,
                };
                Ok(statement.load(self)?)
            }

            fn ready(&mut self, jobs: &[i64]) -> Result<Vec<$crate::limits::ReadyRow>, StoreError> {
                Ok(Ready { jobs: json!(jobs) }.load(self)?)
            }

            fn park(&mut self, jobs: &[i64], now: Timestamp) -> Result<(), StoreError> {
                let (updated_at, jobs) = (now.0, json!(jobs));
                ParkReady { updated_at, jobs }.execute(self)?;
                Ok(())
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

            fn let_through(&mut self, jobs: &[i64]) -> Result<(), StoreError> {
                LetThrough { jobs: json!(jobs) }.execute(self)?;
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

            fn set_times(&mut self, times: &[(&str, $crate::limits::KeyTimes)]) -> Result<(), StoreError> {
                let rows: Vec<_> = times.iter().map(|(key, (tat, wake_at, busy))| (key, tat, wake_at, busy)).collect();
                SetTimes { rows: json!(&rows) }.execute(self)?;
                Ok(())
            }

            fn busy_attempts(&mut self, job: i64, most: u32) -> Result<u32, StoreError> {
                let (busy,): (i64,) = BusyAttempts { job, most: most.into() }.get_result(self)?;
                Ok(u32::try_from(busy).unwrap_or(u32::MAX))
            }

            fn due_keys(&mut self, now: Timestamp, most: u32) -> Result<Vec<String>, StoreError> {
                let statement = DueKeys { now: now.0, most: most.into() };
                Ok(statement.load::<(String,)>(self)?.into_iter().map(|(key,)| key).collect())
            }

            fn times_behind(
                &mut self,
                key: &str,
                now: Timestamp,
                most: u32,
            ) -> Result<Vec<(String, bool)>, StoreError> {
                let now_ns = now.0.saturating_mul(1_000_000);
                let (key, most) = (key.to_owned(), most.into());
                Ok(TimesBehind { now_ns, now: now.0, key, most }.load(self)?)
            }

            fn forget(&mut self, keys: &[&str], now: Timestamp) -> Result<(), StoreError> {
                let now_ns = now.0.saturating_mul(1_000_000);
                ForgetKeys { keys: json!(keys), now_ns, now: now.0 }.execute(self)?;
                Ok(())
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
