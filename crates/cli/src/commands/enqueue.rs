//! `enqueue`: storing one job, or many from a file.

mod bulk;
mod ignored;
pub mod options;
mod schema;
mod sources;
pub mod submit;
pub mod typed;
pub mod validate;
pub mod words;

use std::io::{self, IsTerminal as _};

use anyhow::Result;
use clap::Args;
use queuectl_core::JobRef;
use queuectl_frontend::input::argv::LineTemplate;

use self::options::JobOptions;
use self::sources::{Form, Source};
use self::submit::{asked, checked, note_strays, public_id, remark, resolve_last, store_one, view};
use self::words::Asked;
use super::wait::wait_for;
use super::waiter::is_unserved;
use super::watch::watch;
use crate::context::Context;
use crate::exit::{Exit, Usage};
use crate::output::{diagnostics, warn_unprinted};

/// Store a job; print its id
#[derive(Debug, Args)]
#[command(after_help = examples())]
pub struct EnqueueArgs {
    /// One word is a shell command line. Several words are a program and its exact arguments, run without a shell; put
    /// queuectl's options before them. A JSON object is a complete job, an array many jobs, and @FILE a file of jobs
    #[arg(
        value_name = "COMMAND",
        trailing_var_arg = true,
        required_unless_present_any = ["from", "command", "payload"],
        conflicts_with = "command"
    )]
    words: Vec<String>,
    /// Whether `--` says that the words are a program and its arguments, whatever they look like.
    #[arg(skip)]
    exact: bool,
    #[command(flatten)]
    job: JobOptions,
    /// Print the job's output while it runs, and exit with its status. The id goes to standard error then; Ctrl-C leaves
    /// the job alone
    #[arg(short, long, conflicts_with = "from")]
    wait: bool,
    /// Store many jobs: JSON objects as above or command lines in quotes, one a line or in an array, or what --lines or
    /// --csv say; - is standard input
    #[arg(
        short = 'f',
        long,
        visible_alias = "file",
        value_name = "FILE",
        // Each job of many has its own.
        conflicts_with_all = ["id", "command"]
    )]
    from: Option<String>,
    /// With --from: each line is a shell command line or, with a COMMAND, an argument in the place of {} or at its end
    #[arg(long, requires = "from", conflicts_with = "csv")]
    lines: bool,
    /// With --from: each row of a CSV file is a job that runs COMMAND, with the row's fields in the places {COLUMN}
    #[arg(long, requires_all = ["from", "words"])]
    csv: bool,
}

fn examples() -> String {
    format!(
        "Fields of a JSON job: {}. Options override fields.\n\n{EXAMPLES}",
        options::fields()
    )
}

const EXAMPLES: &str = "\
With --from and arrays, jobs are stored in batches of 1000, each completely or not at all. Bad jobs are named and \
their batch is not stored; earlier batches stay, and the last message says where to continue. If a job has \
\"after\", all jobs are stored together or not at all; it may name jobs of the same file by their ids. The output of `list \
--json` can be stored in another queue: the jobs are new, and their states and times are ignored.

With --lines, blank lines are passed over and, if the lines are commands, those that begin with #. With --csv, the first \
row names the columns; all rows are checked before any is stored; {{ and }} stand for braces. In both, what is filled in \
is part of one argument, whatever it contains: no shell reads it.

--after last waits for the newest job. -q is the queue here; to log less, write --quiet, or -q before the command: `queuectl -q enqueue`.

Examples:
  queuectl enqueue echo \"Hello Queue\"
  queuectl enqueue --max-retries 0 'exit 1'
  queuectl enqueue '{\"id\":\"job1\",\"command\":\"sleep 2\"}'
  queuectl enqueue --executor http --payload '{\"url\":\"https://example.com/\"}'
  queuectl enqueue --queue mail --from jobs.jsonl
  find . -name '*.png' | queuectl enqueue --from - --lines -- optipng {}
  queuectl enqueue --from users.csv --csv -- ./welcome --to {email} {name}";

fn run(args: EnqueueArgs, context: &Context) -> Result<Exit> {
    let EnqueueArgs {
        words,
        exact,
        job,
        wait,
        from,
        lines,
        csv,
    } = args;
    if job.takes_stdin() && from.as_deref() == Some("-") {
        return Err(Usage::new("--stdin - and --from - cannot both read standard input").into());
    }
    let mut options = job.into_spec()?;
    resolve_last(&mut options, context)?;
    if let Some(name) = from {
        if !exact {
            note_strays(&words);
        }
        let form = form(words, lines, csv)?;
        let opened = sources::open(Source::File(name), form)?;
        return bulk::run(opened, &options, context);
    }
    let spec = match asked(words, exact, &options)? {
        Asked::One(spec) => options.or(*spec),
        Asked::Many(_) if options.id.is_some() || wait => {
            return Err(Usage::new("--id and --wait are for one job, and this is an array of jobs").into());
        }
        Asked::Many(text) => {
            let opened = sources::open(Source::Text(text), Form::Documents)?;
            return bulk::run(opened, &options, context);
        }
    };
    let job = checked(spec, context)?;
    let mut store = context.open_or_create()?;
    let placed = store_one(&mut store, &job)?;
    let id = public_id(&job, &placed);
    // The job's own output goes to standard output, and documents for programs have no place for it.
    let prints_output = wait && context.output.takes_bytes();
    if prints_output {
        diagnostics::note(&format!("job {id}"));
    } else {
        let printed = context
            .output
            .document(&view(&id, &placed), |page| page.line(&id));
        warn_unprinted(printed, || match placed.existing {
            Some(_) => format!("job '{id}' was there already"),
            None => format!("job '{id}' is stored"),
        });
    }
    if let Some(remark) = remark(&placed) {
        context.output.remark(&remark);
    }
    if prints_output {
        return watch(&mut store, placed.id, context);
    }
    if wait {
        return wait_for(&mut store, &[JobRef::Number(placed.id)], None);
    }
    // Scripts often start nodes later, and need not pay for the look.
    if io::stderr().is_terminal() && context.output.takes_bytes() && is_unserved(&mut store, job.queue()) {
        let queue = job.queue();
        diagnostics::note(&format!(
            "no node serves queue '{queue}' yet; `queuectl worker:start` starts one"
        ));
    }
    store.leave();
    Ok(Exit::OK)
}

/// Returns what a job is in the file of `--from`, with the words of the command.
fn form(words: Vec<String>, lines: bool, csv: bool) -> Result<Form, Usage> {
    match (lines, csv) {
        (_, true) => Ok(Form::Rows(words)),
        (true, _) if words.is_empty() => Ok(Form::Lines(None)),
        (true, _) => Ok(Form::Lines(Some(LineTemplate::new(words).map_err(Usage::new)?))),
        _ if words.is_empty() => Ok(Form::Documents),
        _ => Err(
            Usage::new("with --from, the file says what to run, and a command is given, too")
                .hint("--lines and --csv fill a line or a row of the file into the command"),
        ),
    }
}
