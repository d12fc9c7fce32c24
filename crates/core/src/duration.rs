//! Lengths of time as people write and read them. No other crate writes one in a style of its own; nothing here reads a
//! clock.

use std::time::Duration;

use crate::quote::excerpt;

const SECOND_MS: u64 = 1000;

/// The units that are written, with their lengths in ms.
const UNITS: [(&str, u64); 5] = [
    ("d", 24 * 60 * 60 * SECOND_MS),
    ("h", 60 * 60 * SECOND_MS),
    ("m", 60 * SECOND_MS),
    ("s", SECOND_MS),
    ("ms", 1),
];

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

/// Writes a length of time in ms exactly, in days and smaller units: `7 d`, `1 h 5 m`, `4 ms`. Months and years have no
/// length that people agree on.
pub fn show_time(ms: u64) -> String {
    let mut rest = ms;
    let mut parts = Vec::new();
    for (unit, length) in UNITS {
        if rest >= length {
            parts.push(format!("{} {unit}", rest / length));
            rest %= length;
        }
    }
    if parts.is_empty() {
        return "0 s".to_owned();
    }
    parts.join(" ")
}

/// Writes a length of time as exactly as people want to read it: `850 ms`, `12.3 s`, `1 h 5 m 3 s`.
pub fn show_short(time: Duration) -> String {
    let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    match ms {
        1000..60_000 if ms % 1000 >= 100 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        1000.. => show_time(ms / 1000 * 1000),
        _ => show_time(ms),
    }
}

/// Writes a length of time in its largest unit, rounded down, from seconds on: `4 s`, `12 m`, `2 d`.
pub fn show_rough(time: Duration) -> String {
    let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let largest = UNITS
        .iter()
        .find(|(_, length)| ms >= *length && *length >= SECOND_MS);
    largest.map_or_else(
        || "0 s".to_owned(),
        |(unit, length)| format!("{} {unit}", ms / length),
    )
}

/// Writes a length of time that is still to come in its largest unit, rounded to the nearest: `2 h` also a moment after it was set to
/// two hours.
pub fn show_left(time: Duration) -> String {
    let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let largest = UNITS
        .iter()
        .find(|(_, length)| ms >= *length && *length >= SECOND_MS);
    let length = largest.map_or(SECOND_MS, |(_, length)| *length);
    let rounded = ms.saturating_add(length / 2) / length * length;
    show_rough(Duration::from_millis(rounded))
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
            86_400_000,
            86_460_001,
            3650 * 86_400_000,
            u64::MAX / 1_000_000,
        ] {
            assert_eq!(
                parse_duration(&show_time(ms)),
                Ok(Duration::from_millis(ms)),
                "{ms}"
            );
        }
    }

    #[test]
    fn what_is_left_is_rounded_to_the_nearest_unit() {
        for (ms, left, rough) in [
            (0, "0 s", "0 s"),
            (499, "0 s", "0 s"),
            (500, "1 s", "0 s"),
            (59_700, "1 m", "59 s"),
            (7_199_999, "2 h", "1 h"),
            (4_000_000, "1 h", "1 h"),
            (3_599_000, "1 h", "59 m"),
            (86_399_000, "1 d", "23 h"),
        ] {
            let time = Duration::from_millis(ms);
            assert_eq!(
                (show_left(time), show_rough(time)),
                (left.to_owned(), rough.to_owned())
            );
        }
        assert!(show_left(Duration::MAX).ends_with(" d"));
    }

    #[test]
    fn there_is_a_blank_before_the_unit() {
        for (ms, exact, short, rough) in [
            (0, "0 s", "0 s", "0 s"),
            (4, "4 ms", "4 ms", "0 s"),
            (850, "850 ms", "850 ms", "0 s"),
            (2000, "2 s", "2 s", "2 s"),
            (2050, "2 s 50 ms", "2 s", "2 s"),
            (12_345, "12 s 345 ms", "12.3 s", "12 s"),
            (3_903_000, "1 h 5 m 3 s", "1 h 5 m 3 s", "1 h"),
            (7 * 86_400_000, "7 d", "7 d", "7 d"),
            (
                365 * 86_400_000 + 60_500,
                "365 d 1 m 500 ms",
                "365 d 1 m",
                "365 d",
            ),
        ] {
            let time = Duration::from_millis(ms);
            assert_eq!(
                (
                    show_time(ms).as_str(),
                    show_short(time).as_str(),
                    show_rough(time).as_str()
                ),
                (exact, short, rough)
            );
        }
    }
}
