//! The formats of results.

use clap::ValueEnum;

use super::csv::Csv;
use super::encode::{Encode, Shape};
use super::json::{Json, JsonLines};

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
