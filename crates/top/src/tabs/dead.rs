//! The tab of dead jobs, by what they died of.

use std::time::Duration;

use queuectl_core::{QueueName, Timestamp};
use queuectl_dlq::{CauseCount, Causes, Selected};
use queuectl_frontend::columns::Column;
use queuectl_frontend::time::relative;
use queuectl_storage::{Store, StoreError};

use super::{ROWS, bounded};
use crate::snapshot::{Cell, Row, Subject, Table, Tone};

pub const COLUMNS: [Column; 7] = [
    Column::whole("KEY").expendable(4),
    Column::whole("JOBS"),
    Column::whole("LAST").expendable(1),
    Column::whole("ENDED BY").expendable(2),
    Column::name("QUEUES", 7).expendable(5),
    Column::name("EXAMPLE", 8).expendable(3),
    Column::sentence("CAUSE", 30),
];

/// Dead jobs that are looked at, the newest.
const JOBS: usize = 5000;

pub fn load(store: &mut Store, filter: &str, now: Timestamp) -> Result<Table, StoreError> {
    let all = Selected {
        queue: None,
        cause: None,
        age: Duration::ZERO,
        now,
    };
    let found = queuectl_dlq::causes_of_newest(store, &all.filter(), ROWS, JOBS)?;
    let (Causes { list, other }, more) = found;
    let mut rows: Vec<Row> = list.iter().map(|count| row(count, more, now)).collect();
    if other > 0 {
        let mut cells = vec![Cell::from("-"); COLUMNS.len()];
        cells[1] = Cell::from(other.to_string());
        cells[COLUMNS.len() - 1] = Cell::new("(other causes)", Tone::Dim);
        rows.push(Row {
            subject: Subject::Rest,
            position: None,
            cells,
        });
    }
    let mut table = bounded(rows, filter);
    if more {
        let note = format!("of the newest {JOBS} dead jobs; `queuectl dlq:causes` counts all");
        table.note.get_or_insert(note);
    }
    Ok(table)
}

fn row(count: &CauseCount, more: bool, now: Timestamp) -> Row {
    let queues: Vec<&str> = count.queues.iter().map(QueueName::as_str).collect();
    Row {
        cells: vec![
            Cell::from(count.key.to_string()),
            Cell::new(&count.jobs.to_string(), Tone::Bad),
            Cell::from(relative(count.last, now)),
            Cell::from(ended_by(count)),
            Cell::from(queues.join(" ")),
            Cell::from(&count.example),
            Cell::from(in_words(count)),
        ],
        subject: Subject::Cause {
            key: count.key,
            jobs: count.jobs,
            more,
        },
        position: None,
    }
}

/// Returns how the last attempts ended.
pub fn ended_by(count: &CauseCount) -> String {
    let cause = &count.cause;
    match (cause.exit_code, cause.signal, cause.outcome) {
        (_, Some(signal), _) => format!("signal {signal}"),
        (Some(code), None, _) => format!("exit {code}"),
        (None, None, Some(outcome)) => outcome.name().replace('_', " "),
        (None, None, None) => "-".to_owned(),
    }
}

/// Returns the program and its error.
pub fn in_words(count: &CauseCount) -> String {
    let (program, error) = (&count.cause.program, &count.cause.error);
    // The column of the ends says more.
    let error = error.strip_prefix("exit status <n>: ").unwrap_or(error);
    match program.is_empty() || error.is_empty() {
        true => format!("{program}{error}"),
        false => format!("{program}: {error}"),
    }
}
