//! `logs`: prints the output of jobs, also while they run.
//!
//! `print`: the output of one attempt, as it is or line by line (`lines`). `follow`: one job over its attempts. `many`:
//! several jobs at the same time.

mod follow;
mod lines;
mod many;
mod print;

use anyhow::Result;
use clap::Args;
use queuectl_core::range::Whole;
use queuectl_core::selector::{Filter, Selector, Word};
use queuectl_core::{Job, JobRef, OutputStream, State, Timestamp};
use queuectl_storage::{Store, StoreError};
use queuectl_views::LogView;
use regex_lite::{Regex, RegexBuilder};

pub use self::follow::{From, follow};
pub use self::print::Shown;

use self::follow::print_attempt;
use super::select::{self, narrow, selector};
use super::waiter::Waiter;
use crate::context::Context;
use crate::exit::{Ended, Exit, Usage};
use crate::moment::{Moment, moment};
use crate::number::whole;
use crate::output::diagnostics;
use crate::registry::Run;

/// Numbers of attempts.
const ATTEMPT: Whole = Whole {
    min: 1,
    max: i64::MAX,
};
/// Last lines that can be asked for.
const LINES: Whole = Whole {
    min: 0,
    max: 1_000_000,
};
/// Memory for a compiled pattern, in bytes.
const PATTERN: usize = 1024 * 1024;

/// Print the output of jobs
#[derive(Debug, Args)]
#[command(after_help = "\
Control characters other than line feed and tab are escaped; --raw prints the bytes as they are. On a terminal, a job's \
colours are shown, and its progress bars are drawn. With several jobs, and with --timestamps, --lines and --grep, output is \
printed line by line, those of standard output apart from those of standard error: a line with carriage returns as a terminal \
shows it in the end; lines longer than 64 KiB are split; and of the last lines at most 16 MiB are kept. The middle of very long \
output is left out, and a line on standard error says so (settings output_limit and output_file_limit).

Standard output and standard error come in the order in which they were read: what a job wrote to standard output never comes \
after what it then wrote to standard error. Of what it wrote to both within a moment (up to 2 ms after its start, later mostly less \
than 1 ms) standard output comes first; on Windows the two may change places. A job that begins with \
`exec 2>&1` keeps the exact order, and has one stream. Times are those of the machine that ran the job.

--follow ends when all jobs have ended that are named by ids and ranges (at most 1000). With a group or a filter it goes on \
until Ctrl-C, and jobs that start meanwhile join; at most 100 running jobs are followed at the same time. If a database server \
goes away, --follow waits for it for up to a minute.

Examples:
  queuectl logs last
  queuectl logs last --stderr --timestamps
  queuectl logs 12-20 --grep 'error|warning'
  queuectl logs --running -f --lines 5")]
pub struct LogsArgs {
    /// The jobs: ids or numbers, 12-20, last, last~2, @GROUP; or filters such as state=dead queue=mail error~timeout
    /// older=2d, which narrow them (`queuectl help selectors`)
    #[arg(value_name = "JOB", required_unless_present = "running")]
    jobs: Vec<Word>,
    /// The jobs that run; the same as state=processing
    #[arg(long)]
    running: bool,
    /// The attempt, as numbered by `show`, of one job [default: the newest, the running one if there is one]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<u32>(ATTEMPT))]
    attempt: Option<u32>,
    /// All attempts, one after the other
    #[arg(long, conflicts_with = "attempt")]
    all_attempts: bool,
    /// Only what was printed to standard output
    #[arg(long, conflicts_with = "stderr")]
    stdout: bool,
    /// Only what was printed to standard error
    #[arg(long)]
    stderr: bool,
    /// Begin each line with the time of its first byte
    #[arg(long)]
    timestamps: bool,
    /// Only what was printed at this time or later: 2h (ago), 18:00, '2026-12-24 18:00' or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Moment>,
    /// Only what was printed before this time, as with --since
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Moment>,
    /// Only the last N lines of each job
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<usize>(LINES))]
    lines: Option<usize>,
    /// Only lines in which this regular expression is found; (?i) before it ignores the case of A to Z
    #[arg(long, value_name = "REGEX", value_parser = pattern)]
    grep: Option<Regex>,
    /// Follow the output until the jobs have ended, over all their attempts
    #[arg(short, long)]
    follow: bool,
}

fn pattern(text: &str) -> Result<Regex, String> {
    let built = RegexBuilder::new(text).size_limit(PATTERN).build();
    built.map_err(|error| error.to_string())
}

impl Run for LogsArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut selector = selector(&self.jobs)?;
        let running = self.running.then(|| Filter::State(vec![State::Processing]));
        narrow(&mut selector, "--running", running)?;
        if !context.output.takes_bytes() {
            self.refuse_for_programs()?;
        }
        let mut store = context.open()?;
        let now = match self.since.or(self.until) {
            Some(_) => store.now()?,
            None => Timestamp(0),
        };
        let shown = Shown {
            with_ids: false,
            with_times: self.timestamps,
            stream: self.stream(),
            since: self.since.map(|since| since.at(now)),
            until: self.until.map(|until| until.at(now)),
            last: self.lines,
            only: self.grep.clone(),
        };
        if let (Some(since), Some(until)) = (shown.since, shown.until)
            && since >= until
        {
            return Err(Usage::new("--since has to be before --until").into());
        }
        match selector.picks() {
            [pick] if selector.is_by_name() && selector.filters().is_empty() => {
                let named = store.picked(pick)?;
                self.one(&mut store, &named, &shown, context)?;
            }
            _ => self.many(&mut store, &selector, shown, context)?,
        }
        Ok(Exit::OK)
    }
}

impl LogsArgs {
    fn refuse_for_programs(&self) -> Result<()> {
        if self.follow {
            return Err(Usage::new(
                "programs get one document, so -f cannot follow; leave out -f, or --json and --format",
            )
            .into());
        }
        if self.lines.is_some()
            || self.grep.is_some()
            || self.stream().is_some()
            || self.since.or(self.until).is_some()
        {
            return Err(Usage::new(
                "programs get documents with the whole output and its parts, which say their stream and time; leave out \
                 --stdout, --stderr, --since, --until, --lines and --grep, or --json and --format",
            )
            .into());
        }
        Ok(())
    }

    /// The stream that was asked for alone.
    fn stream(&self) -> Option<OutputStream> {
        match (self.stdout, self.stderr) {
            (true, _) => Some(OutputStream::Stdout),
            (_, true) => Some(OutputStream::Stderr),
            _ => None,
        }
    }

    /// Prints one job.
    fn one(&self, store: &mut Store, named: &JobRef, shown: &Shown, context: &Context) -> Result<()> {
        let job = store.job(named)?;
        if !context.output.takes_bytes() {
            if self.all_attempts {
                return print_documents(store, std::slice::from_ref(named), true, context);
            }
            return print_document(store, &job, self.attempt, context);
        }
        let from = if self.all_attempts {
            From::First
        } else {
            From::Newest
        };
        match self.attempt {
            Some(_) => {
                let fence = choose(store, &job, self.attempt)?;
                let mut waiter = Waiter::new(None);
                let follow = self.follow.then_some(&mut waiter);
                print_attempt(store, named, fence, follow, shown, context)?;
            }
            None if self.follow => follow(store, named, from, &mut Waiter::new(None), shown, context)?,
            None if job.fence == 0 => diagnostics::note(&not_started(&job)),
            None if self.all_attempts => print_all(store, named, shown, context)?,
            None => {
                let fence = choose(store, &job, None)?;
                print_attempt(store, named, fence, None, shown, context)?;
            }
        }
        Ok(())
    }

    /// Prints several jobs, or however many there are.
    fn many(&self, store: &mut Store, selector: &Selector, shown: Shown, context: &Context) -> Result<()> {
        if self.attempt.is_some() {
            return Err(Usage::new("--attempt is for one job")
                .hint("--all-attempts prints all attempts of several")
                .into());
        }
        let shown = Shown {
            with_ids: true,
            ..shown
        };
        if self.follow {
            return many::follow(store, selector, self.all_attempts, shown, context);
        }
        let jobs = select::selected(store, selector)?;
        if !context.output.takes_bytes() {
            return print_documents(store, &jobs, self.all_attempts, context);
        }
        for job in &jobs {
            let Some(found) = still_there(selector, store.job(job))? else {
                continue;
            };
            if found.fence == 0 {
                continue;
            }
            if self.all_attempts {
                print_all(store, job, &shown, context)?;
            } else {
                let fence = choose(store, &found, None)?;
                print_attempt(store, job, fence, None, &shown, context)?;
            }
        }
        Ok(())
    }
}

/// Returns the job; none if it was removed since it was selected. A job that is named has to be there.
fn still_there(selector: &Selector, found: Result<Job, StoreError>) -> Result<Option<Job>, StoreError> {
    match found {
        Err(StoreError::NoSuchJob(_)) if !selector.is_by_name() => Ok(None),
        found => found.map(Some),
    }
}

/// The fencing tokens of all attempts of a job, the running one last.
fn fences(store: &mut Store, job: &Job) -> Result<Vec<i64>, StoreError> {
    let ended = store.attempts_without_output(job.id)?;
    let running = (job.state == State::Processing).then_some(job.fence);
    Ok(ended.iter().map(|attempt| attempt.fence).chain(running).collect())
}

/// Prints all attempts of a job.
fn print_all(store: &mut Store, job: &JobRef, shown: &Shown, context: &Context) -> Result<()> {
    let found = store.job(job)?;
    for fence in fences(store, &found)? {
        let attempt = print_attempt(store, job, fence, None, shown, context)?;
        if let Some(attempt) = attempt {
            follow::say_end(&found, &attempt, shown);
        }
    }
    Ok(())
}

/// Returns the fencing token of an attempt: the one with that number, or the newest. The running attempt comes after the
/// ended ones.
fn choose(store: &mut Store, job: &Job, attempt: Option<u32>) -> Result<i64> {
    let running = job.state == State::Processing;
    let Some(wanted) = attempt else {
        if running {
            return Ok(job.fence);
        }
        // A claim that was given back before it started has no attempt.
        let last = store.last_attempt(job.id)?;
        return Ok(last.map_or(job.fence, |attempt| attempt.fence));
    };
    let fences = fences(store, job)?;
    let at = usize::try_from(wanted)
        .ok()
        .and_then(|wanted| wanted.checked_sub(1));
    at.and_then(|at| fences.get(at).copied()).ok_or_else(|| {
        let message = format!(
            "job '{}' has no attempt {wanted}; `queuectl show {}` lists those it has",
            job.public_id(),
            job.public_id()
        );
        let exit = Exit::NOT_FOUND;
        Ended { message, exit }.into()
    })
}

fn not_started(job: &Job) -> String {
    format!("job '{}' is {} and has not run yet", job.public_id(), job.state)
}

fn print_document(store: &mut Store, job: &Job, attempt: Option<u32>, context: &Context) -> Result<()> {
    let mut fence = choose(store, job, attempt)?;
    if attempt.is_none() {
        // The running attempt has not ended yet, so take the newest that has.
        fence = store.last_attempt(job.id)?.map_or(fence, |attempt| attempt.fence);
    }
    let Some(view) = document(store, job, fence)? else {
        return Err(Ended {
            message: format!("job '{}' has no ended attempt yet", job.public_id()),
            exit: Exit::NOT_FOUND,
        }
        .into());
    };
    context.output.document(&view, |_| Ok(()))?;
    Ok(())
}

/// The document of an attempt, if it has ended.
fn document(store: &mut Store, job: &Job, fence: i64) -> Result<Option<LogView>> {
    let Some(attempt) = store.attempt(job.id, fence)? else {
        return Ok(None);
    };
    let file = Some(store.outputs()?.file(job.id.0, fence)).filter(|file| file.exists());
    Ok(Some(LogView::new(job.public_id(), &attempt, file)))
}

/// Prints a document for each ended attempt of the jobs, or for their newest.
fn print_documents(store: &mut Store, jobs: &[JobRef], all_attempts: bool, context: &Context) -> Result<()> {
    let mut records = context.output.records(std::io::stdout().lock());
    for job in jobs {
        let found = store.job(job)?;
        let ended = match all_attempts {
            true => fences(store, &found)?,
            false => store
                .last_attempt(found.id)?
                .iter()
                .map(|attempt| attempt.fence)
                .collect(),
        };
        for fence in ended {
            if let Some(view) = document(store, &found, fence)? {
                records.item(&view, "")?;
            }
        }
    }
    Ok(records.flush()?)
}
