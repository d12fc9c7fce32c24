//! Points in time as options take them: how long ago, or a time.

use jiff::ZonedDateTime;
use queuectl_core::{Timestamp, parse_duration, parse_time};

/// The longest time ago, in days.
const MOST_DAYS: i64 = 36_525;
const MOST_MS: i64 = MOST_DAYS * 24 * 60 * 60 * 1000;

/// A point in time that has been.
#[derive(Debug, Clone, Copy)]
pub enum Moment {
    /// That long ago, in ms.
    Ago(i64),
    /// That time.
    Time(Timestamp),
}

impl Moment {
    /// Returns the time that this is, seen from `now`.
    pub fn at(self, now: Timestamp) -> Timestamp {
        match self {
            Moment::Ago(ms) => Timestamp(now.0.saturating_sub(ms)),
            Moment::Time(time) => time,
        }
    }
}

/// Reads an age such as 2h, a time of day, a date with a time, or RFC 3339.
pub fn moment(text: &str) -> Result<Moment, String> {
    if let Ok(ago) = parse_duration(text) {
        return match i64::try_from(ago.as_millis()) {
            Ok(ms) if ms <= MOST_MS => Ok(Moment::Ago(ms)),
            _ => Err(format!("expected a time of at most {MOST_DAYS} d ago")),
        };
    }
    let now = ZonedDateTime::now();
    let time = parse_time(text, &now).map_err(|error| match error.split_once("; write ") {
        Some((error, forms)) => format!("{error}; write 2h (ago), {forms}"),
        None => error,
    })?;
    // A time of day is one of today, or of yesterday if it is still to come.
    let is_time_of_day = text.len() <= 8 && time.0 > now.timestamp().as_millisecond();
    let day = 24 * 60 * 60 * 1000;
    Ok(Moment::Time(match is_time_of_day {
        true => Timestamp(time.0 - day),
        false => time,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_an_age_or_a_time_that_has_been() {
        let ago = moment("2h").unwrap();
        assert!(matches!(ago, Moment::Ago(7_200_000)));
        assert_eq!(ago.at(Timestamp(8_000_000)), Timestamp(800_000));
        assert!(matches!(
            moment("2026-12-24T18:00:00Z"),
            Ok(Moment::Time(Timestamp(1_798_135_200_000)))
        ));
        let now = ZonedDateTime::now().timestamp().as_millisecond();
        for text in ["00:01", "23:59"] {
            assert!(
                matches!(moment(text), Ok(Moment::Time(time)) if time.0 <= now),
                "{text}"
            );
        }
        let error = moment("soon").unwrap_err();
        assert!(
            error.starts_with("'soon' is not a time; write 2h (ago), 18:00"),
            "{error}"
        );
        assert!(moment("36525d").is_ok() && moment("36526d").is_err() && moment("99999999999999h").is_err());
    }
}
