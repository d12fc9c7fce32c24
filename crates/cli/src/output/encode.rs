//! Formats for programs, as what is written around and between documents.

use std::io::{self, Write};

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
