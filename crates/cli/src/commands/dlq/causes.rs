//! `dlq:causes`: what dead jobs died of, and how many.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use queuectl_core::limits::LIST_ROWS;
use queuectl_core::{QueueName, Timestamp, parse_duration};
use queuectl_dlq::{CAUSES, CauseCount, Selected};
use queuectl_views::CauseView;

use crate::commands::list::TABLE_ROWS;
use crate::commands::show::ending;
use crate::context::Context;
use crate::exit::Exit;
use crate::number::whole;
use crate::output::table::Column;
use crate::output::time::relative;
use crate::registry::Run;

/// Count dead jobs by what they died of
#[derive(Debug, Args)]
#[command(after_help = "\
Jobs have a cause in common if their last attempts ended the same way (exit status, signal, timeout ...), the program \
of their commands is the same, and so is their error: the message and the last line that they printed, without \
numbers, ids, paths, times and quoted texts. The cause of most jobs comes first. `queuectl dlq:retry --cause KEY`, \
dlq:list and dlq:purge act on the jobs of a cause; the key stays the same, the number is that of this list.\n\n\
The causes of the jobs that died last are told apart, up to 1000; other jobs are counted together.")]
pub struct CausesArgs {
    /// Only jobs of this queue
    #[arg(long, value_name = "NAME")]
    queue: Option<QueueName>,
    /// Only jobs that have been dead for longer
    #[arg(long, alias = "older", value_name = "DURATION", value_parser = parse_duration, allow_hyphen_values = true)]
    older_than: Option<Duration>,
    /// Only the first N [default: 100, with --json all]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<u32>(LIST_ROWS))]
    limit: Option<u32>,
}

const COLUMNS: [Column; 9] = [
    Column::whole("N"),
    Column::whole("KEY"),
    Column::whole("JOBS"),
    Column::whole("LAST").expendable(2),
    Column::whole("FIRST").expendable(5),
    Column::whole("ENDED BY").expendable(3),
    Column::name("QUEUES", 7).expendable(6),
    Column::name("EXAMPLE", 8).expendable(4),
    Column::sentence("CAUSE", 38),
];

impl Run for CausesArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open()?;
        let now = store.now()?;
        let selected = Selected {
            queue: self.queue,
            cause: None,
            age: self.older_than.unwrap_or_default(),
            now,
        };
        let causes = queuectl_dlq::causes(&mut store, &selected.filter(), CAUSES)?;
        let limit = context.output.limit(self.limit, TABLE_ROWS);
        let shown = limit.map_or(usize::MAX, |limit| limit as usize);
        let found = causes.list.len();
        let mut list = context.output.long_list(&COLUMNS)?;
        for (number, count) in (1..).zip(causes.list).take(shown) {
            let view = view(number, count);
            list.item(&view, || row(&view, now))?;
        }
        if causes.other > 0 {
            let jobs = causes.other;
            let view = CauseView {
                jobs,
                ..CauseView::default()
            };
            list.item(&view, || row(&view, now))?;
        }
        list.end()?;
        if found > shown {
            let remark = format!("these are {shown} of {found} causes; --limit N shows more");
            context.output.remark(&remark);
        }
        Ok(Exit::OK)
    }
}

fn view(number: usize, count: CauseCount) -> CauseView {
    let cause = count.cause;
    CauseView {
        number: Some(number),
        cause: Some(count.key.to_string()),
        error: Some(cause.error),
        outcome: cause.outcome,
        exit_code: cause.exit_code,
        signal: cause.signal,
        program: Some(cause.program),
        jobs: count.jobs,
        queues: count.queues,
        first_died_at: Some(count.first),
        last_died_at: Some(count.last),
        example: Some(count.example),
    }
}

fn row(cause: &CauseView, now: Timestamp) -> Vec<String> {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let time = |at: Option<Timestamp>| or_dash(at.map(|at| relative(at, now)));
    let queues: Vec<&str> = cause.queues.iter().map(QueueName::as_str).collect();
    vec![
        or_dash(cause.number.map(|number| number.to_string())),
        or_dash(cause.cause.clone()),
        cause.jobs.to_string(),
        time(cause.last_died_at),
        time(cause.first_died_at),
        match (cause.exit_code, cause.signal, cause.outcome) {
            (None, None, Some(outcome)) => outcome.name().replace('_', " "),
            (exit_code, signal, _) => ending(exit_code, signal),
        },
        or_dash(Some(queues.join(" ")).filter(|queues| !queues.is_empty())),
        or_dash(cause.example.clone()),
        match (cause.program.as_deref(), cause.error.as_deref()) {
            (None, _) => "(other causes)".to_owned(),
            (Some(program), Some(error)) if !program.is_empty() && !error.is_empty() => {
                // The column of the ends says more.
                let error = error.strip_prefix("exit status <n>: ").unwrap_or(error);
                format!("{program}: {error}")
            }
            (program, error) => program.into_iter().chain(error).collect(),
        },
    ]
}
