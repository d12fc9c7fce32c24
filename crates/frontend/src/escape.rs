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
    /// Whether sequences that only set colours pass.
    colours: bool,
    /// Whether one of them did.
    is_coloured: bool,
    /// Whether carriage returns and the sequence that erases the rest of a line pass.
    returns: bool,
    /// Start of an incomplete character or sequence; at most [`SEQUENCE`] bytes.
    partial: Vec<u8>,
}

/// Longest sequence that sets colours, in bytes.
const SEQUENCE: usize = 64;

/// What erases the rest of a line, or all of it.
const ERASES: [&str; 3] = ["\x1b[K", "\x1b[0K", "\x1b[2K"];

/// What a text begins with that begins with ESC.
enum Sequence {
    /// One that sets colours or other looks of letters (SGR) and does not hide them, of that length.
    Colour(usize),
    /// The start of one.
    Begun,
    Other,
}

fn sequence(text: &str) -> Sequence {
    let Some(rest) = text.strip_prefix("\x1b[") else {
        return if text == "\x1b" {
            Sequence::Begun
        } else {
            Sequence::Other
        };
    };
    let parameters = rest.find(|c: char| !matches!(c, '0'..='9' | ';' | ':'));
    match parameters {
        Some(at) if rest[at..].starts_with('m') && at < SEQUENCE && !conceals(&rest[..at]) => {
            Sequence::Colour(2 + at + 1)
        }
        None if rest.len() < SEQUENCE => Sequence::Begun,
        _ => Sequence::Other,
    }
}

/// Returns whether parameters of SGR have text written that cannot be seen. A number of a colour can be 8, too.
fn conceals(parameters: &str) -> bool {
    let mut parameters = parameters.split(';').map(|one| one.trim_start_matches('0'));
    while let Some(one) = parameters.next() {
        let numbers_of_colour = match one {
            "38" | "48" | "58" => match parameters.clone().next() {
                Some("5") => 2,
                Some("2") => 4,
                _ => 0,
            },
            _ if one.split(':').next() == Some("8") => return true,
            _ => 0,
        };
        parameters.by_ref().take(numbers_of_colour).for_each(drop);
    }
    false
}

impl<W: Write> BytesWriter<W> {
    /// Returns a writer to `out`; a raw one changes nothing.
    pub fn new(out: W, raw: bool) -> BytesWriter<W> {
        BytesWriter {
            out,
            raw,
            colours: false,
            is_coloured: false,
            returns: false,
            partial: Vec::new(),
        }
    }

    /// Lets sequences pass that set colours and do nothing else, and ends each piece of output without them.
    #[must_use]
    pub fn with_colours(mut self, colours: bool) -> BytesWriter<W> {
        self.colours = colours;
        self
    }

    /// Lets carriage returns and `ESC [ K` pass, so that a terminal draws a progress bar as the job's own would.
    #[must_use]
    pub fn with_returns(mut self, returns: bool) -> BytesWriter<W> {
        self.returns = returns;
        self
    }

    /// Returns what it writes to.
    pub fn into_inner(self) -> W {
        self.out
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
                        self.write_text(valid, false)?;
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
            let is_end = valid.len() == rest.len() && returns.is_none();
            self.write_text(valid, is_end)?;
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

    /// Writes an incomplete character as escapes, ends colours, and flushes.
    pub fn finish(&mut self) -> io::Result<()> {
        let partial = std::mem::take(&mut self.partial);
        match std::str::from_utf8(&partial) {
            // The start of a sequence, or a carriage return.
            Ok(text) => self.write_text(text, false)?,
            Err(_) => self.write_wrong(&partial)?,
        }
        if std::mem::take(&mut self.is_coloured) {
            self.out.write_all(b"\x1b[0m")?;
        }
        self.out.flush()
    }

    /// Writes text. What may go on in the next is kept if this is the end of what there is.
    fn write_text(&mut self, text: &str, is_end: bool) -> io::Result<()> {
        let mut rest = text;
        while let Some(at) = rest.find(|c| is_unsafe(c) && c != '\n' && c != '\t') {
            let (plain, after) = rest.split_at(at);
            self.out.write_all(plain.as_bytes())?;
            if self.colours && after.starts_with('\x1b') {
                match sequence(after) {
                    Sequence::Colour(length) => {
                        self.is_coloured = true;
                        self.out.write_all(&after.as_bytes()[..length])?;
                        rest = &after[length..];
                        continue;
                    }
                    Sequence::Begun if is_end => {
                        self.partial = after.as_bytes().to_vec();
                        return Ok(());
                    }
                    Sequence::Begun | Sequence::Other => {}
                }
            }
            if self.returns && after.starts_with('\r') {
                self.out.write_all(b"\r")?;
                rest = &after[1..];
                continue;
            }
            if self.returns && after.starts_with('\x1b') {
                if let Some(erased) = ERASES.iter().find(|erases| after.starts_with(**erases)) {
                    self.out.write_all(erased.as_bytes())?;
                    rest = &after[erased.len()..];
                    continue;
                }
                if is_end && ERASES.iter().any(|erases| erases.starts_with(after)) {
                    self.partial = after.as_bytes().to_vec();
                    return Ok(());
                }
            }
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
    fn a_terminal_draws_progress_bars() {
        for chunk in [1, 2, 3, 100] {
            let mut out = Vec::new();
            let mut writer = BytesWriter::new(&mut out, false).with_returns(true);
            let bytes = b"10%\r\x1b[K20%\r\n\x1b[2Kx\x1b[2Jy\x1b[";
            bytes.chunks(chunk).for_each(|some| writer.write(some).unwrap());
            writer.finish().unwrap();
            let expected = "10%\r\u{1b}[K20%\r\n\u{1b}[2Kx\\x1b[2Jy\\x1b[";
            assert_eq!(String::from_utf8(out).unwrap(), expected, "chunks of {chunk}");
        }
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
    fn colours_pass_where_they_are_wanted_and_nothing_else_does() {
        let coloured = |chunks: &[&[u8]]| {
            let mut writer = BytesWriter::new(Vec::new(), false).with_colours(true);
            chunks.iter().for_each(|chunk| writer.write(chunk).unwrap());
            writer.finish().unwrap();
            String::from_utf8(writer.into_inner()).unwrap()
        };
        assert_eq!(coloured(&[b"\x1b[1;38:5:9mred"]), "\x1b[1;38:5:9mred\x1b[0m");
        assert_eq!(
            coloured(&[b"a\x1b", b"[3", b"1mb\x1b[0m"]),
            "a\x1b[31mb\x1b[0m\x1b[0m"
        );
        assert_eq!(
            coloured(&[b"\x1b[2Ja\x1b]0;x\x07\x9b"]),
            "\\x1b[2Ja\\x1b]0;x\\x07\\x9b"
        );
        assert_eq!(coloured(&[b"\x1b[?25l\x1b[3"]), "\\x1b[?25l\\x1b[3");
        assert_eq!(coloured(&[b"\x1b", b"\xff"]), "\\x1b\\xff");
        for hides in [
            "8",
            "1;8",
            "08",
            "38;5;1;8",
            "38;2;1;2;3;8",
            "38:5:1;8",
            "38;8",
            ";8;0",
        ] {
            let said = coloured(&[format!("\x1b[{hides}ma").as_bytes()]);
            assert_eq!(said, format!("\\x1b[{hides}ma"), "text that is there is seen");
        }
        for shows in ["28", "38;5;8", "48;2;8;8;8", "38:5:8", ""] {
            let said = coloured(&[format!("\x1b[{shows}ma").as_bytes()]);
            assert!(said.starts_with(&format!("\x1b[{shows}ma")), "{shows}: {said}");
        }
        let long = format!("\x1b[{}m", "1;".repeat(SEQUENCE));
        assert!(
            coloured(&[long.as_bytes()]).starts_with("\\x1b["),
            "it is kept in memory"
        );
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
