//! The formats of results. One for programs is what it writes around and between documents: an [`Encode`].

mod csv;
pub mod json;

use std::io::{self, Write};

use clap::ValueEnum;

use self::csv::Csv;
use self::json::{Json, JsonLines};

/// How results are printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    // No documentation on the values: clap would then print every help page in its long form.
    #[default]
    Table,
    Json,
    Jsonl,
    Csv,
}

impl Format {
    /// Returns whether people are to read it.
    pub fn is_for_people(self) -> bool {
        self == Format::Table
    }

    /// Returns the encoder of a format for programs.
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
    /// There is one.
    Document,
    /// There are several that have nothing to do with one another.
    Records,
    /// They are the items of a list.
    Array,
    /// They are the items of a list that may be long.
    LongArray,
}

/// A format for programs. Every document comes as one line of JSON, without the line feed.
pub trait Encode {
    /// Writes what stands before all documents.
    fn start(&mut self, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }

    /// Writes one document.
    fn item(&mut self, json: &str, out: &mut dyn Write) -> io::Result<()>;

    /// Writes what stands behind all documents.
    fn end(&mut self, _out: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }
}
