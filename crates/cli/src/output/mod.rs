//! Prints results to standard output, notes and errors to standard error.
//!
//! A command hands over views, and how people see them: as a page of text or as cells of a table. [`Output`] prints them in
//! the chosen format; no command knows which one that is. A new format for programs is an implementation of
//! [`format::Encode`] in its own file, registered in [`format`].
//!
//! - [`format`]: the formats. [`list`]: results printed one by one. [`diagnostics`]: notes and errors.
//! - [`progress`]: how far long work is. [`roff`]: pages for `man`.
//! - [`graph`]: which jobs wait for which.
//! - [`page`], [`table`]: text and columns for people. Of the crate `frontend`: [`time`], [`pause`], and [`escape`], which makes
//!   control characters visible.

pub mod diagnostics;
pub mod format;
pub mod graph;
pub mod list;
pub mod page;
pub mod progress;
pub mod roff;
pub mod table;

use std::io::{self, Write};

pub use queuectl_frontend::{escape, pause, time};
use serde::Serialize;

use self::escape::BytesWriter;
use self::format::{Format, Shape, json};
use self::list::{List, Records};
use self::page::Page;
use self::table::Column;

/// Prints the results of a command in the chosen format.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    format: Format,
    /// Print control characters unescaped.
    raw: bool,
}

impl Output {
    pub fn new(format: Format, raw: bool) -> Output {
        Output { format, raw }
    }

    /// Prints one document. People get the page.
    pub fn document(
        &self,
        view: &impl Serialize,
        page: impl FnOnce(&mut Page) -> io::Result<()>,
    ) -> io::Result<()> {
        let Some(mut encoder) = self.format.encoder(Shape::Document) else {
            return page(&mut Page::new(self.raw));
        };
        let mut out = io::stdout().lock();
        encoder.start(&mut out)?;
        encoder.item(&json::to_line(view)?, &mut out)?;
        encoder.end(&mut out)?;
        out.flush()
    }

    /// Prints a page to people, and nothing to programs.
    pub fn for_people(&self, page: impl FnOnce(&mut Page) -> io::Result<()>) -> io::Result<()> {
        match self.format.is_for_people() {
            true => page(&mut Page::new(self.raw)),
            false => Ok(()),
        }
    }

    /// Prints what a command has done: programs get the view, people the line. Does not fail, see [`warn_unprinted`].
    pub fn done(&self, view: &impl Serialize, line: &str) {
        let printed = self.document(view, |page| page.line(line));
        warn_unprinted(printed, || line.to_owned());
    }

    /// Starts a list. People get a table with these columns.
    pub fn list(&self, columns: &[Column]) -> io::Result<List> {
        List::start(self.format, Shape::Array, columns, self.raw)
    }

    /// Starts a list that can be long: its JSON has one item a line.
    pub fn long_list(&self, columns: &[Column]) -> io::Result<List> {
        List::start(self.format, Shape::LongArray, columns, self.raw)
    }

    /// The same of columns that the user chose: programs get these fields alone.
    pub fn list_of(&self, columns: &[Column], fields: Vec<&'static str>) -> io::Result<List> {
        let list = self.long_list(columns)?;
        Ok(list.of(fields))
    }

    /// Starts a sequence of independent documents, such as the result for each of several jobs.
    pub fn records<W: Write>(&self, out: W) -> Records<W> {
        Records::new(self.format, self.raw, out)
    }

    /// Returns whether raw bytes can be printed. Programs get documents instead.
    pub fn takes_bytes(&self) -> bool {
        self.format.is_for_people()
    }

    /// Returns a writer for bytes that a job printed. Where colours are shown, its own pass.
    pub fn bytes<W: Write>(&self, out: W) -> BytesWriter<W> {
        BytesWriter::new(out, self.raw).with_colours(shows_colours())
    }

    /// Prints a note about a result for people on standard error.
    pub fn remark(&self, remark: &str) {
        if self.format.is_for_people() {
            diagnostics::note(remark);
        }
    }

    /// Returns how many items of a list to print. The default is `few` for people and all for programs.
    pub fn limit(&self, asked: Option<u32>, few: u32) -> Option<u32> {
        asked.or(self.format.is_for_people().then_some(few))
    }

    /// Returns whether every field of a view is printed. Otherwise a field that tables lack need not be looked up.
    pub fn prints_all_fields(&self) -> bool {
        !self.format.is_for_people()
    }

    /// Returns whether control characters are printed unescaped.
    pub fn is_raw(&self) -> bool {
        self.raw
    }
}

/// Warns if the report about a change could not be printed; `words` describes the change. The command goes on, and its exit
/// status is that of the change, because a script would otherwise repeat it. Commands that only read fail instead. A
/// closed pipe is not reported.
pub fn warn_unprinted(printed: io::Result<()>, words: impl FnOnce() -> String) {
    match printed {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => diagnostics::warning(&format!(
            "{} (standard output cannot be written: {error})",
            words()
        )),
        _ => {}
    }
}

/// Returns whether standard output shows colours.
pub fn shows_colours() -> bool {
    anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never
}
