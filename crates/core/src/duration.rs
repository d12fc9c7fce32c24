//! Lengths of time as people write and read them. Nothing here reads a clock.

use std::time::Duration;

use crate::quote::excerpt;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Reads a length of time: `500ms`, `30s`, `1.5h`, `1h 5m`, or a bare number, which is seconds.
///
/// # Errors
/// The text is not a length of time; the message names the forms.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    read(text).ok_or_else(|| {
        format!(
            "'{}' is not a length of time: write a number of seconds, or a unit as in 500ms, 30s or 1h 5m",
            excerpt(text)
        )
    })
}

/// Returns the length in whole ms, rounded up, so that only zero is zero; at most [`u64::MAX`].
pub fn whole_ms(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

fn read(text: &str) -> Option<Duration> {
    // A sign, `inf` and `nan` are numbers to Rust, too.
    let bare = text
        .starts_with(|c: char| c.is_ascii_digit())
        .then(|| text.parse::<f64>().ok())
        .flatten();
    match bare {
        Some(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        None => humantime::parse_duration(text).ok(),
    }
}

/// A length of time in days and smaller units, whose sum is exact. Months and years have no length that people
/// agree on.
pub fn show_time(ms: u64) -> String {
    let (days, rest) = (ms / DAY_MS, Duration::from_millis(ms % DAY_MS));
    let unit = if days == 1 { "day" } else { "days" };
    match (days, rest.is_zero()) {
        (0, _) => humantime::format_duration(rest).to_string(),
        (days, true) => format!("{days}{unit}"),
        (days, false) => format!("{days}{unit} {}", humantime::format_duration(rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_number_is_seconds() {
        for (text, ms) in [
            ("5", 5000),
            (" 90 ", 90_000),
            ("0", 0),
            ("0.25", 250),
            ("1e2", 100_000),
            ("5s", 5000),
            ("1.5h", 5_400_000),
            ("1h 5m", 3_900_000),
            ("1day 500ms", 86_400_500),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in [
            "",
            "-5",
            "+5",
            ".5",
            "inf",
            "nan",
            "5 6",
            "1h 5",
            "1e400",
            "soon",
            "5 parsecs",
        ] {
            let said = parse_duration(text).unwrap_err();
            assert!(said.contains("a number of seconds"), "{text}: {said}");
        }
    }

    #[test]
    fn a_time_never_becomes_none() {
        let ms = |text| whole_ms(parse_duration(text).unwrap());
        assert_eq!((ms("0.5"), ms("1us"), ms("0")), (500, 1, 0));
        assert_eq!(whole_ms(Duration::MAX), u64::MAX);
    }

    #[test]
    fn what_is_shown_is_read_as_the_same() {
        for ms in [
            0,
            1,
            999,
            1000,
            59_999,
            3_903_000,
            DAY_MS,
            DAY_MS + 60_001,
            3650 * DAY_MS,
        ] {
            assert_eq!(
                parse_duration(&show_time(ms)),
                Ok(Duration::from_millis(ms)),
                "{ms}"
            );
        }
    }
}
