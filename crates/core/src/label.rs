//! Labels of jobs: keys with values, which people and programs choose and find jobs by. Queuectl gives them no meaning.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use crate::limits::{LABEL_KEY_BYTES, LABEL_VALUE_BYTES};
use crate::quote::excerpt;

/// Why a label is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// A key that is none.
    #[error(
        "'{}' is not the key of a label; expected 1 to {LABEL_KEY_BYTES} of A-Z a-z 0-9 . _ - /, the first a letter or a digit",
        excerpt(.0)
    )]
    Key(String),
    /// A value that is too long or has characters that a label cannot have.
    #[error(
        "the value '{}' of a label has a comma or a control character, or more than {LABEL_VALUE_BYTES} bytes",
        excerpt(.0)
    )]
    Value(String),
}

/// Checks a label.
///
/// # Errors
/// [`LabelError`] names the part that is wrong.
pub fn check_label(key: &str, value: &str) -> Result<(), LabelError> {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
    let is_key = key.len() <= LABEL_KEY_BYTES
        && key.bytes().all(is_inner)
        && key.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
    if !is_key {
        return Err(LabelError::Key(key.to_owned()));
    }
    if value.len() > LABEL_VALUE_BYTES || value.contains(|c: char| c == ',' || c.is_control()) {
        return Err(LabelError::Value(value.to_owned()));
    }
    Ok(())
}

/// Labels that are meant: all with this key, or one with this value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LabelMatch {
    key: String,
    value: Option<String>,
}

impl LabelMatch {
    /// Returns the key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Returns the value; none if any fits.
    pub fn value(&self) -> Option<&str> {
        self.value.as_deref()
    }
}

impl FromStr for LabelMatch {
    type Err = LabelError;

    /// Reads `KEY`, `KEY:VALUE` or `KEY=VALUE`. No key has either sign.
    fn from_str(text: &str) -> Result<LabelMatch, LabelError> {
        let (key, value) = match text.split_once([':', '=']) {
            Some((key, value)) => (key, Some(value)),
            None => (text, None),
        };
        check_label(key, value.unwrap_or_default())?;
        Ok(LabelMatch {
            key: key.to_owned(),
            value: value.map(str::to_owned),
        })
    }
}

impl Display for LabelMatch {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{}:{value}", self.key),
            None => f.write_str(&self.key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_have_limits() {
        let long = "k".repeat(LABEL_KEY_BYTES);
        let value = "v".repeat(LABEL_VALUE_BYTES);
        for (key, value) in [
            ("team", "web"),
            ("a", ""),
            ("example.org/team-1_x", "ü : = /"),
            ("1", "1"),
            (&long, &value),
        ] {
            assert_eq!(check_label(key, value), Ok(()), "{key}");
        }
        for key in ["", "-a", "a b", "a:b", "a=b", "ü", "a,b", &format!("{long}k")] {
            assert_eq!(check_label(key, ""), Err(LabelError::Key(key.to_owned())));
        }
        for bad in ["a,b", "a\nb", "a\0", &format!("{value}v")] {
            assert_eq!(check_label("a", bad), Err(LabelError::Value(bad.to_owned())));
        }
    }

    #[test]
    fn what_is_meant_is_written_as_it_is_read() {
        let read = |text: &str| text.parse::<LabelMatch>();
        let one = read("team=web").unwrap();
        assert_eq!((one.key(), one.value()), ("team", Some("web")));
        assert_eq!(one.to_string(), "team:web");
        assert_eq!(read("team:web"), Ok(one));
        assert_eq!(read("url:http://x").unwrap().value(), Some("http://x"));
        assert_eq!(read("team:").unwrap().value(), Some(""));
        assert_eq!(read("team").unwrap().value(), None);
        assert!(read(":x").is_err() && read("a:b\tc").is_err());
    }
}
