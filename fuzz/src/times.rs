//! Lengths of time, and points in time.

use std::time::Duration;

use queuectl_core::{JobSpec, Start, Timestamp, parse_duration, parse_time, show_time, whole_ms};

/// Milliseconds are rounded up; what is shown is read as the same; what is refused is named.
pub fn times(data: &[u8]) {
    times_with(data, |ms| ms);
}

/// The same where milliseconds come out differently: for the control.
pub fn times_with(data: &[u8], told: fn(u64) -> u64) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let now = crate::now();
    let length = parse_duration(text);
    match &length {
        Ok(length) => {
            let ms = told(whole_ms(*length));
            let at_least = Duration::from_millis(ms);
            let less = ms.checked_sub(1).map(Duration::from_millis);
            assert!(
                (at_least >= *length || ms == u64::MAX) && less.is_none_or(|less| less < *length),
                "{text:?}: {ms} ms"
            );
            // As far as any setting goes; beyond, the units of people do not add up.
            if ms < 3650 * 86_400_000 {
                let shown = show_time(ms);
                assert_eq!(parse_duration(&shown).map(whole_ms), Ok(ms), "{shown}");
            }
        }
        Err(said) => crate::check_names(said, text),
    }
    let from = Timestamp::from(now.timestamp());
    match parse_time(text, &now) {
        Ok(at) => {
            assert_eq!(parse_time(&at.to_string(), &now), Ok(at), "{at}");
            // A time of day is within the next day, which may have 25 hours.
            if text.contains(':') && text.trim().len() <= "18:00:00".len() {
                assert!(
                    at > from && at.since(from) <= Duration::from_secs(25 * 3600),
                    "{text:?}: {at}"
                );
            }
            check_start(Start::At(at), from);
        }
        Err(said) => crate::check_names(&said, text),
    }
    if let Ok(length) = length {
        check_start(Start::After(length), from);
    }
}

fn check_start(start: Start, from: Timestamp) {
    let job = JobSpec {
        start: Some(start),
        ..JobSpec::line("true")
    };
    match job.validate(from) {
        Ok(_) => assert!(
            start.at(from).since(from) <= Duration::from_secs(101 * 366 * 86_400),
            "{start:?}"
        ),
        Err(said) => crate::check_error(&said.to_string()),
    }
}
