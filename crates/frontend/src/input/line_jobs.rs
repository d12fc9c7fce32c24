//! One job a line: a shell command line each, or what a template makes of the line.

use std::io::{self, BufRead};

use queuectl_core::JobSpec;

use super::argv::LineTemplate;
use super::documents::Place;
use super::job::{DOCUMENT_BYTES, utf8};
use super::lines::{Line, Lines};
use super::source::{Found, JobSource};

/// Reads jobs from lines. Blank lines are passed over; without a template, so are those that begin with `#`.
pub struct LineJobs<R> {
    lines: Lines<R>,
    template: Option<LineTemplate>,
}

impl<R: BufRead> LineJobs<R> {
    /// Reads jobs from lines, each of which is a command, or fills in the template.
    pub fn new(input: R, template: Option<LineTemplate>) -> LineJobs<R> {
        LineJobs {
            lines: Lines::new(input, DOCUMENT_BYTES),
            template,
        }
    }

    fn job(&self, bytes: &[u8]) -> Option<Result<JobSpec, String>> {
        let text = match utf8(bytes) {
            Ok(text) => text,
            Err(mistake) => return Some(Err(mistake)),
        };
        // Files of Windows end their lines with both.
        let line = text.strip_suffix('\r').unwrap_or(text);
        let line = match self.lines.number {
            1 => line.strip_prefix('\u{feff}').unwrap_or(line),
            _ => line,
        };
        if line.trim().is_empty() {
            return None;
        }
        match &self.template {
            Some(template) => Some(Ok(template.fill(line))),
            None if line.trim_start().starts_with('#') => None,
            None => Some(Ok(JobSpec::line(line))),
        }
    }
}

impl<R: BufRead> JobSource for LineJobs<R> {
    fn read(&mut self) -> io::Result<Option<Found>> {
        while let Some(line) = self.lines.read()? {
            let (bytes, job) = match line {
                Line::Text(text) => (text.len(), self.job(&text)),
                Line::TooLong => (
                    0,
                    Some(Err(format!("the line is longer than {DOCUMENT_BYTES} bytes"))),
                ),
            };
            if let Some(job) = job {
                let place = Place {
                    line: self.lines.number,
                    item: None,
                };
                return Ok(Some(Found { place, bytes, job }));
            }
        }
        Ok(None)
    }

    fn line(&self) -> u64 {
        self.lines.number
    }
}

#[cfg(test)]
mod tests {
    use queuectl_core::Command;

    use super::*;

    fn read(text: &[u8], template: Option<&[&str]>) -> Vec<(u64, Result<String, String>)> {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let template = template.map(|template| LineTemplate::new(words(template)).unwrap());
        let mut jobs = LineJobs::new(text, template);
        let mut found = Vec::new();
        while let Some(Found { place, job, .. }) = jobs.read().unwrap() {
            let shown = job.map(|job| match job.payload.command.unwrap() {
                Command::Line(line) => line,
                Command::Argv(words) => words.join("|"),
            });
            found.push((place.line, shown));
        }
        found
    }

    #[test]
    fn lines_are_commands_and_comments_are_none() {
        let text = "\u{feff}make all\r\n\n  # later\n echo '# no comment'\nlast".as_bytes();
        let line = |line: &str| Ok(line.to_owned());
        assert_eq!(
            read(text, None),
            [
                (1, line("make all")),
                (4, line(" echo '# no comment'")),
                (5, line("last"))
            ]
        );
    }

    #[test]
    fn in_a_template_every_line_that_is_not_blank_counts() {
        let line = |line: &str| Ok(line.to_owned());
        assert_eq!(
            read(b"a b\r\n \t\n#c\n d\n", Some(&["x", "{}"])),
            [(1, line("x|a b")), (3, line("x|#c")), (4, line("x| d"))]
        );
    }

    #[test]
    fn mistakes_do_not_hide_other_lines() {
        let mut text = vec![b'x'; DOCUMENT_BYTES + 1];
        text.extend_from_slice(b"\n\xff\nok\n");
        let found = read(&text, None);
        assert!(found[0].1.as_ref().unwrap_err().contains("longer than"));
        assert!(found[1].1.as_ref().unwrap_err().contains("UTF-8"));
        assert_eq!((found[2].0, found.len()), (3, 3));
    }
}
