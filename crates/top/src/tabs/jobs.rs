//! The tab of jobs: newest first, read in parts of a few screens.

use queuectl_core::explain::Code;
use queuectl_core::selector::{Selector, SelectorError};
use queuectl_core::{BlockedBy, State, Timestamp};
use queuectl_frontend::columns::Column;
use queuectl_frontend::reasons::Reasons;
use queuectl_frontend::time::relative;
use queuectl_storage::{ListFilter, Position, Store, StoreError};
use queuectl_views::{JobView, ProgressView};

use crate::snapshot::{Cell, JobFacts, Place, Row, Subject, Table, Tone, clean};

pub const COLUMNS: [Column; 7] = [
    Column::name("ID", 8),
    Column::whole("STATE"),
    Column::name("QUEUE", 7).expendable(1),
    Column::whole("ATTEMPTS").expendable(3),
    Column::whole("WHEN").expendable(2),
    Column::whole("REASON").expendable(1).if_any(),
    Column::name("COMMAND", 16),
];

/// Screens that are read at a time.
const SCREENS: u32 = 2;
/// Most rows that are read at a time.
const MOST: u32 = 400;

/// Returns the jobs from a place on.
pub fn load(
    store: &mut Store,
    filter: &str,
    place: Place,
    rows: u32,
    now: Timestamp,
) -> Result<Table, StoreError> {
    let jobs = match filter.parse::<Selector>() {
        Ok(selector) => store.job_filter(&selector, now)?,
        // It was checked when it was typed, so this is a filter that a newer check refuses.
        Err(error) => return Ok(refused(&error)),
    };
    let filter = ListFilter {
        jobs,
        limit: rows.saturating_mul(SCREENS).clamp(1, MOST),
        ..ListFilter::default()
    };
    let (below, place) = start(store, &filter, place, rows)?;
    let page = store.list_page(&ListFilter {
        below,
        ..filter.clone()
    })?;
    let settings = store.settings()?;
    // A role that may not read pauses goes without.
    let pauses = store.pauses(now).unwrap_or_default();
    let mut reasons = Looked::default();
    let mut table = Table {
        place: Some(place),
        more: page.more,
        ..Table::default()
    };
    for job in page.jobs {
        let position = filter.position(&job);
        let reason = match job.state {
            State::Pending | State::Scheduled | State::Blocked | State::Failed => {
                reasons.get(store, now).and_then(|reasons| reasons.first(&job))
            }
            _ => None,
        };
        let facts = JobFacts {
            number: job.id,
            id: clean(&job.public_id()),
            queue: job.queue.clone(),
            state: job.state,
            is_held: job.waits.has(BlockedBy::Held),
            is_queue_paused: pauses.contains_key(job.queue.as_str()),
        };
        let view = JobView::new(job, None, &settings, false);
        table.rows.push(Row {
            cells: row(&view, reason, now),
            subject: Subject::Job(facts),
            position: Some(position),
        });
    }
    Ok(table)
}

fn refused(error: &SelectorError) -> Table {
    Table {
        note: Some(clean(&error.to_string())),
        ..Table::default()
    }
}

/// Returns before which place the list begins, and what to ask to see the same again.
fn start(
    store: &mut Store,
    filter: &ListFilter,
    place: Place,
    rows: u32,
) -> Result<(Option<Position>, Place), StoreError> {
    let above = match place {
        Place::Top => return Ok((None, Place::Top)),
        Place::Below(at) => return Ok((Some(at), place)),
        Place::Above(at) => Some(at),
        Place::Bottom => None,
    };
    // One more tells whether this is the beginning.
    let rows = rows.clamp(1, MOST) + 1;
    let upwards = ListFilter {
        jobs: filter.jobs.clone(),
        above,
        oldest_first: true,
        limit: rows,
        below: None,
    };
    let page = store.list_page(&upwards)?;
    Ok(match page.jobs.last() {
        Some(job) if page.more => {
            let at = filter.position(job);
            (Some(at), Place::Below(at))
        }
        _ => (None, Place::Top),
    })
}

/// What is around jobs that wait, looked up when the first is met. A role that may not look goes without.
#[derive(Default)]
struct Looked(Option<Option<Reasons>>);

impl Looked {
    fn get(&mut self, store: &mut Store, now: Timestamp) -> Option<&Reasons> {
        let looked = self.0.get_or_insert_with(|| Reasons::load(store, now).ok());
        looked.as_ref()
    }
}

fn row(job: &JobView, reason: Option<Code>, now: Timestamp) -> Vec<Cell> {
    vec![
        Cell::from(&job.id),
        match job.cancel_requested {
            true => Cell::new("stopping", Tone::Warn),
            false if job.suspended_since.is_some() => Cell::new("suspended", Tone::Warn),
            false => Cell::of_state(job.state),
        },
        Cell::from(job.queue.as_str()),
        Cell::from(format!("{}/{}", job.attempts, job.max_retries.saturating_add(1))),
        Cell::from(relative(job.run_at.unwrap_or(job.updated_at), now)),
        match (reason.and_then(Code::in_short), &job.progress) {
            (
                None,
                Some(ProgressView {
                    percent: Some(percent),
                    ..
                }),
            ) => Cell::from(format!("{percent} %")),
            (reason, _) => Cell::from(reason.unwrap_or_default()),
        },
        Cell::from(&job.command),
    ]
}
