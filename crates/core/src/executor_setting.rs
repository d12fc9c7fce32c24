//! Settings of single executors: `http.allow_private`, say. What they mean is known to the executor's plugin alone, so
//! only their form is checked here.

use std::fmt;
use std::str::FromStr;

use crate::id::ExecutorName;
use crate::json::{self, JsonError};
use crate::limits::{NAME_BYTES, SETTING_BYTES};
use crate::quote::excerpt;

/// The name of an executor's own setting: `EXECUTOR.key`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExecutorSetting {
    /// The executor.
    pub executor: ExecutorName,
    /// The key, as its plugin knows it.
    pub key: String,
}

/// Why an executor's own setting was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExecutorSettingError {
    /// The name has another form.
    #[error("'{0}' is not a setting of an executor; write it as EXECUTOR.key, such as http.allow_private")]
    Name(String),
    /// The value is too long or cannot be text.
    #[error("the value of {0} is too long or has a NUL byte; at most {SETTING_BYTES} bytes are allowed")]
    Value(String),
    /// JSON with a member that is given twice, of which one would be lost.
    #[error("the value of {0}: {1}")]
    Twice(String, JsonError),
}

impl ExecutorSetting {
    /// Checks a value.
    ///
    /// # Errors
    /// [`ExecutorSettingError::Value`].
    pub fn check(&self, value: &str) -> Result<(), ExecutorSettingError> {
        if value.len() > SETTING_BYTES || value.contains('\0') {
            return Err(ExecutorSettingError::Value(self.to_string()));
        }
        match json::check(value) {
            Err(error @ JsonError::Twice(_)) => Err(ExecutorSettingError::Twice(self.to_string(), error)),
            // What else it has to be is for its plugin to say.
            _ => Ok(()),
        }
    }
}

impl FromStr for ExecutorSetting {
    type Err = ExecutorSettingError;

    /// In keys, `-` and `_` are the same.
    fn from_str(text: &str) -> Result<Self, ExecutorSettingError> {
        let bad = || ExecutorSettingError::Name(excerpt(text));
        let (executor, key) = text.split_once('.').ok_or_else(bad)?;
        let key = key.replace('-', "_");
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if key.is_empty() || key.len() > NAME_BYTES || !key.chars().all(plain) {
            return Err(bad());
        }
        Ok(ExecutorSetting {
            executor: executor.parse().map_err(|_| bad())?,
            key,
        })
    }
}

impl fmt::Display for ExecutorSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.executor, self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_two_parts() {
        let setting: ExecutorSetting = "http.allow-private".parse().unwrap();
        assert_eq!(setting.to_string(), "http.allow_private");
        assert_eq!(setting.executor.as_str(), "http");
        for bad in ["http", "http.", ".x", "a/b.c", "http.a.b", "http.\u{1b}"] {
            assert!(bad.parse::<ExecutorSetting>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn values_have_a_limit() {
        let setting: ExecutorSetting = "http.x".parse().unwrap();
        assert!(setting.check(&"x".repeat(SETTING_BYTES)).is_ok());
        assert!(setting.check(&"x".repeat(SETTING_BYTES + 1)).is_err());
        assert!(setting.check("a\0").is_err());
        let twice = setting.check(r#"{"a":{"b":1,"b":2}}"#).unwrap_err();
        assert_eq!(
            twice.to_string(),
            r#"the value of http.x: "a/b" is given twice; give it once"#
        );
        assert!(setting.check(r#"{"a":1,"b":"#).is_ok(), "for the plugin to say");
    }
}
