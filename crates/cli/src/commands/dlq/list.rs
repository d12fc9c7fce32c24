//! `dlq:list`: lists dead jobs.

use anyhow::Result;
use clap::Args;
use queuectl_core::limits::LIST_ROWS;
use queuectl_core::{QueueName, State, Timestamp};
use queuectl_dlq::DeadLetter;
use queuectl_storage::ListFilter;
use queuectl_views::{AttemptView, DeadLetterView, JobView};

use crate::commands::list::{TABLE_ROWS, pages};
use crate::commands::show::ending;
use crate::context::Context;
use crate::exit::Exit;
use crate::number::whole;
use crate::output::table::Column;
use crate::output::time::relative;
use crate::registry::Run;

/// List dead jobs and why they died
#[derive(Debug, Args)]
pub struct ListArgs {
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

const COLUMNS: [Column; 7] = [
    Column::name("ID", 8),
    Column::name("QUEUE", 7).expendable(1),
    Column::whole("ATTEMPTS").expendable(3),
    Column::whole("DIED").expendable(2),
    Column::whole("ENDED BY").expendable(4),
    Column::name("COMMAND", 10),
    Column::sentence("REASON", 30),
];

impl Run for ListArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open()?;
        let settings = store.settings()?;
        let now = store.now()?;
        let filter = ListFilter {
            state: Some(State::Dead),
            queue: self.queue,
            ..ListFilter::default()
        };
        let limit = context.output.limit(self.limit, TABLE_ROWS);
        let mut list = context.output.long_list(&COLUMNS)?;
        let more = pages(&mut store, filter, limit, |store, job| {
            let letter = DeadLetter::of(store, job)?;
            let reason = letter.reason().to_owned();
            let error = Some(reason.clone()).filter(|reason| !reason.is_empty());
            let view = DeadLetterView {
                last_line: letter.last_line(),
                last_attempt: letter.last_attempt.as_ref().map(AttemptView::from),
                job: JobView::new(letter.job, error, &settings, self.secrets),
            };
            list.item(&view, || row(&view, reason, now))?;
            Ok(())
        })?;
        list.end()?;
        if let Some(limit) = limit.filter(|_| more) {
            let remark = format!("these are the newest {limit} dead jobs; --limit N shows more");
            context.output.remark(&remark);
        }
        Ok(Exit::OK)
    }
}

fn row(letter: &DeadLetterView, reason: String, now: Timestamp) -> Vec<String> {
    let job = &letter.job;
    vec![
        job.id.clone(),
        job.queue.to_string(),
        job.attempts.to_string(),
        relative(job.finished_at.unwrap_or(job.updated_at), now),
        letter.last_attempt.as_ref().map_or_else(
            || "-".to_owned(),
            |attempt| ending(attempt.exit_code, attempt.signal),
        ),
        job.command.clone(),
        match &letter.last_line {
            Some(line) => format!("{reason}: {line}"),
            None => reason,
        },
    ]
}
