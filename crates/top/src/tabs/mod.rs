//! What the tabs show: the columns of each, and what it loads. One file each; none draws.

mod dead;
mod events;
mod groups;
mod jobs;
mod limits;
mod nodes;
mod queues;
mod schedules;

use queuectl_core::Timestamp;
use queuectl_frontend::columns::Column;
use queuectl_frontend::status;
use queuectl_storage::{Store, StoreError};

use crate::snapshot::{Content, Place, Row, Table};
use crate::tab::Tab;

/// Most rows of a tab that is not read in parts.
const ROWS: usize = 500;

/// Returns the columns of a tab; none for one that is not a table.
pub fn columns(tab: Tab) -> &'static [Column] {
    match tab {
        Tab::Overview => &[],
        Tab::Jobs => &jobs::COLUMNS,
        Tab::Queues => &queues::COLUMNS,
        Tab::Limits => &limits::COLUMNS,
        Tab::Groups => &groups::COLUMNS,
        Tab::Schedules => &schedules::COLUMNS,
        Tab::Dead => &dead::COLUMNS,
        Tab::Nodes => &nodes::COLUMNS,
        Tab::Events => &events::COLUMNS,
    }
}

/// Reads what a tab shows.
pub fn load(
    tab: Tab,
    store: &mut Store,
    filter: &str,
    place: Place,
    rows: u32,
    now: Timestamp,
) -> Result<Content, StoreError> {
    let rows = match tab {
        Tab::Overview => {
            return status::load(store, None, now).map(|view| Content::Overview(Box::new(view)));
        }
        Tab::Jobs => return jobs::load(store, filter, place, rows, now).map(Content::Table),
        Tab::Events => return events::load(store, filter).map(Content::Table),
        Tab::Dead => return dead::load(store, filter, now).map(Content::Table),
        Tab::Queues => queues::load(store, now)?,
        Tab::Limits => limits::load(store)?,
        Tab::Groups => groups::load(store, now)?,
        Tab::Schedules => schedules::load(store, now)?,
        Tab::Nodes => nodes::load(store, now)?,
    };
    Ok(Content::Table(bounded(rows, filter)))
}

/// The first rows that have the text in one of their cells; letters from A to Z match in either case.
fn bounded(mut rows: Vec<Row>, filter: &str) -> Table {
    let wanted = filter.to_ascii_lowercase();
    let fits = |row: &Row| {
        let mut cells = row.cells.iter();
        cells.any(|cell| cell.text.to_ascii_lowercase().contains(&wanted))
    };
    rows.retain(|row| wanted.is_empty() || fits(row));
    let left = rows.len().saturating_sub(ROWS);
    rows.truncate(ROWS);
    Table {
        note: (left > 0).then(|| format!("and {left} more; narrow them with /")),
        rows,
        ..Table::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{Cell, Subject};

    #[test]
    fn a_tab_shows_a_bounded_number_of_rows() {
        let row = |number: usize| Row {
            subject: Subject::Rest,
            position: None,
            cells: vec![Cell::from(format!("Name-{number}"))],
        };
        let table = bounded((0..ROWS + 7).map(row).collect(), "");
        assert_eq!(table.rows.len(), ROWS);
        assert_eq!(table.note.as_deref(), Some("and 7 more; narrow them with /"));
        let table = bounded((0..ROWS + 7).map(row).collect(), "nAME-50");
        assert_eq!(table.rows.len(), 8, "50 and 500 to 506");
        assert_eq!(table.note, None);
    }
}
