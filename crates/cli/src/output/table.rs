//! Columns for people. On a terminal the last column is cut to fit; elsewhere nothing is.

use std::io::{self, IsTerminal, Write};

use comfy_table::{Attribute, Cell, Color, ColumnConstraint, ContentArrangement, Row, TableStyle, Width};
use queuectl_core::State;

use super::escape;

/// A table under construction.
pub struct Table {
    table: comfy_table::Table,
    raw: bool,
    /// A column besides the last that is cut on a terminal, and at which width.
    bounded: Option<(usize, u16)>,
}

impl Table {
    /// A table with these headings.
    pub fn new(headings: &[&str], raw: bool) -> Table {
        let mut table = comfy_table::Table::new();
        table.load_style(TableStyle::new());
        table.set_truncation_indicator("…");
        // Colours are decided where the text is written, by anstream; raw text goes round it.
        if !raw {
            table.enforce_styling();
        }
        table.style_text_only();
        if io::stdout().is_terminal() {
            table.set_content_arrangement(ContentArrangement::Dynamic);
        } else {
            table.force_no_tty();
            table.set_content_arrangement(ContentArrangement::Disabled);
        }
        table.set_header(
            headings
                .iter()
                .map(|text| Cell::new(text).add_attribute(Attribute::Bold)),
        );
        Table {
            table,
            raw,
            bounded: None,
        }
    }

    /// Cuts a column besides the last, too, where the last is cut.
    pub fn bound_column(&mut self, index: usize, width: u16) {
        self.bounded = Some((index, width));
    }

    /// Adds a row of plain texts.
    pub fn row<T: AsRef<str>>(&mut self, texts: impl IntoIterator<Item = T>) {
        let cells: Vec<Cell> = texts.into_iter().map(|text| self.cell(text.as_ref())).collect();
        self.cells(cells);
    }

    /// Adds a row of cells.
    pub fn cells(&mut self, cells: Vec<Cell>) {
        let mut row = Row::from(cells);
        row.max_height(1);
        self.table.add_row(row);
    }

    /// A cell with text from anywhere.
    pub fn cell(&self, text: &str) -> Cell {
        if self.raw {
            Cell::new(text)
        } else {
            Cell::new(escape::line(text))
        }
    }

    /// Prints the table.
    pub fn print(mut self) -> io::Result<()> {
        self.table.discover_columns();
        let last = self.table.column_count().saturating_sub(1);
        for (index, column) in self.table.column_iter_mut().enumerate() {
            column.set_padding((0, if index == last { 0 } else { 2 }));
            match self.bounded {
                Some((bounded, width)) if bounded == index => {
                    column.set_constraint(ColumnConstraint::UpperBoundary(Width::Fixed(width)));
                }
                _ if index < last => {
                    column.set_constraint(ColumnConstraint::ContentWidth);
                }
                _ => {}
            }
        }
        let lines: Vec<String> = self.table.lines().collect();
        let mut out: Box<dyn Write> = if self.raw {
            // Anstream would take out what a name or command brought along, too.
            Box::new(io::stdout().lock())
        } else {
            Box::new(anstream::stdout().lock())
        };
        for line in lines {
            writeln!(out, "{}", line.trim_end())?;
        }
        out.flush()
    }
}

/// A job's state in its colour.
pub fn state(state: State) -> Cell {
    let cell = Cell::new(state.name());
    match state {
        State::Pending | State::Scheduled => cell,
        State::Processing => cell.fg(Color::Cyan),
        State::Completed => cell.fg(Color::Green),
        State::Failed => cell.fg(Color::Yellow),
        State::Dead => cell.fg(Color::Red),
        State::Cancelled => cell.fg(Color::DarkGrey),
    }
}
