//! Names and numbers by which jobs, queues, executors and nodes are known.
//!
//! Parsing checks a name; the store trusts these types.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::limits::NAME_BYTES;
use crate::quote::excerpt;

/// The number that the queue gave a job. Never reused, even after the job was purged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(pub i64);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of a node (one dispatcher and its worker processes). Never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub i64);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The name is empty.
    #[error("a {what} cannot be empty")]
    Empty {
        /// What the name was for.
        what: &'static str,
    },
    /// The name is longer than [`NAME_BYTES`].
    #[error("{what} is {bytes} bytes long; at most {NAME_BYTES} are allowed")]
    TooLong {
        /// What the name was for.
        what: &'static str,
        /// Its length.
        bytes: usize,
    },
    /// The name has a character outside letters, digits, `-`, `_`, `.`, `:` and `/`.
    #[error(
        "{what} '{name}' has {found:?}; letters, digits and - _ . : / are allowed, and the first must be a letter or digit"
    )]
    Character {
        /// What the name was for.
        what: &'static str,
        /// The name, escaped.
        name: String,
        /// The offending character.
        found: char,
    },
    /// The name of an executor, which is part of a file name, has a character outside ASCII letters, digits, `-` and `_`.
    #[error(
        "executor name '{name}' has {found:?}; a to z, A to Z, digits and - _ are allowed, and the first must be a letter or \
         digit"
    )]
    ExecutorCharacter {
        /// The name, escaped.
        name: String,
        /// The offending character.
        found: char,
    },
    /// A job name of digits only would be taken for a number that the queue gives.
    #[error(
        "job id '{name}' is all digits; such ids are given by the queue itself, choose one with a letter"
    )]
    Digits {
        /// The name.
        name: String,
    },
}

/// Whether a character belongs to the letter before it, as accents do in decomposed text and vowels and tones in many scripts.
fn is_mark(c: char) -> bool {
    // The two that join or part letters cannot be seen.
    !c.is_ascii() && !matches!(c, '\u{200c}' | '\u{200d}') && unicode_ident::is_xid_continue(c)
}

pub(crate) fn check(what: &'static str, name: &str) -> Result<(), IdError> {
    if name.is_empty() {
        return Err(IdError::Empty { what });
    }
    if name.len() > NAME_BYTES {
        return Err(IdError::TooLong {
            what,
            bytes: name.len(),
        });
    }
    let mut chars = name.chars();
    let bad_first = chars.next().filter(|c| !c.is_alphanumeric());
    let bad_rest = chars.find(|c| !(c.is_alphanumeric() || is_mark(*c) || "-_.:/".contains(*c)));
    match bad_first.or(bad_rest) {
        Some(found) => Err(IdError::Character {
            what,
            name: excerpt(name),
            found,
        }),
        None => Ok(()),
    }
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Takes a stored name without a check, to show it: it may have been written into the store by hand.
            pub fn as_stored(name: String) -> Self {
                Self(name)
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(name: String) -> Result<Self, IdError> {
                Self::check(&name)?;
                Ok(Self(name))
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(name: &str) -> Result<Self, IdError> {
                Self::try_from(name.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

name_type! {
    /// A job id that the user chose. Unique in the store; never all digits.
    JobName, "job id"
}
name_type! {
    /// The name of a queue. Queues come into being with their first job.
    QueueName, "queue name"
}
name_type! {
    /// The name of a schedule.
    ScheduleName, "schedule name"
}
name_type! {
    /// The name of a group of jobs.
    GroupName, "group name"
}
name_type! {
    /// The name of a hook.
    HookName, "hook name"
}
name_type! {
    /// The name of a token of the HTTP API.
    TokenName, "token name"
}
name_type! {
    /// Whose file a schedule came from.
    OwnerName, "owner name"
}
name_type! {
    /// The name of an executor plugin, such as `shell`. Also part of a file name, so it has no `/`, `:` or `.`.
    ExecutorName, "executor name"
}

impl JobName {
    fn check(name: &str) -> Result<(), IdError> {
        check("job id", name)?;
        if name.bytes().all(|b| b.is_ascii_digit()) {
            return Err(IdError::Digits {
                name: name.to_owned(),
            });
        }
        Ok(())
    }
}

impl QueueName {
    fn check(name: &str) -> Result<(), IdError> {
        check("queue name", name)
    }
}

impl ScheduleName {
    fn check(name: &str) -> Result<(), IdError> {
        check("schedule name", name)
    }
}

impl GroupName {
    fn check(name: &str) -> Result<(), IdError> {
        check("group name", name)
    }
}

impl HookName {
    fn check(name: &str) -> Result<(), IdError> {
        check("hook name", name)
    }
}

impl TokenName {
    fn check(name: &str) -> Result<(), IdError> {
        check("token name", name)
    }
}

impl OwnerName {
    fn check(name: &str) -> Result<(), IdError> {
        check("owner name", name)
    }
}

impl QueueName {
    /// The one that is meant where none is named.
    pub const DEFAULT: &str = "default";
}

impl Default for QueueName {
    /// The queue named `default`.
    fn default() -> Self {
        Self(Self::DEFAULT.to_owned())
    }
}

impl ExecutorName {
    fn check(name: &str) -> Result<(), IdError> {
        let refused = |found| IdError::ExecutorCharacter {
            name: excerpt(name),
            found,
        };
        check("executor name", name).map_err(|error| match error {
            IdError::Character { found, .. } => refused(found),
            other => other,
        })?;
        let is_allowed = |c: &char| c.is_ascii_alphanumeric() || "-_".contains(*c);
        name.chars()
            .find(|c| !is_allowed(c))
            .map_or(Ok(()), |found| Err(refused(found)))
    }
}

impl ExecutorName {
    /// The one that is meant where none is named.
    pub const DEFAULT: &str = "shell";
    /// Those of the usual ones that run jobs without a process, to which no signal can be sent.
    pub const WITHOUT_PROCESSES: [&str; 2] = ["http", "wasm"];
}

impl Default for ExecutorName {
    /// The executor named `shell`.
    fn default() -> Self {
        Self(Self::DEFAULT.to_owned())
    }
}

/// How a user points at a job: by the queue's number or by the name they chose.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum JobRef {
    /// The number that the queue gave.
    Number(JobId),
    /// The name that the user chose.
    Name(JobName),
}

impl FromStr for JobRef {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        match text.parse::<i64>() {
            Ok(number) if text.bytes().all(|b| b.is_ascii_digit()) => Ok(Self::Number(JobId(number))),
            _ => text.parse().map(Self::Name),
        }
    }
}

impl fmt::Display for JobRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(id) => id.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        assert!("job1".parse::<JobName>().is_ok());
        // Decomposed, Hindi, Thai.
        for name in [
            "cafe\u{301}",
            "\u{915}\u{94d}\u{937}\u{93f}",
            "\u{e17}\u{e35}\u{e48}",
        ] {
            assert!(name.parse::<JobName>().is_ok(), "{}", name.escape_unicode());
        }
        for name in ["\u{301}e", "a\u{200d}b", "a\u{202e}b", "a\u{2028}b", "a b"] {
            assert!(name.parse::<JobName>().is_err(), "{}", name.escape_unicode());
        }
        assert!("mail/2026:a-b_c.d".parse::<QueueName>().is_ok());
        assert_eq!(
            "".parse::<QueueName>(),
            Err(IdError::Empty { what: "queue name" })
        );
        assert!(matches!("42".parse::<JobName>(), Err(IdError::Digits { .. })));
        assert!(matches!(
            "a\u{1b}[31m".parse::<JobName>(),
            Err(IdError::Character { .. })
        ));
        assert!(matches!(
            "-x".parse::<JobName>(),
            Err(IdError::Character { found: '-', .. })
        ));
        assert!(matches!(
            "../shell".parse::<ExecutorName>(),
            Err(IdError::ExecutorCharacter { found: '.', .. })
        ));
        // What is refused is not named as allowed.
        let refused = "a/b".parse::<ExecutorName>().unwrap_err().to_string();
        assert_eq!(refused.matches('/').count(), 2, "{refused}");
        assert!(matches!(
            "x".repeat(129).parse::<QueueName>(),
            Err(IdError::TooLong { bytes: 129, .. })
        ));
    }

    #[test]
    fn a_reference_is_a_number_or_a_name() {
        assert_eq!("7".parse(), Ok(JobRef::Number(JobId(7))));
        assert_eq!("job7".parse(), Ok(JobRef::Name(JobName("job7".into()))));
        // Too large for a number that the queue could have given, and no name either.
        assert!("99999999999999999999".parse::<JobRef>().is_err());
    }
}
