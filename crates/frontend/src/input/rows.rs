//! One job a row of a CSV file, whose first row names the columns.
//!
//! Rows are as in RFC 4180: a quoted field may hold commas, quotes (doubled) and line breaks. Blank lines are passed over.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Read};
use std::rc::Rc;

use csv::{ByteRecord, ReaderBuilder};

use super::argv::RowTemplate;
use super::documents::Place;
use super::job::{DOCUMENT_BYTES, utf8};
use super::source::{Found, JobSource};

/// Bytes read at a time.
const CHUNK: usize = 64 * 1024;
/// Most columns of a file.
const COLUMNS: usize = 4096;

/// Reads jobs from the rows of a CSV file.
pub struct RowJobs<R> {
    reader: csv::Reader<Bounded<R>>,
    seen: Rc<RefCell<Seen>>,
    /// The last line of the row that was read last, from 1.
    line: u64,
    columns: usize,
    template: RowTemplate,
    row: ByteRecord,
}

impl<R: Read> RowJobs<R> {
    /// Reads the names of the columns, and then jobs: the template's words, filled in.
    ///
    /// # Errors
    /// Says what is wrong with the first row or the template, or why the file cannot be read.
    pub fn new(input: R, words: &[String]) -> Result<RowJobs<R>, String> {
        let seen = Rc::new(RefCell::new(Seen {
            left: DOCUMENT_BYTES,
            ..Seen::default()
        }));
        let input = Bounded {
            input,
            seen: Rc::clone(&seen),
        };
        let mut reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .buffer_capacity(CHUNK)
            .from_reader(input);
        let mut row = ByteRecord::new();
        let is_there = reader.read_byte_record(&mut row);
        if !is_there.map_err(|error| io::Error::from(error).to_string())? {
            return Err("the file is empty; its first row names the columns".to_owned());
        }
        if row.len() > COLUMNS {
            return Err(format!("line 1: more than {COLUMNS} columns"));
        }
        let columns = texts(&row).map_err(|mistake| format!("line 1: {mistake}"))?;
        Ok(RowJobs {
            template: RowTemplate::new(words, &columns)?,
            reader,
            seen,
            line: 1,
            columns: columns.len(),
            row,
        })
    }

    fn check(&self) -> Result<Vec<String>, String> {
        match (self.row.len(), self.columns) {
            (fields, columns) if fields != columns => Err(format!(
                "the row has {}, but the first row names {columns}",
                if fields == 1 {
                    "1 field".to_owned()
                } else {
                    format!("{fields} fields")
                }
            )),
            _ => texts(&self.row),
        }
    }
}

impl<R: Read> JobSource for RowJobs<R> {
    fn read(&mut self) -> io::Result<Option<Found>> {
        self.seen.borrow_mut().left = DOCUMENT_BYTES;
        if !self.reader.read_byte_record(&mut self.row)? {
            return Ok(None);
        }
        // The reader has counted the line feeds, and is behind one or, if a carriage return ended the row, before it.
        let position = self.reader.position();
        let is_behind = self.seen.borrow_mut().ends_a_line(position.byte());
        self.line = position.line() - u64::from(is_behind);
        let inside = self.row.as_slice().iter().filter(|byte| **byte == b'\n').count();
        let line = self.line.saturating_sub(inside as u64).max(1);
        let place = Place { line, item: None };
        let bytes = self.row.as_slice().len();
        let job = self.check().map(|row| self.template.fill(&row));
        Ok(Some(Found { place, bytes, job }))
    }

    fn line(&self) -> u64 {
        self.line
    }
}

fn texts(row: &ByteRecord) -> Result<Vec<String>, String> {
    row.iter().map(|field| utf8(field).map(str::to_owned)).collect()
}

/// What was read of the input.
#[derive(Default)]
struct Seen {
    /// Bytes that may still be read for this row.
    left: usize,
    /// Bytes that were read.
    bytes: u64,
    /// The places of line feeds behind the row that was read last.
    line_feeds: VecDeque<u64>,
}

impl Seen {
    /// Whether the byte before this place is a line feed. Forgets those before it.
    fn ends_a_line(&mut self, place: u64) -> bool {
        while self.line_feeds.front().is_some_and(|at| at + 1 < place) {
            self.line_feeds.pop_front();
        }
        self.line_feeds.front().is_some_and(|at| at + 1 == place)
    }
}

/// Reads no more than is left: a quote that is never closed must not take the whole file into memory.
struct Bounded<R> {
    input: R,
    seen: Rc<RefCell<Seen>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut seen = self.seen.borrow_mut();
        if seen.left == 0 {
            return Err(io::Error::other(format!(
                "a row is longer than {DOCUMENT_BYTES} bytes; is a quote not closed?"
            )));
        }
        let read = self.input.read(into)?;
        seen.left = seen.left.saturating_sub(read);
        let start = seen.bytes;
        let bytes = (start..).zip(&into[..read]);
        let line_feeds = bytes.filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at);
        seen.line_feeds.extend(line_feeds);
        seen.bytes += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use queuectl_core::Command;

    use super::*;

    /// A line, and the words of its job or what is wrong with it.
    type Row = (u64, Result<String, String>);

    fn read(text: &[u8], words: &[&str]) -> Result<Vec<Row>, String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let mut jobs = RowJobs::new(text, &words)?;
        let mut found = Vec::new();
        while let Some(Found { place, job, .. }) = jobs.read().map_err(|error| error.to_string())? {
            let shown = job.map(|job| match job.payload.command {
                Some(Command::Argv(words)) => words.join("|"),
                other => panic!("{other:?}"),
            });
            found.push((place.line, shown));
        }
        Ok(found)
    }

    #[test]
    fn rows_fill_in_the_command() {
        let text = "\u{feff}name,size\r\n\"a, \"\"b\"\"\",1\r\n\r\n\"two\nlines\",2\r\nc,\r\n".as_bytes();
        let row = |row: &str| Ok(row.to_owned());
        assert_eq!(
            read(text, &["x", "{name}", "-s{size}"]).unwrap(),
            [
                (2, row("x|a, \"b\"|-s1")),
                (4, row("x|two\nlines|-s2")),
                (6, row("x|c|-s")),
            ]
        );
    }

    #[test]
    fn mistakes_name_their_line() {
        let found = read(b"a,b\n1,2\n3\n4,5,6\n\xff,8\n9,10\n", &["x", "{b}"]).unwrap();
        let mistakes: Vec<_> = found
            .iter()
            .filter_map(|(line, job)| Some((*line, job.as_ref().err()?.as_str())))
            .collect();
        assert_eq!(
            mistakes,
            [
                (3, "the row has 1 field, but the first row names 2"),
                (4, "the row has 3 fields, but the first row names 2"),
                (5, "the line is not valid UTF-8"),
            ]
        );
        assert_eq!(found.last().unwrap(), &(6, Ok("x|10".to_owned())));
        assert!(read(b"", &["x"]).unwrap_err().contains("empty"));
        assert!(read(b"a\n", &["x", "{b}"]).unwrap_err().contains("no column 'b'"));
    }

    #[test]
    fn a_quote_that_is_not_closed_ends_the_reading() {
        let mut text = b"a\n1\n\"".to_vec();
        text.resize(DOCUMENT_BYTES * 3, b'x');
        let refused = read(&text, &["x", "{a}"]).unwrap_err();
        assert!(refused.contains("quote not closed"), "{refused}");
        // The control: as much in many rows is read.
        let row = vec![b'y'; CHUNK - 1].into_iter().chain([b'\n']);
        let rows: Vec<u8> = b"a\n"
            .iter()
            .copied()
            .chain(std::iter::repeat_n(row.collect::<Vec<_>>(), 60).flatten())
            .collect();
        assert_eq!(read(&rows, &["x", "{a}"]).unwrap().len(), 60);
    }
}
