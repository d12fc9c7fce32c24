//! The settings: their names, meaning, units, defaults and ranges.
//!
//! The store keeps values as text, in the canonical form that [`Key::parse`] returns; [`Settings`] has them with types.
//! This module does not read or write them. A setting is added here, in [`KEYS`] and [`Settings`], and where it is used.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

use crate::duration::{parse_duration, show_time};
use crate::executor_setting::ExecutorSetting;
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
    },
    Key {
        name: "backoff_cap",
        kind: time(0, 30 * DAY),
        default: "1 d",
        about: "longest wait before a retry",
    },
    Key {
        name: "backoff_jitter",
        kind: Kind::Decimal(Decimal { min: 0.0, max: 1.0 }),
        default: "0",
        about: "part of a wait that is random: 0.2 spreads it over 80 % to 100 %",
    },
    Key {
        name: "durability",
        kind: Kind::Choice(&["full", "normal"]),
        default: "full",
        about: "full survives a power cut; normal may lose the last moments in one, never in a crash",
    },
    Key {
        name: "job_timeout",
        kind: Kind::TimeOrNone(TIMEOUT),
        default: "7 d",
        about: "longest run of one attempt, for jobs without a timeout of their own",
    },
    Key {
        name: "kill_grace",
        kind: time(0, HOUR),
        default: "5 s",
        about: "time between asking a job to stop (SIGTERM) and killing it",
    },
    Key {
        name: "lease",
        kind: time(5 * SECOND, HOUR),
        default: "15 s",
        about: "a node renews its heartbeat three times in this time; on PostgreSQL, other nodes take its jobs when it has not renewed it for this long",
    },
    Key {
        name: "leftovers",
        kind: Kind::Choice(&["kill", "leave"]),
        default: "kill",
        about: "what happens to processes that a job started and left behind when it ended",
    },
    Key {
        name: "max_retries",
        kind: Kind::Count(RETRIES),
        default: "4",
        about: "retries after the first attempt, for jobs without a number of their own",
    },
    Key {
        name: "output_file_limit",
        kind: Kind::Bytes(4096 * MIB),
        default: "16MiB",
        about: "longest output kept in a file, for attempts that print more than output_limit",
    },
    Key {
        name: "output_limit",
        kind: Kind::Bytes(16 * MIB),
        default: "64KiB",
        about: "output kept in the database per attempt, half from its start and half from its end",
    },
    Key {
        name: "poll_interval",
        kind: time(10, HOUR),
        default: "1 s",
        about: "how often an idle node checks for work without a wake-up",
    },
    Key {
        name: "retention",
        kind: Kind::TimeOrNone(Length {
            min_ms: 0,
            max_ms: 3650 * DAY,
        }),
        default: "30 d",
        about: "how long completed and cancelled jobs are kept",
    },
    Key {
        name: "shell",
        kind: Kind::Program,
        default: if cfg!(windows) { "cmd" } else { "sh" },
        about: "shell that runs command lines; cmd on Windows",
    },
    Key {
        name: "shutdown_grace",
        kind: time(0, DAY),
        default: "30 s",
        about: "how long a stopping node lets running jobs finish",
    },
];

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

/// What happens to processes that a job left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Leftovers {
    /// They are killed when the job ends.
    Kill,
    /// They live on.
    Leave,
}

/// What a commit survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// A power cut.
    Full,
    /// A crash of any process, but not always a power cut.
    Normal,
}

/// All settings, typed. Times that may be `none` are optional.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    missing_docs,
    reason = "each field is the setting of the same name in KEYS, which documents it"
)]
pub struct Settings {
    pub backoff_base: f64,
    pub backoff_cap: Duration,
    pub backoff_jitter: f64,
    pub durability: Durability,
    pub job_timeout: Option<Duration>,
    pub kill_grace: Duration,
    pub lease: Duration,
    pub leftovers: Leftovers,
    pub max_retries: u32,
    pub output_file_limit: u64,
    pub output_limit: u64,
    pub poll_interval: Duration,
    pub retention: Option<Duration>,
    pub shell: String,
    pub shutdown_grace: Duration,
    /// What was set for single executors: by executor, then by key.
    pub executors: BTreeMap<String, BTreeMap<String, String>>,
}

impl Settings {
    /// Reads settings from the stored pairs. What is absent, unknown to this version or no longer valid has its
    /// default: a node must not fail because another version wrote a setting.
    pub fn from_stored<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Settings {
        let mut texts: Vec<(&str, &str)> = KEYS.iter().map(|key| (key.name, key.default)).collect();
        let mut executors: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        for (name, value) in pairs {
            if let Ok(ExecutorSetting { executor, key }) = name.parse() {
                executors
                    .entry(executor.into())
                    .or_default()
                    .insert(key, value.to_owned());
            }
            if let Some(slot) = texts.iter_mut().find(|slot| slot.0 == name)
                && Key::find(name).is_ok_and(|key| key.parse(value).is_ok())
            {
                slot.1 = value;
            }
        }
        let text = |name: &str| texts.iter().find(|slot| slot.0 == name).map_or("", |slot| slot.1);
        let value = |name: &str| Key::find(name).ok().and_then(|key| key.value(text(name)));
        let number = |name| {
            if let Some(Value::Number(number)) = value(name) {
                number
            } else {
                0.0
            }
        };
        let time = |name| match value(name) {
            Some(Value::Ms(Some(ms))) => Some(Duration::from_millis(ms)),
            _ => None,
        };
        let bytes = |name| {
            if let Some(Value::Bytes(bytes)) = value(name) {
                bytes
            } else {
                0
            }
        };
        Settings {
            backoff_base: number("backoff_base"),
            backoff_cap: time("backoff_cap").unwrap_or_default(),
            backoff_jitter: number("backoff_jitter"),
            durability: if text("durability") == "normal" {
                Durability::Normal
            } else {
                Durability::Full
            },
            job_timeout: time("job_timeout"),
            kill_grace: time("kill_grace").unwrap_or_default(),
            lease: time("lease").unwrap_or_default(),
            leftovers: if text("leftovers") == "leave" {
                Leftovers::Leave
            } else {
                Leftovers::Kill
            },
            max_retries: number("max_retries") as u32,
            output_file_limit: bytes("output_file_limit"),
            output_limit: bytes("output_limit"),
            poll_interval: time("poll_interval").unwrap_or_default(),
            retention: time("retention"),
            shell: text("shell").to_owned(),
            shutdown_grace: time("shutdown_grace").unwrap_or_default(),
            executors,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings::from_stored([])
    }
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn stored_settings_survive_unknown_and_invalid_pairs() {
        let stored = [
            ("max_retries", "7"),
            ("from_the_future", "1"),
            ("lease", "bogus"),
            ("leftovers", "leave"),
        ];
        let settings = Settings::from_stored(stored);
        assert_eq!(settings.max_retries, 7);
        assert_eq!(settings.lease, Duration::from_secs(15));
        assert_eq!(settings.leftovers, Leftovers::Leave);
    }
}
