//! How large a terminal is: `80x24`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::quote::excerpt;

/// Most columns, and most rows.
const MOST: u16 = 1000;

/// Columns and rows of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TerminalSize {
    /// Columns, from 1 to 1000.
    pub columns: u16,
    /// Rows, from 1 to 1000.
    pub rows: u16,
}

impl Default for TerminalSize {
    fn default() -> TerminalSize {
        TerminalSize {
            columns: 80,
            rows: 24,
        }
    }
}

impl fmt::Display for TerminalSize {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}x{}", self.columns, self.rows)
    }
}

impl FromStr for TerminalSize {
    type Err = String;

    fn from_str(text: &str) -> Result<TerminalSize, String> {
        let part = |text: &str| {
            let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let number: Option<u16> = text.parse().ok().filter(|_| is_number);
            number.filter(|number| (1..=MOST).contains(number))
        };
        let parts = text
            .split_once('x')
            .and_then(|(columns, rows)| part(columns).zip(part(rows)));
        let (columns, rows) = parts.ok_or_else(|| {
            format!(
                "'{}' is not a size of a terminal; write columns and rows from 1 to {MOST}, such as 132x43",
                excerpt(text)
            )
        })?;
        Ok(TerminalSize { columns, rows })
    }
}

impl Serialize for TerminalSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TerminalSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<TerminalSize, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_columns_and_rows() {
        let size = TerminalSize {
            columns: 132,
            rows: 43,
        };
        assert_eq!("132x43".parse(), Ok(size));
        assert_eq!(size.to_string(), "132x43");
        for bad in [
            "", "80", "x", "0x24", "80x0", "1001x1", "80x24x1", "+8x2", "80 x 24", "a\nb",
        ] {
            let error = bad.parse::<TerminalSize>().unwrap_err();
            assert!(error.contains("132x43") && !error.contains('\n'), "{error}");
        }
    }
}
