//! Splitting text into JSON documents without reading all of it, or trusting it: one document a line, a document over
//! several lines, or an array whose items are the documents.
//!
//! Where one document ends is found by its brackets; whether it is valid is up to the code that parses it. A document that is
//! broken off does not take those with it that follow on lines of their own.

use std::fmt;
use std::io::{self, BufRead};

use super::lines::{Line, Lines};

/// What some programs put before UTF-8: the byte order mark.
const MARK: &[u8] = "\u{feff}".as_bytes();

/// Where a document stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its first line, from 1.
    pub line: u64,
    /// Its number in an array, from 1.
    pub item: Option<u64>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.line)?;
        match self.item {
            Some(item) => write!(f, ", job {item} of the array"),
            None => Ok(()),
        }
    }
}

/// What is found next.
#[derive(Debug, PartialEq, Eq)]
pub enum Document {
    /// Its bytes.
    Text(Vec<u8>),
    /// It was longer than the limit and was skipped.
    TooLong,
    /// An array that does not end.
    CutOff,
}

impl Document {
    /// Returns its length in bytes.
    pub fn bytes(&self) -> usize {
        match self {
            Document::Text(bytes) => bytes.len(),
            Document::TooLong | Document::CutOff => 0,
        }
    }
}

/// Whether the document is a text of one word, which could be a program's name or a command line.
pub fn is_one_word(text: &str) -> bool {
    matches!(serde_json::from_str::<String>(text), Ok(word) if !word.contains(char::is_whitespace))
}

/// Documents of at most `limit` bytes.
pub struct Documents<R> {
    lines: Lines<R>,
    limit: usize,
    /// What is left of the line read last.
    rest: Option<Vec<u8>>,
    /// In an array: how many items came.
    items: Option<u64>,
}

impl<R: BufRead> Documents<R> {
    /// Reads documents of at most `limit` bytes.
    pub fn new(input: R, limit: usize) -> Documents<R> {
        Documents {
            lines: Lines::new(input, limit),
            limit,
            rest: None,
            items: None,
        }
    }

    /// The last line of the document found last, from 1.
    pub fn line(&self) -> u64 {
        let next_is_read = self.rest.is_some() && self.items.is_none();
        self.lines.number - u64::from(next_is_read)
    }

    /// The next document; none at the end.
    pub fn read(&mut self) -> io::Result<Option<(Place, Document)>> {
        loop {
            let line = match self.rest.take() {
                Some(rest) => rest,
                None => match self.lines.read()? {
                    Some(Line::Text(line)) => line,
                    Some(Line::TooLong) => return Ok(Some((self.place(), Document::TooLong))),
                    None if self.items.is_some() => {
                        let place = self.place();
                        self.items = None;
                        return Ok(Some((place, Document::CutOff)));
                    }
                    None => return Ok(None),
                },
            };
            // Each of several files that were put together may begin with one.
            let mut text = line.strip_prefix(MARK).unwrap_or(&line).trim_ascii();
            if self.items.is_some() {
                text = text
                    .trim_ascii_start()
                    .strip_prefix(b",")
                    .unwrap_or(text)
                    .trim_ascii_start();
            }
            match (text.first(), self.items) {
                (None, _) => {}
                (Some(b']'), Some(_)) => {
                    self.items = None;
                    self.rest = Some(text[1..].to_vec());
                }
                (Some(b'['), None) => {
                    self.items = Some(0);
                    self.rest = Some(text[1..].to_vec());
                }
                (Some(_), items) => {
                    self.items = items.map(|items| items + 1);
                    let place = self.place();
                    return Ok(Some((place, self.take(text.to_vec())?)));
                }
            }
        }
    }

    fn place(&self) -> Place {
        Place {
            line: self.lines.number,
            item: self.items,
        }
    }

    /// Takes the document that begins with that text, with as many more lines as it has.
    fn take(&mut self, first: Vec<u8>) -> io::Result<Document> {
        let mut scan = Scan::default();
        let mut text = Vec::new();
        let mut too_long = false;
        let mut line = first;
        loop {
            let end = scan.line(&line, self.items.is_some());
            // On a line of its own, what follows belongs to it, and is wrong.
            let split = end.filter(|_| self.items.is_some()).unwrap_or(line.len());
            let (part, rest) = line.split_at(split);
            too_long |= text.len() + part.len() > self.limit;
            if too_long {
                text = Vec::new();
            } else {
                text.extend_from_slice(part);
            }
            if end.is_some() {
                self.rest = self.items.map(|_| rest.to_vec());
                break;
            }
            // No text goes on on the next line.
            if scan.in_text {
                break;
            }
            text.push(b'\n');
            line = match self.lines.read()? {
                Some(Line::Text(line)) => line,
                Some(Line::TooLong) => {
                    too_long = true;
                    Vec::new()
                }
                None => break,
            };
            if line.trim_ascii_start().starts_with(b"{") && !scan.takes_object() {
                self.rest = Some(line);
                break;
            }
        }
        Ok(if too_long {
            Document::TooLong
        } else {
            Document::Text(text)
        })
    }
}

/// Where the scan of a document is.
#[derive(Default)]
struct Scan {
    /// The brackets that are open.
    open: Vec<u8>,
    in_text: bool,
    escaped: bool,
    /// The last byte that was no blank.
    last: u8,
}

impl Scan {
    /// Scans one more line; where the document ends in it, if it does.
    fn line(&mut self, line: &[u8], in_array: bool) -> Option<usize> {
        for (at, byte) in line.iter().copied().enumerate() {
            if self.in_text {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_text = false,
                    _ => continue,
                }
                if self.in_text || !self.open.is_empty() {
                    self.last = byte;
                    continue;
                }
                return Some(at + 1);
            }
            if self.open.is_empty() && in_array && matches!(byte, b',' | b']') {
                return Some(at);
            }
            match byte {
                b'"' => self.in_text = true,
                b'{' | b'[' => self.open.push(byte),
                b'}' | b']' => {
                    self.open.pop();
                    if self.open.is_empty() {
                        return Some(at + 1);
                    }
                }
                _ => {}
            }
            if !byte.is_ascii_whitespace() {
                self.last = byte;
            }
        }
        // A number, a word, or no JSON at all ends with its line.
        (self.open.is_empty() && !self.in_text).then_some(line.len())
    }

    /// Whether an object may begin here.
    fn takes_object(&self) -> bool {
        match self.open.last() {
            Some(b'[') => matches!(self.last, b'[' | b','),
            _ => self.last == b':',
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<(u64, Option<u64>, String)> {
        let mut documents = Documents::new(io::BufReader::with_capacity(3, text.as_bytes()), 40);
        let mut found = Vec::new();
        while let Some((place, document)) = documents.read().unwrap() {
            let text = match document {
                Document::Text(text) => String::from_utf8(text).unwrap(),
                other => format!("{other:?}"),
            };
            found.push((place.line, place.item, text));
        }
        found
    }

    fn line(line: u64, text: &str) -> (u64, Option<u64>, String) {
        (line, None, text.to_owned())
    }

    fn item(line: u64, item: u64, text: &str) -> (u64, Option<u64>, String) {
        (line, Some(item), text.to_owned())
    }

    #[test]
    fn a_document_is_a_line_several_lines_or_an_item() {
        assert_eq!(
            split("{\"a\":1}\n\n\"b \\\" c\"\nd, e\n"),
            [line(1, "{\"a\":1}"), line(3, "\"b \\\" c\""), line(4, "d, e")]
        );
        assert_eq!(
            split("{\n \"a\": {\"b\": \"}\"},\n \"c\": [\n {\"d\":1}\n]}\n5"),
            [
                line(1, "{\n \"a\": {\"b\": \"}\"},\n \"c\": [\n {\"d\":1}\n]}"),
                line(6, "5")
            ]
        );
        let items = [item(1, 1, "{\"a\":\"]\"}"), item(1, 2, "\"b,\""), item(1, 3, "7")];
        assert_eq!(split("[{\"a\":\"]\"}, \"b,\",7]"), items);
        assert_eq!(
            split("[\n{\"a\":1},\n{\n\"b\":[2]}\n]\n{\"c\":3}\n"),
            [
                item(2, 1, "{\"a\":1}"),
                item(3, 2, "{\n\"b\":[2]}"),
                line(6, "{\"c\":3}")
            ]
        );
        assert_eq!(split("[]\n[ ]\n"), []);
        assert_eq!(
            split("\u{feff}{\"a\":1}\n\u{feff}\n\u{feff}[2]\n"),
            [line(1, "{\"a\":1}"), item(3, 1, "2")]
        );
    }

    #[test]
    fn what_is_broken_off_ends_with_its_line() {
        for broken in ["{\"a\":1", "{\"a\":1,", "{\"a\":\"b", "{\"a\":{\"b\":1}"] {
            let found = split(&format!("{broken}\n{{\"c\":1}}\n{{\"d\":1}}\n"));
            let lines: Vec<u64> = found.iter().map(|found| found.0).collect();
            assert_eq!(lines, [1, 2, 3], "{broken}");
            assert_eq!(found[1], line(2, "{\"c\":1}"), "{broken}");
        }
        assert_eq!(split("{\"a\":1"), [line(1, "{\"a\":1\n")]);
        assert_eq!(
            split("[{\"a\":1},"),
            [item(1, 1, "{\"a\":1}"), item(1, 1, "CutOff")]
        );
        assert_eq!(split("{} {}\n"), [line(1, "{} {}")]);
    }

    #[test]
    fn what_is_too_long_is_skipped_and_the_rest_is_kept() {
        let long = "x".repeat(30);
        let text = format!("{{\n\"a\":\"{long}\",\n\"b\":\"{long}\"\n}}\n1\n\"{long}{long}\"\n2\n");
        assert_eq!(
            split(&text),
            [line(1, "TooLong"), line(5, "1"), line(6, "TooLong"), line(7, "2")]
        );
    }
}
