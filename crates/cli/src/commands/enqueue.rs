//! `enqueue`: storing one job, or many from a file.

mod bulk;
mod ignored;
mod options;
mod schema;
mod typed;
mod validate;
mod words;

use anyhow::Result;
use clap::Args;
use queuectl_core::{Clock, JobRef, SystemClock};
use queuectl_views::EnqueuedView;

use self::ignored::Ignored;
use self::options::JobOptions;
use self::validate::Validator;
use self::words::Asked;
use super::wait::wait_for;
use crate::context::Context;
use crate::exit::{Exit, Usage};
use crate::input::job::validate;
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
        conflicts_with_all = ["from", "command"]
    )]
    words: Vec<String>,
    /// Whether `--` says that the words are a program and its arguments, whatever they look like.
    #[arg(skip)]
    exact: bool,
    #[command(flatten)]
    job: JobOptions,
    /// Wait for the job to end, and exit with its status
    #[arg(long, conflicts_with = "from")]
    wait: bool,
    /// Store many jobs: JSON objects as above or command lines in quotes, one a line or in an array; -
    /// is standard input
    #[arg(short = 'f', long, visible_alias = "file", value_name = "FILE")]
    from: Option<String>,
}

fn examples() -> String {
    format!(
        "Fields of a JSON job: {}. Options override fields.\n\n{EXAMPLES}",
        options::fields()
    )
}

const EXAMPLES: &str = "\
With --from and arrays, jobs are stored in batches of 1000, each completely or not at all. Bad jobs are named and \
their batch is not stored; earlier batches stay, and the last message says where to continue. The output of `list \
--json` can be stored in another queue: the jobs are new, and their states and times are ignored.

Examples:
  queuectl enqueue echo \"Hello Queue\"
  queuectl enqueue --max-retries 0 'exit 1'
  queuectl enqueue '{\"id\":\"job1\",\"command\":\"sleep 2\"}'
  queuectl enqueue --executor http --payload '{\"url\":\"https://example.com/\"}'
  queuectl enqueue --queue mail --from jobs.jsonl";

fn run(args: EnqueueArgs, context: &Context) -> Result<Exit> {
    let EnqueueArgs {
        words,
        exact,
        job,
        wait,
        from,
    } = args;
    if job.takes_stdin() && from.as_deref() == Some("-") {
        return Err(Usage::new("--stdin - and --from - cannot both read standard input").into());
    }
    let options = job.into_spec()?;
    if let Some(name) = from {
        return bulk::run(bulk::Source::File(name), &options, context);
    }
    let strays = if exact { Vec::new() } else { words::strays(&words) };
    if !strays.is_empty() {
        diagnostics::note(&format!(
            "note: {} is an argument of {}; options of queuectl go before the command",
            strays.join(" "),
            words.first().map_or("the program", String::as_str)
        ));
    }
    // A payload may be all that its executor needs.
    let asked = if words.is_empty() && options.payload.command.is_none() && options.payload.payload.is_some()
    {
        Asked::One(Box::default())
    } else {
        words::read(words)?
    };
    let spec = match asked {
        Asked::One(spec) => options.or(*spec),
        Asked::Many(_) if options.id.is_some() || wait => {
            return Err(Usage::new("--id and --wait are for one job, and this is an array of jobs").into());
        }
        Asked::Many(text) => return bulk::run(bulk::Source::Text(text), &options, context),
    };
    let mut ignored = Ignored::default();
    ignored.add(&spec);
    ignored.say();
    // Before the queue is opened: a mistake must not create one.
    let job = validate(spec, SystemClock.now()).map_err(Usage::new)?;
    Validator::new(context).check(&job).map_err(Usage::new)?;
    let mut store = context.open_or_create()?;
    // A delay counts by the queue's clock.
    let now = store.now()?;
    let numbers = store.enqueue(std::slice::from_ref(&job), now)?;
    let number = numbers
        .first()
        .copied()
        .ok_or_else(|| anyhow::anyhow!("the store gave no number"))?;
    let id = job
        .id
        .as_ref()
        .map_or_else(|| number.to_string(), |name| name.to_string());
    let stored = EnqueuedView { id: &id };
    let printed = context.output.document(&stored, |page| page.line(&id));
    warn_unprinted(printed, || format!("job '{id}' is stored"));
    if wait {
        return wait_for(&mut store, &[JobRef::Number(number)], None);
    }
    Ok(Exit::OK)
}
