//! The tab of schedules, and when each runs next.

use queuectl_core::Timestamp;
use queuectl_frontend::columns::Column;
use queuectl_frontend::time::relative;
use queuectl_storage::{Store, StoreError};
use queuectl_views::ScheduleView;

use crate::snapshot::{Cell, Row, Subject, Tone};

pub const COLUMNS: [Column; 7] = [
    Column::name("SCHEDULE", 8),
    Column::name("WHEN", 9),
    Column::name("ZONE", 6).expendable(2),
    Column::whole("NEXT"),
    Column::name("QUEUE", 5).expendable(3),
    Column::name("COMMAND", 8).expendable(1),
    Column::sentence("PAUSED", 8).if_any(),
];

pub fn load(store: &mut Store, now: Timestamp) -> Result<Vec<Row>, StoreError> {
    let schedules = store.schedules(None)?.into_iter();
    let rows = schedules.map(|schedule| {
        let name = schedule.spec.name.clone();
        let view = ScheduleView::from(schedule);
        let next = match (view.paused_at, view.next_due) {
            (None, Some(next)) => relative(next, now),
            _ => "-".to_owned(),
        };
        let paused = view.paused_at.map(|at| match &view.paused_reason {
            Some(reason) => format!("{}: {reason}", relative(at, now)),
            None => relative(at, now),
        });
        Row {
            cells: vec![
                Cell::from(&view.schedule),
                Cell::from(&view.when),
                Cell::from(&view.tz),
                Cell::from(next),
                Cell::from(view.queue.as_str()),
                match &view.unreadable {
                    Some(fault) => Cell::new(fault, Tone::Bad),
                    None => Cell::from(&view.command),
                },
                Cell::new(&paused.unwrap_or_default(), Tone::Warn),
            ],
            subject: Subject::Schedule {
                is_paused: view.paused_at.is_some(),
                name,
            },
            position: None,
        }
    });
    Ok(rows.collect())
}
