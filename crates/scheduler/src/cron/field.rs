//! One field of an expression: a list of values, ranges and steps becomes a set.

use queuectl_core::excerpt;

use super::error::{CronError, FieldName};

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// The values of a field, both ends included.
fn range(field: FieldName) -> (u8, u8) {
    match field {
        FieldName::Second | FieldName::Minute => (0, 59),
        FieldName::Hour => (0, 23),
        FieldName::DayOfMonth => (1, 31),
        FieldName::Month => (1, 12),
        FieldName::DayOfWeek => (0, 7),
    }
}

/// Reads a field.
pub fn parse(field: FieldName, text: &str) -> Result<u64, CronError> {
    let mut set = 0;
    for part in text.split(',') {
        set |= one(field, part)?;
    }
    if field == FieldName::DayOfWeek && set & (1 << 7) != 0 {
        set = (set & !(1 << 7)) | 1;
    }
    Ok(set)
}

/// Reads one item of the list.
fn one(field: FieldName, part: &str) -> Result<u64, CronError> {
    let (low, high) = range(field);
    let (values, step) = match part.split_once('/') {
        Some((values, step)) => (values, Some(step)),
        None => (part, None),
    };
    let (first, last) = if values == "*" {
        // A week has seven days, though Sunday has two numbers.
        (low, if field == FieldName::DayOfWeek { 6 } else { high })
    } else if let Some((first, last)) = values.split_once('-') {
        let (first, mut last_value) = (value(field, first, part)?, value(field, last, part)?);
        if field == FieldName::DayOfWeek && last_value == 0 && first > 0 {
            // MON-SUN: a week ends with Sunday.
            last_value = 7;
        }
        if first > last_value {
            return Err(CronError::Backwards {
                field,
                text: excerpt(part),
            });
        }
        (first, last_value)
    } else {
        let only = value(field, values, part)?;
        (only, if step.is_some() { high } else { only })
    };
    let step = match step {
        None => 1,
        Some(step) => {
            let most = high - low + u8::from(field != FieldName::DayOfWeek);
            let read = number(step).filter(|step| (1..=most).contains(step));
            read.ok_or_else(|| CronError::Step {
                field,
                text: excerpt(part),
                most,
            })?
        }
    };
    Ok((first..=last)
        .step_by(usize::from(step))
        .fold(0, |set, value| set | 1 << value))
}

fn value(field: FieldName, text: &str, part: &str) -> Result<u8, CronError> {
    let names: &[&str] = match field {
        FieldName::Month => &MONTHS,
        FieldName::DayOfWeek => &DAYS,
        _ => &[],
    };
    let named = names.iter().position(|name| name.eq_ignore_ascii_case(text));
    if let Some(position) = named {
        let first = u8::from(field == FieldName::Month);
        return Ok(u8::try_from(position).unwrap_or(0) + first);
    }
    let (low, high) = range(field);
    if let Some(number) = number(text).filter(|number| (low..=high).contains(number)) {
        return Ok(number);
    }
    let shown = excerpt(part);
    let foreign = text.chars().find(|c| "?LWC#".contains(c.to_ascii_uppercase()));
    let is_foreign = text
        .chars()
        .all(|c| c.is_ascii_digit() || "?LWC#".contains(c.to_ascii_uppercase()));
    match foreign.filter(|_| is_foreign) {
        Some(sign) => Err(CronError::Foreign {
            field,
            text: shown,
            sign,
        }),
        None => Err(CronError::Value { field, text: shown }),
    }
}

/// Reads digits; a sign is not one.
fn number(text: &str) -> Option<u8> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}
