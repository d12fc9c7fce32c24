//! Results printed one by one.

use std::io::{self, BufWriter, StdoutLock, Write};

use serde::Serialize;

use super::format::{Encode, Format, Shape, json};
use super::page::Page;
use super::table::{Cell, Column, Table};

/// A list. Programs get each item at once, people a table at the end.
pub enum List {
    Table(Table),
    Encoded(Box<dyn Encode>, BufWriter<StdoutLock<'static>>),
}

impl List {
    pub fn start(format: Format, shape: Shape, columns: &[Column], raw: bool) -> io::Result<List> {
        let Some(mut encoder) = format.encoder(shape) else {
            return Ok(List::Table(Table::new(columns, raw)));
        };
        let mut out = BufWriter::new(io::stdout().lock());
        encoder.start(&mut out)?;
        Ok(List::Encoded(encoder, out))
    }

    /// Adds an item: programs get the view, people the cells.
    pub fn item<T: Into<Cell>>(
        &mut self,
        view: &impl Serialize,
        cells: impl FnOnce() -> Vec<T>,
    ) -> io::Result<()> {
        match self {
            List::Table(table) => table.row(cells()),
            List::Encoded(encoder, out) => encoder.item(&json::to_line(view)?, out)?,
        }
        Ok(())
    }

    /// Ends the list.
    pub fn end(self) -> io::Result<()> {
        match self {
            List::Table(table) => table.print(),
            List::Encoded(mut encoder, mut out) => {
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
    pub fn new(format: Format, raw: bool, out: W) -> Records<W> {
        let encoder = format.encoder(Shape::Records);
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
