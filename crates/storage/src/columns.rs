//! What is given with a job and never changes: a line for each column, from which everything follows that only carries it.
//!
//! That is what is inserted on either database, what a claim yields, how a row is read and copied, and what the checksum
//! covers. What a column means is not here: `types/jobs.rs` takes it from a job that is to be stored, `rows.rs` gives it to
//! one that is read. Columns that change (state, attempts, times) stand in the statements that change them.

/// Passes the columns to a macro. Each has what it is, its name, its type and that in SQL, how Diesel reads it if not as it
/// is, and since which version the checksum covers it. A new one has the next version and may be NULL: a job that has no
/// value for it keeps its checksum.
macro_rules! given {
    ($to:ident) => {
        $to! {
            /// The id the user chose, if any.
            name: Option<String>, Nullable<Text>, (diesel(deserialize_as = MaybeWords)), 1;
            /// Its queue.
            queue: String, Text, (diesel(deserialize_as = Words)), 1;
            /// Its priority.
            priority: i32, Integer, (), 1;
            /// Its own number of retries, if it has one.
            max_retries: Option<i32>, Nullable<Integer>, (), 1;
            /// Its own back-off base in seconds, if it has one.
            backoff_base: Option<f64>, Nullable<Double>, (), 1;
            /// Its own timeout in ms, if it has one.
            timeout_ms: Option<i64>, Nullable<BigInt>, (), 1;
            /// Its executor.
            executor: String, Text, (diesel(deserialize_as = Words)), 1;
            /// The key that no other job may have which has not ended, if it has one.
            unique_key: Option<String>, Nullable<Text>, (diesel(deserialize_as = MaybeWords)), 2;
            /// For how long it keeps the key after it was stored, in ms.
            unique_ms: Option<i64>, Nullable<BigInt>, (), 2;
            /// The limits that it names, with their keys, parted by blanks.
            limits: Option<String>, Nullable<Text>, (diesel(deserialize_as = MaybeWords)), 2;
        }
    };
}
pub(crate) use given;

/// The names of the columns, each behind a comma, as a text.
macro_rules! names {
    ($($(#[$doc:meta])* $name:ident: $type:ty, $sql:ty, ($($read:meta)?), $since:literal;)*) => {
        concat!($(", ", stringify!($name)),*)
    };
}
pub(crate) use names;

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
