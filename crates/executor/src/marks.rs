//! Which stream the parts of a run's output come from, and when: in bounded memory, and in a file next to that of the output.
//!
//! There are at most [`MOST`] marks for the head and as many for the tail. If there would be more, times get coarser first: parts
//! of one stream that are close in time become one. If that is not enough, because the streams alternate all the time, a part of
//! the output says that nothing tells which stream it is. Bytes are never left out, nor said to be of the wrong stream.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::time::Instant;

use queuectl_core::{Clock, IndexWriter, OutputMark, OutputStream, SystemClock, Timestamp};

/// Marks in memory, for the head and for the tail of the output.
pub(crate) const MOST: usize = 4096;
/// Bytes of the file.
const FILE_BYTES: u64 = 1024 * 1024;
/// How much room a mark needs in the file at most.
const MARK_BYTES: u64 = 20;
/// Shortest time between two marks of the same stream in the file, in ms, once half and three quarters of it are used.
const SPARSE_MS: [u64; 2] = [100, 1000];
/// The longest time between two marks of the same stream, in ms, before streams are given up.
const COARSEST_MS: u64 = 60 * 60 * 1000;

/// The marks of one output.
pub(crate) struct Marks {
    base: Timestamp,
    begun: Instant,
    head: Part,
    tail: Part,
    /// Where the tail begins at the earliest.
    half: u64,
}

#[derive(Default)]
struct Part {
    marks: VecDeque<OutputMark>,
    /// Shortest time between two marks of the same stream, in ms; 0 for one.
    gap_ms: u64,
}

impl Marks {
    /// Those of an output whose first `half` bytes are kept as its head.
    pub(crate) fn new(half: u64) -> Marks {
        Marks {
            base: SystemClock.now(),
            begun: Instant::now(),
            head: Part::default(),
            tail: Part::default(),
            half,
        }
    }

    /// A part begins, of which nothing is kept in memory before `kept_from` unless it belongs to the head. Returns its mark.
    pub(crate) fn add(&mut self, offset: u64, stream: OutputStream, kept_from: u64) -> OutputMark {
        let at_ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mark = OutputMark {
            offset,
            stream,
            at_ms,
        };
        if offset < self.half {
            self.head.add(mark, false);
        } else {
            let marks = &mut self.tail.marks;
            while marks.get(1).is_some_and(|next| next.offset <= kept_from) {
                marks.pop_front();
            }
            self.tail.add(mark, true);
        }
        mark
    }

    /// The index as it is stored.
    pub(crate) fn written(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = IndexWriter::begin(self.base, &mut bytes);
        let marks = self.head.marks.iter().chain(&self.tail.marks);
        marks.for_each(|mark| writer.add(*mark, &mut bytes));
        bytes
    }
}

/// Whether a mark says more than the one before it.
fn says_more(mark: OutputMark, before: Option<&OutputMark>, gap_ms: u64) -> bool {
    before.is_none_or(|before| {
        mark.stream != before.stream || mark.at_ms.saturating_sub(before.at_ms) >= gap_ms.max(1)
    })
}

impl Part {
    /// Adds a mark. Where there is no room, the tail forgets its oldest ones, and the head is as it is.
    fn add(&mut self, mark: OutputMark, is_tail: bool) {
        if !says_more(mark, self.marks.back(), self.gap_ms) {
            return;
        }
        if self.marks.len() >= MOST {
            self.thin_out();
        }
        if self.marks.len() >= MOST {
            if !is_tail {
                if let Some(last) = self.marks.back_mut() {
                    last.stream = OutputStream::Unknown;
                }
                return;
            }
            self.marks.remove(1);
            if let Some(first) = self.marks.front_mut() {
                first.stream = OutputStream::Unknown;
            }
        }
        self.marks.push_back(mark);
    }

    /// Makes times coarser until there is room for a while.
    fn thin_out(&mut self) {
        while self.marks.len() > MOST / 4 * 3 && self.gap_ms < COARSEST_MS {
            self.gap_ms = self.gap_ms.max(1) * 4;
            let marks = std::mem::take(&mut self.marks);
            for mark in marks {
                if says_more(mark, self.marks.back(), self.gap_ms) {
                    self.marks.push_back(mark);
                }
            }
        }
    }
}

/// The marks in a file, each of which is there before its part of the output is.
pub(crate) struct MarksFile {
    file: File,
    writer: IndexWriter,
    written: u64,
    last: Option<OutputMark>,
    is_full: bool,
}

impl MarksFile {
    /// Begins the file with the marks so far.
    pub(crate) fn begin(mut file: File, marks: &Marks) -> io::Result<MarksFile> {
        let mut bytes = Vec::new();
        let mut writer = IndexWriter::begin(marks.base, &mut bytes);
        let mut last = None;
        for mark in marks.head.marks.iter().chain(&marks.tail.marks) {
            writer.add(*mark, &mut bytes);
            last = Some(*mark);
        }
        file.write_all(&bytes)?;
        let written = bytes.len() as u64;
        Ok(MarksFile {
            file,
            writer,
            written,
            last,
            is_full: false,
        })
    }

    /// Adds a mark, if there is room and it says more than the one before.
    pub(crate) fn add(&mut self, mut mark: OutputMark) -> io::Result<()> {
        let gap_ms = match self.written * 4 / FILE_BYTES {
            0 | 1 => 1,
            2 => SPARSE_MS[0],
            _ => SPARSE_MS[1],
        };
        if self.is_full || !says_more(mark, self.last.as_ref(), gap_ms) {
            return Ok(());
        }
        self.is_full = self.written + 2 * MARK_BYTES > FILE_BYTES;
        if self.is_full {
            mark.stream = OutputStream::Unknown;
        }
        let mut bytes = Vec::with_capacity(MARK_BYTES as usize);
        self.writer.add(mark, &mut bytes);
        self.file.write_all(&bytes)?;
        self.written += bytes.len() as u64;
        self.last = Some(mark);
        Ok(())
    }

    /// The file.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }
}

#[cfg(test)]
mod tests {
    use queuectl_core::OutputIndex;
    use queuectl_core::OutputStream::{Stderr, Stdout, Unknown};

    use super::*;

    fn mark(offset: u64, stream: OutputStream, at_ms: u64) -> OutputMark {
        OutputMark {
            offset,
            stream,
            at_ms,
        }
    }

    #[test]
    fn a_part_that_says_nothing_new_has_no_mark() {
        let mut part = Part::default();
        for (offset, stream, at_ms) in [
            (0, Stdout, 0),
            (1, Stdout, 0),
            (2, Stderr, 0),
            (3, Stderr, 1),
            (4, Stdout, 1),
        ] {
            part.add(mark(offset, stream, at_ms), false);
        }
        let offsets: Vec<u64> = part.marks.iter().map(|mark| mark.offset).collect();
        assert_eq!(offsets, [0, 2, 3, 4]);
    }

    #[test]
    fn times_get_coarser_before_streams_are_given_up() {
        for is_tail in [false, true] {
            let mut part = Part::default();
            for at in 0..10 * MOST as u64 {
                // Standard error all the time, and standard output now and then.
                let stream = if at % 1000 == 999 { Stdout } else { Stderr };
                part.add(mark(at, stream, at), is_tail);
                assert!(part.marks.len() <= MOST);
            }
            assert!(part.marks.iter().all(|mark| mark.stream != Unknown));
            let stdout = part.marks.iter().filter(|mark| mark.stream == Stdout);
            assert_eq!(stdout.count(), 10 * MOST / 1000, "is_tail {is_tail}");
        }
    }

    #[test]
    fn streams_that_alternate_without_end_are_said_to_be_unknown() {
        let stream = |at: u64| if at.is_multiple_of(2) { Stdout } else { Stderr };
        let (mut head, mut tail) = (Part::default(), Part::default());
        let count = 3 * MOST as u64;
        for at in 0..count {
            head.add(mark(at, stream(at), at), false);
            tail.add(mark(at, stream(at), at), true);
        }
        assert_eq!((head.marks.len(), tail.marks.len()), (MOST, MOST));
        let last = MOST as u64 - 1;
        assert!(
            head.marks
                .iter()
                .take(MOST - 1)
                .all(|mark| mark.stream == stream(mark.offset))
        );
        assert_eq!(head.marks.back(), Some(&mark(last, Unknown, last)), "to its end");
        assert_eq!(
            tail.marks.front(),
            Some(&mark(0, Unknown, 0)),
            "from its beginning"
        );
        assert!(
            tail.marks
                .iter()
                .skip(1)
                .all(|mark| mark.stream == stream(mark.offset))
        );
        assert_eq!(tail.marks.back().map(|mark| mark.offset), Some(count - 1));
    }

    #[test]
    fn the_file_is_limited_and_ends_with_what_is_unknown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1.index");
        let mut file = MarksFile::begin(File::create(&path).unwrap(), &Marks::new(0)).unwrap();
        for at in 0..FILE_BYTES {
            let stream = if at.is_multiple_of(2) { Stdout } else { Stderr };
            file.add(mark(at * 1000, stream, at)).unwrap();
        }
        let bytes = std::fs::read(&path).unwrap();
        assert!(bytes.len() as u64 <= FILE_BYTES, "{}", bytes.len());
        let index = OutputIndex::read(&bytes);
        let (last, others) = index.marks().split_last().unwrap();
        assert_eq!(last.stream, Unknown);
        assert!(others.len() > 100_000 && others.iter().all(|mark| mark.stream != Unknown));
    }
}
