//! Which stream each part of an output came from, and when: a list of marks, and its compact form.
//!
//! The output itself stays as it was printed. A mark says where a part begins; the part goes on to the next mark. The form is
//! the same in the store and in the file that lies next to a long output, where it grows while the job runs: nine bytes that
//! begin it, then each mark as the distance to the one before, mostly in two to four bytes. What cannot be read ends the list.
//! How many marks there are is limited by who makes them.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Timestamp, varint};

/// How the name of an index ends; but for that it is the name of the file of the output, which lies next to it.
pub const INDEX_EXTENSION: &str = "index";

/// The first byte; another form would get another one.
const FORM: u8 = 1;
/// Bytes before the first mark: the form, and the time that marks count from.
const BEGIN: usize = 9;

/// Where a part of an output came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// One of the two: nothing says which.
    Unknown,
}

impl OutputStream {
    fn code(self) -> u64 {
        match self {
            OutputStream::Stdout => 0,
            OutputStream::Stderr => 1,
            OutputStream::Unknown => 2,
        }
    }

    fn from_code(code: u64) -> OutputStream {
        match code {
            0 => OutputStream::Stdout,
            1 => OutputStream::Stderr,
            _ => OutputStream::Unknown,
        }
    }
}

impl fmt::Display for OutputStream {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            OutputStream::Stdout => "stdout",
            OutputStream::Stderr => "stderr",
            OutputStream::Unknown => "unknown",
        })
    }
}

/// Where a part of an output begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputMark {
    /// Bytes of the output before it.
    pub offset: u64,
    /// Where it came from.
    pub stream: OutputStream,
    /// When its first byte was read, in ms since the output began.
    pub at_ms: u64,
}

/// Writes marks one after the other.
#[derive(Debug, Default)]
pub struct IndexWriter {
    offset: u64,
    at_ms: u64,
}

impl IndexWriter {
    /// Begins an index of an output that began at that time.
    pub fn begin(base: Timestamp, to: &mut Vec<u8>) -> IndexWriter {
        to.push(FORM);
        to.extend_from_slice(&base.0.to_le_bytes());
        IndexWriter::default()
    }

    /// Adds a mark that comes after all others.
    pub fn add(&mut self, mark: OutputMark, to: &mut Vec<u8>) {
        varint::write(mark.offset.saturating_sub(self.offset), to);
        let ms = mark.at_ms.saturating_sub(self.at_ms).min(u64::MAX >> 2);
        varint::write(ms << 2 | mark.stream.code(), to);
        (self.offset, self.at_ms) = (mark.offset, self.at_ms + ms);
    }
}

/// The marks of one output.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OutputIndex {
    /// What marks count from. None before it was read.
    base: Option<Timestamp>,
    marks: Vec<OutputMark>,
    /// The start of a mark that was not read as a whole.
    partial: Vec<u8>,
    is_broken: bool,
}

impl OutputIndex {
    /// Reads an index as far as it can be read. That of an output without one is empty.
    pub fn read(bytes: &[u8]) -> OutputIndex {
        let mut index = OutputIndex::default();
        index.extend(bytes);
        index
    }

    /// Reads more of the same index.
    pub fn extend(&mut self, bytes: &[u8]) {
        if self.is_broken || bytes.is_empty() {
            return;
        }
        let mut joined = std::mem::take(&mut self.partial);
        joined.extend_from_slice(bytes);
        let mut rest = &joined[..];
        if self.base.is_none() {
            let Some((begin, after)) = rest.split_first_chunk::<BEGIN>() else {
                self.partial = joined;
                return;
            };
            if begin[0] != FORM {
                self.is_broken = true;
                return;
            }
            let mut base = [0; 8];
            base.copy_from_slice(&begin[1..]);
            (self.base, rest) = (Some(Timestamp(i64::from_le_bytes(base))), after);
        }
        let mut last = self.marks.last().map_or((0, 0), |mark| (mark.offset, mark.at_ms));
        while let Some((mark, after)) = read_mark(rest, last) {
            last = (mark.offset, mark.at_ms);
            self.marks.push(mark);
            rest = after;
        }
        // More than two numbers cannot be missing the end of one.
        self.is_broken = rest.len() >= 2 * varint::MOST_BYTES;
        self.partial = rest.to_vec();
    }

    /// The marks, in the order of the output.
    pub fn marks(&self) -> &[OutputMark] {
        &self.marks
    }

    /// When the first byte of a part was read.
    pub fn time(&self, mark: &OutputMark) -> Timestamp {
        let base = self.base.unwrap_or(Timestamp(0));
        base.after(Duration::from_millis(mark.at_ms))
    }

    /// The part that the byte at an offset belongs to, and where the next one begins.
    pub fn part(&self, offset: u64) -> (Option<OutputMark>, Option<u64>) {
        let next = self.marks.partition_point(|mark| mark.offset <= offset);
        let mark = next.checked_sub(1).map(|at| self.marks[at]);
        (mark, self.marks.get(next).map(|mark| mark.offset))
    }

    /// The marks that say something about some bytes of the output, the first of which says where they begin.
    pub fn cut(&self, from: u64, to: u64) -> impl Iterator<Item = OutputMark> {
        let first = self.marks.partition_point(|mark| mark.offset <= from);
        let marks = &self.marks[first.saturating_sub(1)..];
        marks.iter().take_while(move |mark| mark.offset < to).copied()
    }

    /// Writes the index as far as it is about the first `head` bytes and those after `tail`.
    pub fn write_for(&self, head: u64, tail: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        let Some(base) = self.base.filter(|_| !self.marks.is_empty()) else {
            return bytes;
        };
        let mut writer = IndexWriter::begin(base, &mut bytes);
        let tail = tail.max(head);
        let mut last = None;
        for mark in self.cut(0, head).chain(self.cut(tail, u64::MAX)) {
            // The part that holds the last byte of one may hold the first of the other.
            if last.replace(mark) != Some(mark) {
                writer.add(mark, &mut bytes);
            }
        }
        bytes
    }
}

fn read_mark(bytes: &[u8], (offset, at_ms): (u64, u64)) -> Option<(OutputMark, &[u8])> {
    let (distance, rest) = varint::read(bytes)?;
    let (what, rest) = varint::read(rest)?;
    let mark = OutputMark {
        offset: offset.saturating_add(distance),
        stream: OutputStream::from_code(what & 3),
        at_ms: at_ms.saturating_add(what >> 2),
    };
    Some((mark, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use OutputStream::{Stderr, Stdout, Unknown};

    fn mark(offset: u64, stream: OutputStream, at_ms: u64) -> OutputMark {
        OutputMark {
            offset,
            stream,
            at_ms,
        }
    }

    fn some() -> Vec<OutputMark> {
        vec![
            mark(0, Stdout, 0),
            mark(5, Stderr, 3),
            mark(300, Stdout, 90_000),
            mark(1 << 40, Unknown, 1 << 35),
        ]
    }

    fn written(marks: &[OutputMark]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = IndexWriter::begin(Timestamp(1_000), &mut bytes);
        marks.iter().for_each(|mark| writer.add(*mark, &mut bytes));
        bytes
    }

    #[test]
    fn marks_are_read_as_they_were_written_in_any_pieces() {
        let bytes = written(&some());
        assert_eq!(bytes[BEGIN..].len(), 2 + 2 + 5 + 12, "they are small");
        for piece in 1..bytes.len() {
            let mut index = OutputIndex::default();
            bytes.chunks(piece).for_each(|piece| index.extend(piece));
            assert_eq!(index.marks(), some(), "pieces of {piece}");
            assert_eq!(index.time(&some()[1]), Timestamp(1_003));
        }
    }

    #[test]
    fn what_cannot_be_read_ends_the_list() {
        let bytes = written(&some());
        for len in 0..bytes.len() {
            let index = OutputIndex::read(&bytes[..len]);
            assert!(
                some().starts_with(index.marks()) && index.marks().len() < 4,
                "{len}"
            );
        }
        let mut broken = written(&some()[..1]);
        broken.extend([0xff; 64]);
        let mut index = OutputIndex::read(&broken);
        index.extend(&[1, 1]);
        assert_eq!(index.marks(), &some()[..1]);
        assert_eq!(OutputIndex::read(b"\x07 another form").marks(), []);
        assert_eq!(OutputIndex::read(b""), OutputIndex::default());
    }

    #[test]
    fn a_byte_belongs_to_the_part_that_began_last() {
        let index = OutputIndex::read(&written(&some()));
        for (offset, at, next) in [
            (0, 0, Some(5)),
            (4, 0, Some(5)),
            (5, 1, Some(300)),
            (1 << 41, 3, None),
        ] {
            assert_eq!(index.part(offset), (Some(some()[at]), next));
        }
        assert_eq!(OutputIndex::default().part(3), (None, None));
    }

    #[test]
    fn an_index_is_cut_to_the_head_and_the_tail() {
        let index = OutputIndex::read(&written(&some()));
        let cut = |head, tail| OutputIndex::read(&index.write_for(head, tail)).marks().to_vec();
        assert_eq!(cut(3, 1 << 41), [some()[0], some()[3]]);
        assert_eq!(
            cut(6, 299),
            some(),
            "the last part of one is the first of the other, and is there once"
        );
        assert_eq!(cut(5, 400), [some()[0], some()[2], some()[3]]);
        assert_eq!(OutputIndex::default().write_for(1, 2), Vec::<u8>::new());
    }
}
