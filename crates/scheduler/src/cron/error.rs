//! Why an expression is refused: the field, its text, and what is allowed there.

use std::fmt;

/// A field of an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum FieldName {
    Second,
    Minute,
    Hour,
    DayOfMonth,
    Month,
    DayOfWeek,
}

impl FieldName {
    /// Returns what a value of this field can be.
    pub fn allowed(self) -> &'static str {
        match self {
            FieldName::Second | FieldName::Minute => "0 to 59",
            FieldName::Hour => "0 to 23",
            FieldName::DayOfMonth => "1 to 31",
            FieldName::Month => "1 to 12 or JAN to DEC",
            FieldName::DayOfWeek => "0 to 7 (0 and 7 are Sunday) or MON to SUN",
        }
    }
}

impl fmt::Display for FieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FieldName::Second => "second",
            FieldName::Minute => "minute",
            FieldName::Hour => "hour",
            FieldName::DayOfMonth => "day of the month",
            FieldName::Month => "month",
            FieldName::DayOfWeek => "day of the week",
        })
    }
}

/// Why an expression is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// Neither five nor six fields, and no name.
    #[error(
        "'{text}' has {count} {}; a schedule has five (minute, hour, day of the month, month, day of the week), \
         six with seconds first, or is @hourly, @daily, @weekly, @monthly, @yearly or @every 90s{}",
        if *count == 1 { "field" } else { "fields" },
        meant.as_ref().map_or_else(String::new, |meant| format!("; did you mean '{meant}'?"))
    )]
    Fields {
        /// The expression.
        text: String,
        /// Its fields.
        count: usize,
        /// The expression that it may stand for.
        meant: Option<String>,
    },
    /// Longer than any expression needs to be.
    #[error("the schedule has more than {0} characters")]
    TooLong(usize),
    /// A part of a field that is not a value.
    #[error("invalid {field} '{text}': expected {}, a range such as 1-5, a step such as */5, or a list of these", field.allowed())]
    Value {
        /// The field.
        field: FieldName,
        /// The part.
        text: String,
    },
    /// A range that ends before it begins.
    #[error(
        "invalid {field} '{text}': the range ends before it begins; write it as two, with a comma between them"
    )]
    Backwards {
        /// The field.
        field: FieldName,
        /// The range.
        text: String,
    },
    /// A step of zero, or one that is never taken.
    #[error(
        "invalid {field} '{text}': expected a step from 1 to {most}; for other intervals write @every 90m"
    )]
    Step {
        /// The field.
        field: FieldName,
        /// The part.
        text: String,
        /// The largest step.
        most: u8,
    },
    /// A sign that other schedulers know.
    #[error("invalid {field} '{text}': cron has no '{sign}'; expected {}, a range, a step or a list", field.allowed())]
    Foreign {
        /// The field.
        field: FieldName,
        /// The part.
        text: String,
        /// The sign.
        sign: char,
    },
    /// A name with an `@` that is not known.
    #[error(
        "unknown schedule '{0}': expected @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually or \
         @every 90s"
    )]
    Name(String),
    /// `@reboot`, which a queue cannot keep.
    #[error(
        "'@reboot' is when cron starts, which a queue has no time for; enqueue the job from a start-up script"
    )]
    Reboot,
    /// A length of time that cannot be read or is out of range.
    #[error("invalid interval '{text}': {problem}")]
    Interval {
        /// The text after `@every`.
        text: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A date that no year has.
    #[error("'{0}' never runs: none of its months has such a day of the month")]
    Never(String),
}
