//! The settings: their names, meaning, units, defaults and ranges.
//!
//! The store keeps values as text, in the canonical form that [`Key::parse`] returns; [`Settings`] has them with types.
//! This module does not read or write them. A setting is added here, in [`KEYS`] and [`Settings`], and where it is used.

mod typed;

use std::fmt;

use bytesize::ByteSize;

pub use self::typed::{Durability, Leftovers, Settings};
use crate::duration::{parse_duration, show_time};
use crate::limits::{BACKOFF_BASE, RETRIES, TIMEOUT};
use crate::quote::excerpt;
use crate::range::{Decimal, Length, Whole};

/// What kind of value a setting takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// A whole number.
    Count(Whole),
    /// A decimal number.
    Decimal(Decimal),
    /// A length of time such as `30s` or `1h 5m`; a bare number is seconds.
    Time(Length),
    /// The same, or `none` for no limit.
    TimeOrNone(Length),
    /// A number of bytes such as `64KiB`, up to this.
    Bytes(u64),
    /// One of a few words.
    Choice(&'static [&'static str]),
    /// A program name or path.
    Program,
}

/// One setting.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// Its kind and range.
    pub kind: Kind,
    /// Its default, in canonical form.
    pub default: &'static str,
    /// What it means, in one line.
    pub about: &'static str,
    /// Whether a queue can have a value of its own: it is read for each job, by [`Settings::of`].
    pub per_queue: bool,
}

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const MIB: u64 = 1024 * 1024;

const fn time(min_ms: u64, max_ms: u64) -> Kind {
    Kind::Time(Length { min_ms, max_ms })
}

/// Every setting, in alphabetical order.
pub const KEYS: &[Key] = &[
    Key {
        name: "backoff_base",
        kind: Kind::Decimal(BACKOFF_BASE),
        default: "2",
        about: "seconds; the n-th retry waits base^n seconds",
        per_queue: true,
    },
    Key {
        name: "backoff_cap",
        kind: time(0, 30 * DAY),
        default: "1 d",
        about: "longest wait before a retry",
        per_queue: true,
    },
    Key {
        name: "backoff_jitter",
        kind: Kind::Decimal(Decimal { min: 0.0, max: 1.0 }),
        default: "0",
        about: "part of a wait that is random: 0.2 spreads it over 80 % to 100 %",
        per_queue: true,
    },
    Key {
        name: "durability",
        kind: Kind::Choice(&["full", "normal"]),
        default: "full",
        about: "full survives a power cut; normal may lose the last moments in one, never in a crash",
        per_queue: false,
    },
    Key {
        name: "event_retention",
        kind: time(0, 3650 * DAY),
        default: "0 s",
        about: "how long it is remembered what happened to jobs and queues (`queuectl events`); 0 records nothing",
        per_queue: false,
    },
    Key {
        name: "history_retention",
        kind: time(0, 365 * DAY),
        default: "30 d",
        about: "how long it is remembered how many jobs ended when, and how they fared (`queuectl stats`), whatever becomes of them; 0 records nothing",
        per_queue: false,
    },
    Key {
        name: "job_timeout",
        kind: Kind::TimeOrNone(TIMEOUT),
        default: "7 d",
        about: "longest run of one attempt, for jobs without a timeout of their own",
        per_queue: true,
    },
    Key {
        name: "kill_grace",
        kind: time(0, HOUR),
        default: "5 s",
        about: "time between asking a job to stop (SIGTERM) and killing it",
        per_queue: true,
    },
    Key {
        name: "lease",
        kind: time(5 * SECOND, HOUR),
        default: "15 s",
        about: "a node renews its heartbeat three times in this time; on PostgreSQL, other nodes take its jobs when it has not renewed it for this long",
        per_queue: false,
    },
    Key {
        name: "leftovers",
        kind: Kind::Choice(&["kill", "leave"]),
        default: "kill",
        about: "what happens to processes that a job started and left behind when it ended",
        per_queue: true,
    },
    Key {
        name: "max_retries",
        kind: Kind::Count(RETRIES),
        default: "4",
        about: "retries after the first attempt, for jobs without a number of their own",
        per_queue: true,
    },
    Key {
        name: "op_retention",
        kind: time(0, 3650 * DAY),
        default: "7 d",
        about: "how long commands that changed jobs or settings can be looked up (`queuectl op:list`) and undone; 0 keeps nothing to undo them",
        per_queue: false,
    },
    Key {
        name: "output_file_limit",
        kind: Kind::Bytes(4096 * MIB),
        default: "16MiB",
        about: "longest output kept in a file, for attempts that print more than output_limit",
        per_queue: true,
    },
    Key {
        name: "output_limit",
        kind: Kind::Bytes(16 * MIB),
        default: "64KiB",
        about: "output kept in the database per attempt, half from its start and half from its end",
        per_queue: true,
    },
    Key {
        name: "poll_interval",
        kind: time(10, HOUR),
        default: "1 s",
        about: "how often an idle node checks for work without a wake-up",
        per_queue: false,
    },
    Key {
        name: "retention",
        kind: Kind::TimeOrNone(Length {
            min_ms: 0,
            max_ms: 3650 * DAY,
        }),
        default: "30 d",
        about: "how long completed and cancelled jobs are kept",
        per_queue: false,
    },
    Key {
        name: "shell",
        kind: Kind::Program,
        default: if cfg!(windows) { "cmd" } else { "sh" },
        about: "shell that runs command lines; cmd on Windows",
        per_queue: false,
    },
    Key {
        name: "shutdown_grace",
        kind: time(0, DAY),
        default: "30 s",
        about: "how long a stopping node lets running jobs finish",
        per_queue: false,
    },
];

/// What the stored names of settings of single queues begin with, and no other.
pub(crate) const PER_QUEUE: &str = "queue:";

/// The settings that a queue can have.
pub fn per_queue() -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(|key| key.per_queue)
}

/// Their names, as a list.
pub fn per_queue_names() -> String {
    per_queue().map(|key| key.name).collect::<Vec<_>>().join(", ")
}

/// The queue and the setting that a stored name stands for; none if it is another's.
pub fn of_queue(name: &str) -> Option<(&str, &'static Key)> {
    // Names of settings have no dots.
    let (queue, name) = name.strip_prefix(PER_QUEUE)?.rsplit_once('.')?;
    Some((queue, per_queue().find(|key| key.name == name)?))
}

/// Why a setting was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// There is no such key.
    #[error("there is no setting '{key}'{}", nearest.map(|n| format!("; did you mean '{n}'?")).unwrap_or_default())]
    UnknownKey {
        /// What was asked for.
        key: String,
        /// The most similar key, if one is similar.
        nearest: Option<&'static str>,
    },
    /// The key has one value for all queues.
    #[error("{key} is for all queues; a queue can have {}", per_queue_names())]
    NotPerQueue {
        /// The key.
        key: &'static str,
    },
    /// The value does not fit.
    #[error("invalid value '{value}' for {key}: expected {allowed}")]
    BadValue {
        /// The key.
        key: &'static str,
        /// What was given.
        value: String,
        /// What is allowed.
        allowed: String,
    },
}

impl Kind {
    /// Returns the range without words around it, as a table has it: `0 s to 30 d`.
    pub fn range(&self) -> String {
        match *self {
            Kind::Count(Whole { min, max }) => format!("{min} to {max}"),
            Kind::Decimal(Decimal { min, max }) => format!("{min} to {max}"),
            Kind::Time(Length { min_ms, max_ms }) => {
                format!("{} to {}", show_time(min_ms), show_time(max_ms))
            }
            Kind::TimeOrNone(length) => format!("{}, none", Kind::Time(length).range()),
            Kind::Bytes(max) => format!("0 to {}", show_bytes(max)),
            Kind::Choice(words) => words.join(", "),
            Kind::Program => "a program".to_owned(),
        }
    }
}

impl fmt::Display for Kind {
    /// The range, in words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Kind::Count(range) => range.fmt(f),
            Kind::Decimal(range) => range.fmt(f),
            Kind::Time(range) => write!(f, "{range} {FORMS}; a bare number is seconds"),
            Kind::TimeOrNone(range) => write!(f, "{range} {FORMS}, or none; a bare number is seconds"),
            Kind::Bytes(max) => write!(f, "a size up to {} such as 64KiB or 1MiB", show_bytes(max)),
            Kind::Choice(words) => write!(f, "one of: {}", words.join(", ")),
            Kind::Program => f.write_str("a program name or path"),
        }
    }
}

/// How a length of time may be written.
const FORMS: &str = "such as 500ms, 30s or 1h 5m";

fn show_bytes(bytes: u64) -> String {
    let mib_or_kib = [(MIB, "MiB"), (1024, "KiB")];
    match mib_or_kib
        .iter()
        .find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit))
    {
        Some((unit, name)) => format!("{}{name}", bytes / unit),
        None => format!("{bytes}B"),
    }
}

/// A parsed value.
enum Value {
    Number(f64),
    Ms(Option<u64>),
    Bytes(u64),
    Word,
}

impl Key {
    /// The key of that name; `-` and `_` are the same.
    ///
    /// # Errors
    /// [`SettingError::UnknownKey`] with the most similar key.
    pub fn find(name: &str) -> Result<&'static Key, SettingError> {
        let wanted = name.replace('-', "_").to_ascii_lowercase();
        if let Some(key) = KEYS.iter().find(|key| key.name == wanted) {
            return Ok(key);
        }
        let similarity = |key: &&Key| strsim::jaro_winkler(key.name, &wanted);
        let nearest = KEYS
            .iter()
            .max_by(|a, b| similarity(a).total_cmp(&similarity(b)))
            .filter(|key| similarity(key) > 0.7)
            .map(|key| key.name);
        Err(SettingError::UnknownKey {
            key: excerpt(name),
            nearest,
        })
    }

    /// Checks a value and returns its canonical form, the one that is stored.
    ///
    /// # Errors
    /// [`SettingError::BadValue`] with the allowed range.
    pub fn parse(&self, text: &str) -> Result<String, SettingError> {
        let text = text.trim();
        match self.value(text) {
            Some(Value::Number(number)) => Ok(number.to_string()),
            Some(Value::Ms(None)) => Ok("none".to_owned()),
            Some(Value::Ms(Some(ms))) => Ok(show_time(ms)),
            Some(Value::Bytes(bytes)) => Ok(show_bytes(bytes)),
            Some(Value::Word) => Ok(text.to_owned()),
            None => Err(SettingError::BadValue {
                key: self.name,
                value: excerpt(text),
                allowed: self.kind.to_string(),
            }),
        }
    }

    fn value(&self, text: &str) -> Option<Value> {
        match self.kind {
            // At most 32 bits, which a decimal number holds exactly.
            Kind::Count(range) => range.parse(text).map(|number| Value::Number(number as f64)),
            Kind::Decimal(range) => range.parse(text).map(Value::Number),
            Kind::TimeOrNone(_) if text == "none" => Some(Value::Ms(None)),
            Kind::Time(range) | Kind::TimeOrNone(range) => {
                let ms = u64::try_from(parse_duration(text).ok()?.as_millis()).ok()?;
                range.contains(ms).then_some(Value::Ms(Some(ms)))
            }
            Kind::Bytes(max) => {
                let bytes = text.parse::<ByteSize>().ok()?.as_u64();
                (bytes <= max).then_some(Value::Bytes(bytes))
            }
            Kind::Choice(words) => words.contains(&text).then_some(Value::Word),
            Kind::Program => {
                (!text.is_empty() && text.len() <= 4096 && !text.contains('\0')).then_some(Value::Word)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn defaults_are_valid_and_canonical() {
        for key in KEYS {
            assert_eq!(key.parse(key.default).as_deref(), Ok(key.default), "{}", key.name);
        }
        assert!(KEYS.is_sorted_by_key(|key| key.name));
        let defaults = Settings::default();
        assert_eq!((defaults.max_retries, defaults.backoff_base), (4, 2.0));
        assert_eq!(defaults.output_limit, 65_536);
        assert_eq!(defaults.poll_interval, Duration::from_secs(1));
    }

    #[test]
    fn values_are_checked_against_their_range() {
        let parse = |key: &str, value: &str| Key::find(key).unwrap().parse(value);
        assert_eq!(parse("max-retries", "5").as_deref(), Ok("5"));
        assert!(parse("max_retries", "-1").is_err());
        assert!(parse("max_retries", "1001").is_err());
        assert!(parse("max_retries", "5.5").is_err());
        assert_eq!(parse("lease", "60s").as_deref(), Ok("1 m"));
        assert_eq!(parse("retention", "1month").as_deref(), Ok("30 d 10 h 33 m 36 s"));
        assert_eq!(parse("retention", "52weeks").as_deref(), Ok("364 d"));
        assert_eq!(parse("retention", "24h").as_deref(), Ok("1 d"));
        assert!(parse("lease", "1s").is_err());
        assert_eq!(
            parse("lease", "90").as_deref(),
            Ok("1 m 30 s"),
            "a bare number is seconds"
        );
        assert!(parse("lease", "-90").is_err());
        assert!(parse("lease", "4").is_err(), "seconds, but too few");
        assert_eq!(parse("kill_grace", "0").as_deref(), Ok("0 s"));
        assert_eq!(parse("job_timeout", "none").as_deref(), Ok("none"));
        assert!(parse("lease", "none").is_err());
        assert_eq!(parse("output_limit", "1 MiB").as_deref(), Ok("1MiB"));
        assert!(parse("output_limit", "17MiB").is_err());
        assert!(parse("durability", "off").is_err());
        assert!(parse("backoff_jitter", "NaN").is_err());
        let message = parse("max_retries", "many").unwrap_err().to_string();
        assert_eq!(
            message,
            "invalid value 'many' for max_retries: expected a whole number from 0 to 1000"
        );
    }

    #[test]
    fn unknown_keys_name_the_nearest() {
        let message = |key| Key::find(key).unwrap_err().to_string();
        assert_eq!(
            message("max_retry"),
            "there is no setting 'max_retry'; did you mean 'max_retries'?"
        );
        assert_eq!(message("zzz"), "there is no setting 'zzz'");
    }
}
