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

use std::io::{self, IsTerminal, Write};

pub use queuectl_frontend::{escape, pause, time};
use serde::Serialize;

use self::escape::BytesWriter;
use self::format::fields::{self, Picked, Selection, Shown};
use self::format::template::{Rendered, Template};
use self::format::{Encode, Format, Layout, Shape, json};
use self::list::{List, Records};
use self::page::Page;
use self::table::Column;

/// Prints the results of a command in the chosen format.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    format: Format,
    /// The fields that are printed, if not all are.
    selection: Option<&'static Selection>,
    /// What lines for documents look like, in place of the format.
    template: Option<&'static Template>,
    /// Print control characters unescaped.
    raw: bool,
}

impl Output {
    /// Returns the output of this process. What was chosen lives as long as the process.
    pub fn new(layout: Layout, selection: Option<Selection>, raw: bool) -> Output {
        let (format, template) = match layout {
            Layout::Format(format) => (format, None),
            Layout::Template(template) => (Format::Table, Some(&*Box::leak(Box::new(template)))),
        };
        Output {
            format,
            selection: selection.map(|selection| &*Box::leak(Box::new(selection))),
            template,
            raw,
        }
    }

    /// Returns the encoder; none if people get a page or a table with what the command has chosen for them.
    fn encoder(&self, shape: Shape) -> Option<Box<dyn Encode>> {
        if let Some(template) = self.template {
            let raw = self.raw;
            return Some(Box::new(Rendered { template, raw }));
        }
        let encoder = self.format.encoder(shape);
        let Some(selection) = self.selection else {
            return encoder;
        };
        Some(match encoder {
            Some(inner) => Box::new(Picked {
                selection,
                inner,
                has_begun: false,
            }),
            None => Box::new(Shown::new(selection, shape, self.raw)),
        })
    }

    /// Returns whether people get what the command has chosen for them.
    fn is_page(&self) -> bool {
        self.format == Format::Table && self.selection.is_none() && self.template.is_none()
    }

    /// Returns whether people read what is printed.
    fn is_for_people(&self) -> bool {
        self.format == Format::Table && self.template.is_none()
    }

    /// Prints one document. People get the page.
    pub fn document(
        &self,
        view: &impl Serialize,
        page: impl FnOnce(&mut Page) -> io::Result<()>,
    ) -> io::Result<()> {
        let Some(mut encoder) = self.encoder(Shape::Document) else {
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
        match self.is_page() {
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
        List::start(self.encoder(Shape::Array), columns, self.raw)
    }

    /// Starts a list that can be long: its JSON has one item a line.
    pub fn long_list(&self, columns: &[Column]) -> io::Result<List> {
        List::start(self.encoder(Shape::LongArray), columns, self.raw)
    }

    /// The same of columns that the user chose: programs get these fields alone.
    pub fn list_of(&self, columns: &[Column], fields: Vec<&'static str>) -> io::Result<List> {
        let list = self.long_list(columns)?;
        Ok(list.of(fields))
    }

    /// Starts a sequence of independent documents, such as the result for each of several jobs.
    pub fn records<W: Write>(&self, out: W) -> Records<W> {
        Records::new(self.encoder(Shape::Records), self.raw, out)
    }

    /// Returns whether raw bytes can be printed. Programs get documents instead.
    pub fn takes_bytes(&self) -> bool {
        self.is_page()
    }

    /// Returns a writer for bytes that a job printed. Where colours are shown, its own pass.
    pub fn bytes<W: Write>(&self, out: W) -> BytesWriter<W> {
        BytesWriter::new(out, self.raw).with_colours(shows_colours())
    }

    /// Returns a writer to standard output for bytes that a job printed. On a terminal, its progress bars are drawn.
    pub fn bytes_to_stdout(&self) -> BytesWriter<io::Stdout> {
        self.bytes(io::stdout()).with_returns(io::stdout().is_terminal())
    }

    /// Prints a note about a result for people on standard error.
    pub fn remark(&self, remark: &str) {
        if self.is_for_people() {
            diagnostics::note(remark);
        }
    }

    /// Returns how many items of a list to print. The default is `few` for people and all for programs.
    pub fn limit(&self, asked: Option<u32>, few: u32) -> Option<u32> {
        asked.or(self.is_for_people().then_some(few))
    }

    /// Returns whether every field of a view is printed. Otherwise a field that tables lack need not be looked up.
    pub fn prints_all_fields(&self) -> bool {
        !self.is_page()
    }

    /// Returns whether one of these fields of a view is printed.
    pub fn prints(&self, names: &[&str]) -> bool {
        let selected = self.selection.is_none_or(|selection| selection.has(names));
        let rendered = self.template.is_none_or(|template| template.has(names));
        !self.is_page() && selected && rendered
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
    let Err(error) = printed else { return };
    match fields::unknown(&error) {
        Some(unknown) => diagnostics::warning(&format!("{} ({unknown})", words())),
        None if error.kind() != io::ErrorKind::BrokenPipe => diagnostics::warning(&format!(
            "{} (standard output cannot be written: {error})",
            words()
        )),
        None => {}
    }
}

/// Returns whether standard output shows colours.
pub fn shows_colours() -> bool {
    anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never
}
