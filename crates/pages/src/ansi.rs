//! Output of jobs as HTML: colours and fonts (SGR) as classes, everything else that a terminal would obey made visible.
//!
//! A painter goes on with what comes next, in the colours that were set last. Colours of 256 and of 24 bits become the nearest of
//! the 16 that the style sheet has, since pages may not have styles of their own.

use std::fmt::Write as _;

use queuectl_frontend::escape::is_unsafe;

/// The longest sequence that is one.
const SEQUENCE: usize = 64;

/// The 16 colours, for those that come close.
const COLOURS: [(u8, u8, u8); 16] = [
    (0, 0, 0),
    (170, 0, 0),
    (0, 170, 0),
    (170, 85, 0),
    (0, 0, 170),
    (170, 0, 170),
    (0, 170, 170),
    (170, 170, 170),
    (85, 85, 85),
    (255, 85, 85),
    (85, 255, 85),
    (255, 255, 85),
    (85, 85, 255),
    (255, 85, 255),
    (85, 255, 255),
    (255, 255, 255),
];

/// How letters look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Look {
    foreground: Option<u8>,
    background: Option<u8>,
    bold: bool,
    dim: bool,
    italic: bool,
    underline: bool,
    reverse: bool,
}

impl Look {
    fn classes(self) -> String {
        let (mut foreground, mut background) = (self.foreground, self.background);
        if self.reverse {
            (foreground, background) = (background.or(Some(0)), foreground.or(Some(7)));
        }
        let mut classes = Vec::new();
        classes.extend(foreground.map(|colour| format!("f{colour}")));
        classes.extend(background.map(|colour| format!("b{colour}")));
        for (is_so, class) in [
            (self.bold, "bold"),
            (self.dim, "dim"),
            (self.italic, "italic"),
            (self.underline, "underline"),
        ] {
            classes.extend(is_so.then(|| class.to_owned()));
        }
        classes.join(" ")
    }
}

/// Turns output into HTML, piece by piece.
#[derive(Debug, Default)]
pub struct Painter {
    look: Look,
    /// The start of a sequence or a line end that goes on in the next piece.
    begun: String,
}

impl Painter {
    /// Returns the HTML of a piece.
    pub fn paint(&mut self, bytes: &[u8]) -> String {
        let mut text = std::mem::take(&mut self.begun);
        text.push_str(&String::from_utf8_lossy(bytes));
        let mut html = Spans {
            html: String::with_capacity(text.len() + 64),
            open: Look::default(),
        };
        let mut rest = text.as_str();
        while let Some(c) = rest.chars().next() {
            let after = &rest[c.len_utf8()..];
            match c {
                '\x1b' => match sequence(rest) {
                    Sequence::Look(parameters, length) => {
                        self.set(parameters);
                        rest = &rest[length..];
                        continue;
                    }
                    Sequence::Begun => {
                        self.begun = rest.to_owned();
                        break;
                    }
                    Sequence::Other => html.visible(self.look, c),
                },
                // Its end is known with what comes next.
                '\r' if after.is_empty() => {
                    self.begun = rest.to_owned();
                    break;
                }
                // A progress bar shows its steps one below the other.
                '\r' if !after.starts_with('\n') => html.push(self.look, '\n'),
                '\r' => {}
                '\n' | '\t' => html.push(self.look, c),
                c if is_unsafe(c) => html.visible(self.look, c),
                c => html.push(self.look, c),
            }
            rest = after;
        }
        html.end()
    }

    fn set(&mut self, parameters: &str) {
        let numbers: Vec<u16> = parameters
            .split([';', ':'])
            .map(|number| number.parse().unwrap_or(0))
            .collect();
        let look = &mut self.look;
        let mut numbers = numbers.into_iter();
        while let Some(number) = numbers.next() {
            match number {
                0 => *look = Look::default(),
                1 => look.bold = true,
                2 => look.dim = true,
                3 => look.italic = true,
                4 => look.underline = true,
                7 => look.reverse = true,
                22 => (look.bold, look.dim) = (false, false),
                23 => look.italic = false,
                24 => look.underline = false,
                27 => look.reverse = false,
                30..=37 => look.foreground = Some((number - 30) as u8),
                38 => look.foreground = colour(&mut numbers).or(look.foreground),
                39 => look.foreground = None,
                40..=47 => look.background = Some((number - 40) as u8),
                48 => look.background = colour(&mut numbers).or(look.background),
                49 => look.background = None,
                90..=97 => look.foreground = Some((number - 90 + 8) as u8),
                100..=107 => look.background = Some((number - 100 + 8) as u8),
                _ => {}
            }
        }
    }
}

/// What a text begins with that begins with ESC.
enum Sequence<'a> {
    /// A look, by its parameters and the length of all.
    Look(&'a str, usize),
    /// The start of one.
    Begun,
    Other,
}

fn sequence(text: &str) -> Sequence<'_> {
    let Some(rest) = text.strip_prefix("\x1b[") else {
        return match text {
            "\x1b" => Sequence::Begun,
            _ => Sequence::Other,
        };
    };
    match rest.find(|c: char| !matches!(c, '0'..='9' | ';' | ':')) {
        Some(at) if rest[at..].starts_with('m') && at < SEQUENCE => Sequence::Look(&rest[..at], at + 3),
        None if rest.len() < SEQUENCE => Sequence::Begun,
        _ => Sequence::Other,
    }
}

/// Reads a colour of 256 or of 24 bits.
fn colour(numbers: &mut impl Iterator<Item = u16>) -> Option<u8> {
    let byte = |number: Option<u16>| Some(number?.min(255) as u8);
    match numbers.next()? {
        5 => {
            let number = byte(numbers.next())?;
            Some(match number {
                0..=15 => number,
                232.. => nearest([8 + (number - 232) * 10; 3]),
                _ => {
                    let level = |step: u8| if step == 0 { 0 } else { 55 + step * 40 };
                    let cube = number - 16;
                    nearest([level(cube / 36), level(cube / 6 % 6), level(cube % 6)])
                }
            })
        }
        2 => {
            let all = [
                byte(numbers.next())?,
                byte(numbers.next())?,
                byte(numbers.next())?,
            ];
            Some(nearest(all))
        }
        _ => None,
    }
}

fn nearest([red, green, blue]: [u8; 3]) -> u8 {
    let distance = |(r, g, b): (u8, u8, u8)| {
        let square = |a: u8, b: u8| u32::from(a.abs_diff(b)).pow(2);
        square(r, red) + square(g, green) + square(b, blue)
    };
    let best = (0_u8..).zip(COLOURS).min_by_key(|(_, colour)| distance(*colour));
    best.map_or(7, |(number, _)| number)
}

/// HTML that is being written.
struct Spans {
    html: String,
    open: Look,
}

impl Spans {
    fn look(&mut self, look: Look) {
        if look == self.open {
            return;
        }
        if self.open != Look::default() {
            self.html.push_str("</span>");
        }
        if look != Look::default() {
            // A string takes everything.
            let _ = write!(self.html, "<span class=\"{}\">", look.classes());
        }
        self.open = look;
    }

    fn push(&mut self, look: Look, c: char) {
        self.look(look);
        match c {
            '<' => self.html.push_str("&lt;"),
            '>' => self.html.push_str("&gt;"),
            '&' => self.html.push_str("&amp;"),
            '"' => self.html.push_str("&quot;"),
            '\'' => self.html.push_str("&#39;"),
            c => self.html.push(c),
        }
    }

    /// Writes what a terminal would obey so that it is seen.
    fn visible(&mut self, look: Look, c: char) {
        self.look(look);
        let _ = match u32::from(c) {
            code @ 0..=0x7f => write!(self.html, "\\x{code:02x}"),
            code => write!(self.html, "\\u{{{code:x}}}"),
        };
    }

    fn end(mut self) -> String {
        self.look(Look::default());
        self.html
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn painted(pieces: &[&[u8]]) -> String {
        let mut painter = Painter::default();
        pieces.iter().map(|piece| painter.paint(piece)).collect()
    }

    #[test]
    fn nothing_but_colours_is_obeyed() {
        assert_eq!(
            painted(&[b"a<script>\x1b[31mred & \"bold\" \x1b[1mx\x1b[0m\x1b[2J\x07\xff\n"]),
            "a&lt;script&gt;<span class=\"f1\">red &amp; &quot;bold&quot; </span><span class=\"f1 bold\">x</span>\\x1b[2J\\x07\u{fffd}\n"
        );
        assert_eq!(painted(&["a\u{202e}b\u{9b}".as_bytes()]), "a\\u{202e}b\\u{9b}");
    }

    #[test]
    fn sequences_go_on_in_the_next_piece() {
        let whole = b"\x1b[1;38;5;196mx\r\ny\rz\x1b[m.";
        let once = painted(&[whole]);
        assert_eq!(once, "<span class=\"f1 bold\">x\ny\nz</span>.");
        let text = |html: &str| html.replace("</span><span class=\"f1 bold\">", "");
        for at in 1..whole.len() {
            assert_eq!(text(&painted(&[&whole[..at], &whole[at..]])), once, "{at}");
        }
    }

    #[test]
    fn colours_are_the_nearest_of_sixteen() {
        for (codes, classes) in [
            ("91", "f9"),
            ("38;2;250;250;250", "f15"),
            ("48;5;21", "b4"),
            ("38;5;232", "f0"),
            ("7", "f0 b7"),
            ("7;31;44", "f4 b1"),
            ("38;9", ""),
        ] {
            let html = painted(&[format!("\x1b[{codes}mx").as_bytes()]);
            let expected = match classes {
                "" => "x".to_owned(),
                classes => format!("<span class=\"{classes}\">x</span>"),
            };
            assert_eq!(html, expected, "{codes}");
        }
    }
}
