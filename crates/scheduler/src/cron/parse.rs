//! Reads an expression. What can never run is refused here, so that a search always has something to find.

use std::str::FromStr;
use std::time::Duration;

use queuectl_core::limits::{CRON_CHARS, SCHEDULE_INTERVAL};
use queuectl_core::{excerpt, parse_duration, whole_ms};

use super::error::{CronError, FieldName};
use super::expr::{Expr, Fields, Rule};
use super::field;

impl FromStr for Expr {
    type Err = CronError;

    fn from_str(text: &str) -> Result<Expr, CronError> {
        let text = text.trim();
        if text.chars().count() > CRON_CHARS {
            return Err(CronError::TooLong(CRON_CHARS));
        }
        let rule = match text.strip_prefix('@') {
            Some(name) => named(name, text)?,
            None => Rule::Fields(fields(text)?),
        };
        let words: Vec<&str> = text.split_whitespace().collect();
        Ok(Expr {
            text: words.join(" "),
            rule,
        })
    }
}

/// Reads what follows an `@`.
fn named(name: &str, text: &str) -> Result<Rule, CronError> {
    let (word, rest) = match name.split_once(char::is_whitespace) {
        Some((word, rest)) => (word, rest.trim()),
        None => (name, ""),
    };
    let word = word.to_ascii_lowercase();
    if word == "every" {
        return every(rest).map(Rule::Every);
    }
    let same = match word.as_str() {
        "hourly" => "0 * * * *",
        "daily" | "midnight" => "0 0 * * *",
        "weekly" => "0 0 * * 0",
        "monthly" => "0 0 1 * *",
        "yearly" | "annually" => "0 0 1 1 *",
        "reboot" => return Err(CronError::Reboot),
        _ => return Err(CronError::Name(excerpt(text))),
    };
    match rest {
        "" => fields(same).map(Rule::Fields),
        _ => Err(CronError::Name(excerpt(text))),
    }
}

fn every(text: &str) -> Result<Duration, CronError> {
    let bad = |problem| CronError::Interval {
        text: excerpt(text),
        problem,
    };
    let interval = parse_duration(text).map_err(bad)?;
    let ms = whole_ms(interval);
    if !SCHEDULE_INTERVAL.contains(ms) {
        return Err(bad(format!("expected {SCHEDULE_INTERVAL}")));
    }
    Ok(Duration::from_millis(ms))
}

fn fields(text: &str) -> Result<Fields, CronError> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (second, rest) = match words.as_slice() {
        [_, _, _, _, _] => ("0", words.as_slice()),
        [second, rest @ ..] if rest.len() == 5 => (*second, rest),
        _ => {
            return Err(CronError::Fields {
                text: excerpt(text),
                count: words.len(),
                meant: meant(&words),
            });
        }
    };
    let [minute, hour, day, month, weekday] = [0, 1, 2, 3, 4].map(|at| rest[at]);
    let is_star = |text: &str| text.starts_with('*');
    let fields = Fields {
        second: field::parse(FieldName::Second, second)?,
        minute: field::parse(FieldName::Minute, minute)?,
        hour: field::parse(FieldName::Hour, hour)?,
        day: field::parse(FieldName::DayOfMonth, day)?,
        month: field::parse(FieldName::Month, month)?,
        weekday: field::parse(FieldName::DayOfWeek, weekday)?,
        both_days: is_star(day) || is_star(weekday),
        wild: is_star(second) || is_star(minute) || is_star(hour),
    };
    if fields.both_days && !has_a_date(&fields) {
        return Err(CronError::Never(excerpt(text)));
    }
    Ok(fields)
}

/// Returns what people mean who write `daily`, `5m` or `every 5m`.
fn meant(words: &[&str]) -> Option<String> {
    let words = words.strip_prefix(&["every"]).unwrap_or(words);
    let [word] = words else {
        return None;
    };
    let named = format!("@{}", word.to_ascii_lowercase());
    let every = format!("@every {word}");
    [named, every]
        .into_iter()
        .find(|text| text != "@reboot" && text.parse::<Expr>().is_ok())
}

/// Whether some month has one of the days.
fn has_a_date(fields: &Fields) -> bool {
    let first = fields.day.trailing_zeros();
    (1..=12u32).any(|month| {
        let days = match month {
            2 => 29,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        fields.month & (1 << month) != 0 && first <= days
    })
}
