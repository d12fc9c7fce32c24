//! Prints the output of an attempt: as it is, or line by line, with a prefix, only some lines, or only the last.
//!
//! Memory is bounded: lines longer than [`LINE`] are printed in pieces, and of the last lines at most [`KEPT`] bytes are kept.

use std::collections::VecDeque;
use std::io::{self, Stdout, Write};

use anstyle::{AnsiColor, Style};
use queuectl_core::{Job, JobId};
use queuectl_dlq::after_returns;
use queuectl_frontend::escape::{self, BytesWriter};
use regex_lite::Regex;

use crate::output::{Output, diagnostics, shows_colours};

/// Longest line that is one, in bytes.
const LINE: usize = 64 * 1024;
/// The last lines that are kept, in bytes.
const KEPT: usize = 16 * 1024 * 1024;
/// Colours of prefixes, which jobs get by their numbers.
const COLOURS: [AnsiColor; 6] = [
    AnsiColor::Cyan,
    AnsiColor::Yellow,
    AnsiColor::Green,
    AnsiColor::Magenta,
    AnsiColor::Blue,
    AnsiColor::Red,
];

/// What is printed of every job.
#[derive(Clone, Default)]
pub struct Shown {
    /// Whether each line begins with the id of its job.
    pub with_ids: bool,
    /// Only the last lines, as many.
    pub last: Option<usize>,
    /// Only lines that this fits.
    pub only: Option<Regex>,
}

impl Shown {
    fn is_by_line(&self) -> bool {
        self.with_ids || self.last.is_some() || self.only.is_some()
    }
}

/// Prints the output of one attempt.
pub enum Printer {
    /// As it is.
    Bytes(BytesWriter<Stdout>),
    Lines(Box<Lines>),
}

impl Printer {
    /// Returns a printer for a job.
    pub fn new(style: &Shown, job: &Job, output: Output) -> Printer {
        match style.is_by_line() {
            false => Printer::Bytes(output.bytes(io::stdout())),
            true => Printer::Lines(Box::new(Lines {
                prefix: match style.with_ids {
                    true => prefix(job),
                    false => String::new(),
                },
                only: style.only.clone(),
                last: style.last.map(|lines| Last {
                    lines,
                    kept: VecDeque::new(),
                    bytes: 0,
                }),
                line: Vec::new(),
                out: Vec::new(),
                output,
            })),
        }
    }

    /// Prints some bytes.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Printer::Bytes(out) => out.write(bytes),
            Printer::Lines(lines) => lines.write(bytes),
        }
    }

    /// Has everything seen that was printed, but for a line that has not ended.
    pub fn flush(&mut self) -> io::Result<()> {
        match self {
            Printer::Bytes(out) => out.flush(),
            Printer::Lines(lines) => lines.flush(),
        }
    }

    /// Prints the last lines of what there is so far; from now on, all lines are printed.
    pub fn go_on_with_all(&mut self) -> io::Result<()> {
        match self {
            Printer::Bytes(_) => Ok(()),
            Printer::Lines(lines) => lines.print_last(),
        }
    }

    /// Says how many bytes are missing here.
    pub fn leave_out(&mut self, bytes: u64) -> io::Result<()> {
        let note = format!("… {bytes} bytes left out …");
        match self {
            Printer::Bytes(out) => out.finish()?,
            Printer::Lines(lines) => {
                lines.end_line()?;
                // The lines before are not printed if there are enough after it.
                if lines.last.is_some() {
                    return Ok(());
                }
                lines.flush()?;
            }
        }
        diagnostics::note(&note);
        Ok(())
    }

    /// Prints what is left.
    pub fn finish(&mut self) -> io::Result<()> {
        match self {
            Printer::Bytes(out) => out.finish(),
            Printer::Lines(lines) => {
                lines.end_line()?;
                lines.print_last()
            }
        }
    }
}

/// Prints line by line.
pub struct Lines {
    prefix: String,
    only: Option<Regex>,
    last: Option<Last>,
    /// A line that has not ended.
    line: Vec<u8>,
    /// What is printed with the next flush.
    out: Vec<u8>,
    output: Output,
}

/// The last lines so far.
struct Last {
    lines: usize,
    kept: VecDeque<Vec<u8>>,
    bytes: usize,
}

impl Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let mut rest = piece;
            while self.line.len() + rest.len() > LINE {
                let (now, later) = rest.split_at(LINE.saturating_sub(self.line.len()));
                self.line.extend_from_slice(now);
                rest = later;
                self.end_line()?;
            }
            self.line.extend_from_slice(rest);
            if piece.ends_with(b"\n") {
                self.line.pop();
                self.add()?;
            }
        }
        match self.out.len() > LINE {
            true => self.flush(),
            false => Ok(()),
        }
    }

    /// Ends a line that was begun.
    fn end_line(&mut self) -> io::Result<()> {
        match self.line.is_empty() {
            true => Ok(()),
            false => self.add(),
        }
    }

    fn add(&mut self) -> io::Result<()> {
        let whole = std::mem::take(&mut self.line);
        let is_raw = self.output.is_raw();
        let line = if is_raw { &whole[..] } else { after_returns(&whole) };
        if self.only.as_ref().is_some_and(|only| !fits(only, line)) {
            return Ok(());
        }
        match &mut self.last {
            Some(last) => last.add(line.to_vec()),
            None => self.print(line)?,
        }
        Ok(())
    }

    fn print(&mut self, line: &[u8]) -> io::Result<()> {
        self.out.extend_from_slice(self.prefix.as_bytes());
        let mut out = self.output.bytes(&mut self.out);
        out.write(line)?;
        out.finish()?;
        self.out.push(b'\n');
        Ok(())
    }

    fn print_last(&mut self) -> io::Result<()> {
        for line in self.last.take().map(|last| last.kept).unwrap_or_default() {
            self.print(&line)?;
        }
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(&std::mem::take(&mut self.out))?;
        out.flush()
    }
}

impl Last {
    fn add(&mut self, line: Vec<u8>) {
        self.bytes += line.len();
        self.kept.push_back(line);
        while self.kept.len() > self.lines || self.bytes > KEPT {
            let Some(first) = self.kept.pop_front() else {
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

/// Returns what the lines of a job begin with.
fn prefix(job: &Job) -> String {
    let id = job.public_id();
    let id = escape::line(&id);
    let style = match shows_colours() {
        true => colour(job.id),
        false => Style::new(),
    };
    format!("{style}{id} |{style:#} ")
}

fn colour(job: JobId) -> Style {
    let number = usize::try_from(job.0).unwrap_or_default();
    COLOURS[number % COLOURS.len()].on_default()
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
            last.add(line.into());
        }
        assert_eq!((last.kept.len(), last.bytes), (2, 2));
        for _ in 0..3 {
            last.add(vec![0; KEPT / 2 + 1]);
        }
        assert_eq!(last.kept.len(), 1, "two would be more than are kept");
    }
}
