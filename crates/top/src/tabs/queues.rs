//! The tab of queues.

use queuectl_core::{QueueName, State, Timestamp, show_rough};
use queuectl_frontend::columns::Column;
use queuectl_frontend::{load, pause};
use queuectl_storage::{Store, StoreError};

use crate::snapshot::{Cell, Row, Subject, Tone};

pub const COLUMNS: [Column; 9] = [
    Column::name("QUEUE", 8),
    Column::whole("PENDING"),
    Column::whole("RUNNING"),
    Column::whole("BLOCKED").expendable(3),
    Column::whole("FAILED").expendable(2),
    Column::whole("DEAD"),
    Column::whole("OLDEST"),
    Column::whole("NODES").expendable(1),
    Column::sentence("PAUSE OR LIMIT", 14).if_any(),
];

pub fn load(store: &mut Store, now: Timestamp) -> Result<Vec<Row>, StoreError> {
    let queues = load::queues(store, now)?.into_iter();
    let rows = queues.map(|queue| {
        let count = |state| Cell::from(queue.jobs.of(state).to_string());
        let limit = queue.limit.as_ref();
        let note = match (&queue.paused, limit) {
            (Some(paused), _) => Cell::new(&format!("paused {}", pause::in_short(paused, now)), Tone::Warn),
            (None, Some(limit)) => Cell::from(match limit.full {
                true => format!("full: {}", limit.allows()),
                false => limit.allows(),
            }),
            (None, None) => Cell::default(),
        };
        let oldest = queue.oldest_pending;
        Row {
            cells: vec![
                Cell::from(&queue.queue),
                count(State::Pending),
                count(State::Processing),
                count(State::Blocked),
                count(State::Failed),
                match queue.jobs.of(State::Dead) {
                    0 => Cell::from("0"),
                    dead => Cell::new(&dead.to_string(), Tone::Bad),
                },
                Cell::from(oldest.map_or_else(String::new, |since| show_rough(now.since(since)))),
                Cell::from(queue.nodes.len().to_string()),
                note,
            ],
            subject: Subject::Queue {
                is_paused: queue.paused.is_some(),
                name: QueueName::as_stored(queue.queue),
            },
            position: None,
        }
    });
    Ok(rows.collect())
}
