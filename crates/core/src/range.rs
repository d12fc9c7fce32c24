//! Ranges of values: which ones are allowed, and how a message says so.
//!
//! The ranges themselves stand in [`crate::limits`] and [`crate::settings`].

use std::fmt;

use crate::duration::show_time;

/// Whole numbers, both ends included. [`i64::MAX`] as the largest means no upper limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whole {
    /// Smallest.
    pub min: i64,
    /// Largest.
    pub max: i64,
}

impl Whole {
    /// Whether the range has this number.
    pub fn contains(self, number: impl Into<i64>) -> bool {
        (self.min..=self.max).contains(&number.into())
    }

    /// Reads a number of the range. None if it is not a number, or not one of the range.
    pub fn parse(self, text: &str) -> Option<i64> {
        text.parse().ok().filter(|number: &i64| self.contains(*number))
    }
}

impl fmt::Display for Whole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Whole { min, max: i64::MAX } => write!(f, "a whole number, {min} or more"),
            Whole { min, max } => write!(f, "a whole number from {min} to {max}"),
        }
    }
}

/// Decimal numbers, both ends included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decimal {
    /// Smallest.
    pub min: f64,
    /// Largest.
    pub max: f64,
}

impl Decimal {
    /// Whether the range has this number.
    pub fn contains(self, number: f64) -> bool {
        (self.min..=self.max).contains(&number)
    }

    /// Reads a number of the range. None if it is not a number, or not one of the range.
    pub fn parse(self, text: &str) -> Option<f64> {
        text.parse().ok().filter(|number| self.contains(*number))
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a number from {} to {}", self.min, self.max)
    }
}

/// Lengths of time, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Length {
    /// Shortest, in ms.
    pub min_ms: u64,
    /// Longest, in ms.
    pub max_ms: u64,
}

impl Length {
    /// Whether the range has this length of time, given in ms.
    pub fn contains(self, ms: u64) -> bool {
        (self.min_ms..=self.max_ms).contains(&ms)
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (min, max) = (show_time(self.min_ms), show_time(self.max_ms));
        write!(f, "a time from {min} to {max}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_at_their_ends() {
        let small = Whole { min: -5, max: 7 };
        assert_eq!((small.parse("-5"), small.parse("7")), (Some(-5), Some(7)));
        for text in ["-6", "8", "", "x", "1.0", "99999999999999999999", "-2147483648"] {
            assert_eq!(small.parse(text), None, "{text}");
        }
        let decimal = Decimal { min: 1.0, max: 2.5 };
        assert_eq!((decimal.parse("1"), decimal.parse("2.5")), (Some(1.0), Some(2.5)));
        for text in ["0.99", "2.51", "NaN", "inf", "two"] {
            assert_eq!(decimal.parse(text), None, "{text}");
        }
        let length = Length { min_ms: 1, max_ms: 9 };
        assert!(length.contains(1) && length.contains(9));
        assert!(!length.contains(0) && !length.contains(10));
    }

    #[test]
    fn ranges_are_told_in_words() {
        assert_eq!(
            Whole { min: -5, max: 7 }.to_string(),
            "a whole number from -5 to 7"
        );
        let open = Whole {
            min: 1,
            max: i64::MAX,
        };
        assert_eq!(open.to_string(), "a whole number, 1 or more");
        assert_eq!(
            Decimal { min: 1.0, max: 2.5 }.to_string(),
            "a number from 1 to 2.5"
        );
    }
}
