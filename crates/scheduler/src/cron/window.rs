//! The times of an expression that have passed: the newest of them one by one, those before as a number.

use queuectl_core::Timestamp;
use queuectl_core::limits::MISSED_COUNTED;

use super::{Expr, Zone, next_tick};

/// Times that have come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Missed {
    /// The newest, oldest first.
    pub newest: Vec<Timestamp>,
    /// Those before them, if there are any.
    pub older: Option<Older>,
    /// The first one that has not come yet.
    pub next: Option<Timestamp>,
}

/// Times that are only counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Older {
    /// The first of them.
    pub first: Timestamp,
    /// The last of them.
    pub last: Timestamp,
    /// How many, at most [`MISSED_COUNTED`].
    pub count: u32,
    /// Whether there were more than were counted.
    pub more: bool,
}

/// Returns the times from `due`, which is one of them, to `now`, the `most` newest one by one. The work is bounded however
/// long that is.
pub fn missed(
    expr: &Expr,
    zone: &Zone,
    start: Timestamp,
    due: Timestamp,
    now: Timestamp,
    most: usize,
) -> Missed {
    let after = |time| next_tick(expr, zone, start, time);
    let just_before = Timestamp(due.0.saturating_sub(1));
    let collect = |from: Timestamp, most: usize| {
        let mut times = Vec::new();
        let mut at = after(from);
        while let Some(time) = at.filter(|time| *time <= now && times.len() <= most) {
            times.push(time);
            at = after(time);
        }
        (times, at)
    };
    let (times, next) = collect(just_before, most);
    if times.len() <= most {
        return Missed {
            newest: times,
            older: None,
            next,
        };
    }
    // More than that: the latest point from which there are no more than `most`, found by halving.
    let (mut many, mut few) = (just_before.0, now.0);
    while few - many > 1 {
        let middle = many + (few - many) / 2;
        match collect(Timestamp(middle), most).0.len() > most {
            true => many = middle,
            false => few = middle,
        }
    }
    let (newest, next) = collect(Timestamp(few), most);
    // The time that makes one too many is the last of the older ones.
    let last = Timestamp(few);
    let mut older = Older {
        first: due,
        last,
        count: 0,
        more: false,
    };
    let mut at = Some(due);
    while let Some(time) = at.filter(|time| *time <= last) {
        if older.count == MISSED_COUNTED {
            older.more = true;
            break;
        }
        older.count += 1;
        at = after(time);
    }
    Missed {
        newest,
        older: Some(older),
        next,
    }
}
