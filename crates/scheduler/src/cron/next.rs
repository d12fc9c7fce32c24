//! The next time of an expression.
//!
//! A fixed time is looked for on the calendar and then put on the time line: one that the clock leaves out is at the change,
//! one that it shows twice is at the first. What follows the clock is looked for between two changes of the clock at a
//! time. Both go day by day for at most [`DAYS`] days.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, Offset};
use jiff::{Timestamp as Instant, ToSpan};
use queuectl_core::Timestamp;

use super::Zone;
use super::expr::{Expr, Fields, Rule, has};

/// Eight years, the longest time between two leap days, and some days.
const DAYS: i32 = 8 * 365 + 10;

/// Returns the first time of the expression after `after`. `start` is that of the schedule, from which an `@every` counts.
/// None if there is none within eight years.
pub fn next_tick(expr: &Expr, zone: &Zone, start: Timestamp, after: Timestamp) -> Option<Timestamp> {
    match &expr.rule {
        Rule::Every(interval) => {
            let interval = i64::try_from(interval.as_millis()).ok().filter(|ms| *ms > 0)?;
            if after < start {
                return start.0.checked_add(interval).map(Timestamp);
            }
            let passed = after.0.checked_sub(start.0)?.div_euclid(interval);
            let next = passed.checked_add(1)?.checked_mul(interval)?;
            start.0.checked_add(next).map(Timestamp)
        }
        Rule::Fields(fields) => {
            let second = Instant::from_second(after.0.div_euclid(1000)).ok()?;
            let next = match fields.wild {
                true => by_the_clock(fields, zone, second),
                false => fixed(fields, zone, second),
            };
            next.map(Timestamp::from)
        }
    }
}

/// Looks for a fixed time after `after`.
fn fixed(fields: &Fields, zone: &Zone, after: Instant) -> Option<Instant> {
    let mut at = zone.to_datetime(after);
    let last = last_date(at)?;
    // The times that a change of the clock repeats or leaves out are those of a day at most, and each is passed once.
    loop {
        at = next_civil(fields, after_second(at)?, last)?;
        let time = match zone.to_ambiguous_timestamp(at).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(at).ok()?,
            AmbiguousOffset::Fold { before, .. } => before.to_timestamp(at).ok()?,
            AmbiguousOffset::Gap { before, .. } => end_of_gap(zone, at, before)?,
        };
        if time > after {
            return Some(time);
        }
    }
}

/// When the change is that leaves `at` out: the last one before the time that `at` would be by the offset before it.
fn end_of_gap(zone: &Zone, at: DateTime, before: Offset) -> Option<Instant> {
    let would_be = before.to_timestamp(at).ok()?;
    let just_after = would_be.checked_add(1.second()).ok()?;
    zone.preceding(just_after).next().map(|change| change.timestamp())
}

/// Looks for a time after `after` that the clock shows.
fn by_the_clock(fields: &Fields, zone: &Zone, after: Instant) -> Option<Instant> {
    let last = last_date(zone.to_datetime(after))?;
    let mut from = after.checked_add(1.second()).ok()?;
    loop {
        let offset = zone.to_offset(from);
        let change = zone.following(from).next().map(|change| change.timestamp());
        let end = match change {
            // Within this stretch the clock shows no day after its end.
            Some(change) => offset.to_datetime(change).date().min(last),
            None => last,
        };
        let found = next_civil(fields, offset.to_datetime(from), end);
        if let Some(time) = found.and_then(|at| offset.to_timestamp(at).ok())
            && change.is_none_or(|change| time < change)
        {
            return Some(time);
        }
        from = change.filter(|change| zone.to_datetime(*change).date() <= last)?;
    }
}

fn last_date(from: DateTime) -> Option<Date> {
    from.date().checked_add(DAYS.days()).ok()
}

fn after_second(at: DateTime) -> Option<DateTime> {
    at.checked_add(1.second()).ok()
}

/// Looks for the first time on the calendar from `from` on that matches; none after the day `last`.
fn next_civil(fields: &Fields, from: DateTime, last: Date) -> Option<DateTime> {
    let mut date = from.date();
    let mut time = from.time();
    while date <= last {
        if !has(fields.month, date.month()) {
            date = date.first_of_month().checked_add(1.month()).ok()?;
            time = Time::midnight();
            continue;
        }
        if is_day(fields, date)
            && let Some(time) = next_time(fields, time)
        {
            return Some(date.to_datetime(time));
        }
        date = date.tomorrow().ok()?;
        time = Time::midnight();
    }
    None
}

fn is_day(fields: &Fields, date: Date) -> bool {
    let day = has(fields.day, date.day());
    let weekday = has(fields.weekday, date.weekday().to_sunday_zero_offset());
    match fields.both_days {
        true => day && weekday,
        false => day || weekday,
    }
}

/// Looks for the first time of day from `from` on that matches.
fn next_time(fields: &Fields, from: Time) -> Option<Time> {
    let (mut hour, mut minute, mut second) = (from.hour(), from.minute(), from.second());
    if !has(fields.hour, hour) {
        (minute, second) = (0, 0);
    } else if !has(fields.minute, minute) {
        second = 0;
    }
    if let Some(found) = lowest(fields.second, second) {
        second = found;
    } else {
        second = lowest(fields.second, 0)?;
        minute += 1;
    }
    match lowest(fields.minute, minute) {
        Some(found) if found == minute => {}
        Some(found) => {
            minute = found;
            second = lowest(fields.second, 0)?;
        }
        None => {
            hour += 1;
            minute = lowest(fields.minute, 0)?;
            second = lowest(fields.second, 0)?;
        }
    }
    let found = lowest(fields.hour, hour)?;
    if found != hour {
        hour = found;
        minute = lowest(fields.minute, 0)?;
        second = lowest(fields.second, 0)?;
    }
    Time::new(hour, minute, second, 0).ok()
}

/// Returns the lowest value of a set from `from` on.
fn lowest(set: u64, from: i8) -> Option<i8> {
    let rest = set.checked_shr(u32::try_from(from).ok()?)?;
    let steps = i8::try_from(rest.trailing_zeros()).ok()?;
    (rest != 0).then(|| from + steps)
}
