//! `list`: lists jobs, oldest first, and of many only the newest. The order is by number, or in a list of ended jobs by the
//! time of their end.

use anyhow::Result;
use clap::Args;
use queuectl_core::explain::Code;
use queuectl_core::limits::LIST_ROWS;
use queuectl_core::{Job, QueueName, State, Timestamp, UnknownState};
use queuectl_storage::{ListFilter, Page, Position, Store};
use queuectl_views::JobView;

use crate::context::Context;
use crate::exit::Exit;
use crate::load;
use crate::number::whole;
use crate::output::table::{Cell, Column};
use crate::output::time::relative;
use crate::reasons::Reasons;
use crate::registry::Run;

/// List jobs
#[derive(Debug, Args)]
#[command(
    after_help = "With --json, prints one array of all matching jobs; docs/json.md describes the fields."
)]
pub struct ListArgs {
    /// Only jobs in this state: pending, scheduled, blocked, processing, failed (waiting for a retry), completed,
    /// dead or cancelled; ended jobs are then in the order in which they ended [default: all]
    #[arg(long, value_name = "STATE", value_parser = state)]
    state: Option<StateFilter>,
    /// Only jobs of this queue
    #[arg(long, value_name = "NAME")]
    queue: Option<QueueName>,
    /// Only the newest N [default: 100, with --json all]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<u32>(LIST_ROWS))]
    limit: Option<u32>,
    /// Also show what may be secret, as with `show`
    #[arg(long)]
    secrets: bool,
}

/// One state, or all.
#[derive(Debug, Clone, Copy)]
struct StateFilter(Option<State>);

fn state(text: &str) -> Result<StateFilter, UnknownState> {
    if text.eq_ignore_ascii_case("all") {
        return Ok(StateFilter(None));
    }
    text.parse().map(|state| StateFilter(Some(state)))
}

const COLUMNS: [Column; 7] = [
    Column::name("ID", 8),
    Column::whole("STATE"),
    Column::name("QUEUE", 7).expendable(1),
    Column::whole("ATTEMPTS").expendable(3),
    Column::whole("WHEN").expendable(2),
    Column::whole("REASON").expendable(1).if_any(),
    Column::name("COMMAND", 16),
];

/// Default number of rows in a table.
pub const TABLE_ROWS: u32 = 100;
/// Jobs per query; each can be as large as a payload.
const PAGE: u32 = 100;

impl Run for ListArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open()?;
        let settings = store.settings()?;
        let now = store.now()?;
        let filter = ListFilter {
            state: self.state.and_then(|filter| filter.0),
            queue: self.queue,
            ..ListFilter::default()
        };
        let limit = context.output.limit(self.limit, TABLE_ROWS);
        let with_error = context.output.prints_all_fields();
        let mut list = context.output.long_list(&COLUMNS)?;
        let mut reasons = Looked::default();
        let more = pages(&mut store, filter, limit, |store, job| {
            let reason = reasons.first(store, &job, now);
            let error = match with_error {
                true => load::last_error(store, &job)?,
                false => None,
            };
            let mut view = JobView::new(job, error, &settings, self.secrets);
            view.reason = reason;
            list.item(&view, || row(&view, now))?;
            Ok(())
        })?;
        list.end()?;
        if let Some(limit) = limit.filter(|_| more) {
            let remark = format!("these are the newest {limit} jobs; --limit N shows more");
            context.output.remark(&remark);
        }
        Ok(Exit::OK)
    }
}

/// The reasons of jobs that wait, looked up when the first is met.
#[derive(Default)]
pub struct Looked(Option<Option<Reasons>>);

impl Looked {
    /// Returns the first reason why a job does not run; none if it does or has ended. A role that may not look at nodes or
    /// pauses goes without.
    pub fn first(&mut self, store: &mut Store, job: &Job, now: Timestamp) -> Option<Code> {
        if job.state.is_final() || job.state == State::Processing {
            return None;
        }
        let reasons = self.0.get_or_insert_with(|| Reasons::load(store, now).ok());
        reasons.as_ref()?.first(job)
    }
}

fn row(job: &JobView, now: Timestamp) -> Vec<Cell> {
    vec![
        job.id.as_str().into(),
        Cell::of_state(job.state),
        job.queue.as_str().into(),
        format!("{}/{}", job.attempts, job.max_retries.saturating_add(1)).into(),
        relative(job.run_at.unwrap_or(job.updated_at), now).into(),
        job.reason.and_then(Code::in_short).unwrap_or_default().into(),
        job.command.as_str().into(),
    ]
}

/// Visits matching jobs page by page, oldest first; with a limit only the newest. Returns whether older ones were left
/// out.
pub fn pages(
    store: &mut Store,
    filter: ListFilter,
    limit: Option<u32>,
    mut visit: impl FnMut(&mut Store, Job) -> Result<()>,
) -> Result<bool> {
    let mut left = limit.map_or(u64::MAX, u64::from);
    let first = match limit {
        Some(limit) => store.newest_from(&ListFilter {
            limit,
            ..filter.clone()
        })?,
        None => None,
    };
    let mut page = ListFilter {
        above: first.map(Position::before),
        oldest_first: true,
        ..filter
    };
    loop {
        page.limit = u32::try_from(left).unwrap_or(PAGE).min(PAGE);
        let Page { jobs, more } = store.list_page(&page)?;
        left -= jobs.len() as u64;
        page.above = jobs.last().map(|job| page.position(job)).or(page.above);
        for job in jobs {
            visit(store, job)?;
        }
        if !more || left == 0 {
            return Ok(first.is_some());
        }
    }
}
