//! What is printed: results to standard output, remarks and errors to standard error.
//!
//! A command hands over views and says how they look to people: as a page of text, or as cells of a table. [`Output`]
//! prints them in the format that was chosen, so no command knows which one that is. A new format for programs is an
//! [`format::Encode`] in a file of its own, and a line in [`format`].
//!
//! - [`format`]: the formats, those for programs a file each.
//! - [`page`], [`table`], [`time`]: text, columns and times for people. [`escape`]: control characters made visible.
//! - [`list`]: results that come one by one. [`diagnostics`]: remarks and errors.

pub mod diagnostics;
pub mod escape;
pub mod format;
pub mod list;
pub mod page;
pub mod table;
pub mod time;

use std::io::{self, Write};

use serde::Serialize;

use self::escape::BytesWriter;
use self::format::{Format, Shape, json};
use self::list::{List, Records};
use self::page::Page;
use self::table::Column;

/// How results are printed. Chosen once; every command prints through it.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    format: Format,
    /// Control characters are printed as they are.
    raw: bool,
}

impl Output {
    pub fn new(format: Format, raw: bool) -> Output {
        Output { format, raw }
    }

    /// Prints one document, to people as that page.
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

    /// Says what a command has done: the view to programs, the line to people. See [`warn_unprinted`].
    pub fn done(&self, view: &impl Serialize, line: &str) {
        let printed = self.document(view, |page| page.line(line));
        warn_unprinted(printed, || line.to_owned());
    }

    /// Starts a list, for people a table with these columns.
    pub fn list(&self, columns: &[Column]) -> io::Result<List> {
        List::start(self.format, Shape::Array, columns, self.raw)
    }

    /// The same for a list that may be long: each item is a line of its own in JSON, too.
    pub fn long_list(&self, columns: &[Column]) -> io::Result<List> {
        List::start(self.format, Shape::LongArray, columns, self.raw)
    }

    /// Starts documents that have nothing to do with one another, such as what became of each of several jobs.
    pub fn records<W: Write>(&self, out: W) -> Records<W> {
        Records::new(self.format, self.raw, out)
    }

    /// Returns whether bytes of any kind can be printed. Programs get documents.
    pub fn takes_bytes(&self) -> bool {
        self.format.is_for_people()
    }

    /// Returns the way for bytes of any kind.
    pub fn bytes(&self) -> BytesWriter<io::StdoutLock<'static>> {
        BytesWriter::new(io::stdout().lock(), self.raw)
    }

    /// Says on standard error what people should know about a result. Programs can tell by themselves.
    pub fn remark(&self, remark: &str) {
        if self.format.is_for_people() {
            diagnostics::note(remark);
        }
    }

    /// Returns how many items of a list to print: as many as asked for, else few for people and all for programs.
    pub fn limit(&self, asked: Option<u32>, few: u32) -> Option<u32> {
        asked.or(self.format.is_for_people().then_some(few))
    }

    /// Returns whether every field of a view is printed, so that it is worth looking up.
    pub fn prints_all_fields(&self) -> bool {
        !self.format.is_for_people()
    }

    /// Returns whether control characters are printed as they are.
    pub fn is_raw(&self) -> bool {
        self.raw
    }
}

/// Warns if what was done, which is put in words only then, could not be printed. What was done stands whether or not
/// anybody can read about it: the remaining acts follow, and the exit status is theirs, or a script would repeat what has
/// been done. Commands that only read fail instead. A reader who left has read enough.
pub fn warn_unprinted(printed: io::Result<()>, words: impl FnOnce() -> String) {
    match printed {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => diagnostics::warning(&format!(
            "{} (standard output cannot be written: {error})",
            words()
        )),
        _ => {}
    }
}
