//! Expressions of schedules, and the times that follow from them.

use std::str::FromStr;

use queuectl_core::Timestamp;
use queuectl_scheduler::cron::{Expr, Zone, missed, next_tick};

/// A next time is later, and again one of the expression; what is shown is read as the same; what is refused is explained.
pub fn cron(data: &[u8]) {
    cron_with(data, |time| time);
}

/// The same where times come out differently: for the control.
pub fn cron_with(data: &[u8], told: fn(Timestamp) -> Timestamp) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let now = crate::now();
    let expr = match Expr::from_str(text) {
        Ok(expr) => expr,
        Err(said) => return crate::check_error(&said.to_string()),
    };
    assert_eq!(expr.to_string().parse(), Ok(expr.clone()), "{text:?}");
    let start = Timestamp::from(now.timestamp());
    for zone in [Zone::UTC, now.time_zone().clone()] {
        let Some(next) = next_tick(&expr, &zone, start, start).map(told) else {
            continue;
        };
        assert!(next > start, "{text:?}: {next}");
        let again = next_tick(&expr, &zone, start, Timestamp(next.0 - 1));
        assert_eq!(again, Some(next), "{text:?}");
        let passed = missed(
            &expr,
            &zone,
            start,
            next,
            Timestamp(next.0.saturating_add(86_400_000)),
            10,
        );
        assert!(
            passed.newest.len() <= 10 && passed.newest.is_sorted(),
            "{text:?}: {passed:?}"
        );
    }
}
