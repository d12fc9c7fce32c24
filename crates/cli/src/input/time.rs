//! Durations (`5m`) and points in time (`18:00`, `2026-12-24 18:00`, RFC 3339).

use std::time::Duration;

use jiff::{ToSpan, ZonedDateTime, civil};
use queuectl_core::{Timestamp, excerpt, parse_duration};

/// Reads a length of time, such as `500ms`, `30s` or `1h 5m`; a bare number is seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    parse_duration(text).ok_or_else(|| {
        format!(
            "'{}' is not a length of time: write a number of seconds, or a unit as in 500ms, 30s or 1h 5m",
            excerpt(text)
        )
    })
}

/// A duration as whole milliseconds, not less than one unless it is zero.
pub fn milliseconds(text: &str) -> Result<u64, String> {
    let time = duration(text)?;
    let ms = time.as_nanos().div_ceil(1_000_000);
    u64::try_from(ms).map_err(|_| format!("'{}' is too long", excerpt(text.trim())))
}

/// A point in time: RFC 3339 with its offset, or on the local clock with or without a date. A time of day means the
/// next time that the clock shows it.
pub fn point(text: &str, now: &ZonedDateTime) -> Result<Timestamp, String> {
    let text = text.trim();
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Ok(time.into());
    }
    let zone = now.time_zone().clone();
    let nonsense = || {
        format!(
            "'{}' is not a time; write 18:00, '2026-12-24 18:00' (local) or 2026-12-24T18:00:00Z",
            excerpt(text)
        )
    };
    if let Ok(time) = text.parse::<civil::DateTime>() {
        return time
            .to_zoned_datetime(zone)
            .map(|time| time.timestamp().into())
            .map_err(|_| nonsense());
    }
    // The text of a date and time would also parse as a time, without its date.
    let time: civil::Time = match text.parse() {
        Ok(time) if text.len() <= "18:00:00".len() => time,
        _ => return Err(nonsense()),
    };
    let mut next = now
        .date()
        .to_datetime(time)
        .to_zoned_datetime(zone.clone())
        .map_err(|_| nonsense())?;
    if next <= *now {
        let tomorrow = now.date().checked_add(1.day()).map_err(|_| nonsense())?;
        next = tomorrow
            .to_datetime(time)
            .to_zoned_datetime(zone)
            .map_err(|_| nonsense())?;
    }
    Ok(next.timestamp().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Result<String, String> {
        let now: ZonedDateTime = "2026-11-24T16:05:00+01:00[+01:00]".parse().unwrap();
        point(text, &now).map(|time| time.to_string())
    }

    #[test]
    fn points_in_time() {
        assert_eq!(at("2026-12-24T18:00:00Z").unwrap(), "2026-12-24T18:00:00.000Z");
        assert_eq!(
            at("2026-12-24T18:00:00.5+02:00").unwrap(),
            "2026-12-24T16:00:00.500Z"
        );
        assert_eq!(at("2026-12-24 18:00").unwrap(), "2026-12-24T17:00:00.000Z");
        assert_eq!(at("2026-12-24 18:00:30").unwrap(), "2026-12-24T17:00:30.000Z");
        assert_eq!(at("18:00").unwrap(), "2026-11-24T17:00:00.000Z");
        assert_eq!(
            at("16:05").unwrap(),
            "2026-11-25T15:05:00.000Z",
            "now has passed; tomorrow"
        );
        for nonsense in [
            "",
            "soon",
            "25:00",
            "2026-13-01 10:00",
            "5m",
            "2026-12-24 18:00 tomorrow",
        ] {
            assert!(at(nonsense).unwrap_err().contains("is not a time"), "{nonsense}");
        }
    }

    #[test]
    fn a_bare_number_is_seconds() {
        assert_eq!(duration("1h 5m"), Ok(Duration::from_secs(3900)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        assert_eq!(duration("30"), Ok(Duration::from_secs(30)));
        assert_eq!(milliseconds("0.5"), Ok(500));
        assert!(duration("-30").unwrap_err().contains("a number of seconds"));
        assert_eq!(milliseconds("1us"), Ok(1), "a timeout never becomes none");
    }
}
