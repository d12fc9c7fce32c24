//! The formats of results. A format for programs is an [`Encode`].

mod csv;
pub mod json;

use std::io::{self, Write};

use clap::ValueEnum;
use serde::Deserialize;

use self::csv::Csv;
use self::json::{Json, JsonLines};

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

impl Format {
    /// Returns whether it is for people.
    pub fn is_for_people(self) -> bool {
        self == Format::Table
    }

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
