//! The rules of the documentation, one by one. The comparison with other implementations is in `tests/cron`.

use std::time::{Duration, Instant};

use queuectl_core::Timestamp;
use queuectl_core::limits::MISSED_COUNTED;

use super::{Expr, Zone, missed, next_tick};

fn expr(text: &str) -> Expr {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn time(text: &str) -> Timestamp {
    text.parse::<jiff::Timestamp>().unwrap().into()
}

/// The next ticks after a time, as the clock of the zone shows them.
fn ticks(text: &str, zone_name: &str, after: &str, count: usize) -> Vec<String> {
    let (expr, zone) = (expr(text), Zone::get(zone_name).unwrap());
    let mut at = time(after);
    let mut shown = Vec::new();
    while shown.len() < count {
        at = next_tick(&expr, &zone, Timestamp(0), at).unwrap();
        let offset = zone.to_offset(at.to_jiff());
        shown.push(format!(
            "{} {offset}",
            zone.to_datetime(at.to_jiff()).strftime("%m-%d %H:%M:%S")
        ));
    }
    shown
}

#[test]
fn fixed_times_in_the_gap_run_right_after_it_once() {
    let berlin = |text, count| ticks(text, "Europe/Berlin", "2026-03-28T23:59:00Z", count);
    assert_eq!(
        berlin("30 2 * * *", 2),
        ["03-29 03:00:00 +02", "03-30 02:30:00 +02"]
    );
    assert_eq!(
        berlin("0,30 2 * * *", 2),
        ["03-29 03:00:00 +02", "03-30 02:00:00 +02"]
    );
    assert_eq!(
        berlin("0 2,3 * * *", 2),
        ["03-29 03:00:00 +02", "03-30 02:00:00 +02"]
    );
    assert_eq!(berlin("15 30 2 * * *", 1), ["03-29 03:00:00 +02"]);
}

#[test]
fn fixed_times_in_the_overlap_run_once() {
    let berlin = |text, count| ticks(text, "Europe/Berlin", "2026-10-24T23:59:00Z", count);
    assert_eq!(
        berlin("30 2 * * *", 2),
        ["10-25 02:30:00 +02", "10-26 02:30:00 +01"]
    );
    let second_pass = ticks("30 2 * * *", "Europe/Berlin", "2026-10-25T01:10:00Z", 1);
    assert_eq!(second_pass, ["10-26 02:30:00 +01"]);
}

#[test]
fn wildcards_follow_the_clock() {
    let spring = ticks("30 * * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", 3);
    assert_eq!(
        spring,
        ["03-29 01:30:00 +01", "03-29 03:30:00 +02", "03-29 04:30:00 +02"]
    );
    let autumn = ticks("30 * * * *", "Europe/Berlin", "2026-10-25T00:00:00Z", 3);
    assert_eq!(
        autumn,
        ["10-25 02:30:00 +02", "10-25 02:30:00 +01", "10-25 03:30:00 +01"]
    );
    // Every half hour of 2 o'clock: there is none on that day.
    let none = ticks("*/30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 1);
    assert_eq!(none, ["03-30 02:00:00 +02"]);
}

#[test]
fn a_change_by_half_an_hour_and_a_day_that_is_left_out() {
    let howe = ticks("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00:00Z", 2);
    assert_eq!(howe, ["10-04 02:30:00 +11", "10-05 02:15:00 +11"]);
    let apia = ticks("0 9 * * *", "Pacific/Apia", "2011-12-29T20:00:00Z", 3);
    assert_eq!(
        apia,
        ["12-31 00:00:00 +14", "12-31 09:00:00 +14", "01-01 09:00:00 +14"]
    );
}

#[test]
fn days_follow_vixie_cron() {
    let utc = |text, count| ticks(text, "UTC", "2026-11-01T12:00:00Z", count);
    // One of the two suffices.
    assert_eq!(
        utc("0 0 13 * FRI", 3),
        ["11-06 00:00:00 +00", "11-13 00:00:00 +00", "11-20 00:00:00 +00"]
    );
    // Both must match: one begins with a star.
    assert_eq!(
        utc("0 0 */2 * MON", 2),
        ["11-09 00:00:00 +00", "11-23 00:00:00 +00"]
    );
    assert_eq!(utc("0 0 * * 7", 1), utc("0 0 * * SUN", 1));
    assert_eq!(utc("0 0 * * MON-SUN", 2), utc("0 0 * * *", 2));
    assert_eq!(utc("@weekly", 1), ["11-08 00:00:00 +00"]);
    assert_eq!(utc("@annually", 1), utc("0 0 1 1 *", 1));
    assert_eq!(
        utc("*/20 * * * * *", 2),
        ["11-01 12:00:20 +00", "11-01 12:00:40 +00"]
    );
    assert_eq!(
        utc("5/20 * * * *", 3),
        ["11-01 12:05:00 +00", "11-01 12:25:00 +00", "11-01 12:45:00 +00"]
    );
}

#[test]
fn an_interval_counts_from_the_start() {
    let (every, zone) = (expr("@every 90s"), Zone::UTC);
    let next = |after| {
        next_tick(&every, &zone, Timestamp(500), Timestamp(after))
            .unwrap()
            .0
    };
    assert_eq!(
        (next(-7), next(500), next(90_499), next(90_500)),
        (90_500, 90_500, 90_500, 180_500)
    );
    assert_eq!(every.interval(), Some(Duration::from_secs(90)));
}

#[test]
fn what_is_wrong_is_named_with_what_is_allowed() {
    for (text, said) in [
        (
            "61 * * * *",
            "invalid minute '61': expected 0 to 59, a range such as 1-5, a step such as */5, or a list",
        ),
        ("* 24 * * *", "invalid hour '24': expected 0 to 23"),
        ("* * 0 * *", "invalid day of the month '0': expected 1 to 31"),
        (
            "* * * FEBR *",
            "invalid month 'FEBR': expected 1 to 12 or JAN to DEC",
        ),
        (
            "* * * * 8",
            "invalid day of the week '8': expected 0 to 7 (0 and 7 are Sunday) or MON to SUN",
        ),
        ("60 * * * * *", "invalid second '60'"),
        (
            "0 22-6 * * *",
            "invalid hour '22-6': the range ends before it begins; write it as two",
        ),
        (
            "*/0 * * * *",
            "invalid minute '*/0': expected a step from 1 to 60",
        ),
        ("*/90 * * * *", "for other intervals write @every 90m"),
        ("0 0 ? * 1", "invalid day of the month '?': cron has no '?'"),
        ("0 0 L * *", "cron has no 'L'"),
        ("0 0 * * 5#3", "cron has no '#'"),
        ("1,,2 * * * *", "invalid minute ''"),
        ("+5 * * * *", "invalid minute '+5'"),
        ("* * *", "has 3 fields; a schedule has five"),
        ("daily", "has 1 field; a schedule has five"),
        ("Daily", "@every 90s; did you mean '@daily'?"),
        ("5m", "did you mean '@every 5m'?"),
        ("every 5m", "did you mean '@every 5m'?"),
        ("", "has 0 fields"),
        ("30 2 30 2 *", "'30 2 30 2 *' never runs"),
        ("0 0 31 4,6,9,11 *", "never runs"),
        ("0 0 31 2 */2", "never runs"),
        ("@reboot", "enqueue the job from a start-up script"),
        ("@fortnightly", "unknown schedule '@fortnightly'"),
        ("@daily 5", "unknown schedule '@daily 5'"),
        ("@every", "invalid interval ''"),
        ("@every 10ms", "expected a time from 1 s to 365 d"),
        ("@every 1e300", "not a length of time"),
    ] {
        let error = text.parse::<Expr>().unwrap_err().to_string();
        assert!(error.contains(said), "{text}: {error}");
    }
    assert!(" ".repeat(9).parse::<Expr>().is_err());
    assert!(
        "1,".repeat(400)
            .parse::<Expr>()
            .unwrap_err()
            .to_string()
            .contains("more than 500 characters")
    );
    // Of the two kinds of day one suffices here, and Mondays there are.
    assert!("0 0 31 2 1".parse::<Expr>().is_ok());
}

#[test]
fn it_is_shown_as_it_was_written() {
    assert_eq!(expr("  0   2 *  * mon ").to_string(), "0 2 * * mon");
    assert_eq!(expr("@every 1h 5m").to_string(), "@every 1h 5m");
}

#[test]
fn leap_days_across_a_century_are_found_and_a_search_ends() {
    let leap = expr("0 0 29 2 *");
    let found = next_tick(&leap, &Zone::UTC, Timestamp(0), time("2096-02-29T00:00:00Z")).unwrap();
    assert_eq!(found, time("2104-02-29T00:00:00Z"));
    // A leap day on a weekend, both required: not for sixteen years.
    let rare = expr("0 0 29 2 */6");
    let begun = Instant::now();
    assert_eq!(
        next_tick(&rare, &Zone::UTC, Timestamp(0), time("2032-03-01T00:00:00Z")),
        None
    );
    for zone in ["Africa/Casablanca", "Europe/Berlin", "Antarctica/Troll"] {
        let zone: Zone = Zone::get(zone).unwrap();
        assert_eq!(
            next_tick(
                &expr("* * 29 2 */6"),
                &zone,
                Timestamp(0),
                time("2032-03-01T00:00:00Z")
            ),
            None
        );
    }
    // The ends of time are not passed.
    for end in [i64::MIN, i64::MAX, 253_402_207_200_000] {
        for text in ["* * * * * *", "0 0 1 1 *", "@every 1s"] {
            let _ = next_tick(&expr(text), &Zone::UTC, Timestamp(0), Timestamp(end));
        }
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[test]
fn missed_times_are_the_newest_and_a_number() {
    let zone = Zone::UTC;
    let of = |text: &str, due: &str, now: &str, most| {
        missed(&expr(text), &zone, Timestamp(0), time(due), time(now), most)
    };
    let few = of("0 * * * *", "2026-11-01T01:00:00Z", "2026-11-01T03:30:00Z", 100);
    assert_eq!(
        few.newest,
        ["01", "02", "03"].map(|hour| time(&format!("2026-11-01T{hour}:00:00Z")))
    );
    assert_eq!((few.older, few.next), (None, Some(time("2026-11-01T04:00:00Z"))));
    let exact = of("0 * * * *", "2026-11-01T01:00:00Z", "2026-11-01T03:00:00Z", 3);
    assert_eq!((exact.newest.len(), exact.older), (3, None));
    let some = of("0 * * * *", "2026-11-01T01:00:00Z", "2026-11-11T00:30:00Z", 100);
    let older = some.older.unwrap();
    assert_eq!(some.newest.len(), 100);
    assert_eq!(some.newest[99], time("2026-11-11T00:00:00Z"));
    assert_eq!((older.count, older.more), (240 - 100, false));
    assert_eq!(older.first, time("2026-11-01T01:00:00Z"));
    assert_eq!(older.last.after(Duration::from_secs(3600)), some.newest[0]);
    // A year of seconds, of which only January has ticks: bounded all the same.
    let begun = Instant::now();
    let many = of("* * * * 1 *", "2026-01-01T00:00:00Z", "2026-12-31T00:00:00Z", 100);
    let older = many.older.unwrap();
    assert_eq!((older.count, older.more), (MISSED_COUNTED, true));
    assert_eq!(many.newest[99], time("2026-01-31T23:59:59Z"));
    assert_eq!(many.next, Some(time("2027-01-01T00:00:00Z")));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}
