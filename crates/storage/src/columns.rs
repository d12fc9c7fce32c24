//! What is given with a job and changes by an edit alone: an entry for each column, from which everything follows that carries it.
//!
//! That is the table as Diesel knows it, what is inserted on either database, what a claim yields, how a row is read and
//! copied, how the column comes from a job of the core and becomes part of one, and what the checksum covers. What the values
//! mean is the core's. Columns that change (state, attempts, times) stand in the statements that change them.

/// Passes the columns to a macro, after what else is given for that macro. Each has what it is, its name, its type and that in
/// SQL, how Diesel reads it if not as it is, and since which version the checksum covers it; then how it is taken from a
/// `ValidJob`, and to which part of a `Job` it is given, and how. A new one has the next version and may be NULL: a job that has
/// no value for it keeps its checksum.
macro_rules! given {
    ($to:ident $(, $extra:tt)*) => {
        $to! {
            $($extra)*
            /// The id the user chose, if any.
            name: Option<String>, Nullable<Text>, (diesel(deserialize_as = MaybeWords)), 1, {
                |job| job.id.as_ref().map(|name| name.as_str()),
                name = |name| name.map(queuectl_core::JobName::as_stored)
            };
            /// Its queue.
            queue: String, Text, (diesel(deserialize_as = Words)), 1, {
                |job| job.queue(),
                queue = |queue| queuectl_core::QueueName::as_stored(queue)
            };
            /// Its priority.
            priority: i32, Integer, (), 1, {
                |job| job.priority(),
                priority = |priority| priority
            };
            /// Its own number of retries, if it has one.
            max_retries: Option<i32>, Nullable<Integer>, (), 1, {
                |job| job.max_retries.map(crate::columns::to_i32),
                max_retries = |retries| retries.map(crate::columns::of_i32)
            };
            /// Its own back-off base in seconds, if it has one.
            backoff_base: Option<f64>, Nullable<Double>, (), 1, {
                |job| job.backoff_base,
                backoff_base = |base| base
            };
            /// Its own timeout in ms, if it has one.
            timeout_ms: Option<i64>, Nullable<BigInt>, (), 1, {
                |job| job.timeout_ms.map(crate::columns::to_i64),
                timeout_ms = |ms| ms.map(crate::columns::of_i64)
            };
            /// Its executor.
            executor: String, Text, (diesel(deserialize_as = Words)), 1, {
                |job| job.executor(),
                executor = |executor| queuectl_core::ExecutorName::as_stored(executor)
            };
            /// The key that no other job may have which has not ended, if it has one.
            unique_key: Option<String>, Nullable<Text>, (diesel(deserialize_as = MaybeWords)), 2, {
                |job| job.unique.as_ref().map(|key| key.as_str()),
                unique = |key| key.map(queuectl_core::UniqueKey::as_stored)
            };
            /// For how long it keeps the key after it was stored, in ms.
            unique_ms: Option<i64>, Nullable<BigInt>, (), 2, {
                |job| job.unique_for_ms.map(crate::columns::to_i64),
                unique_for_ms = |ms| ms.map(crate::columns::of_i64)
            };
            /// The limits that it names, with their keys, parted by blanks.
            limits: Option<String>, Nullable<Text>, (diesel(deserialize_as = MaybeWords)), 2, {
                |job| job.stored_limits(),
                limit = |limits| queuectl_core::LimitKey::all_stored(limits.as_deref().unwrap_or_default())
            };
        }
    };
}
pub(crate) use given;

/// The names of the columns, each behind a comma, as a text.
macro_rules! names {
    ($($(#[$doc:meta])* $name:ident: $type:ty, $sql:ty, ($($read:meta)?), $since:literal, $core:tt;)*) => {
        concat!($(", ", stringify!($name)),*)
    };
}
pub(crate) use names;

// Numbers of the core are never negative, and a valid job keeps them far below the limits of the columns.

pub fn to_i32(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

pub fn to_i64(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub fn of_i32(number: i32) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

pub fn of_i64(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// A value of a column: its own, and as it is lent to what only looks at it.
pub trait Value {
    type Lent<'a>;
    fn lend(&self) -> Self::Lent<'_>;
    fn own(lent: Self::Lent<'_>) -> Self;
}

impl Value for String {
    type Lent<'a> = &'a str;
    fn lend(&self) -> &str {
        self
    }
    fn own(lent: &str) -> String {
        lent.to_owned()
    }
}

impl Value for Option<String> {
    type Lent<'a> = Option<&'a str>;
    fn lend(&self) -> Option<&str> {
        self.as_deref()
    }
    fn own(lent: Option<&str>) -> Option<String> {
        lent.map(str::to_owned)
    }
}

macro_rules! numbers {
    ($($number:ty),*) => {
        $(impl Value for $number {
            type Lent<'a> = $number;
            fn lend(&self) -> $number {
                *self
            }
            fn own(lent: $number) -> $number {
                lent
            }
        })*
    };
}
numbers!(i32, Option<i32>, Option<i64>, Option<f64>);
