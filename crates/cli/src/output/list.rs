//! Results printed one by one.

use std::io::{self, BufWriter, StdoutLock, Write};

use serde::Serialize;

use super::format::{Encode, json};
use super::page::Page;
use super::table::{Cell, Column, Table};

/// A list. Programs get each item at once, people a table at the end.
pub enum List {
    Table(Table),
    Encoded(Encoded),
}

/// A list for programs.
pub struct Encoded {
    encoder: Box<dyn Encode>,
    out: BufWriter<StdoutLock<'static>>,
    /// The fields that are printed, in that order; all if there are none.
    fields: Vec<&'static str>,
}

impl List {
    /// Starts a list; without an encoder, a table for people.
    pub fn start(encoder: Option<Box<dyn Encode>>, columns: &[Column], raw: bool) -> io::Result<List> {
        let Some(mut encoder) = encoder else {
            return Ok(List::Table(Table::new(columns, raw)));
        };
        let mut out = BufWriter::new(io::stdout().lock());
        encoder.start(&mut out)?;
        Ok(List::Encoded(Encoded {
            encoder,
            out,
            fields: Vec::new(),
        }))
    }

    /// Prints of what follows these fields alone to programs, and says which columns have no room on a terminal.
    pub fn of(mut self, fields: Vec<&'static str>) -> List {
        match &mut self {
            List::Table(table) => table.names_what_is_left_out(),
            List::Encoded(encoded) => encoded.fields = fields,
        }
        self
    }

    /// Adds an item: programs get the view, people the cells.
    pub fn item<T: Into<Cell>>(
        &mut self,
        view: &impl Serialize,
        cells: impl FnOnce() -> Vec<T>,
    ) -> io::Result<()> {
        match self {
            List::Table(table) => table.row(cells()),
            List::Encoded(Encoded { encoder, out, fields }) => {
                let mut line = json::to_line(view)?;
                if !fields.is_empty() {
                    line = json::pick(&line, fields)?;
                }
                encoder.item(&line, out)?;
            }
        }
        Ok(())
    }

    /// Returns the lines of a table for a terminal of that width.
    pub fn frame(self, width: usize) -> Vec<String> {
        match self {
            List::Table(table) => table.frame(width),
            List::Encoded(_) => Vec::new(),
        }
    }

    /// Ends the list.
    pub fn end(self) -> io::Result<()> {
        match self {
            List::Table(table) => table.print(),
            List::Encoded(Encoded {
                mut encoder, mut out, ..
            }) => {
                encoder.end(&mut out)?;
                out.flush()
            }
        }
    }
}

/// Independent documents. The caller flushes.
pub struct Records<W> {
    encoder: Option<Box<dyn Encode>>,
    raw: bool,
    out: W,
}

impl<W: Write> Records<W> {
    pub fn new(encoder: Option<Box<dyn Encode>>, raw: bool, out: W) -> Records<W> {
        Records { encoder, raw, out }
    }

    /// Prints one: programs get the view, people the line.
    pub fn item(&mut self, view: &impl Serialize, line: &str) -> io::Result<()> {
        match &mut self.encoder {
            Some(encoder) => encoder.item(&json::to_line(view)?, &mut self.out),
            None => Page::write_line(&mut self.out, line, self.raw),
        }
    }

    /// Flushes the output.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
