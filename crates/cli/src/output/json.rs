//! JSON documents on standard output, safe to look at on a terminal.

use std::fmt::Write as _;
use std::io::{self, Write};

use serde::Serialize;

use super::escape::is_unsafe;

/// The value as one line of JSON. What a terminal could take for a command is written as `\uXXXX`, which means the
/// same to every JSON reader.
pub fn to_line(value: &impl Serialize) -> io::Result<String> {
    let text = serde_json::to_string(value)?;
    if !text.contains(is_unsafe) {
        return Ok(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_unsafe(c) {
            // All of them stand inside strings.
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(c);
        }
    }
    Ok(safe)
}

/// Prints one document on one line.
pub fn print(value: &impl Serialize) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{}", to_line(value)?)
}

/// Prints an array whose items come one by one.
pub struct ArrayPrinter<W: Write> {
    out: W,
    empty: bool,
}

impl<W: Write> ArrayPrinter<W> {
    /// Opens the array.
    pub fn start(mut out: W) -> io::Result<Self> {
        out.write_all(b"[")?;
        Ok(ArrayPrinter { out, empty: true })
    }

    /// Adds one item.
    pub fn item(&mut self, value: &impl Serialize) -> io::Result<()> {
        let separator = if self.empty { "\n" } else { ",\n" };
        self.empty = false;
        write!(self.out, "{separator}{}", to_line(value)?)
    }

    /// Closes the array.
    pub fn end(mut self) -> io::Result<()> {
        self.out.write_all(if self.empty { b"]\n" } else { b"\n]\n" })?;
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_control_character_reaches_the_terminal() {
        let line = to_line(&["\u{1b}[31m\u{9b}\u{7f}\u{202e}\n"]).unwrap();
        assert_eq!(line, r#"["\u001b[31m\u009b\u007f\u202e\n"]"#);
        let hidden = ["\u{2028}\u{61c}\u{feff}\u{e0041}"];
        let line = to_line(&hidden).unwrap();
        assert_eq!(line, r#"["\u2028\u061c\ufeff\udb40\udc41"]"#);
        assert_eq!(serde_json::from_str::<[String; 1]>(&line).unwrap(), hidden);
    }

    #[test]
    fn arrays_are_valid_at_any_length() {
        for items in [vec![], vec![1], vec![1, 2, 3]] {
            let mut out = Vec::new();
            let mut array = ArrayPrinter::start(&mut out).unwrap();
            items.iter().for_each(|item| array.item(item).unwrap());
            array.end().unwrap();
            assert_eq!(serde_json::from_slice::<Vec<i32>>(&out).unwrap(), items);
        }
    }
}
