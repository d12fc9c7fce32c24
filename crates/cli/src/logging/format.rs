//! How a log line looks: `2026-11-24 16:05:09.123  INFO job started job=7 attempt=1`, or the same as JSON.

use std::fmt::{self, Write as _};

use anstyle::{AnsiColor, Style};
use jiff::ZonedDateTime;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level};

use crate::output::escape;
use crate::output::format::json;

const DIM: Style = Style::new().dimmed();

/// Lines for people.
pub struct TextLines {
    /// Whether to use colours.
    pub color: bool,
    /// Whether control characters are written as they are.
    pub raw: bool,
}

/// How lines look.
pub enum Format {
    /// For people.
    Text(TextLines),
    /// One JSON object per line.
    Json,
}

impl Format {
    /// Returns an event's line, with its end.
    pub fn line(&self, event: &Event<'_>) -> Vec<u8> {
        let metadata = event.metadata();
        self.with(*metadata.level(), metadata.target(), Fields::of(event))
    }

    /// Returns a line that is no event's, in the form of those.
    pub fn own_line(&self, level: Level, message: &str) -> Vec<u8> {
        let fields = Fields {
            message: message.to_owned(),
            others: Vec::new(),
        };
        self.with(level, module_path!(), fields)
    }

    fn with(&self, level: Level, target: &str, fields: Fields) -> Vec<u8> {
        let mut line = match self {
            Format::Text(lines) => lines.line(&ZonedDateTime::now(), level, &fields),
            Format::Json => {
                let time = format!("{:.3}", jiff::Timestamp::now());
                json_line(time, level, target, fields)
            }
        };
        line.push('\n');
        line.into_bytes()
    }
}

impl TextLines {
    fn line(&self, now: &ZonedDateTime, level: Level, fields: &Fields) -> String {
        let style = |style: Style| if self.color { style } else { Style::new() };
        let (level_style, dim) = (style(level_style(level)), style(DIM));
        let time = now.strftime("%Y-%m-%d %H:%M:%S%.3f");
        let mut line = format!(
            "{dim}{time}{dim:#} {level_style}{level:>5}{level_style:#} {}",
            self.text(&fields.message)
        );
        for (name, value) in &fields.others {
            let value = match value {
                // Quoted where the reader could not tell where it ends.
                Value::String(text) if text.is_empty() || text.contains([' ', '"', '=']) => {
                    format!("{text:?}")
                }
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            // Writing to a string cannot fail.
            let _ = write!(line, " {dim}{name}={dim:#}{}", self.text(&value));
        }
        line
    }

    fn text(&self, text: &str) -> String {
        if self.raw {
            text.to_owned()
        } else {
            escape::line(text).into_owned()
        }
    }
}

fn json_line(time: String, level: Level, target: &str, fields: Fields) -> String {
    let mut line = Map::new();
    line.insert("time".to_owned(), time.into());
    line.insert("level".to_owned(), level.as_str().to_lowercase().into());
    line.insert("target".to_owned(), target.into());
    line.insert("message".to_owned(), fields.message.into());
    for (name, value) in fields.others {
        // The four above mean the same in every line.
        line.entry(name).or_insert(value);
    }
    // It is made of texts and numbers alone.
    json::to_line(&line).unwrap_or_default()
}

fn level_style(level: Level) -> Style {
    match level {
        Level::ERROR => AnsiColor::Red.on_default().bold(),
        Level::WARN => AnsiColor::Yellow.on_default(),
        Level::INFO => AnsiColor::Green.on_default(),
        Level::DEBUG => AnsiColor::Blue.on_default(),
        Level::TRACE => DIM,
    }
}

/// What an event says.
#[derive(Default)]
struct Fields {
    message: String,
    others: Vec<(&'static str, Value)>,
}

impl Fields {
    fn of(event: &Event<'_>) -> Fields {
        let mut fields = Fields::default();
        event.record(&mut fields);
        fields
    }

    fn add(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(message)) => self.message = message,
            (name, value) => self.others.push((name, value)),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format!("{value:?}").into());
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.into());
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.into());
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value.into());
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }
    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.add(field, value.to_string().into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> Fields {
        Fields {
            message: "job \u{1b}[31mfailed".to_owned(),
            others: vec![
                ("job", 7.into()),
                ("reason", "exit status 1".into()),
                ("queue", "a\nb".into()),
            ],
        }
    }

    #[test]
    fn text_lines_are_one_line_and_escaped() {
        let now: ZonedDateTime = "2026-11-24T16:05:09.123+01:00[+01:00]".parse().unwrap();
        let plain = TextLines {
            color: false,
            raw: false,
        }
        .line(&now, Level::INFO, &fields());
        assert_eq!(
            plain,
            r#"2026-11-24 16:05:09.123  INFO job \x1b[31mfailed job=7 reason="exit status 1" queue=a\nb"#
        );
        let coloured = TextLines {
            color: true,
            raw: false,
        }
        .line(&now, Level::ERROR, &fields());
        assert!(
            coloured.contains("\u{1b}[1m\u{1b}[31mERROR\u{1b}[0m"),
            "{coloured:?}"
        );
    }
}
