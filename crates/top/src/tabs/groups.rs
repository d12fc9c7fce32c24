//! The tab of groups: the newest of them.

use queuectl_core::{Timestamp, show_rough};
use queuectl_frontend::columns::Column;
use queuectl_storage::{GroupFilter, Store, StoreError};
use queuectl_views::GroupView;

use super::ROWS;
use crate::snapshot::{Cell, Row, Subject, Tone};

pub const COLUMNS: [Column; 8] = [
    Column::name("GROUP", 12),
    Column::whole("STATE"),
    Column::whole("ENDED"),
    Column::whole("JOBS"),
    Column::whole("COMPLETED").expendable(3),
    Column::whole("DEAD"),
    Column::whole("CANCELLED").expendable(2),
    Column::whole("AGE").expendable(1),
];

pub fn load(store: &mut Store, now: Timestamp) -> Result<Vec<Row>, StoreError> {
    let filter = GroupFilter {
        unfinished: false,
        limit: ROWS as u32,
    };
    let groups = store.groups(&filter)?;
    let rows = groups.iter().map(|found| {
        let group = GroupView::new(&found.group, &found.progress, false);
        let state = group.in_words();
        Row {
            cells: vec![
                Cell::from(group.name.as_str()),
                Cell::new(state, tone(state)),
                Cell::from(group.percent()),
                Cell::from(group.jobs.to_string()),
                Cell::from(group.completed.to_string()),
                match group.dead {
                    0 => Cell::from("0"),
                    dead => Cell::new(&dead.to_string(), Tone::Bad),
                },
                Cell::from(group.cancelled.to_string()),
                Cell::from(show_rough(now.since(group.created_at))),
            ],
            subject: Subject::Group(group.name),
            position: None,
        }
    });
    Ok(rows.collect())
}

fn tone(state: &str) -> Tone {
    match state {
        "complete" => Tone::Good,
        "failed" | "stopped" => Tone::Bad,
        _ => Tone::Plain,
    }
}
