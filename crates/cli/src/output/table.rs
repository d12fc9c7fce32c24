//! Tables for people. On a terminal they fit its width: the least important columns are left out and long texts shortened.
//! Elsewhere nothing is left out.

use std::io::{self, IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use queuectl_core::State;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::escape;

/// Spaces between columns.
const GAP: usize = 2;
/// Stands for omitted text.
const ELLIPSIS: char = '…';

/// A column, and how it gives way on a narrow terminal.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    heading: &'static str,
    shorten: Shorten,
    /// The highest is left out first; 0 always stays.
    expendable: u8,
    /// Whether it is left out if it has no text.
    if_any: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shorten {
    Never,
    /// At the end, to that width at least.
    End(usize),
    /// In the middle, to that width at least: ids, names, paths and commands differ at both ends.
    Middle(usize),
}

impl Column {
    /// Returns a column of short texts, which are never shortened.
    pub const fn whole(heading: &'static str) -> Column {
        Column {
            heading,
            shorten: Shorten::Never,
            expendable: 0,
            if_any: false,
        }
    }

    /// Returns a column of sentences, shortened at the end.
    pub const fn sentence(heading: &'static str, least: usize) -> Column {
        Column {
            heading,
            shorten: Shorten::End(least),
            expendable: 0,
            if_any: false,
        }
    }

    /// Returns a column of names, shortened in the middle.
    pub const fn name(heading: &'static str, least: usize) -> Column {
        Column {
            heading,
            shorten: Shorten::Middle(least),
            expendable: 0,
            if_any: false,
        }
    }

    /// Lets the column be left out, before those with a lower rank.
    pub const fn expendable(mut self, rank: u8) -> Column {
        self.expendable = rank;
        self
    }

    /// Has the column left out of a table without any text in it.
    pub const fn if_any(mut self) -> Column {
        self.if_any = true;
        self
    }
}

/// A styled text.
#[derive(Debug, Clone)]
pub struct Cell {
    text: String,
    style: Style,
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Cell {
        let style = Style::new();
        Cell {
            text: text.into(),
            style,
        }
    }
}

impl Cell {
    /// Returns the coloured name of a job's state.
    pub fn of_state(state: State) -> Cell {
        let colour = match state {
            State::Pending | State::Scheduled | State::Blocked => None,
            State::Processing => Some(AnsiColor::Cyan),
            State::Completed => Some(AnsiColor::Green),
            State::Failed => Some(AnsiColor::Yellow),
            State::Dead => Some(AnsiColor::Red),
            State::Cancelled => Some(AnsiColor::BrightBlack),
        };
        Cell {
            text: state.name().to_owned(),
            style: colour.map_or_else(Style::new, AnsiColor::on_default),
        }
    }
}

/// A table.
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
    raw: bool,
}

impl Table {
    /// Returns a table with these columns.
    pub fn new(columns: &[Column], raw: bool) -> Table {
        Table {
            columns: columns.to_vec(),
            rows: Vec::new(),
            raw,
        }
    }

    /// Adds a row. Texts are escaped.
    pub fn row<T: Into<Cell>>(&mut self, cells: impl IntoIterator<Item = T>) {
        let cells = cells.into_iter().map(|cell| self.on_one_line(cell.into()));
        let cells = cells.collect();
        self.rows.push(cells);
    }

    fn on_one_line(&self, mut cell: Cell) -> Cell {
        match cell.text.split_once('\n') {
            Some((first, _)) if self.raw => cell.text = format!("{first}{ELLIPSIS}"),
            None if self.raw => {}
            _ => cell.text = escape::line(&cell.text).into_owned(),
        }
        cell
    }

    /// Prints the table.
    pub fn print(mut self) -> io::Result<()> {
        self.drop_empty();
        let width = terminal_width();
        let mut out: Box<dyn Write> = if self.raw {
            // Anstream would also strip escape sequences from names and commands.
            Box::new(io::stdout().lock())
        } else {
            Box::new(anstream::stdout().lock())
        };
        for line in self.lines(width) {
            writeln!(out, "{line}")?;
        }
        out.flush()
    }

    /// Removes columns that are there only for their texts and have none.
    fn drop_empty(&mut self) {
        for at in (0..self.columns.len()).rev() {
            let mut cells = self.rows.iter().filter_map(|row| row.get(at));
            if self.columns[at].if_any && cells.all(|cell| cell.text.is_empty()) {
                self.columns.remove(at);
                self.rows.iter_mut().for_each(|row| drop(row.remove(at)));
            }
        }
    }

    fn lines(&self, width: Option<usize>) -> Vec<String> {
        let heading = |column: &Column| Cell {
            text: column.heading.to_owned(),
            style: Style::new().bold(),
        };
        let mut rows = vec![self.columns.iter().map(heading).collect::<Vec<_>>()];
        rows.extend(self.rows.iter().cloned());
        let most: Vec<usize> = (0..self.columns.len())
            .map(|at| {
                rows.iter()
                    .filter_map(|row| Some(row.get(at)?.text.width()))
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        let widths = widths(&self.columns, &most, width);
        rows.iter().map(|row| self.line(row, &widths)).collect()
    }

    fn line(&self, row: &[Cell], widths: &[Option<usize>]) -> String {
        let mut line = String::new();
        let mut blanks = 0;
        for ((cell, column), width) in row.iter().zip(&self.columns).zip(widths) {
            let Some(width) = *width else { continue };
            let text = shorten(&cell.text, width, column.shorten);
            if !text.is_empty() {
                line.extend(std::iter::repeat_n(' ', blanks));
                let style = if self.raw { Style::new() } else { cell.style };
                line.push_str(&format!("{style}{text}{style:#}"));
                blanks = 0;
            }
            blanks += width.saturating_sub(text.width()) + GAP;
        }
        line
    }
}

/// Returns the width of each column; none if it is left out.
fn widths(columns: &[Column], most: &[usize], room: Option<usize>) -> Vec<Option<usize>> {
    let Some(room) = room else {
        return most.iter().copied().map(Some).collect();
    };
    let least = |at: usize| match columns[at].shorten {
        Shorten::Never => most[at],
        Shorten::End(least) | Shorten::Middle(least) => most[at].min(least.max(columns[at].heading.width())),
    };
    let mut widths: Vec<Option<usize>> = (0..columns.len()).map(|at| Some(least(at))).collect();
    let taken = |widths: &[Option<usize>]| {
        let shown = widths.iter().flatten();
        shown.clone().sum::<usize>() + GAP * shown.count().saturating_sub(1)
    };
    while taken(&widths) > room {
        let shown = (0..columns.len()).filter(|at| widths[*at].is_some() && columns[*at].expendable > 0);
        match shown.max_by_key(|at| columns[*at].expendable) {
            Some(at) => widths[at] = None,
            None => break,
        }
    }
    let mut left = room.saturating_sub(taken(&widths));
    while left > 0 {
        let short = (0..columns.len()).filter(|at| widths[*at].is_some_and(|width| width < most[*at]));
        let Some(at) = short.min_by_key(|at| widths[*at]) else {
            break;
        };
        widths[at] = widths[at].map(|width| width + 1);
        left -= 1;
    }
    widths
}

/// Returns the text, shortened to that width.
fn shorten(text: &str, width: usize, how: Shorten) -> String {
    if text.width() <= width || how == Shorten::Never {
        return text.to_owned();
    }
    let room = width.saturating_sub(1);
    let behind = match how {
        Shorten::Middle(_) => room / 2,
        _ => 0,
    };
    let head = fitting(text.chars(), room - behind);
    let mut tail: String = fitting(text.chars().rev(), behind).chars().rev().collect();
    // A mark belongs to the letter before it.
    while tail.starts_with(|c: char| c.width() == Some(0)) {
        tail.remove(0);
    }
    format!("{head}{ELLIPSIS}{tail}")
}

/// Returns as many characters as fit.
fn fitting(chars: impl Iterator<Item = char>, room: usize) -> String {
    let mut used = 0;
    chars
        .take_while(|c| {
            used += c.width().unwrap_or(1);
            used <= room
        })
        .collect()
}

/// Returns the width of the terminal; none if standard output is not one.
fn terminal_width() -> Option<usize> {
    let out = io::stdout();
    if !out.is_terminal() {
        return None;
    }
    let (terminal_size::Width(width), _) = terminal_size::terminal_size_of(&out)?;
    Some(usize::from(width)).filter(|width| *width > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 5] = [
        Column::name("ID", 8),
        Column::whole("STATE"),
        Column::name("QUEUE", 7).expendable(1),
        Column::whole("STARTED").expendable(2),
        Column::sentence("REASON", 12),
    ];

    fn lines(rows: &[[&str; 5]], width: Option<usize>) -> Vec<String> {
        let mut table = Table::new(&COLUMNS, true);
        rows.iter().for_each(|row| table.row(*row));
        table.lines(width)
    }

    const LONG: [&str; 5] = [
        "3f0c1a52-9a1e-4d53-8a0a-0c8f5e1b2d34",
        "processing",
        "a-queue-whose-name-has-sixty-letters-and-goes-on-and-on-to-60",
        "2026-11-24 23:00:14",
        "exit status 4: convert: profile.icc missing",
    ];

    #[test]
    fn nothing_is_cut_where_no_terminal_is() {
        let whole = lines(&[LONG], None);
        assert_eq!(whole.len(), 2);
        assert!(LONG.iter().all(|text| whole[1].contains(text)), "{whole:?}");
    }

    #[test]
    fn everything_fits_the_terminal() {
        let short = ["1", "dead", "mail", "2026-11-24 23:00:14", "ok"];
        let wide = ["日本語".repeat(9), "e\u{301}".repeat(50)];
        let wide = [&wide[0], "dead", "mail", "2026-11-24 23:00:14", &wide[1]];
        for width in 40..200 {
            for line in lines(&[LONG, short, wide], Some(width)) {
                assert!(line.width() <= width, "{width}: {line}");
            }
            let heading = &lines(&[LONG, short, wide], Some(width))[0];
            let words: Vec<&str> = heading.split_whitespace().collect();
            let all = ["ID", "STATE", "QUEUE", "STARTED", "REASON"];
            assert!(words.iter().all(|word| all.contains(word)), "{width}: {heading}");
        }
        let at = |width| lines(&[LONG], Some(width));
        assert!(
            at(80)[0].contains("STARTED") && at(80)[1].contains("3f0c1a5…"),
            "{:?}",
            at(80)
        );
        assert!(
            !at(60)[0].contains("STARTED") && at(60)[0].contains("QUEUE"),
            "{:?}",
            at(60)
        );
        assert!(!at(40)[0].contains("QUEUE"), "{:?}", at(40));
        assert_eq!(
            lines(&[short], Some(80)),
            lines(&[short], None),
            "short texts stay"
        );
    }

    #[test]
    fn names_keep_both_ends_and_sentences_their_beginning() {
        let middle = |text: &str, width| shorten(text, width, Shorten::Middle(0));
        assert_eq!(middle("abcdefghij", 10), "abcdefghij");
        assert_eq!(middle("abcdefghij", 7), "abc…hij");
        assert_eq!(middle("日本語日本語", 6), "日…語");
        assert_eq!(middle("abe\u{301}", 2), "a…", "no mark without its letter");
        assert_eq!(shorten("abcdefghij", 4, Shorten::End(0)), "abc…");
        assert_eq!(shorten("abcdefghij", 4, Shorten::Never), "abcdefghij");
    }
}
