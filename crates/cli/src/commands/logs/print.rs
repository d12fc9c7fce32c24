//! Prints the output of an attempt: as it is or line by line, all of it or what came from one stream or at some time.

use std::io::{self, Stdout};

use anstyle::{AnsiColor, Style};
use queuectl_core::{Attempt, Job, JobId, OutputStream, Timestamp};
use queuectl_frontend::escape::{self, BytesWriter};
use queuectl_frontend::output::{Part, Sink, Stream};
use regex_lite::Regex;

use super::lines::Lines;
use crate::output::{Output, diagnostics, shows_colours};

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
    /// Whether each line has the time of its beginning.
    pub with_times: bool,
    /// Only what came from there.
    pub stream: Option<OutputStream>,
    /// Only what came at this time or later.
    pub since: Option<Timestamp>,
    /// Only what came before this time.
    pub until: Option<Timestamp>,
    /// Only the last lines, as many.
    pub last: Option<usize>,
    /// Only lines that this fits.
    pub only: Option<Regex>,
}

impl Shown {
    fn is_by_line(&self) -> bool {
        self.with_ids || self.with_times || self.last.is_some() || self.only.is_some()
    }

    /// Whether it matters where the output came from, or when.
    fn is_by_part(&self) -> bool {
        self.with_times || self.stream.is_some() || self.since.is_some() || self.until.is_some()
    }

    /// Whether a part is printed. What was recorded without a stream or a time is.
    fn has(&self, part: &Part) -> bool {
        let by_stream = |stream| part.stream == stream || part.stream == OutputStream::Unknown;
        self.stream.is_none_or(by_stream)
            && part.at.is_none_or(|at| {
                self.since.is_none_or(|since| at >= since) && self.until.is_none_or(|until| at < until)
            })
    }
}

/// Prints the output of one attempt.
pub struct Printer {
    shown: Shown,
    to: To,
    job: String,
    /// Whether a note has said that the output was recorded without streams.
    is_noted: bool,
}

enum To {
    /// As it is.
    Bytes(BytesWriter<Stdout>),
    Lines(Box<Lines>),
}

impl Sink for Printer {
    fn part(&mut self, part: &Part) -> io::Result<()> {
        self.write(part)
    }

    fn left_out(&mut self, bytes: u64) -> io::Result<()> {
        self.leave_out(bytes)
    }
}

impl Printer {
    /// Returns a printer for a job.
    pub fn new(shown: &Shown, job: &Job, output: Output) -> Printer {
        let to = match shown.is_by_line() {
            false => To::Bytes(output.bytes_to_stdout()),
            true => {
                let prefix = match shown.with_ids {
                    true => prefix(job),
                    false => String::new(),
                };
                let only = shown.only.clone();
                To::Lines(Box::new(Lines::new(
                    prefix,
                    shown.with_times,
                    only,
                    shown.last,
                    output,
                )))
            }
        };
        Printer {
            shown: shown.clone(),
            to,
            job: job.public_id(),
            is_noted: false,
        }
    }

    /// Prints what the file of an attempt has more by now, and has it seen.
    pub fn print_file(&mut self, stream: &mut Stream) -> io::Result<()> {
        stream.read_file(u64::MAX, self)?;
        self.flush()
    }

    /// Prints what the store has more of an attempt that has ended, and ends.
    pub fn print_rest(&mut self, attempt: &Attempt, stream: &mut Stream) -> io::Result<()> {
        stream.read_rest(attempt, u64::MAX, self)?;
        self.finish()
    }

    /// Prints a part, if it is one of those to be printed.
    fn write(&mut self, part: &Part) -> io::Result<()> {
        let is_unknown = part.stream == OutputStream::Unknown && self.shown.is_by_part();
        if is_unknown && !std::mem::replace(&mut self.is_noted, true) {
            diagnostics::note(&format!(
                "job '{}': for some of its output it was not recorded which stream it came from, or when; it is printed",
                self.job
            ));
        }
        if !self.shown.has(part) {
            return Ok(());
        }
        match &mut self.to {
            To::Bytes(out) => out.write(part.bytes),
            To::Lines(lines) => lines.write(part),
        }
    }

    /// Has everything seen that was printed, but for a line that has not ended.
    pub fn flush(&mut self) -> io::Result<()> {
        match &mut self.to {
            To::Bytes(out) => out.flush(),
            To::Lines(lines) => lines.flush(),
        }
    }

    /// Prints the last lines of what there is so far; from now on, all lines are printed.
    pub fn go_on_with_all(&mut self) -> io::Result<()> {
        match &mut self.to {
            To::Bytes(_) => Ok(()),
            To::Lines(lines) => lines.print_last(),
        }
    }

    /// Says how many bytes are missing here.
    fn leave_out(&mut self, bytes: u64) -> io::Result<()> {
        let note = format!("… {bytes} bytes left out …");
        match &mut self.to {
            To::Bytes(out) => out.finish()?,
            To::Lines(lines) => {
                lines.end_lines()?;
                // The lines before are not printed if there are enough after it.
                if lines.prints_last() {
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
        match &mut self.to {
            To::Bytes(out) => out.finish(),
            To::Lines(lines) => {
                lines.end_lines()?;
                lines.print_last()
            }
        }
    }
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
    fn parts_are_chosen_by_stream_and_time() {
        let part = |stream, at: Option<i64>| Part {
            stream,
            at: at.map(Timestamp),
            bytes: b"x",
        };
        let shown = Shown {
            stream: Some(OutputStream::Stderr),
            since: Some(Timestamp(5)),
            until: Some(Timestamp(9)),
            ..Shown::default()
        };
        let has = |stream, at| shown.has(&part(stream, at));
        assert!(has(OutputStream::Stderr, Some(5)) && has(OutputStream::Stderr, Some(8)));
        assert!(!has(OutputStream::Stderr, Some(4)) && !has(OutputStream::Stderr, Some(9)));
        assert!(!has(OutputStream::Stdout, Some(5)));
        assert!(has(OutputStream::Unknown, Some(5)) && has(OutputStream::Unknown, None));
        assert!(!has(OutputStream::Unknown, Some(9)));
        assert!(Shown::default().has(&part(OutputStream::Stdout, Some(1))));
    }
}
