//! A table on the screen: the row that is chosen, and which rows are seen. Rows can come, go and move under it.

use queuectl_storage::Position;

use crate::snapshot::{Place, Row, Subject, Table};

/// The list of a tab.
#[derive(Debug, Default)]
pub struct List {
    /// The filter as it was typed.
    pub filter: String,
    /// What was read last; none before that.
    pub table: Option<Table>,
    /// The place in the whole list that is asked for.
    place: Option<Place>,
    /// The chosen row by what it is about; none for the first, whatever that is.
    chosen: Option<(Subject, Option<Position>)>,
    cursor: usize,
    /// The first row that is seen.
    offset: usize,
    /// Whether the last row is to be chosen once it was read.
    goes_to_end: bool,
}

/// What a move needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    Nothing,
    /// Rows that were not read.
    Rows,
}

impl List {
    pub fn rows(&self) -> &[Row] {
        self.table.as_ref().map_or(&[], |table| &table.rows)
    }

    pub fn place(&self) -> Place {
        self.place.unwrap_or(Place::Top)
    }

    pub fn cursor(&self) -> usize {
        self.cursor
    }

    pub fn offset(&self) -> usize {
        self.offset
    }

    pub fn chosen(&self) -> Option<&Row> {
        self.rows().get(self.cursor)
    }

    /// Starts again, with another filter.
    pub fn filter_by(&mut self, filter: String) {
        *self = List {
            filter,
            ..List::default()
        };
    }

    /// Whether anything was read since the filter was chosen.
    pub fn is_read(&self) -> bool {
        self.table.is_some()
    }

    /// Takes what was read, and stays at the chosen row. `seen` is the number of rows that there is room for.
    pub fn replace(&mut self, table: Table, seen: usize) -> Need {
        let line = self.cursor.saturating_sub(self.offset);
        let found = match &self.chosen {
            None => Some(0),
            Some((subject, _)) => table.rows.iter().position(|row| row.subject.is(subject)),
        };
        let at = self.chosen.as_ref().and_then(|(_, position)| *position);
        if let (None, Some(at), Some(Place::Top)) = (found, at, table.place) {
            let last = table.rows.last().and_then(|row| row.position);
            if last.is_some_and(|last| at < last) {
                // Newer rows moved it off the part that was read.
                self.place = Some(Place::Above(at));
                return Need::Rows;
            }
        }
        let length = table.rows.len();
        self.cursor = match (found, at) {
            _ if std::mem::take(&mut self.goes_to_end) => length,
            (Some(found), _) => found,
            // It is gone: the next one takes its place.
            (None, Some(at)) => {
                let next = |row: &Row| row.position.is_some_and(|position| position <= at);
                table.rows.iter().position(next).unwrap_or(length)
            }
            (None, None) => self.cursor,
        };
        self.cursor = self.cursor.min(length.saturating_sub(1));
        self.offset = self.cursor.saturating_sub(line);
        self.place = table.place.or(self.place);
        self.table = Some(table);
        self.choose();
        self.show(seen);
        Need::Nothing
    }

    /// Moves by this many rows.
    pub fn move_by(&mut self, rows: isize, seen: usize) -> Need {
        let last = self.rows().len().saturating_sub(1);
        self.cursor = self.cursor.saturating_add_signed(rows).min(last);
        let is_first = self.cursor == 0 && self.place() == Place::Top;
        self.chosen = None;
        if !is_first {
            self.remember();
        }
        self.show(seen);
        self.need(rows > 0, seen)
    }

    pub fn go_to_top(&mut self) -> Need {
        (self.cursor, self.offset, self.chosen) = (0, 0, None);
        let was = self.place.replace(Place::Top);
        match was {
            None | Some(Place::Top) => Need::Nothing,
            _ => Need::Rows,
        }
    }

    pub fn go_to_end(&mut self, seen: usize) -> Need {
        if self.table.as_ref().is_some_and(|table| table.more) {
            (self.place, self.goes_to_end) = (Some(Place::Bottom), true);
            return Need::Rows;
        }
        let rows = isize::try_from(self.rows().len()).unwrap_or(isize::MAX);
        self.move_by(rows, seen)
    }

    /// Keeps the chosen row on the screen, also after the screen got smaller.
    pub fn show(&mut self, seen: usize) {
        let seen = seen.max(1);
        let most = self.rows().len().saturating_sub(seen);
        let least = (self.cursor + 1).saturating_sub(seen);
        self.offset = self
            .offset
            .clamp(least, self.cursor.max(least))
            .min(most.max(least));
    }

    fn choose(&mut self) {
        if self.chosen.is_some() {
            self.remember();
        }
    }

    fn remember(&mut self) {
        let chosen = self.chosen().map(|row| (row.subject.clone(), row.position));
        self.chosen = chosen;
    }

    /// Whether the end of what was read comes near.
    fn need(&mut self, is_down: bool, seen: usize) -> Need {
        let Some(table) = &self.table else {
            return Need::Nothing;
        };
        let length = table.rows.len();
        let position = |at: usize| table.rows.get(at).and_then(|row| row.position);
        if is_down && table.more && self.cursor + seen / 2 >= length {
            if let Some(at) = self.cursor.checked_sub(seen.max(1)).and_then(position) {
                self.place = Some(Place::Below(at));
                return Need::Rows;
            }
        } else if !is_down
            && self.place() != Place::Top
            && self.cursor < seen / 2
            && let Some(at) = position(self.cursor)
        {
            self.place = Some(Place::Above(at));
            return Need::Rows;
        }
        Need::Nothing
    }
}
