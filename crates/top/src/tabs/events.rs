//! The tab of events: the newest, as far as they are recorded.

use queuectl_frontend::columns::Column;
use queuectl_frontend::load;
use queuectl_frontend::time::local;
use queuectl_storage::{Store, StoreError};

use super::bounded;
use crate::snapshot::{Cell, Row, Subject, Table, Tone};

pub const COLUMNS: [Column; 6] = [
    Column::whole("EVENT").expendable(3),
    Column::whole("TIME").expendable(2),
    Column::name("JOB", 8),
    Column::whole("WHAT"),
    Column::whole("NODE").expendable(1),
    Column::sentence("DETAIL", 16),
];

/// Events that are shown.
const EVENTS: u32 = 200;

pub fn load(store: &mut Store, filter: &str) -> Result<Table, StoreError> {
    let place = store.newest_events_from(None, EVENTS)?;
    let events = store.events_after(None, place, EVENTS)?;
    if events.is_empty() {
        let is_off = store.settings()?.event_retention.is_zero();
        let note =
            "nothing is recorded; `queuectl config:set event_retention 7d` has it recorded from then on";
        return Ok(Table {
            note: is_off.then(|| note.to_owned()),
            ..Table::default()
        });
    }
    let rows = events.into_iter().rev().map(|event| {
        let view = load::event(event);
        let bad = ["dead", "failed", "lost"].contains(&view.kind.as_str());
        Row {
            cells: vec![
                Cell::from(view.event.to_string()),
                Cell::from(local(view.at)),
                Cell::from(view.id.as_deref().unwrap_or("-")),
                Cell::new(&view.kind, if bad { Tone::Warn } else { Tone::Plain }),
                Cell::from(view.node.map_or_else(|| "-".to_owned(), |node| node.to_string())),
                Cell::from(view.in_words(local)),
            ],
            subject: Subject::Event {
                id: view.event,
                job: view.number,
            },
            position: None,
        }
    });
    Ok(bounded(rows.collect(), filter))
}
