//! Makes control characters visible, so that names and output cannot control the terminal.
//!
//! Escaped are C0 and C1 controls, DEL, line and paragraph separators, characters that change the text direction, and
//! invisible ones (byte order marks, tags). Output keeps line feeds and tabs; text for one line does not. Joiners stay,
//! because emoji and Indic scripts need them.

use std::borrow::Cow;
use std::io::{self, Write};

/// Returns whether a character could control the terminal or deceive the reader.
pub fn is_unsafe(c: char) -> bool {
    let separates = matches!(c, '\u{2028}' | '\u{2029}');
    let turns =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{206f}');
    let hides = matches!(c, '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    c.is_control() || separates || turns || hides
}

/// Returns text for one line: every unsafe character is escaped, including line feeds and tabs.
pub fn line(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_unsafe(c) {
            escaped.push_str(&visible(c));
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}

fn visible(c: char) -> String {
    match c {
        '\n' | '\r' | '\t' => c.escape_default().to_string(),
        '\0'..='\x7f' => format!("\\x{:02x}", u32::from(c)),
        _ => format!("\\u{{{:x}}}", u32::from(c)),
    }
}

/// Writes any bytes, unchanged or with unsafe characters and invalid UTF-8 escaped. A character may be split over two
/// writes.
pub struct BytesWriter<W> {
    out: W,
    raw: bool,
    /// Start of an incomplete character; at most three bytes.
    partial: Vec<u8>,
}

impl<W: Write> BytesWriter<W> {
    pub fn new(out: W, raw: bool) -> BytesWriter<W> {
        BytesWriter {
            out,
            raw,
            partial: Vec::new(),
        }
    }

    /// Writes some bytes.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.raw {
            return self.out.write_all(bytes);
        }
        let joined;
        let mut rest = if self.partial.is_empty() {
            bytes
        } else {
            let mut start = std::mem::take(&mut self.partial);
            start.extend_from_slice(bytes);
            joined = start;
            &joined
        };
        // Whether it ends a line is known with what comes next.
        let returns = rest.strip_suffix(b"\r");
        rest = returns.unwrap_or(rest);
        while !rest.is_empty() {
            let (valid, bad) = match std::str::from_utf8(rest) {
                Ok(text) => (text, 0),
                Err(error) => {
                    let (valid, after) = rest.split_at(error.valid_up_to());
                    // `valid_up_to` says that this much is valid.
                    let valid = std::str::from_utf8(valid).unwrap_or_default();
                    let Some(bad) = error.error_len() else {
                        self.write_text(valid)?;
                        self.partial = after.to_vec();
                        if returns.is_none() {
                            return Ok(());
                        }
                        // The rest of the character does not come.
                        let wrong = std::mem::take(&mut self.partial);
                        self.write_wrong(&wrong)?;
                        break;
                    };
                    (valid, bad)
                }
            };
            self.write_text(valid)?;
            let (wrong, after) = rest[valid.len()..].split_at(bad);
            self.write_wrong(wrong)?;
            rest = after;
        }
        if returns.is_some() {
            self.partial.push(b'\r');
        }
        Ok(())
    }

    /// Flushes, except for an incomplete character.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Writes an incomplete character as escapes, and flushes.
    pub fn finish(&mut self) -> io::Result<()> {
        let partial = std::mem::take(&mut self.partial);
        if partial == b"\r" {
            self.write_text("\r")?;
        } else {
            self.write_wrong(&partial)?;
        }
        self.out.flush()
    }

    fn write_text(&mut self, text: &str) -> io::Result<()> {
        let mut rest = text;
        while let Some(at) = rest.find(|c| is_unsafe(c) && c != '\n' && c != '\t') {
            let (plain, after) = rest.split_at(at);
            self.out.write_all(plain.as_bytes())?;
            let mut chars = after.chars();
            // Programs on Windows, and some protocols, end a line with both.
            if let Some(c) = chars.next().filter(|_| !after.starts_with("\r\n")) {
                self.out.write_all(visible(c).as_bytes())?;
            }
            rest = chars.as_str();
        }
        self.out.write_all(rest.as_bytes())
    }

    fn write_wrong(&mut self, bytes: &[u8]) -> io::Result<()> {
        bytes
            .iter()
            .try_for_each(|byte| write!(self.out, "\\x{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(chunks: &[&[u8]], raw: bool) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = BytesWriter::new(&mut out, raw);
        for chunk in chunks {
            writer.write(chunk).unwrap();
        }
        writer.finish().unwrap();
        out
    }

    #[test]
    fn lines_stay_one_line() {
        assert_eq!(line("plain ä"), "plain ä");
        assert_eq!(line("a\nb\t\u{1b}[31m"), r"a\nb\t\x1b[31m");
        assert_eq!(line("\u{9b}2J\u{202e}x\u{7f}"), r"\u{9b}2J\u{202e}x\x7f");
        let hidden = "\u{2028}\u{2029}\u{61c}\u{feff}\u{fff9}\u{e0041}";
        assert_eq!(line(hidden), r"\u{2028}\u{2029}\u{61c}\u{feff}\u{fff9}\u{e0041}");
        let joined = "\u{1f469}\u{200d}\u{1f4bb} \u{915}\u{94d}\u{200d}\u{937}";
        assert_eq!(line(joined), joined);
    }

    #[test]
    fn output_keeps_line_feeds_and_tabs_only() {
        assert_eq!(
            written(&[b"a\n\tb\r\x1b]0;x\x07"], false),
            br"a
	b\r\x1b]0;x\x07"
        );
        assert_eq!(written(&[b"\x1b\xff"], true), b"\x1b\xff");
    }

    #[test]
    fn a_line_may_end_with_two_characters() {
        assert_eq!(written(&[b"a\r\nb\r", b"\nc\rd\r"], false), b"a\nb\nc\\rd\\r");
        assert_eq!(written(&[b"\xc2\r", b"\n"], false), b"\\xc2\n");
    }

    #[test]
    fn characters_may_be_split_and_bytes_may_be_wrong() {
        assert_eq!(written(&[b"\xe2\x82", b"\xac!"], false), "€!".as_bytes());
        assert_eq!(written(&[b"\xe2\x82"], false), br"\xe2\x82");
        assert_eq!(written(&[b"\xff\xfea\x80"], false), br"\xff\xfea\x80");
        // A control character in two bytes, split in the middle.
        assert_eq!(written(&[b"\xc2", b"\x9b"], false), br"\u{9b}");
    }
}
