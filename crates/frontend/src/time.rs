//! Points in time for people.

use jiff::tz::TimeZone;
use queuectl_core::{Timestamp, show_left, show_rough};

/// Returns the local time: `2026-11-24 16:05:09`.
pub fn local(time: Timestamp) -> String {
    let zoned = time.to_jiff().to_zoned_datetime(TimeZone::system());
    zoned.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// Returns the approximate distance of a time: `in 4 s`, `12 m ago`.
pub fn relative(time: Timestamp, now: Timestamp) -> String {
    if time > now {
        format!("in {}", show_left(time.since(now)))
    } else {
        format!("{} ago", show_rough(now.since(time)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        let now = Timestamp(1_000_000_000);
        assert_eq!(relative(Timestamp(now.0 + 4_400), now), "in 4 s");
        assert_eq!(relative(Timestamp(now.0 + 599_990), now), "in 10 m");
        assert_eq!(relative(Timestamp(now.0 - 125_000), now), "2 m ago");
        assert_eq!(relative(now, now), "0 s ago");
    }
}
