//! Reads selectors. Every refusal names the word, what is expected, and an example.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use super::{Filter, Key, OneJob, Pick, Selector, SelectorError, Word};
use crate::limits::{SELECTOR_TEXT_BYTES, SELECTOR_VALUE_BYTES, SELECTOR_VALUES};
use crate::{JobId, JobRef, parse_duration, whole_ms};

/// Longest age, in ms: as far as jobs can be scheduled ahead.
const AGE_MS: u64 = crate::limits::SCHEDULE_DAYS as u64 * 24 * 60 * 60 * 1000;

impl FromStr for Word {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Word, SelectorError> {
        // No name has either of them.
        if let Some(at) = text.find(['=', '~']) {
            let (key, rest) = text.split_at(at);
            return match key {
                "last" => last(text, rest),
                "id" => id(text, rest),
                _ => filter(text, key, rest).map(Word::Filter),
            };
        }
        if text == "last" {
            return Ok(Word::Pick(Pick::Last(0)));
        }
        let pick = match (text.strip_prefix('@'), text.split_once('-')) {
            (Some(group), _) => group.parse().map(Pick::Group),
            (None, Some((from, to))) if is_digits(from) && is_digits(to) => return range(text, from, to),
            _ => text.parse().map(Pick::Job),
        };
        pick.map(Word::Pick).map_err(|cause| SelectorError::Name {
            word: text.to_owned(),
            cause,
        })
    }
}

impl FromStr for OneJob {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<OneJob, SelectorError> {
        match text.parse()? {
            Word::Pick(pick) if pick.is_one() => Ok(OneJob(pick)),
            _ => Err(SelectorError::Several {
                word: text.to_owned(),
            }),
        }
    }
}

pub(super) fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn range(word: &str, from: &str, to: &str) -> Result<Word, SelectorError> {
    match (from.parse(), to.parse()) {
        (Ok(from), Ok(to)) if from <= to => Ok(Word::Pick(Pick::Range(JobId(from), JobId(to)))),
        _ => Err(SelectorError::Range {
            word: word.to_owned(),
        }),
    }
}

fn last(word: &str, rest: &str) -> Result<Word, SelectorError> {
    let back = rest.strip_prefix('~').filter(|back| is_digits(back));
    match back.and_then(|back| back.parse().ok()) {
        Some(back) => Ok(Word::Pick(Pick::Last(back))),
        None => Err(SelectorError::Last {
            word: word.to_owned(),
        }),
    }
}

/// The id of a job that would be taken for something else without the key.
fn id(word: &str, rest: &str) -> Result<Word, SelectorError> {
    let name = rest.strip_prefix('=').unwrap_or(rest);
    let job: JobRef = name.parse().map_err(|cause| SelectorError::Name {
        word: word.to_owned(),
        cause,
    })?;
    Ok(Word::Pick(Pick::Job(job)))
}

fn filter(word: &str, key: &str, rest: &str) -> Result<Filter, SelectorError> {
    let key = Key::named(key).ok_or_else(|| SelectorError::Key {
        word: word.to_owned(),
    })?;
    let value = rest
        .strip_prefix(key.operator)
        .ok_or_else(|| SelectorError::Operator {
            word: word.to_owned(),
            key,
        })?;
    read(key, value).map_err(|problem| SelectorError::Value {
        word: word.to_owned(),
        key,
        problem,
    })
}

/// Reads the value of a filter. The error says what is wrong with it, and may be empty.
fn read(key: &Key, value: &str) -> Result<Filter, String> {
    Ok(match key.name {
        "state" => Filter::State(list(value)?),
        "queue" => Filter::Queue(list(value)?),
        "executor" => Filter::Executor(list(value)?),
        "group" => Filter::Group(list(value)?),
        "schedule" => Filter::Schedule(list(value)?),
        "label" => Filter::Label(list(value)?),
        "exit" => Filter::Exit(list(value).map_err(|_| String::new())?),
        "error" => Filter::Error(part(value)?),
        "text" => Filter::Text(part(value)?),
        "older" => Filter::Older(age(value)?),
        _ => Filter::Newer(age(value)?),
    })
}

/// Values separated by commas, of which any may be the one.
fn list<T: FromStr>(text: &str) -> Result<Vec<T>, String>
where
    T::Err: Display,
{
    if text.is_empty() {
        return Err(String::new());
    }
    if text.split(',').count() > SELECTOR_VALUES {
        return Err(format!("at most {SELECTOR_VALUES} values are allowed"));
    }
    let values = text.split(',').map(str::parse);
    values
        .collect::<Result<_, _>>()
        .map_err(|error: T::Err| error.to_string())
}

fn part(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err(String::new());
    }
    if text.len() > SELECTOR_VALUE_BYTES {
        return Err(format!("at most {SELECTOR_VALUE_BYTES} bytes are allowed"));
    }
    // PostgreSQL has no such character in a text.
    if text.contains('\0') {
        return Err("it has a NUL character".to_owned());
    }
    Ok(text.to_owned())
}

fn age(text: &str) -> Result<Duration, String> {
    let age = parse_duration(text).map_err(|_| String::new())?;
    let ms = whole_ms(age);
    match ms <= AGE_MS {
        true => Ok(Duration::from_millis(ms)),
        false => Err(String::new()),
    }
}

impl FromStr for Selector {
    type Err = SelectorError;

    /// Reads words separated by blanks. A word with blanks stands in quotation marks, with `\` before those inside.
    fn from_str(text: &str) -> Result<Selector, SelectorError> {
        if text.len() > SELECTOR_TEXT_BYTES {
            return Err(SelectorError::TooLong);
        }
        let words = split(text)?;
        let words: Result<Vec<Word>, _> = words.iter().map(|word| word.parse()).collect();
        Selector::new(words?)
    }
}

/// Splits a text into words, without their quotation marks.
fn split(text: &str) -> Result<Vec<String>, SelectorError> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut is_quoted = false;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                is_quoted = !is_quoted;
                word.get_or_insert_default();
            }
            '\\' if is_quoted => {
                let next = chars.next().ok_or(SelectorError::Quote)?;
                word.get_or_insert_default().push(next);
            }
            c if c.is_whitespace() && !is_quoted => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    if is_quoted {
        return Err(SelectorError::Quote);
    }
    words.extend(word);
    Ok(words)
}
