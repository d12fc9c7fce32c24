//! `enqueue`: storing one job, or many from a file.

mod bulk;
mod ignored;
pub mod options;
mod schema;
pub mod submit;
pub mod typed;
pub mod validate;
pub mod words;

use anyhow::Result;
use clap::Args;
use queuectl_core::JobRef;

use self::options::JobOptions;
use self::submit::{asked, checked, public_id, remark, store_one, view};
use self::words::Asked;
use super::wait::wait_for;
use crate::context::Context;
use crate::exit::{Exit, Usage};
use crate::output::warn_unprinted;

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
    #[arg(
        short = 'f',
        long,
        visible_alias = "file",
        value_name = "FILE",
        // Each job of many has its own.
        conflicts_with_all = ["id", "command"]
    )]
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
their batch is not stored; earlier batches stay, and the last message says where to continue. If a job has \
\"after\", all jobs are stored together or not at all; it may name jobs of the same file by their ids. The output of `list \
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
    let spec = match asked(words, exact, &options)? {
        Asked::One(spec) => options.or(*spec),
        Asked::Many(_) if options.id.is_some() || wait => {
            return Err(Usage::new("--id and --wait are for one job, and this is an array of jobs").into());
        }
        Asked::Many(text) => return bulk::run(bulk::Source::Text(text), &options, context),
    };
    let job = checked(spec, context)?;
    let mut store = context.open_or_create()?;
    let placed = store_one(&mut store, &job)?;
    let id = public_id(&job, &placed);
    let printed = context
        .output
        .document(&view(&id, &placed), |page| page.line(&id));
    warn_unprinted(printed, || match placed.existing {
        Some(_) => format!("job '{id}' was there already"),
        None => format!("job '{id}' is stored"),
    });
    if let Some(remark) = remark(&placed) {
        context.output.remark(&remark);
    }
    if wait {
        return wait_for(&mut store, &[JobRef::Number(placed.id)], None);
    }
    Ok(Exit::OK)
}
