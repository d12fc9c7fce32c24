//! Checksums over what a job runs and how, which an edit alone changes, and over how an attempt ended, which never changes.
//!
//! SQLite finds damage in its own structures, but a flipped bit in the middle of a text is to it just another text. So
//! each job and each attempt carries a CRC-32 (the one of zlib, by `crc32fast`) of these values. A node compares a job's
//! before it runs it, `db:check` compares all. Against accidents, not against somebody who writes to the database.
//!
//! Rows from before version 4 of the schema, and jobs that were stored by the SQL functions on PostgreSQL, have none.

use crc32fast::Hasher;
use queuectl_core::Attempt;

use crate::columns::{Value, given};

macro_rules! content {
    ($($(#[$doc:meta])* $name:ident: $type:ty, $sql:ty, ($($read:meta)?), $since:literal, $core:tt;)*) => {
        /// What only an edit changes of a job.
        #[derive(Debug, Clone, Copy)]
        pub struct JobContent<'a> {
            $(pub $name: <$type as Value>::Lent<'a>,)*
            pub payload: &'a str,
        }

        /// The content of what has a field for each column.
        macro_rules! content_of {
            ($row:expr, $payload:expr) => {
                crate::checksum::JobContent {
                    $($name: crate::columns::Value::lend(&$row.$name),)*
                    payload: $payload,
                }
            };
        }
        pub(crate) use content_of;

        impl JobContent<'_> {
            /// Adds the columns that the first version of the checksum does not know, each with its name, if they have a value.
            fn add_later_columns(&self, hasher: &mut Hasher) {
                $(
                    if $since > 1 {
                        self.$name.add_to(stringify!($name), hasher);
                    }
                )*
            }
        }
    };
}
given!(content);

impl JobContent<'_> {
    pub fn sum(&self) -> i32 {
        let mut numbers = Numbers::new();
        numbers.add(Some(self.priority.into()));
        numbers.add(self.max_retries.map(i64::from));
        numbers.add(self.backoff_base.map(|base| base.to_bits().cast_signed()));
        numbers.add(self.timeout_ms);
        // Where each text ends is part of what is summed.
        numbers.add(self.name.map(length));
        numbers.add(Some(length(self.queue)));
        numbers.add(Some(length(self.executor)));
        let mut hasher = numbers.hasher();
        for text in [
            self.name.unwrap_or_default(),
            self.queue,
            self.executor,
            self.payload,
        ] {
            hasher.update(text.as_bytes());
        }
        self.add_later_columns(&mut hasher);
        hasher.finalize().cast_signed()
    }
}

/// A column that is summed with its name, unless it has no value.
trait Later {
    fn add_to(&self, name: &str, hasher: &mut Hasher);
}

fn add_bytes(name: &str, value: &[u8], hasher: &mut Hasher) {
    for bytes in [name.as_bytes(), value] {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    }
}

impl Later for &str {
    fn add_to(&self, name: &str, hasher: &mut Hasher) {
        add_bytes(name, self.as_bytes(), hasher);
    }
}

impl Later for i32 {
    fn add_to(&self, name: &str, hasher: &mut Hasher) {
        i64::from(*self).add_to(name, hasher);
    }
}

impl Later for i64 {
    fn add_to(&self, name: &str, hasher: &mut Hasher) {
        add_bytes(name, &self.to_le_bytes(), hasher);
    }
}

impl Later for f64 {
    fn add_to(&self, name: &str, hasher: &mut Hasher) {
        add_bytes(name, &self.to_bits().to_le_bytes(), hasher);
    }
}

impl<T: Later> Later for Option<T> {
    fn add_to(&self, name: &str, hasher: &mut Hasher) {
        if let Some(value) = self {
            value.add_to(name, hasher);
        }
    }
}

/// Returns the checksum of a label, or of a comment, of a job.
pub fn label_sum(job: i64, key: &str, value: &str) -> i32 {
    let mut hasher = Hasher::new();
    hasher.update(&job.to_le_bytes());
    add_bytes(key, value.as_bytes(), &mut hasher);
    hasher.finalize().cast_signed()
}

/// An ended attempt, with what it printed.
#[derive(Debug, Clone, Copy)]
pub struct AttemptContent<'a> {
    pub job_id: i64,
    pub fence: i64,
    pub attempt: i32,
    pub node_id: i64,
    pub worker: i32,
    pub outcome: i16,
    pub exit_code: Option<i32>,
    pub signal: Option<i32>,
    pub message: &'a str,
    pub started_at: i64,
    pub finished_at: i64,
    pub output_bytes: i64,
    pub head: &'a [u8],
    pub tail: &'a [u8],
}

impl<'a> AttemptContent<'a> {
    /// An attempt as it is stored, with this message.
    pub fn new(attempt: &'a Attempt, message: &'a str) -> AttemptContent<'a> {
        AttemptContent {
            job_id: attempt.job.0,
            fence: attempt.fence,
            attempt: i32::try_from(attempt.attempt).unwrap_or(i32::MAX),
            node_id: attempt.node.0,
            worker: i32::try_from(attempt.worker).unwrap_or(i32::MAX),
            outcome: attempt.outcome.kind.code(),
            exit_code: attempt.outcome.exit_code,
            signal: attempt.outcome.signal,
            message,
            started_at: attempt.started_at.0,
            finished_at: attempt.finished_at.0,
            output_bytes: i64::try_from(attempt.output.total_bytes).unwrap_or(i64::MAX),
            head: &attempt.output.head,
            tail: &attempt.output.tail,
        }
    }

    pub fn sum(&self) -> i32 {
        let mut numbers = Numbers::new();
        numbers.add(Some(self.job_id));
        numbers.add(Some(self.fence));
        numbers.add(Some(self.attempt.into()));
        numbers.add(Some(self.node_id));
        numbers.add(Some(self.worker.into()));
        numbers.add(Some(self.outcome.into()));
        numbers.add(self.exit_code.map(i64::from));
        numbers.add(self.signal.map(i64::from));
        numbers.add(Some(self.started_at));
        numbers.add(Some(self.finished_at));
        numbers.add(Some(self.output_bytes));
        numbers.add(Some(length(self.message)));
        numbers.add(Some(self.head.len() as i64));
        let mut hasher = numbers.hasher();
        for bytes in [self.message.as_bytes(), self.head, self.tail] {
            hasher.update(bytes);
        }
        hasher.finalize().cast_signed()
    }
}

fn length(text: &str) -> i64 {
    text.len() as i64
}

/// Numbers as they are summed: together, for a call costs more than a few bytes do.
struct Numbers {
    bytes: [u8; 13 * 9],
    used: usize,
}

impl Numbers {
    fn new() -> Numbers {
        Numbers {
            bytes: [0; 13 * 9],
            used: 0,
        }
    }

    /// Adds a number of eight bytes, and before it whether there is one.
    fn add(&mut self, number: Option<i64>) {
        let place = &mut self.bytes[self.used..self.used + 9];
        place[0] = number.is_some().into();
        place[1..].copy_from_slice(&number.unwrap_or(0).to_le_bytes());
        self.used += 9;
    }

    fn hasher(&self) -> Hasher {
        let mut hasher = Hasher::new();
        hasher.update(&self.bytes[..self.used]);
        hasher
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: JobContent<'_> = JobContent {
        name: Some("a"),
        queue: "bc",
        priority: 0,
        max_retries: None,
        backoff_base: Some(2.0),
        timeout_ms: None,
        executor: "shell",
        unique_key: None,
        unique_ms: None,
        limits: None,
        payload: "{}",
    };

    /// Stores hold these numbers: the way to compute them must never change.
    #[test]
    fn the_sums_stay_what_they_are() {
        assert_eq!(JOB.sum(), JOB_SUM);
        assert_eq!(ATTEMPT.sum(), ATTEMPT_SUM);
        assert_eq!(label_sum(1, "team", "web"), LABEL_SUM);
    }

    #[test]
    fn every_part_of_a_label_counts() {
        let sum = label_sum(1, "team", "web");
        for (job, key, value) in [
            (2, "team", "web"),
            (1, "tea", "mweb"),
            (1, "team", "we"),
            (1, "", "web"),
        ] {
            assert_ne!(label_sum(job, key, value), sum, "{job} {key} {value}");
        }
    }

    const LABEL_SUM: i32 = -182_562_298;

    const JOB_SUM: i32 = 1_416_083_141;
    const ATTEMPT_SUM: i32 = -1_529_401_721;
    const ATTEMPT: AttemptContent<'_> = AttemptContent {
        job_id: 1,
        fence: 2,
        attempt: 1,
        node_id: 1,
        worker: 1,
        outcome: 2,
        exit_code: Some(1),
        signal: None,
        message: "exit status 1",
        started_at: 5,
        finished_at: 6,
        output_bytes: 3,
        head: b"ab",
        tail: b"c",
    };

    /// So a column can be added without a new checksum for every job that there is.
    #[test]
    fn a_later_column_counts_only_if_it_has_a_value() {
        let sum = |name: &str, value: Option<&str>| {
            let mut hasher = Hasher::new();
            hasher.update(b"the first columns");
            value.add_to(name, &mut hasher);
            hasher.finalize()
        };
        let without = sum("tag", None);
        assert_eq!(without, sum("other", None));
        let sums = [
            without,
            sum("tag", Some("")),
            sum("tag", Some("a")),
            sum("ta", Some("ga")),
            sum("other", Some("a")),
        ];
        for (n, sum) in sums.iter().enumerate() {
            assert!(!sums[..n].contains(sum), "{sums:?}");
        }
    }

    #[test]
    fn every_value_counts_and_so_does_where_texts_end() {
        let sum = JOB.sum();
        for other in [
            JobContent { name: None, ..JOB },
            JobContent {
                name: Some("ab"),
                queue: "c",
                ..JOB
            },
            JobContent { queue: "bd", ..JOB },
            JobContent { priority: 1, ..JOB },
            JobContent {
                unique_key: Some(""),
                ..JOB
            },
            JobContent {
                unique_ms: Some(0),
                ..JOB
            },
            JobContent {
                max_retries: Some(0),
                ..JOB
            },
            JobContent {
                backoff_base: None,
                ..JOB
            },
            JobContent {
                timeout_ms: Some(0),
                ..JOB
            },
            JobContent {
                executor: "shel",
                payload: "l{}",
                ..JOB
            },
            JobContent {
                limits: Some("disk"),
                ..JOB
            },
            JobContent {
                payload: "{ }",
                ..JOB
            },
        ] {
            assert_ne!(other.sum(), sum, "{other:?}");
        }
        let sum = ATTEMPT.sum();
        for other in [
            AttemptContent { job_id: 2, ..ATTEMPT },
            AttemptContent { fence: 3, ..ATTEMPT },
            AttemptContent {
                attempt: 2,
                ..ATTEMPT
            },
            AttemptContent {
                node_id: 2,
                ..ATTEMPT
            },
            AttemptContent { worker: 2, ..ATTEMPT },
            AttemptContent {
                outcome: 1,
                ..ATTEMPT
            },
            AttemptContent {
                exit_code: None,
                ..ATTEMPT
            },
            AttemptContent {
                signal: Some(0),
                ..ATTEMPT
            },
            AttemptContent {
                message: "exit status 2",
                ..ATTEMPT
            },
            AttemptContent {
                started_at: 4,
                ..ATTEMPT
            },
            AttemptContent {
                finished_at: 7,
                ..ATTEMPT
            },
            AttemptContent {
                output_bytes: 4,
                ..ATTEMPT
            },
            AttemptContent {
                head: b"a",
                tail: b"bc",
                ..ATTEMPT
            },
        ] {
            assert_ne!(other.sum(), sum, "{other:?}");
        }
    }
}
