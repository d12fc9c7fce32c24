//! An expression as it was understood.

use std::fmt;
use std::time::Duration;

/// When a schedule runs. Read from text; shown as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expr {
    pub(super) text: String,
    pub(super) rule: Rule,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Rule {
    /// At the times whose parts are in these sets.
    Fields(Fields),
    /// At this interval from the schedule's start.
    Every(Duration),
}

/// Sets of values, one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fields {
    pub second: u64,
    pub minute: u64,
    pub hour: u64,
    pub day: u64,
    pub month: u64,
    /// Bits 0 to 6; Sunday is 0.
    pub weekday: u64,
    /// Whether both kinds of day must match.
    pub both_days: bool,
    /// Whether it follows the clock through its changes instead of being at fixed times.
    pub wild: bool,
}

/// Whether a set has that value.
pub(super) fn has(set: u64, value: i8) -> bool {
    u32::try_from(value).is_ok_and(|value| set & (1 << value) != 0)
}

impl Expr {
    /// Returns the interval of an `@every`, which is counted from a start.
    pub fn interval(&self) -> Option<Duration> {
        match self.rule {
            Rule::Every(interval) => Some(interval),
            Rule::Fields(_) => None,
        }
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}
