//! What a running job says about itself: how far it is, from where the next attempt goes on, what it has found.
//!
//! Only the forms and their limits are here; that it is the newest attempt that speaks is checked by the store.

use crate::json;
use crate::limits::{CHECKPOINT_BYTES, PROGRESS_BYTES, RESULT_BYTES};
use crate::time::Timestamp;

/// How far a running job is, in its own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobProgress {
    /// Hundredths of the work.
    pub percent: Option<u8>,
    /// What it is doing, on one line.
    pub message: Option<String>,
    /// When it said so.
    pub at: Timestamp,
}

impl JobProgress {
    /// Returns what has room in a column.
    pub fn in_short(&self) -> Option<String> {
        self.percent.map(|percent| format!("{percent} %"))
    }

    /// Returns all of it on one line.
    pub fn in_words(&self) -> String {
        match (self.in_short(), &self.message) {
            (Some(percent), Some(message)) => format!("{percent}, {message}"),
            (percent, message) => percent.or_else(|| message.clone()).unwrap_or_default(),
        }
    }
}

/// What a job says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobReport {
    /// How far it is. What is not given stays as it was.
    Progress {
        /// Hundredths of the work.
        percent: Option<u8>,
        /// What it is doing; empty for nothing.
        message: Option<String>,
    },
    /// From where the next attempt goes on; none to start over.
    Checkpoint(Option<String>),
    /// What it has found: JSON.
    Result(String),
}

/// Reads a percentage such as `40`, `40%` or `40.7`; a part of one is cut off.
///
/// # Errors
/// What it takes, in words.
pub fn parse_percent(text: &str) -> Result<u8, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim();
    let expected = || format!("'{text}' is not a percentage: expected a number from 0 to 100");
    let value: f64 = number.parse().map_err(|_| expected())?;
    (0..=100u8)
        .rev()
        .find(|whole| value >= f64::from(*whole) && value <= 100.0)
        .ok_or_else(expected)
}

/// Checks a message.
///
/// # Errors
/// What it takes, in words.
pub fn parse_message(text: &str) -> Result<String, String> {
    if text.chars().any(char::is_control) {
        return Err("a message is one line without control characters".to_owned());
    }
    within(text, PROGRESS_BYTES, "a message")
}

/// Checks a checkpoint, which becomes a variable of the next attempt's environment.
///
/// # Errors
/// What it takes, in words.
pub fn parse_checkpoint(text: &str) -> Result<String, String> {
    if text.contains('\0') {
        return Err("a checkpoint cannot have a NUL character".to_owned());
    }
    within(text, CHECKPOINT_BYTES, "a checkpoint")
}

/// Checks a result, and leaves out the blanks between its tokens.
///
/// # Errors
/// What it takes, in words.
pub fn parse_result(text: &str) -> Result<String, String> {
    let compact = json::compact(text.trim()).map_err(|error| error.to_string())?;
    within(&compact, RESULT_BYTES, "a result")
}

fn within(text: &str, most: usize, what: &str) -> Result<String, String> {
    match text.len() {
        len if len > most => Err(format!("{what} has at most {most} bytes; this one has {len}")),
        _ => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_whole_and_within_their_range() {
        for (text, percent) in [
            ("0", 0),
            ("40", 40),
            ("40%", 40),
            ("99.99", 99),
            ("100 %", 100),
            ("1e1", 10),
        ] {
            assert_eq!(parse_percent(text), Ok(percent), "{text}");
        }
        for text in ["", "%", "-1", "100.1", "NaN", "inf", "half", "40%%"] {
            let refused = parse_percent(text).unwrap_err();
            assert!(refused.contains("from 0 to 100"), "{text}: {refused}");
        }
    }

    #[test]
    fn what_is_too_long_or_cannot_be_shown_is_refused() {
        assert!(parse_message(&"x".repeat(PROGRESS_BYTES)).is_ok());
        assert!(
            parse_message(&"x".repeat(PROGRESS_BYTES + 1))
                .unwrap_err()
                .contains("1025")
        );
        assert!(parse_message("two\nlines").is_err());
        assert!(parse_checkpoint("two\nlines").is_ok());
        assert!(parse_checkpoint("a\0").is_err());
        assert!(parse_checkpoint(&"x".repeat(CHECKPOINT_BYTES + 1)).is_err());
        assert_eq!(parse_result(" {\"a\": [1]}\n"), Ok("{\"a\":[1]}".to_owned()));
        for bad in ["", "{", "a", "1 2"] {
            assert!(parse_result(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn progress_reads_well() {
        let of = |percent, message: Option<&str>| JobProgress {
            percent,
            message: message.map(str::to_owned),
            at: Timestamp(0),
        };
        assert_eq!(of(Some(40), Some("page 4")).in_words(), "40 %, page 4");
        assert_eq!(of(Some(40), None).in_words(), "40 %");
        assert_eq!(of(None, Some("page 4")).in_words(), "page 4");
    }
}
