//! `dlq:list`: lists dead jobs.

use std::io::{self, BufWriter, Write};

use anyhow::Result;
use clap::Args;
use queuectl_core::limits::LIST_ROWS;
use queuectl_core::{Job, JobRef, State, Timestamp};
use queuectl_dlq::{Cause, DeadLetter};
use queuectl_storage::{JobFilter, ListFilter, Store, StoreError};
use queuectl_views::{AttemptView, DeadLetterView, JobView};

use super::narrow::{CAUSES_HELP, Narrow};
use crate::commands::batch::these_are;
use crate::commands::list::{TABLE_ROWS, pages};
use crate::commands::show::ending;
use crate::context::Context;
use crate::exit::Exit;
use crate::number::whole;
use crate::output::escape::line;
use crate::output::table::Column;
use crate::output::time::relative;
use crate::registry::Run;

/// List dead jobs and why they died
#[derive(Debug, Args)]
#[command(after_help = CAUSES_HELP)]
pub struct ListArgs {
    #[command(flatten)]
    narrow: Narrow,
    /// Print ids alone, one a line, of all jobs that fit
    #[arg(long, conflicts_with_all = ["json", "format", "fields"])]
    ids: bool,
    /// Only the newest N [default: 100, with --json or --ids all]
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
        if self.ids {
            let mut out = BufWriter::new(io::stdout().lock());
            self.each(&mut store, self.limit, now, |_, job| {
                Ok(writeln!(out, "{}", line(&job.public_id()))?)
            })?;
            out.flush()?;
            return Ok(Exit::OK);
        }
        let limit = context.output.limit(self.limit, TABLE_ROWS);
        let mut list = context.output.long_list(&COLUMNS)?;
        let visit = |store: &mut Store, job: Job| -> Result<()> {
            let letter = DeadLetter::of(store, job)?;
            let reason = letter.reason().to_owned();
            let error = Some(reason.clone()).filter(|reason| !reason.is_empty());
            let view = DeadLetterView {
                last_line: letter.last_line(),
                last_attempt: letter.last_attempt.as_ref().map(AttemptView::from),
                cause: Cause::of_letter(&letter).key().to_string(),
                job: JobView::new(letter.job, error, &settings, self.secrets),
            };
            list.item(&view, || row(&view, reason, now))?;
            Ok(())
        };
        let more = self.each(&mut store, limit, now, visit)?;
        list.end()?;
        if let Some(limit) = limit.filter(|_| more) {
            context
                .output
                .remark(&these_are("newest", limit, ("dead job", "dead jobs")));
        }
        Ok(Exit::OK)
    }
}

impl ListArgs {
    /// Visits the dead jobs that are meant. Returns whether there are more.
    fn each(
        &self,
        store: &mut Store,
        limit: Option<u32>,
        now: Timestamp,
        mut visit: impl FnMut(&mut Store, Job) -> Result<()>,
    ) -> Result<bool> {
        if self.narrow.cause.is_none() && self.narrow.older_than.is_none() {
            let filter = ListFilter {
                jobs: JobFilter::from(State::Dead).in_queue(self.narrow.queue.as_ref()),
                ..ListFilter::default()
            };
            return pages(store, filter, limit, visit);
        }
        let selected = self.narrow.selected(store, now)?;
        let (jobs, more) = queuectl_dlq::newest(store, &selected, limit)?;
        for id in jobs {
            match store.job(&JobRef::Number(id)) {
                Ok(job) if job.state == State::Dead => visit(store, job)?,
                // It was retried or removed meanwhile.
                Ok(_) | Err(StoreError::NoSuchJob(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(more)
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
