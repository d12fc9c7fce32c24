//! Tables for people. On a terminal they fit its width: the least important columns are left out and long texts shortened.
//! Elsewhere nothing is left out.

use std::io::{self, IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use queuectl_core::State;
pub use queuectl_frontend::columns::Column;
use queuectl_frontend::columns::{ELLIPSIS, GAP, widths};
use unicode_width::UnicodeWidthStr;

use super::{diagnostics, escape};

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
    /// Whether a note says which columns have no room.
    names_left_out: bool,
}

impl Table {
    /// Returns a table with these columns.
    pub fn new(columns: &[Column], raw: bool) -> Table {
        Table {
            columns: columns.to_vec(),
            rows: Vec::new(),
            raw,
            names_left_out: false,
        }
    }

    /// Says, when it is printed, which columns have no room.
    pub fn names_what_is_left_out(&mut self) {
        self.names_left_out = true;
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
        let (lines, left_out) = self.lines(width);
        for line in lines {
            writeln!(out, "{line}")?;
        }
        out.flush()?;
        if self.names_left_out && !left_out.is_empty() {
            let names = left_out.join(", ");
            diagnostics::note(&format!("the terminal is too narrow for {names}"));
        }
        Ok(())
    }

    /// Returns the lines of the table for a terminal of that width, each no wider.
    pub fn frame(mut self, width: usize) -> Vec<String> {
        self.drop_empty();
        self.lines(Some(width)).0
    }

    /// Removes columns that are there only for their texts and have none.
    fn drop_empty(&mut self) {
        for at in (0..self.columns.len()).rev() {
            let mut cells = self.rows.iter().filter_map(|row| row.get(at));
            if self.columns[at].is_there_if_any() && cells.all(|cell| cell.text.is_empty()) {
                self.columns.remove(at);
                self.rows.iter_mut().for_each(|row| drop(row.remove(at)));
            }
        }
    }

    /// Returns its lines, and the headings of columns that have no room.
    fn lines(&self, width: Option<usize>) -> (Vec<String>, Vec<&'static str>) {
        let heading = |column: &Column| Cell {
            text: column.heading().to_owned(),
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
        let lines = rows.iter().map(|row| self.line(row, &widths)).collect();
        let shown = self.columns.iter().zip(&widths);
        let left_out = shown.filter(|(_, width)| width.is_none());
        (lines, left_out.map(|(column, _)| column.heading()).collect())
    }

    fn line(&self, row: &[Cell], widths: &[Option<usize>]) -> String {
        let mut line = String::new();
        let mut blanks = 0;
        for ((cell, column), width) in row.iter().zip(&self.columns).zip(widths) {
            let Some(width) = *width else { continue };
            let text = column.fit(&cell.text, width);
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

/// Returns the width of the terminal; none if standard output is not one.
pub fn terminal_width() -> Option<usize> {
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
        table.lines(width).0
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
}
