//! The formats of results. A format for programs is an [`Encode`].
//!
//! `json`, `csv`: whole documents. `fields`: some of their fields, in any of the formats. `template`: a line for each.

mod csv;
pub mod fields;
pub mod json;
pub mod template;

use std::io::{self, Write};
use std::str::FromStr;

use clap::ValueEnum;
use serde::Deserialize;

use self::csv::Csv;
use self::json::{Json, JsonLines};
use self::template::Template;
use super::escape;

/// Format of results.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    // No documentation on the values: clap would then print every help page in its long form.
    #[default]
    Table,
    Json,
    Jsonl,
    Csv,
}

/// Their names.
pub const NAMES: [&str; 4] = ["table", "json", "jsonl", "csv"];

impl Format {
    /// Returns the encoder, if it is a format for programs.
    pub fn encoder(self, shape: Shape) -> Option<Box<dyn Encode>> {
        match self {
            Format::Table => None,
            Format::Json => Some(Box::new(Json::new(shape))),
            Format::Jsonl => Some(Box::new(JsonLines)),
            Format::Csv => Some(Box::new(Csv::default())),
        }
    }
}

/// A format, or a template of lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    Format(Format),
    Template(Template),
}

impl FromStr for Layout {
    type Err = String;

    /// Reads a layout. What has a brace is a template.
    fn from_str(text: &str) -> Result<Layout, String> {
        if text.contains(['{', '}']) {
            return text.parse().map(Layout::Template);
        }
        Format::from_str(text, true).map(Layout::Format).map_err(|_| {
            format!(
                "expected {}, or a template such as '{{id}} {{state}}'",
                NAMES.join(", ")
            )
        })
    }
}

/// Returns a value for one line of text: a string as it is, with control characters escaped; nothing for null; else JSON.
fn cell(value: &str) -> serde_json::Result<String> {
    cell_raw(value, false)
}

/// The same; `raw` leaves control characters as they are.
fn cell_raw(value: &str, raw: bool) -> serde_json::Result<String> {
    match value {
        "null" => Ok(String::new()),
        text if text.starts_with('"') => {
            let text: String = serde_json::from_str(text)?;
            Ok(match raw {
                true => text,
                false => escape::line(&text).into_owned(),
            })
        }
        other => Ok(other.to_owned()),
    }
}

/// How several documents belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A single document.
    Document,
    /// Independent documents.
    Records,
    /// Items of a list.
    Array,
    /// Items of a list that can be long.
    LongArray,
}

/// Writes documents for programs. Each is given as one line of JSON without the line feed.
pub trait Encode {
    /// Writes the start.
    fn start(&mut self, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }

    /// Writes one document.
    fn item(&mut self, json: &str, out: &mut dyn Write) -> io::Result<()>;

    /// Writes the end.
    fn end(&mut self, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}
