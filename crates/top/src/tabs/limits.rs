//! The tab of limits.

use queuectl_frontend::columns::Column;
use queuectl_frontend::limits::{allows, view_of};
use queuectl_storage::{Store, StoreError};

use crate::snapshot::{Cell, Row, Subject, Tone};

pub const COLUMNS: [Column; 5] = [
    Column::name("LIMIT", 8),
    Column::sentence("ALLOWS", 12),
    Column::whole("RUNNING"),
    Column::whole("WAITING"),
    Column::whole("KEYS").expendable(1),
];

pub fn load(store: &mut Store) -> Result<Vec<Row>, StoreError> {
    let limits = store.limits()?;
    let rows = limits.iter().map(|found| {
        let limit = view_of(found);
        Row {
            cells: vec![
                Cell::from(limit.name.as_str()),
                Cell::from(allows(&limit)),
                Cell::from(limit.jobs_running.to_string()),
                match limit.jobs_waiting {
                    0 => Cell::from("0"),
                    waiting => Cell::new(&waiting.to_string(), Tone::Warn),
                },
                Cell::from(limit.keys.to_string()),
            ],
            subject: Subject::Limit(limit.name),
            position: None,
        }
    });
    Ok(rows.collect())
}
