//! `dlq:list`, `dlq:show`, `dlq:retry`, `dlq:purge`: the dead letter queue.

use std::io::{self, BufRead, BufWriter, IsTerminal};
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use queuectl_core::limits::LIST_ROWS;
use queuectl_core::{JobRef, QueueName, State, parse_duration};
use queuectl_dlq::DeadLetter;
use queuectl_storage::ListFilter;
use serde::Serialize;

use super::batch::for_each_job;
use super::list::{TABLE_ROWS, pages};
use crate::context::Context;
use crate::exit::{Exit, Usage};
use crate::number::whole;
use crate::output::attempt::{AttemptView, ending};
use crate::output::job::JobView;
use crate::output::json::ArrayPrinter;
use crate::output::table::{Column, Table};
use crate::output::time::relative;
use crate::output::{diagnostics, done};

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

/// Show a dead job with its attempts
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The job's id or number
    #[arg(value_name = "JOB")]
    job: JobRef,
    /// Also show what may be secret, as with `show`
    #[arg(long)]
    secrets: bool,
}

/// Run dead jobs again, now and with fresh attempts; their history stays
#[derive(Debug, Args)]
pub struct RetryArgs {
    /// The jobs' ids or numbers
    #[arg(value_name = "JOB", required_unless_present = "all", conflicts_with = "all")]
    jobs: Vec<JobRef>,
    /// All dead jobs
    #[arg(long)]
    all: bool,
    /// Only jobs of this queue; others are left alone even if named
    #[arg(long, value_name = "NAME")]
    queue: Option<QueueName>,
}

/// Remove dead jobs for good, with their attempts and output
#[derive(Debug, Args)]
pub struct PurgeArgs {
    /// The jobs' ids or numbers
    #[arg(value_name = "JOB", required_unless_present = "all", conflicts_with = "all")]
    jobs: Vec<JobRef>,
    /// All dead jobs; asks first, needs --yes without a terminal
    #[arg(long)]
    all: bool,
    /// Only jobs of this queue; others are left alone even if named
    #[arg(long, value_name = "NAME")]
    queue: Option<QueueName>,
    /// Only jobs that have been dead for longer; others are left alone even if named
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, allow_hyphen_values = true)]
    older_than: Option<Duration>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

/// A dead job: the fields of every job, and its last attempt.
#[derive(Serialize)]
struct LetterView {
    #[serde(flatten)]
    job: JobView,
    /// The last line that it printed.
    last_line: Option<String>,
    last_attempt: Option<AttemptView>,
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

/// How many jobs were meant by --all.
#[derive(Serialize)]
struct Counted {
    jobs: u64,
}

pub fn list(args: &ListArgs, context: &Context) -> Result<Exit> {
    let mut store = context.open()?;
    let filter = ListFilter {
        state: Some(State::Dead),
        queue: args.queue.clone(),
        ..ListFilter::default()
    };
    if context.json {
        let settings = store.settings()?;
        let mut array = ArrayPrinter::start(BufWriter::new(io::stdout().lock()))?;
        pages(&mut store, filter, args.limit, |store, job| {
            let letter = DeadLetter::of(store, job)?;
            let error = Some(letter.reason().to_owned()).filter(|reason| !reason.is_empty());
            let last_attempt = letter.last_attempt.as_ref().map(AttemptView::from);
            let last_line = letter.last_line();
            let job = JobView::new(letter.job, error, &settings, args.secrets);
            array.item(&LetterView {
                job,
                last_line,
                last_attempt,
            })?;
            Ok(())
        })?;
        array.end()?;
        return Ok(Exit::OK);
    }
    let now = store.now()?;
    let limit = args.limit.unwrap_or(TABLE_ROWS);
    let mut table = Table::new(&COLUMNS, context.raw);
    let more = pages(&mut store, filter, Some(limit), |store, job| {
        let letter = DeadLetter::of(store, job)?;
        let job = &letter.job;
        table.row([
            job.public_id(),
            job.queue.to_string(),
            job.attempts.to_string(),
            relative(job.finished_at.unwrap_or(job.updated_at), now),
            letter
                .last_attempt
                .as_ref()
                .map_or_else(|| "-".to_owned(), |attempt| ending(&attempt.outcome)),
            job.display(args.secrets),
            match letter.last_line() {
                Some(line) => format!("{}: {line}", letter.reason()),
                None => letter.reason().to_owned(),
            },
        ]);
        Ok(())
    })?;
    table.print()?;
    if more {
        diagnostics::note(&format!(
            "these are the newest {limit} dead jobs; --limit N shows more"
        ));
    }
    Ok(Exit::OK)
}

pub fn show(args: &ShowArgs, context: &Context) -> Result<Exit> {
    let mut store = context.open()?;
    let settings = store.settings()?;
    let (job, attempts) = queuectl_dlq::show(&mut store, &args.job)?;
    let last_line = super::show::last_line(&mut store, &job, &attempts)?;
    super::show::print(job, &attempts, last_line, &settings, args.secrets, context)?;
    Ok(Exit::OK)
}

pub fn retry(args: &RetryArgs, context: &Context) -> Result<Exit> {
    let mut store = context.open()?;
    let now = store.now()?;
    if args.all {
        let jobs = queuectl_dlq::retry_all(&mut store, args.queue.as_ref(), now)?;
        return count(jobs, "will run again", context);
    }
    for_each_job(&args.jobs, context, |job| {
        queuectl_dlq::retry(&mut store, job, args.queue.as_ref(), now)?;
        Ok("pending")
    })
}

pub fn purge(args: &PurgeArgs, context: &Context) -> Result<Exit> {
    let mut store = context.open()?;
    let queue = args.queue.as_ref();
    if !args.all {
        let now = store.now()?;
        return for_each_job(&args.jobs, context, |job| {
            queuectl_dlq::purge(&mut store, job, queue, args.older_than, now)?;
            Ok("purged")
        });
    }
    if !args.yes {
        confirm(&meant("dead", queue, args.older_than), context)?;
    }
    let age = args.older_than.unwrap_or_default();
    let now = store.now()?;
    let jobs = queuectl_dlq::purge_all(&mut store, queue, age, now)?;
    count(jobs, "purged", context)
}

/// The jobs that are meant, in words.
pub fn meant(states: &str, queue: Option<&QueueName>, age: Option<Duration>) -> String {
    let queue = queue.map_or_else(|| "all queues".to_owned(), |queue| format!("queue '{queue}'"));
    let age = age.map_or_else(String::new, |age| {
        format!(" that ended more than {} ago", humantime::format_duration(age))
    });
    format!("the {states} jobs of {queue}{age}")
}

/// Asks the user, and fails unless the answer is yes. Where nobody can be asked, somebody must have said so before.
pub fn confirm(what: &str, context: &Context) -> Result<()> {
    if !io::stdin().is_terminal() {
        return Err(Usage::new(format!(
            "this removes {what} in {} for good, and there is no terminal to ask at; nothing was removed",
            context.location
        ))
        .hint("repeat it with --yes if that is what you want")
        .into());
    }
    diagnostics::ask(&format!("remove {what} in {} for good? [y/N] ", context.location));
    let mut answer = String::new();
    io::stdin()
        .lock()
        .read_line(&mut answer)
        .context("cannot read standard input")?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Usage::new("nothing was removed").into()),
    }
}

pub fn count(jobs: u64, what: &str, context: &Context) -> Result<Exit> {
    done::tell(
        context,
        &Counted { jobs },
        &match jobs {
            1 => format!("1 job {what}"),
            _ => format!("{jobs} jobs {what}"),
        },
    );
    Ok(Exit::OK)
}
