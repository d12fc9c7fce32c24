//! Prints the output of an attempt line by line.
//!
//! Each stream of the job has its own lines, so that what one prints in the middle of a line of the other does not get into it.
//! Memory is bounded: lines longer than [`LINE`] are printed in pieces, and of the last lines at most [`KEPT`] bytes are kept.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::{self, Write};

use queuectl_core::{OutputStream, Timestamp};
use queuectl_dlq::as_shown;
use queuectl_frontend::output::Part;
use regex_lite::Regex;

use crate::output::Output;

/// Longest line that is one, in bytes.
const LINE: usize = 64 * 1024;
/// The last lines that are kept, in bytes.
const KEPT: usize = 16 * 1024 * 1024;
/// Stands for a time that was not recorded.
const NO_TIME: &str = "-                        ";

/// Prints line by line.
pub struct Lines {
    prefix: String,
    with_times: bool,
    only: Option<Regex>,
    last: Option<Last>,
    /// Lines that have not ended, at most one of each stream, in the order in which they began.
    open: Vec<OpenLine>,
    /// What is printed with the next flush.
    out: Vec<u8>,
    output: Output,
}

/// A line that has not ended.
struct OpenLine {
    stream: OutputStream,
    at: Option<Timestamp>,
    bytes: Vec<u8>,
}

/// The last lines so far.
struct Last {
    lines: usize,
    kept: VecDeque<(Option<Timestamp>, Vec<u8>)>,
    bytes: usize,
}

impl Lines {
    /// Returns a printer of lines that begin with a prefix, and after it with their times; of those that fit, and of these the
    /// last.
    pub fn new(
        prefix: String,
        with_times: bool,
        only: Option<Regex>,
        last: Option<usize>,
        output: Output,
    ) -> Lines {
        Lines {
            prefix,
            with_times,
            only,
            last: last.map(|lines| Last {
                lines,
                kept: VecDeque::new(),
                bytes: 0,
            }),
            open: Vec::new(),
            out: Vec::new(),
            output,
        }
    }

    /// Whether only the last lines are printed.
    pub fn prints_last(&self) -> bool {
        self.last.is_some()
    }

    pub fn write(&mut self, part: &Part) -> io::Result<()> {
        for piece in part.bytes.split_inclusive(|byte| *byte == b'\n') {
            let mut rest = piece;
            loop {
                let line = self.line(part);
                let room = LINE.saturating_sub(line.bytes.len());
                if rest.len() <= room {
                    line.bytes.extend_from_slice(rest);
                    break;
                }
                let (now, later) = rest.split_at(room);
                line.bytes.extend_from_slice(now);
                rest = later;
                self.end_line(part.stream)?;
            }
            if piece.ends_with(b"\n") {
                self.line(part).bytes.pop();
                self.end_line(part.stream)?;
            }
        }
        match self.out.len() > LINE {
            true => self.flush(),
            false => Ok(()),
        }
    }

    /// The line that a part goes on with, or begins.
    fn line(&mut self, part: &Part) -> &mut OpenLine {
        let at = self.open.iter().position(|line| line.stream == part.stream);
        let at = at.unwrap_or_else(|| {
            self.open.push(OpenLine {
                stream: part.stream,
                at: part.at,
                bytes: Vec::new(),
            });
            self.open.len() - 1
        });
        &mut self.open[at]
    }

    /// Ends the line of a stream.
    fn end_line(&mut self, stream: OutputStream) -> io::Result<()> {
        match self.open.iter().position(|line| line.stream == stream) {
            Some(at) => {
                let line = self.open.remove(at);
                self.add(line)
            }
            None => Ok(()),
        }
    }

    /// Ends lines that were begun.
    pub fn end_lines(&mut self) -> io::Result<()> {
        let mut open = std::mem::take(&mut self.open).into_iter();
        open.try_for_each(|line| self.add(line))
    }

    fn add(&mut self, line: OpenLine) -> io::Result<()> {
        let is_raw = self.output.is_raw();
        let shown = match is_raw {
            true => Cow::Borrowed(&line.bytes[..]),
            false => as_shown(&line.bytes),
        };
        if self.only.as_ref().is_some_and(|only| !fits(only, &shown)) {
            return Ok(());
        }
        match &mut self.last {
            Some(last) => last.add(line.at, shown.into_owned()),
            None => self.print(line.at, &shown)?,
        }
        Ok(())
    }

    fn print(&mut self, at: Option<Timestamp>, line: &[u8]) -> io::Result<()> {
        self.out.extend_from_slice(self.prefix.as_bytes());
        if self.with_times {
            match at {
                Some(at) => write!(self.out, "{at} ")?,
                None => self.out.extend_from_slice(NO_TIME.as_bytes()),
            }
        }
        let mut out = self.output.bytes(&mut self.out);
        out.write(line)?;
        out.finish()?;
        self.out.push(b'\n');
        Ok(())
    }

    /// Prints the last lines so far; from now on, all lines are printed.
    pub fn print_last(&mut self) -> io::Result<()> {
        for (at, line) in self.last.take().map(|last| last.kept).unwrap_or_default() {
            self.print(at, &line)?;
        }
        self.flush()
    }

    pub fn flush(&mut self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(&std::mem::take(&mut self.out))?;
        out.flush()
    }
}

impl Last {
    fn add(&mut self, at: Option<Timestamp>, line: Vec<u8>) {
        self.bytes += line.len();
        self.kept.push_back((at, line));
        while self.kept.len() > self.lines || self.bytes > KEPT {
            let Some((_, first)) = self.kept.pop_front() else {
                return;
            };
            self.bytes -= first.len();
        }
    }
}

/// Returns whether a pattern fits a line, whatever its colours are.
fn fits(only: &Regex, line: &[u8]) -> bool {
    if !line.contains(&0x1b) {
        return only.is_match(&String::from_utf8_lossy(line));
    }
    let mut plain = anstream::adapter::StripBytes::new();
    let plain: Vec<u8> = plain.strip_next(line).flatten().copied().collect();
    only.is_match(&String::from_utf8_lossy(&plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_fits_what_is_seen_of_a_line() {
        let only = Regex::new("^red$").unwrap();
        assert!(fits(&only, b"\x1b[31mred\x1b[0m") && fits(&only, b"red"));
        assert!(!fits(&only, b"\x1b[31mreddish"));
    }

    #[test]
    fn the_last_lines_are_few_and_small() {
        let mut last = Last {
            lines: 2,
            kept: VecDeque::new(),
            bytes: 0,
        };
        for line in ["a", "b", "c"] {
            last.add(None, line.into());
        }
        assert_eq!((last.kept.len(), last.bytes), (2, 2));
        for _ in 0..3 {
            last.add(None, vec![0; KEPT / 2 + 1]);
        }
        assert_eq!(last.kept.len(), 1, "two would be more than are kept");
    }

    #[test]
    fn lines_of_two_streams_do_not_mix() {
        let layout = crate::output::format::Layout::Format(crate::output::format::Format::default());
        let output = Output::new(layout, None, false);
        let mut lines = Lines::new("1 | ".to_owned(), true, None, None, output);
        for (stream, at, bytes) in [
            (OutputStream::Stdout, 1, "building "),
            (OutputStream::Stderr, 2, "warning: old\nand "),
            (OutputStream::Stdout, 3, "done\n"),
            (OutputStream::Stdout, 4, "no end"),
        ] {
            let at = Some(Timestamp(at));
            let bytes = bytes.as_bytes();
            lines.write(&Part { stream, at, bytes }).unwrap();
        }
        lines.end_lines().unwrap();
        let printed = String::from_utf8(lines.out).unwrap();
        assert_eq!(
            printed,
            "1 | 1970-01-01T00:00:00.002Z warning: old\n1 | 1970-01-01T00:00:00.001Z building done\n\
             1 | 1970-01-01T00:00:00.002Z and \n1 | 1970-01-01T00:00:00.004Z no end\n"
        );
    }
}
