//! Lines of text for people, on standard output.

use std::io::{self, Write};

use queuectl_frontend::wrap::wrap_sentence;

use super::escape;
use super::table::{Cell, Column, Table, terminal_width};

/// Width of the names of fields.
const NAMES: usize = 13;

/// A page of text, printed as it is written.
pub struct Page {
    raw: bool,
}

impl Page {
    pub fn new(raw: bool) -> Page {
        Page { raw }
    }

    /// Adds one line, escaped.
    pub fn line(&mut self, text: &str) -> io::Result<()> {
        Page::write_line(&mut io::stdout(), text, self.raw)
    }

    /// Adds a sentence, escaped. On a terminal it is broken at blanks, but not in a command between backticks.
    pub fn sentence(&mut self, text: &str) -> io::Result<()> {
        let Some(width) = terminal_width().filter(|_| !self.raw) else {
            return self.line(text);
        };
        let indent = if text.starts_with("- ") { "  " } else { "" };
        let lines = wrap_sentence(&escape::line(text), width, indent);
        lines.iter().try_for_each(|line| self.text(line))
    }

    /// Adds trusted text, unescaped.
    pub fn text(&mut self, text: &str) -> io::Result<()> {
        writeln!(io::stdout(), "{text}")
    }

    /// Adds a field on one line.
    pub fn field(&mut self, name: &str, value: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        write!(out, "{name:<NAMES$} ")?;
        Page::write_line(&mut out, value, self.raw)
    }

    /// Adds a field with any number of lines.
    pub fn block(&mut self, name: &str, value: &str) -> io::Result<()> {
        for (at, line) in value.lines().enumerate() {
            self.field(if at == 0 { name } else { "" }, line)?;
        }
        Ok(())
    }

    /// Adds a table.
    pub fn table<T: Into<Cell>>(
        &mut self,
        columns: &[Column],
        rows: impl IntoIterator<Item = Vec<T>>,
    ) -> io::Result<()> {
        let mut table = Table::new(columns, self.raw);
        rows.into_iter().for_each(|row| table.row(row));
        table.print()
    }

    /// Writes one line, escaped unless `raw`.
    pub fn write_line(out: &mut impl Write, text: &str, raw: bool) -> io::Result<()> {
        if raw {
            writeln!(out, "{text}")
        } else {
            writeln!(out, "{}", escape::line(text))
        }
    }
}
