//! Points in time, how people write them, and where "now" comes from.

use std::fmt;
use std::time::Duration;

use jiff::{ToSpan, ZonedDateTime, civil};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::quote::excerpt;

/// A point in time: milliseconds since 1970-01-01T00:00:00 UTC. In JSON it is RFC 3339 text in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// This time plus `delay`, saturating.
    #[must_use]
    pub fn after(self, delay: Duration) -> Timestamp {
        let ms = i64::try_from(delay.as_millis()).unwrap_or(i64::MAX);
        Timestamp(self.0.saturating_add(ms))
    }

    /// How long it is from `earlier` to this time; zero if `earlier` is later (clocks can step back).
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The time as jiff knows it; times outside jiff's range are clamped to its ends.
    pub fn to_jiff(self) -> jiff::Timestamp {
        let (min, max) = (
            jiff::Timestamp::MIN.as_millisecond(),
            jiff::Timestamp::MAX.as_millisecond(),
        );
        jiff::Timestamp::from_millisecond(self.0.clamp(min, max)).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }
}

impl From<jiff::Timestamp> for Timestamp {
    fn from(time: jiff::Timestamp) -> Self {
        Timestamp(time.as_millisecond())
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with milliseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.to_jiff())
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_i64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            text.parse::<jiff::Timestamp>()
                .map(Into::into)
                .map_err(serde::de::Error::custom)
        } else {
            i64::deserialize(deserializer).map(Timestamp)
        }
    }
}

/// Reads a point in time: RFC 3339 with its offset, or on the clock of `now` with or without a date. A time of day means the
/// next time that the clock shows it.
///
/// # Errors
/// The text is not a time; the message names the forms.
pub fn parse_time(text: &str, now: &ZonedDateTime) -> Result<Timestamp, String> {
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

/// Where "now" comes from, so that tests can hold time still.
pub trait Clock: Send {
    /// The current time.
    fn now(&self) -> Timestamp;
}

/// The operating system's wall clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        jiff::Timestamp::now().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_is_rfc_3339_in_utc_with_milliseconds() {
        assert_eq!(Timestamp(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(
            Timestamp(1_700_000_000_123).to_string(),
            "2023-11-14T22:13:20.123Z"
        );
        let json = serde_json::to_string(&Timestamp(1_700_000_000_123)).unwrap();
        assert_eq!(
            serde_json::from_str::<Timestamp>(&json).unwrap(),
            Timestamp(1_700_000_000_123)
        );
    }

    #[test]
    fn arithmetic_never_wraps() {
        assert_eq!(Timestamp(i64::MAX).after(Duration::MAX), Timestamp(i64::MAX));
        assert_eq!(Timestamp(5).since(Timestamp(9)), Duration::ZERO);
        let _ = Timestamp(i64::MAX).to_string();
        let _ = Timestamp(i64::MIN).to_string();
    }

    fn at(text: &str) -> Result<String, String> {
        let now: ZonedDateTime = "2026-11-24T16:05:00+01:00[+01:00]".parse().unwrap();
        parse_time(text, &now).map(|time| time.to_string())
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
}
