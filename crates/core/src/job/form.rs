//! The forms that a value takes when a user gives it, as text and in JSON, and what is said of one that is wrong.
//!
//! What there is to give is in [`super::spec`]: nothing here knows the parts of a job.

use std::borrow::Cow;
use std::time::Duration;

use jiff::ZonedDateTime;
use serde_json::Value;
use serde_json::value::RawValue;

use super::payload::Command;
use crate::duration::parse_duration;
use crate::json::{JsonObject, without_mark};
use crate::quote::excerpt;
use crate::range::{Decimal, Whole};
use crate::time::{Timestamp, parse_time};

/// Something that can be said about an `S`: a field in JSON, and an option of the command line.
pub struct Field<S> {
    /// Its name in JSON. The option has `-` for each `_`.
    pub name: &'static str,
    /// What the help calls its value.
    pub value: &'static str,
    /// What it means, in one line.
    pub about: &'static str,
    /// Fields that cannot be given together with it.
    pub excludes: &'static [&'static str],
    /// The form of its value, and where that goes.
    pub form: Form<S>,
    /// Writes the value as JSON, if there is one.
    pub written: fn(&S) -> Option<Value>,
}

/// The form of a value, with the function that takes a value of that form.
pub enum Form<S> {
    /// A shell command line; in JSON also a program with its arguments.
    Command(fn(&mut S, Command)),
    /// A name or a path.
    Word(fn(&mut S, &str) -> Result<(), String>),
    /// Yes or no: an option without a value.
    Flag(fn(&mut S, bool)),
    /// Names, separated by commas; in JSON also an array of texts and whole numbers. The function gets one after the other.
    List(fn(&mut S, &str) -> Result<(), String>),
    /// Names, one at a time; in JSON also an array of them.
    Words(fn(&mut S, &str) -> Result<(), String>),
    /// Any text.
    Text(fn(&mut S, String)),
    /// A whole number.
    Whole(Whole, fn(&mut S, i64)),
    /// A decimal number.
    Decimal(Decimal, fn(&mut S, f64)),
    /// A length of time.
    Duration(fn(&mut S, Duration)),
    /// A point in time.
    Time(fn(&mut S, Timestamp)),
    /// Environment variables: NAME=VALUE, in JSON an object of texts.
    Variables(fn(&mut S, String, String)),
    /// Labels: KEY=VALUE or KEY, one at a time, in JSON an object of texts.
    Labels(fn(&mut S, &str, &str) -> Result<(), String>),
    /// An object whose meaning belongs to the executor.
    Object(fn(&mut S, JsonObject)),
}

impl<S> Field<S> {
    /// Takes a value as it is typed. A time of day calls `now`, which is slow: finding the time zone takes a hundred system
    /// calls.
    ///
    /// # Errors
    /// Says what is expected, without the name of the field.
    pub fn take_text(&self, into: &mut S, text: &str, now: fn() -> ZonedDateTime) -> Result<(), String> {
        match &self.form {
            Form::Command(set) => set(into, Command::Line(text.to_owned())),
            Form::List(add) => each_name(into, text, *add)?,
            Form::Flag(set) => match text {
                "true" => set(into, true),
                "false" => set(into, false),
                _ => return Err(format!("expected {FLAG}")),
            },
            Form::Word(set) | Form::Words(set) => set(into, text)?,
            Form::Text(set) => set(into, text.to_owned()),
            Form::Whole(range, set) => set(
                into,
                range.parse(text).ok_or_else(|| format!("expected {range}"))?,
            ),
            Form::Decimal(range, set) => set(
                into,
                range.parse(text).ok_or_else(|| format!("expected {range}"))?,
            ),
            Form::Duration(set) => set(into, parse_duration(text)?),
            Form::Time(set) => set(into, parse_time(text, &now())?),
            Form::Variables(set) => match text.split_once('=') {
                Some((name, value)) if !name.is_empty() => set(into, name.to_owned(), value.to_owned()),
                _ => return Err("write it as NAME=VALUE".to_owned()),
            },
            Form::Labels(add) => {
                let (key, value) = text.split_once('=').unwrap_or((text, ""));
                add(into, key, value)?;
            }
            Form::Object(set) => {
                let object = JsonObject::parse(without_mark(text));
                set(into, object.map_err(|error| error.to_string())?);
            }
        }
        Ok(())
    }

    /// Takes a value of JSON. Null says nothing, as if the field were not there.
    ///
    /// # Errors
    /// Says what is wrong, with the name of the field.
    pub fn take_json(&self, into: &mut S, raw: &RawValue, now: fn() -> ZonedDateTime) -> Result<(), String> {
        let named = |error: String| format!("\"{}\": {error}", self.name);
        // An object for the executor stays as it was written.
        if let Form::Object(set) = &self.form
            && raw.get().starts_with('{')
        {
            let object = JsonObject::parse(raw.get()).map_err(|error| named(error.to_string()))?;
            set(into, object);
            return Ok(());
        }
        let value: Value =
            serde_json::from_str(raw.get()).map_err(|error| named(excerpt(&error.to_string())))?;
        let bad = |wanted: &str| format!("\"{}\" must be {wanted}, not {}", self.name, kind(&value));
        match (&self.form, &value) {
            (_, Value::Null) => {}
            (Form::Command(set), _) => set(into, command(&value).ok_or_else(|| bad(COMMAND))?),
            (Form::List(add), Value::String(text)) => each_name(into, text, *add).map_err(named)?,
            (Form::List(add), Value::Array(items)) => {
                for item in items {
                    let text = as_typed(item).ok_or_else(|| bad(LIST))?;
                    add(into, &text).map_err(named)?;
                }
            }
            (Form::List(_), _) => return Err(bad(LIST)),
            (Form::Flag(set), Value::Bool(yes)) => set(into, *yes),
            (Form::Flag(_), _) => return Err(bad(FLAG)),
            (Form::Word(set) | Form::Words(set), Value::String(text)) => set(into, text).map_err(named)?,
            (Form::Words(set), Value::Array(words)) => {
                for word in words {
                    let text = word.as_str().ok_or_else(|| bad(WORDS))?;
                    set(into, text).map_err(named)?;
                }
            }
            (Form::Words(_), _) => return Err(bad(WORDS)),
            (Form::Text(set), Value::String(text)) => set(into, text.clone()),
            (Form::Word(_) | Form::Text(_), _) => return Err(bad("text")),
            (Form::Whole(range, set), _) => {
                let number = value.as_i64().filter(|number| range.contains(*number));
                set(into, number.ok_or_else(|| bad(&range.to_string()))?);
            }
            (Form::Decimal(range, set), _) => {
                let number = value.as_f64().filter(|number| range.contains(*number));
                set(into, number.ok_or_else(|| bad(&range.to_string()))?);
            }
            (Form::Duration(set), _) => {
                let text = as_typed(&value).ok_or_else(|| bad(DURATION))?;
                set(into, parse_duration(&text).map_err(named)?);
            }
            (Form::Time(set), Value::String(text)) => set(into, parse_time(text, &now()).map_err(named)?),
            (Form::Time(_), _) => return Err(bad("a time as text")),
            (Form::Variables(set), Value::Object(pairs)) => {
                for (variable, value) in pairs {
                    let Value::String(value) = value else {
                        return Err(bad_variable(self.name, variable, value));
                    };
                    set(into, variable.clone(), value.clone());
                }
            }
            (Form::Labels(add), Value::Object(labels)) => {
                for (key, value) in labels {
                    let text = value.as_str().ok_or_else(|| bad(TEXTS))?;
                    add(into, key, text).map_err(named)?;
                }
            }
            (Form::Variables(_) | Form::Labels(_), _) => return Err(bad(TEXTS)),
            (Form::Object(_), _) => return Err(bad("an object")),
        }
        Ok(())
    }
}

const COMMAND: &str = "text (a shell command line) or an array of texts (a program and its arguments)";
const LIST: &str = "text, or an array of texts";
const FLAG: &str = "true or false";
const WORDS: &str = "an array of texts";
const TEXTS: &str = "an object of texts";
const DURATION: &str = "a number of seconds, or a text such as \"30s\"";

fn bad_variable(field: &str, variable: &str, value: &Value) -> String {
    let hint = if value.is_null() {
        "; if it was hidden, print the job with --secrets"
    } else {
        ""
    };
    format!(
        "\"{field}\": the value of \"{}\" must be text, not {}{hint}",
        excerpt(variable),
        kind(value)
    )
}

/// Reads a command: a text, or an array of texts.
pub(super) fn command(value: &Value) -> Option<Command> {
    match value {
        Value::String(line) => Some(Command::Line(line.clone())),
        Value::Array(words) => {
            let words: Option<Vec<String>> = words
                .iter()
                .map(|word| word.as_str().map(str::to_owned))
                .collect();
            words.map(Command::Argv)
        }
        _ => None,
    }
}

/// Takes names that are separated by commas.
fn each_name<S>(into: &mut S, text: &str, add: fn(&mut S, &str) -> Result<(), String>) -> Result<(), String> {
    text.split(',').try_for_each(|name| add(into, name))
}

/// Returns a value as it would be typed: a number stands for itself.
fn as_typed(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(text.into()),
        Value::Number(seconds) => Some(seconds.to_string().into()),
        _ => None,
    }
}

/// Names a value in a message; a long text is not repeated.
pub(super) fn kind(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) if text.chars().count() <= 40 => format!("{text:?}"),
        Value::String(_) => "text".to_owned(),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}
