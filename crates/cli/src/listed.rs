//! Values that a shell can complete although a function of its own reads them: several at a time, or in more forms than one.

use std::ffi::OsStr;

use clap::builder::{PossibleValue, TypedValueParser};
use clap::{Arg, Command, Error};

/// A parser with the values that it offers to shells. It may take more.
#[derive(Debug, Clone)]
pub struct Listed<P> {
    values: Vec<&'static str>,
    parser: P,
}

/// Adds values to a parser.
pub fn listed<P: TypedValueParser>(values: impl IntoIterator<Item = &'static str>, parser: P) -> Listed<P> {
    Listed {
        values: values.into_iter().collect(),
        parser,
    }
}

impl<P: TypedValueParser> TypedValueParser for Listed<P> {
    type Value = P::Value;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<P::Value, Error> {
        self.parser.parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.values.iter().map(PossibleValue::new)))
    }
}
