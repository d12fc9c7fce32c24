//! Times and durations for people.

use std::time::Duration;

use jiff::tz::TimeZone;
use queuectl_core::Timestamp;
use queuectl_core::show_time;

/// Returns the local time: `2026-11-24 16:05:09`.
pub fn local(time: Timestamp) -> String {
    let zoned = time.to_jiff().to_zoned_datetime(TimeZone::system());
    zoned.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// Returns the approximate distance of a time: `in 4s`, `12m ago`.
pub fn relative(time: Timestamp, now: Timestamp) -> String {
    if time > now {
        format!("in {}", rough(time.since(now)))
    } else {
        format!("{} ago", rough(now.since(time)))
    }
}

/// Returns a duration in its largest unit.
pub fn rough(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86400),
    }
}

/// Returns a duration with the precision that suits it: `850ms`, `12.3s`, `1h 5m 3s`.
pub fn exact(duration: Duration) -> String {
    let ms = duration.as_millis();
    match ms {
        0..1000 => format!("{ms}ms"),
        1000..60_000 => format!("{}.{}s", ms / 1000, ms % 1000 / 100),
        _ => show_time(duration.as_secs().saturating_mul(1000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        let now = Timestamp(1_000_000_000);
        assert_eq!(relative(Timestamp(now.0 + 4_900), now), "in 4s");
        assert_eq!(relative(Timestamp(now.0 - 125_000), now), "2m ago");
        assert_eq!(relative(now, now), "0s ago");
        assert_eq!(exact(Duration::from_millis(850)), "850ms");
        assert_eq!(exact(Duration::from_millis(12_345)), "12.3s");
        assert_eq!(exact(Duration::from_secs(3903)), "1h 5m 3s");
        assert_eq!(exact(Duration::from_secs(365 * 86_400 + 60)), "365days 1m");
    }
}
