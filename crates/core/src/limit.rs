//! Limits: names, the keys by which jobs use them, and what a limit allows.
//!
//! A limit counts jobs that run and their starts, across queues. Who holds it and who waits is the store's business.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::duration::show_time;
use crate::id::{IdError, check};
use crate::limits::LIMIT_KEY_BYTES;
use crate::quote::excerpt;
use crate::rate::Rate;
use crate::time::Timestamp;

/// The name of a limit. It has no colon, which parts it from a key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(into = "String")]
pub struct LimitName(String);

/// Names that are kept for keys of queuectl's own.
const RESERVED: [&str; 1] = ["queue"];

impl LimitName {
    /// Takes a stored name without a check, to show it.
    pub fn as_stored(name: String) -> LimitName {
        LimitName(name)
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for LimitName {
    type Err = LimitError;

    fn from_str(name: &str) -> Result<LimitName, LimitError> {
        if name.contains(':') {
            return Err(LimitError::Colon(excerpt(name)));
        }
        check("limit name", name)?;
        if RESERVED.contains(&name) {
            return Err(LimitError::Reserved(name.to_owned()));
        }
        Ok(LimitName(name.to_owned()))
    }
}

impl From<LimitName> for String {
    fn from(name: LimitName) -> String {
        name.0
    }
}

impl fmt::Display for LimitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What a job says of a limit: its name, or its name and a key, as in `account:42`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LimitKey(String);

impl LimitKey {
    /// Takes a stored key without a check.
    pub fn as_stored(key: String) -> LimitKey {
        LimitKey(key)
    }

    /// Takes the keys of a job as they are stored, see [`crate::ValidJob::stored_limits`].
    pub fn all_stored(keys: &str) -> Vec<LimitKey> {
        let words = keys.split(' ').filter(|word| !word.is_empty());
        words.map(|word| LimitKey::as_stored(word.to_owned())).collect()
    }

    /// Returns all of it as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the name of the limit.
    pub fn name(&self) -> &str {
        self.0.split(':').next().unwrap_or_default()
    }

    /// Returns the key behind the name, if there is one.
    pub fn key(&self) -> Option<&str> {
        self.0.split_once(':').map(|(_, key)| key)
    }
}

impl FromStr for LimitKey {
    type Err = LimitError;

    fn from_str(text: &str) -> Result<LimitKey, LimitError> {
        let (name, key) = match text.split_once(':') {
            Some((name, key)) => (name, Some(key)),
            None => (text, None),
        };
        let _: LimitName = name.parse()?;
        if text.len() > LIMIT_KEY_BYTES {
            return Err(LimitError::TooLong(text.len()));
        }
        if let Some(key) = key {
            if key.is_empty() {
                return Err(LimitError::EmptyKey(text.to_owned()));
            }
            let is_allowed = |c: &char| c.is_ascii_graphic() || c.is_alphanumeric();
            if let Some(found) = key.chars().find(|c| !is_allowed(c)) {
                return Err(LimitError::Character {
                    key: excerpt(text),
                    found,
                });
            }
        }
        Ok(LimitKey(text.to_owned()))
    }
}

impl TryFrom<String> for LimitKey {
    type Error = LimitError;
    fn try_from(text: String) -> Result<LimitKey, LimitError> {
        text.parse()
    }
}

impl From<LimitKey> for String {
    fn from(key: LimitKey) -> String {
        key.0
    }
}

impl fmt::Display for LimitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Why the name of a limit, or a key, was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// As for other names.
    #[error(transparent)]
    Name(#[from] IdError),
    /// A colon parts the name from a key.
    #[error("limit name '{0}' has a colon, which parts a name from a key; choose one without")]
    Colon(String),
    /// Kept for queuectl's own keys.
    #[error("the limit name '{0}' is reserved; choose another")]
    Reserved(String),
    /// Over [`LIMIT_KEY_BYTES`].
    #[error("a limit with its key is {0} bytes long; at most {LIMIT_KEY_BYTES} are allowed")]
    TooLong(usize),
    /// Nothing behind the colon.
    #[error("'{0}' has no key behind the colon; write NAME or NAME:KEY, as in account:42")]
    EmptyKey(String),
    /// A limit that allows everything.
    #[error("limit '{0}' would limit nothing; give --running N, --rate COUNT/TIME or --busy-status N")]
    Nothing(String),
    /// A burst without a rate.
    #[error("limit '{0}' has no rate that a burst could belong to; give --rate, too")]
    BurstAlone(String),
    /// Half of what a busy status needs.
    #[error("a busy status needs a time to wait; give both --busy-status and --busy-wait")]
    BusyHalf,
    /// Counting by key, or not, was decided when the limit was made.
    #[error(
        "limit '{0}' counts all its jobs together; to count by key, remove it (`queuectl limit:remove {0}`) and set it again"
    )]
    PerKey(String),
    /// Blanks and control characters.
    #[error(
        "limit key '{key}' has {found:?}; letters, digits and printable ASCII without blanks are allowed"
    )]
    Character {
        /// The key, escaped.
        key: String,
        /// The offending character.
        found: char,
    },
}

/// What an attempt does to its limit's keys when it ends with the status that means "busy".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy {
    /// The exit status.
    pub status: i32,
    /// How long its keys wait, in ms.
    pub wait_ms: u64,
}

/// A limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// Its name.
    pub name: LimitName,
    /// Most jobs of a key that run at a time; none for any number.
    pub running: Option<u32>,
    /// Whether each key is counted by itself. If not, keys count for nothing: the name is the only key.
    pub per_key: bool,
    /// How fast jobs of a key may start.
    pub rate: Option<Rate>,
    /// Which exit status makes a key wait.
    pub busy: Option<Busy>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// A change to a limit. What is none stays as it is; an inner none takes it away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LimitChange {
    /// Most jobs of a key that run at a time.
    pub running: Option<Option<u32>>,
    /// Whether a new limit counts by key.
    pub per_key: bool,
    /// How fast jobs of a key may start. Its burst counts only if `burst` is none, and there was no rate.
    pub rate: Option<Option<Rate>>,
    /// Starts at once.
    pub burst: Option<u32>,
    /// The exit status that makes a key wait.
    pub busy_status: Option<Option<i32>>,
    /// How long it waits then, in ms.
    pub busy_wait_ms: Option<u64>,
}

impl LimitChange {
    /// Returns the limit as it is after the change, made if there is none.
    ///
    /// # Errors
    /// [`LimitError`] if the parts do not fit together.
    pub fn apply(
        &self,
        name: &LimitName,
        before: Option<Limit>,
        now: Timestamp,
    ) -> Result<Limit, LimitError> {
        let is_new = before.is_none();
        let mut limit = before.unwrap_or_else(|| Limit {
            name: name.clone(),
            running: None,
            per_key: self.per_key,
            rate: None,
            busy: None,
            created_at: now,
            updated_at: now,
        });
        let own = || name.to_string();
        if self.per_key && !limit.per_key {
            return Err(LimitError::PerKey(own()));
        }
        limit.running = self.running.unwrap_or(limit.running);
        if let Some(rate) = self.rate {
            let burst = limit.rate.map(|rate| rate.burst);
            limit.rate = rate.map(|rate| Rate {
                burst: burst.unwrap_or(rate.burst),
                ..rate
            });
        }
        match (&mut limit.rate, self.burst) {
            (Some(rate), Some(burst)) => rate.burst = burst,
            (None, Some(_)) => return Err(LimitError::BurstAlone(own())),
            (_, None) => {}
        }
        let status = self.busy_status.unwrap_or(limit.busy.map(|busy| busy.status));
        let wait = self.busy_wait_ms.or(limit.busy.map(|busy| busy.wait_ms));
        limit.busy = match (status, wait) {
            (Some(status), Some(wait_ms)) => Some(Busy { status, wait_ms }),
            (Some(_), None) => return Err(LimitError::BusyHalf),
            (None, Some(_)) if self.busy_wait_ms.is_some() => return Err(LimitError::BusyHalf),
            (None, _) => None,
        };
        if limit.running.is_none() && limit.rate.is_none() && limit.busy.is_none() {
            return Err(LimitError::Nothing(own()));
        }
        if !is_new {
            limit.updated_at = now;
        }
        Ok(limit)
    }
}

impl Limit {
    /// Returns what it allows as the options of `limit:set` that would set it.
    pub fn options(&self) -> String {
        let mut options = Vec::new();
        options.extend(self.running.map(|running| format!("--running {running}")));
        options.extend(self.per_key.then(|| "--per-key".to_owned()));
        options.extend(
            self.rate
                .map(|rate| format!("--rate {rate} --burst {}", rate.burst)),
        );
        options.extend(self.busy.map(|busy| {
            let wait = show_time(busy.wait_ms).replace(' ', "");
            format!("--busy-status {} --busy-wait {wait}", busy.status)
        }));
        options.join(" ")
    }

    /// Returns the key that counts for a job which says `key`.
    pub fn counted<'a>(&self, key: &'a LimitKey) -> &'a str {
        match self.per_key {
            true => key.as_str(),
            false => key.name(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_a_name_and_perhaps_something_behind_a_colon() {
        let key: LimitKey = "account:42:eu".parse().unwrap();
        assert_eq!((key.name(), key.key()), ("account", Some("42:eu")));
        let key: LimitKey = "disk".parse().unwrap();
        assert_eq!((key.name(), key.key()), ("disk", None));
        for key in ["mail:a+b@example.com", "api:\u{fc}ber", "a/b:c"] {
            assert!(key.parse::<LimitKey>().is_ok(), "{key}");
        }
        for (key, wanted) in [
            ("", "a limit name cannot be empty"),
            (":42", "a limit name cannot be empty"),
            ("account:", "no key behind the colon"),
            ("account:4 2", "has ' '"),
            ("account:4\u{1b}2", "printable"),
            ("a b", "limit name 'a b' has ' '"),
            ("queue:mail", "reserved"),
        ] {
            let said = key.parse::<LimitKey>().unwrap_err().to_string();
            assert!(said.contains(wanted), "{key}: {said}");
        }
        let long = format!("a:{}", "x".repeat(LIMIT_KEY_BYTES));
        assert!(matches!(long.parse::<LimitKey>(), Err(LimitError::TooLong(_))));
        assert!(matches!("a:b".parse::<LimitName>(), Err(LimitError::Colon(_))));
    }

    #[test]
    fn a_change_leaves_what_it_does_not_name() {
        let name: LimitName = "api".parse().unwrap();
        let apply = |change: LimitChange, before| change.apply(&name, before, Timestamp(5));
        let rate: Rate = "10/s".parse().unwrap();
        let made = apply(
            LimitChange {
                running: Some(Some(4)),
                rate: Some(Some(rate)),
                burst: Some(7),
                per_key: true,
                ..LimitChange::default()
            },
            None,
        );
        let made = made.unwrap();
        assert_eq!(
            (made.running, made.rate, made.per_key),
            (Some(4), Some(Rate { burst: 7, ..rate }), true)
        );
        let faster: Rate = "20/s".parse().unwrap();
        let change = LimitChange {
            rate: Some(Some(faster)),
            ..LimitChange::default()
        };
        let changed = apply(change, Some(made.clone())).unwrap();
        assert_eq!(
            (changed.running, changed.rate),
            (Some(4), Some(Rate { burst: 7, ..faster }))
        );
        let nothing = LimitChange {
            running: Some(None),
            rate: Some(None),
            ..LimitChange::default()
        };
        assert_eq!(
            apply(nothing.clone(), Some(made)),
            Err(LimitError::Nothing("api".into()))
        );
        assert_eq!(
            apply(LimitChange::default(), None),
            Err(LimitError::Nothing("api".into()))
        );
        let wrong = [
            (
                LimitChange {
                    burst: Some(2),
                    ..nothing.clone()
                },
                LimitError::BurstAlone("api".into()),
            ),
            (
                LimitChange {
                    busy_status: Some(Some(75)),
                    ..nothing.clone()
                },
                LimitError::BusyHalf,
            ),
            (
                LimitChange {
                    busy_wait_ms: Some(75),
                    ..nothing
                },
                LimitError::BusyHalf,
            ),
        ];
        for (change, error) in wrong {
            assert_eq!(apply(change, None), Err(error));
        }
        let together = LimitChange {
            running: Some(Some(1)),
            ..LimitChange::default()
        };
        let together = apply(together, None).unwrap();
        let by_key = LimitChange {
            per_key: true,
            ..LimitChange::default()
        };
        assert_eq!(
            apply(by_key, Some(together)),
            Err(LimitError::PerKey("api".into()))
        );
    }

    #[test]
    fn without_keys_of_its_own_a_limit_counts_its_name() {
        let key: LimitKey = "account:42".parse().unwrap();
        let limit = |per_key| Limit {
            name: "account".parse().unwrap(),
            running: Some(1),
            per_key,
            rate: None,
            busy: None,
            created_at: Timestamp(0),
            updated_at: Timestamp(0),
        };
        assert_eq!(limit(true).counted(&key), "account:42");
        assert_eq!(limit(false).counted(&key), "account");
    }
}
