//! Reading lines without trusting their length.

use std::io::{self, BufRead};

/// One line.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// Its bytes, without the line feed.
    Text(Vec<u8>),
    /// It was longer than the limit and was skipped.
    TooLong,
}

/// Lines of at most `limit` bytes; what is beyond is skipped without being kept.
pub struct Lines<R> {
    input: R,
    limit: usize,
    /// The number of the line read last, from 1.
    pub number: u64,
}

impl<R: BufRead> Lines<R> {
    /// Reads lines of at most `limit` bytes.
    pub fn new(input: R, limit: usize) -> Lines<R> {
        Lines {
            input,
            limit,
            number: 0,
        }
    }

    /// The next line; none at the end.
    pub fn read(&mut self) -> io::Result<Option<Line>> {
        let mut line = Vec::new();
        let mut too_long = false;
        let mut any = false;
        loop {
            let available = match self.input.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            if available.is_empty() {
                break;
            }
            any = true;
            let end = available.iter().position(|byte| *byte == b'\n');
            let part = &available[..end.unwrap_or(available.len())];
            too_long |= line.len() + part.len() > self.limit;
            if too_long {
                line = Vec::new();
            } else {
                line.extend_from_slice(part);
            }
            let used = part.len() + usize::from(end.is_some());
            self.input.consume(used);
            if end.is_some() {
                break;
            }
        }
        if !any {
            return Ok(None);
        }
        self.number += 1;
        Ok(Some(if too_long { Line::TooLong } else { Line::Text(line) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_skipped_and_the_rest_is_kept() {
        let text = b"ab\n\nabcdef\nabc\nlast";
        // A buffer smaller than the lines, so that they come in parts.
        let mut lines = Lines::new(io::BufReader::with_capacity(2, &text[..]), 4);
        let mut found = Vec::new();
        while let Some(line) = lines.read().unwrap() {
            found.push((lines.number, line));
        }
        let text = |text: &str| Line::Text(text.into());
        assert_eq!(
            found,
            [
                (1, text("ab")),
                (2, text("")),
                (3, Line::TooLong),
                (4, text("abc")),
                (5, text("last")),
            ]
        );
    }
}
