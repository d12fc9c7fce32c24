//! What keeps jobs from being stored twice: the key that only one of them may have, and what becomes of the next one.
//!
//! How long a key is held is the store's business; here is only what a key and a choice look like.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::limits::KEY_BYTES;
use crate::quote::excerpt;

/// Why a key was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is empty.
    #[error("a unique key cannot be empty")]
    Empty,
    /// It is longer than [`KEY_BYTES`].
    #[error("the unique key is {0} bytes long; at most {KEY_BYTES} are allowed")]
    TooLong(usize),
    /// It has a character that cannot be seen.
    #[error(
        "the unique key '{key}' has {found:?}; printable characters are allowed, and blanks between them"
    )]
    Character {
        /// The key, escaped.
        key: String,
        /// The offending character.
        found: char,
    },
}

/// A key that at most one job has which has not ended. Any text that can be seen, compared byte by byte.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct UniqueKey(String);

impl UniqueKey {
    /// Takes a stored key without a check, to show it: it may have been written into the store by hand.
    pub fn as_stored(key: String) -> UniqueKey {
        UniqueKey(key)
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UniqueKey {
    type Err = KeyError;

    fn from_str(key: &str) -> Result<UniqueKey, KeyError> {
        if key.is_empty() {
            return Err(KeyError::Empty);
        }
        if key.len() > KEY_BYTES {
            return Err(KeyError::TooLong(key.len()));
        }
        let outer = key.chars().next().into_iter().chain(key.chars().next_back());
        let found = outer
            .filter(|c| c.is_whitespace())
            .chain(key.chars().filter(|c| is_unseen(*c)));
        match found.into_iter().next() {
            Some(found) => Err(KeyError::Character {
                key: excerpt(key),
                found,
            }),
            None => Ok(UniqueKey(key.to_owned())),
        }
    }
}

impl fmt::Display for UniqueKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Whether a character has no form of its own: two keys that look the same would be different ones.
fn is_unseen(c: char) -> bool {
    c.is_control()
        || (c != ' ' && c.is_whitespace())
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}')
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// What becomes of a job whose key another one has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnConflict {
    /// It is not stored; the one that is there counts in its place.
    #[default]
    Return,
    /// It is refused.
    Reject,
    /// It takes the place of the one that is there: of one that waits at once, of one that runs when that ends.
    Replace,
}

impl OnConflict {
    /// The choices, in the order of the help.
    pub const ALL: [OnConflict; 3] = [OnConflict::Return, OnConflict::Reject, OnConflict::Replace];

    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            OnConflict::Return => "return",
            OnConflict::Reject => "reject",
            OnConflict::Replace => "replace",
        }
    }
}

impl FromStr for OnConflict {
    type Err = String;

    fn from_str(name: &str) -> Result<OnConflict, String> {
        let found = OnConflict::ALL.into_iter().find(|choice| choice.name() == name);
        found.ok_or_else(|| format!("'{}' is not one of return, reject and replace", excerpt(name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_any_text_that_can_be_seen() {
        for key in [
            "42",
            "a b",
            "customer 7 / invoice",
            "größe",
            "-x",
            "'; --",
            "日本",
        ] {
            assert_eq!(
                key.parse::<UniqueKey>().map(|key| key.to_string()),
                Ok(key.to_owned())
            );
        }
        for key in [
            " a",
            "a ",
            " ",
            "a\tb",
            "a\nb",
            "a\u{200b}b",
            "a\u{202e}b",
            "\u{feff}a",
            "a\u{7f}",
            "a\u{a0}b",
        ] {
            assert!(
                matches!(key.parse::<UniqueKey>(), Err(KeyError::Character { .. })),
                "{}",
                key.escape_unicode()
            );
        }
        assert_eq!("".parse::<UniqueKey>(), Err(KeyError::Empty));
        assert!("k".repeat(KEY_BYTES).parse::<UniqueKey>().is_ok());
        assert_eq!(
            "k".repeat(KEY_BYTES + 1).parse::<UniqueKey>(),
            Err(KeyError::TooLong(KEY_BYTES + 1))
        );
    }

    #[test]
    fn choices_are_read_by_their_words() {
        for choice in OnConflict::ALL {
            assert_eq!(choice.name().parse(), Ok(choice));
        }
        let refused = "keep".parse::<OnConflict>().unwrap_err();
        assert_eq!(refused, "'keep' is not one of return, reject and replace");
        assert_eq!(OnConflict::default(), OnConflict::Return);
    }
}
