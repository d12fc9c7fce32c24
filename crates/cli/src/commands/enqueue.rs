//! `enqueue`: storing one job, or many from a file.

mod bulk;
mod ignored;
mod schema;
mod validate;
pub mod words;

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use jiff::ZonedDateTime;
use queuectl_core::json::JsonObject;
use queuectl_core::limits::{PAYLOAD_BYTES, PRIORITY, RETRIES};
use queuectl_core::{
    Clock, Command, ExecutorName, JobName, JobRef, JobSpec, Payload, QueueName, Start, SystemClock, Timestamp,
};
use serde::Serialize;

use self::ignored::Ignored;
use self::validate::Validator;
use self::words::Asked;
use super::wait::wait_for;
use crate::context::Context;
use crate::exit::{Exit, Usage};
use crate::input::job::validate;
use crate::input::json;
use crate::input::time::{duration, milliseconds, point};
use crate::number::whole;
use crate::output::{diagnostics, done, json as json_out};

/// Store a job; print its id
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct EnqueueArgs {
    /// One word is a shell command line. Several words are a program and its exact arguments, run without a shell; put
    /// queuectl's options before them. A JSON object is a complete job, an array many jobs, and @FILE a file of jobs
    #[arg(
        value_name = "COMMAND",
        trailing_var_arg = true,
        required_unless_present_any = ["from", "line", "payload"],
        conflicts_with_all = ["from", "line"]
    )]
    command: Vec<String>,
    /// A shell command line, as with a single word
    #[arg(
        long = "command",
        value_name = "LINE",
        allow_hyphen_values = true,
        conflicts_with = "from"
    )]
    line: Option<String>,
    /// Whether `--` says that the words are a program and its arguments, whatever they look like.
    #[arg(skip)]
    exact: bool,
    /// Your own id for the job, unique in the queue; not only digits
    #[arg(long, value_name = "ID", conflicts_with = "from")]
    id: Option<JobName>,
    /// The queue it goes to [default: default]
    #[arg(long, value_name = "NAME")]
    queue: Option<QueueName>,
    /// Higher runs first [default: 0]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<i32>(PRIORITY))]
    priority: Option<i32>,
    /// Start it after this time, such as 30s or 1h 5m; a bare number is seconds
    #[arg(long, value_name = "DURATION", value_parser = duration, allow_hyphen_values = true, conflicts_with = "run_at")]
    delay: Option<Duration>,
    /// Start it at this time: 18:00 (the next one), '2026-12-24 18:00' (local) or RFC 3339; a past time means now
    #[arg(long, value_name = "TIME", value_parser = point_from_now, allow_hyphen_values = true)]
    run_at: Option<Timestamp>,
    /// Stop an attempt that runs longer than this, such as 90 (seconds) or 5m [default: the setting job_timeout]
    #[arg(long, value_name = "DURATION", value_parser = milliseconds, allow_hyphen_values = true)]
    timeout: Option<u64>,
    /// Retries after the first attempt [default: the setting max_retries]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<u32>(RETRIES))]
    max_retries: Option<u32>,
    /// The n-th retry waits BASE^n seconds [default: the setting backoff_base]
    #[arg(long, value_name = "BASE", allow_negative_numbers = true)]
    backoff_base: Option<f64>,
    /// The executor plugin that runs the job [default: shell]
    #[arg(long, value_name = "NAME")]
    executor: Option<ExecutorName>,
    /// Set an environment variable for the job; repeatable
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    env: Vec<(String, String)>,
    /// The folder it runs in [default: the current folder]
    #[arg(long, value_name = "DIR")]
    cwd: Option<String>,
    /// Text for the job's standard input; - reads it from standard input now
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    stdin: Option<String>,
    /// The payload for the executor, a JSON object; @FILE reads it from a file
    #[arg(long, value_name = "JSON|@FILE", value_parser = payload)]
    payload: Option<JsonObject>,
    /// Wait for the job to end, and exit with its status
    #[arg(long, conflicts_with = "from")]
    wait: bool,
    /// Store many jobs: JSON objects as above or command lines in quotes, one a line or in an array; -
    /// is standard input
    #[arg(short = 'f', long, visible_alias = "file", value_name = "FILE")]
    from: Option<String>,
}

const EXAMPLES: &str = "\
Fields of a JSON job: id, command (text or an array of texts), queue, priority, delay, run_at, timeout, \
max_retries, backoff_base, executor, env, cwd, stdin, payload (an object for the executor). Options override fields.

With --from and arrays, jobs are stored in batches of 1000, each completely or not at all. Bad jobs are named and \
their batch is not stored; earlier batches stay, and the last message says where to continue. The output of `list \
--json` can be stored in another queue: the jobs are new, and their states and times are ignored.

Examples:
  queuectl enqueue echo \"Hello Queue\"
  queuectl enqueue --max-retries 0 'exit 1'
  queuectl enqueue '{\"id\":\"job1\",\"command\":\"sleep 2\"}'
  queuectl enqueue --executor http --payload '{\"url\":\"https://example.com/\"}'
  queuectl enqueue --queue mail --from jobs.jsonl";

/// A stored job.
#[derive(Serialize)]
struct Stored<'a> {
    id: &'a str,
}

impl EnqueueArgs {
    /// The command, as it was typed.
    pub fn words(&self) -> &[String] {
        &self.command
    }

    /// Takes the words for a program and its arguments, whatever they look like.
    pub fn take_exactly(&mut self) {
        self.exact = true;
    }
}

pub fn run(args: EnqueueArgs, context: &Context) -> Result<Exit> {
    let (wait, exact) = (args.wait, args.exact);
    let (from, words, options) = resolve(args)?;
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
    done::printed_or_warn(print_id(&mut io::stdout(), &id, context.json), || {
        format!("job '{id}' is stored")
    });
    if wait {
        return wait_for(&mut store, &[JobRef::Number(number)], None);
    }
    Ok(Exit::OK)
}

fn print_id(out: &mut impl Write, id: &str, json: bool) -> io::Result<()> {
    if json {
        writeln!(out, "{}", json_out::to_line(&Stored { id })?)?;
    } else {
        writeln!(out, "{id}")?;
    }
    out.flush()
}

/// The source of many jobs, or the words of one command; and what the options say.
fn resolve(args: EnqueueArgs) -> Result<(Option<String>, Vec<String>, JobSpec)> {
    let stdin = match args.stdin {
        Some(dash) if dash == "-" => {
            if args.from.as_deref() == Some("-") {
                return Err(Usage::new("--stdin - and --from - cannot both read standard input").into());
            }
            Some(read_stdin()?)
        }
        other => other,
    };
    let start = args.delay.map(Start::After).or(args.run_at.map(Start::At));
    let options = JobSpec {
        id: args.id,
        queue: args.queue,
        priority: args.priority,
        start,
        timeout_ms: args.timeout,
        max_retries: args.max_retries,
        backoff_base: args.backoff_base,
        executor: args.executor,
        payload: Payload {
            command: args.line.map(Command::Line),
            env: args.env.into_iter().collect(),
            cwd: args.cwd,
            stdin,
            payload: args.payload,
        },
        ignored: BTreeSet::new(),
    };
    Ok((args.from, args.command, options))
}

fn read_stdin() -> Result<String> {
    let mut text = Vec::new();
    io::stdin()
        .lock()
        .take(PAYLOAD_BYTES as u64 + 1)
        .read_to_end(&mut text)
        .context("cannot read standard input")?;
    if text.len() > PAYLOAD_BYTES {
        let message = format!("standard input is longer than the {PAYLOAD_BYTES} bytes that a job may have");
        return Err(Usage::new(message)
            .hint("put it into a file that the job reads")
            .into());
    }
    let utf8 = String::from_utf8(text).map_err(|_| {
        Usage::new("standard input is not valid UTF-8").hint("put it into a file that the job reads")
    })?;
    Ok(utf8)
}

/// The payload, or the file that has it.
fn payload(text: &str) -> Result<JsonObject, String> {
    let Some(file) = text.strip_prefix('@') else {
        return JsonObject::parse(json::without_mark(text)).map_err(|error| error.to_string());
    };
    let mut bytes = Vec::new();
    std::fs::File::open(file)
        .and_then(|opened| opened.take(PAYLOAD_BYTES as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("cannot read {file}: {error}"))?;
    if bytes.len() > PAYLOAD_BYTES {
        return Err(format!(
            "{file} is longer than the {PAYLOAD_BYTES} bytes that a job may have"
        ));
    }
    let text = String::from_utf8(bytes).map_err(|_| format!("{file} is not valid UTF-8"))?;
    JsonObject::parse(json::without_mark(&text)).map_err(|error| format!("{file}: {error}"))
}

fn point_from_now(text: &str) -> Result<Timestamp, String> {
    point(text, &ZonedDateTime::now())
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write it as NAME=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_have_a_name() {
        assert_eq!(variable("A=b=c"), Ok(("A".into(), "b=c".into())));
        assert!(variable("A").is_err());
        assert!(variable("=b").is_err());
    }
}
