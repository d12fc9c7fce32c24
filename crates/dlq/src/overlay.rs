//! What a terminal shows of a line in the end: a carriage return goes back to its beginning, and what follows writes over what
//! stands there.
//!
//! Besides, a backspace goes back by one, a tab on to the next stop, and `ESC [ K` erases. Colours stay with the text that they were
//! set for. Other sequences are text here, and are escaped or left out elsewhere. Memory is in proportion to the line.

use std::borrow::Cow;
use std::ops::Range;

use unicode_width::UnicodeWidthChar;

/// Columns between two stops of tabs.
const TAB: usize = 8;
/// Sequences that count, of those that set colours one after the other.
const COLOURS: usize = 8;

/// Returns what is seen of a line.
pub fn as_shown(line: &[u8]) -> Cow<'_, [u8]> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let moves =
        line.iter().any(|byte| matches!(byte, b'\r' | 8)) || line.windows(2).any(|two| two == b"\x1b[");
    if !moves || !has_moves(line) {
        return Cow::Borrowed(line);
    }
    let mut screen = Screen::default();
    let mut at = 0;
    while at < line.len() {
        at += screen.take(line, at);
    }
    Cow::Owned(screen.text(line))
}

/// Whether something goes back or erases.
fn has_moves(line: &[u8]) -> bool {
    line.iter().enumerate().any(|(at, byte)| match byte {
        b'\r' | 8 => true,
        0x1b => matches!(sequence(&line[at..]), Some((_, b'K'))),
        _ => false,
    })
}

/// The length of a sequence of the form `ESC [ numbers letter`, and its letter.
fn sequence(text: &[u8]) -> Option<(usize, u8)> {
    let numbers = text.strip_prefix(b"\x1b[")?;
    let end = numbers
        .iter()
        .position(|byte| !matches!(byte, b'0'..=b'9' | b';' | b':'))?;
    Some((2 + end + 1, numbers[end]))
}

/// One column.
#[derive(Clone)]
struct Cell {
    /// What stands there, as a part of the line. Empty: the second column of a wide character. None: nothing.
    text: Option<Range<usize>>,
    /// The sequences that set its colours, of all there are.
    colours: Range<usize>,
}

#[derive(Default)]
struct Screen {
    cells: Vec<Cell>,
    column: usize,
    /// Each sequence that sets colours.
    sequences: Vec<Range<usize>>,
    /// Those that count for what is written next.
    colours: Range<usize>,
}

impl Screen {
    /// Takes what stands at a place of the line, and returns how long it is.
    fn take(&mut self, line: &[u8], at: usize) -> usize {
        match line[at] {
            b'\r' => self.column = 0,
            8 => self.column = self.column.saturating_sub(1),
            b'\t' => self.go_to((self.column / TAB + 1) * TAB),
            0x1b => match sequence(&line[at..]) {
                Some((length, b'm')) => {
                    self.colour(line, at..at + length);
                    return length;
                }
                Some((length, b'K')) => {
                    self.erase(&line[at + 2..at + length - 1]);
                    return length;
                }
                _ => self.write(at..at + 1, 1),
            },
            _ => {
                let (length, width) = character(&line[at..]);
                self.write(at..at + length, width);
                return length;
            }
        }
        1
    }

    /// Goes to a column, with nothing in those before it that were not written.
    fn go_to(&mut self, column: usize) {
        self.column = column;
        let nothing = Cell {
            text: None,
            colours: 0..0,
        };
        self.cells.resize(self.cells.len().max(column), nothing);
    }

    fn colour(&mut self, line: &[u8], sequence: Range<usize>) {
        let numbers = &line[sequence.start + 2..sequence.end - 1];
        let first = numbers.split(|byte| *byte == b';').next().unwrap_or_default();
        let resets = first.iter().all(|byte| *byte == b'0');
        self.sequences.push(sequence);
        let end = self.sequences.len();
        self.colours = if resets && first.len() == numbers.len() {
            end..end
        } else if resets {
            end - 1..end
        } else {
            self.colours.start.max(end.saturating_sub(COLOURS))..end
        };
    }

    fn erase(&mut self, which: &[u8]) {
        match which {
            b"" | b"0" => self.cells.truncate(self.column),
            b"1" => self.clear(self.column + 1),
            b"2" => self.clear(self.cells.len()),
            _ => {}
        }
    }

    /// Empties the first columns.
    fn clear(&mut self, columns: usize) {
        for cell in self.cells.iter_mut().take(columns) {
            *cell = Cell {
                text: None,
                colours: 0..0,
            };
        }
    }

    fn write(&mut self, text: Range<usize>, width: usize) {
        if width == 0 {
            // It belongs to the character before it, and stands behind that in the line, unless something was written over.
            if let Some(before) = self.column.checked_sub(1).and_then(|at| self.cells.get_mut(at))
                && let Some(part) = before.text.as_mut().filter(|part| part.end == text.start)
            {
                part.end = text.end;
            }
            return;
        }
        self.go_to(self.column);
        for n in 0..width {
            let cell = Cell {
                text: Some(if n == 0 { text.clone() } else { text.end..text.end }),
                colours: self.colours.clone(),
            };
            match self.cells.get_mut(self.column) {
                Some(there) => *there = cell,
                None => self.cells.push(cell),
            }
            self.column += 1;
        }
        // The second half of a wide character whose first one was written over is nothing.
        if let Some(next) = self.cells.get_mut(self.column)
            && next.text.as_ref().is_some_and(Range::is_empty)
        {
            next.text = None;
        }
    }

    fn text(&self, line: &[u8]) -> Vec<u8> {
        let mut text = Vec::with_capacity(line.len());
        let mut colours = 0..0;
        let end = self.cells.iter().rposition(|cell| cell.text.is_some());
        for cell in &self.cells[..end.map_or(0, |end| end + 1)] {
            if cell.colours != colours {
                if !colours.is_empty() {
                    text.extend_from_slice(b"\x1b[0m");
                }
                for sequence in &self.sequences[cell.colours.clone()] {
                    text.extend_from_slice(&line[sequence.clone()]);
                }
                colours = cell.colours.clone();
            }
            match &cell.text {
                Some(part) => text.extend_from_slice(&line[part.clone()]),
                None => text.push(b' '),
            }
        }
        if !colours.is_empty() {
            text.extend_from_slice(b"\x1b[0m");
        }
        text
    }
}

/// The length of the character that a text begins with, and how many columns it takes. A byte that is none is one.
fn character(text: &[u8]) -> (usize, usize) {
    let first = &text[..text.len().min(4)];
    let valid = match std::str::from_utf8(first) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&first[..error.valid_up_to()]).unwrap_or_default(),
    };
    match valid.chars().next() {
        Some(c) => (c.len_utf8(), c.width().unwrap_or(1)),
        None => (1, 1),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(line: &str) -> String {
        String::from_utf8(as_shown(line.as_bytes()).into_owned()).expect("text")
    }

    #[test]
    fn a_line_without_returns_is_as_it_is() {
        for line in [
            "",
            "plain",
            "tab\there",
            "\x1b[31mred\x1b[0m\x1b[2J",
            "\x1b[",
            "\u{4e2d}",
        ] {
            assert!(matches!(as_shown(line.as_bytes()), Cow::Borrowed(_)), "{line:?}");
            assert_eq!(shown(line), line);
        }
        assert_eq!(shown("dos\r"), "dos", "it ends the line");
    }

    #[test]
    fn shorter_text_leaves_the_rest_standing() {
        for (line, seen) in [
            ("10%\r50%\r100%", "100%"),
            ("downloading\rdone", "doneloading"),
            ("downloading\r\x1b[Kdone", "done"),
            ("downloading\rdone\x1b[K", "done"),
            ("downloading\x1b[2K\rdone", "done"),
            ("abc\x1b[1Kd", "   d"),
            ("abc\r", "abc"),
            ("abc\r\r", "abc"),
            ("abc\x08\x08X", "aXc"),
            ("\x08a", "a"),
            ("a\tb\rxy", "xy      b"),
            ("12345678\rab\tc", "ab345678c"),
            ("\u{4e2d}\u{6587}x\ra", "a \u{6587}x"),
            ("ab\r\u{4e2d}", "\u{4e2d}"),
            ("e\u{301}f\rg", "gf"),
            ("ef\re\u{301}", "e\u{301}f"),
            ("abc\x1b[K", "abc"),
            ("a\x1b[2Jb\rX", "X\x1b[2Jb"),
        ] {
            assert_eq!(shown(line), seen, "{line:?}");
        }
        assert_eq!(as_shown(b"\xff\xfe\ra").as_ref(), b"a\xfe");
    }

    #[test]
    fn colours_stay_with_their_text() {
        for (line, seen) in [
            ("\x1b[31mred\x1b[0m\rg", "g\x1b[31med\x1b[0m"),
            (
                "\x1b[31mred\r\x1b[32mg\x1b[m",
                "\x1b[31m\x1b[32mg\x1b[0m\x1b[31med\x1b[0m",
            ),
            ("\x1b[31mred\r\x1b[0;32mg", "\x1b[0;32mg\x1b[0m\x1b[31med\x1b[0m"),
        ] {
            assert_eq!(shown(line), seen, "{line:?}");
        }
        let many = format!("{}x\ry", "\x1b[1m".repeat(1000));
        assert!(shown(&many).len() < 100);
    }

    proptest! {
        #[test]
        fn any_line_can_be_shown_in_proportion(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            let seen = as_shown(&line);
            prop_assert!(!seen.contains(&b'\r'));
            prop_assert!(seen.len() <= (line.len() + 1) * (TAB + 8 * COLOURS));
        }
    }
}
