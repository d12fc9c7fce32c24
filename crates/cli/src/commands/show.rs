//! `show`: everything about one job.

use std::io::{self, Write};
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use queuectl_core::{Attempt, HIDDEN, Job, JobRef, Settings, Timestamp};
use queuectl_storage::{Store, StoreError};
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::output::attempt::{AttemptView, ending};
use crate::output::job::JobView;
use crate::output::table::{Column, Table};
use crate::output::time::{exact, local};
use crate::output::{escape, json};

/// Show one job with its attempts
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The job's id or number
    #[arg(value_name = "JOB")]
    job: JobRef,
    /// Also show what may be secret: environment, standard input, and payload members whose names suggest a secret
    #[arg(long)]
    secrets: bool,
}

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    job: JobView,
    /// The last line that its newest ended attempt printed.
    last_line: Option<String>,
    /// The ended attempts, oldest first.
    attempt_history: Vec<AttemptView>,
}

pub fn run(args: &ShowArgs, context: &Context) -> Result<Exit> {
    let mut store = context.open()?;
    let settings = store.settings()?;
    let job = store.job(&args.job)?;
    let attempts = store.attempts_without_output(job.id)?;
    let last_line = last_line(&mut store, &job, &attempts)?;
    print(job, &attempts, last_line, &settings, args.secrets, context)?;
    Ok(Exit::OK)
}

/// The last line that the newest of a job's ended attempts printed.
pub fn last_line(store: &mut Store, job: &Job, attempts: &[Attempt]) -> Result<Option<String>, StoreError> {
    let Some(newest) = attempts.last() else {
        return Ok(None);
    };
    let newest = store.attempt(job.id, newest.fence)?;
    Ok(newest.as_ref().and_then(queuectl_dlq::last_line))
}

/// Prints a job and its attempts, with secrets or without.
pub fn print(
    job: Job,
    attempts: &[Attempt],
    last_line: Option<String>,
    settings: &Settings,
    secrets: bool,
    context: &Context,
) -> Result<()> {
    let error = attempts.last().map(|attempt| attempt.outcome.message.clone());
    let input = job.payload.stdin.as_ref().map(String::len);
    let own = job.payload.payload.as_ref().map(|own| match secrets {
        true => own.as_str().to_owned(),
        false => own.marked(),
    });
    let error = error.filter(|message| !message.is_empty());
    let view = JobView::new(job, error, settings, secrets);
    if context.json {
        let attempt_history = attempts.iter().map(AttemptView::from).collect();
        json::print(&Shown {
            job: view,
            last_line,
            attempt_history,
        })?;
        return Ok(());
    }
    let mut out = anstream::stdout().lock();
    for (name, value) in fields(&view, last_line, own, input) {
        let value = if context.raw {
            value
        } else {
            escape::line(&value).into_owned()
        };
        writeln!(out, "{name:<13} {value}")?;
    }
    drop(out);
    if !attempts.is_empty() {
        writeln!(io::stdout())?;
        print_attempts(attempts, context.raw)?;
    }
    Ok(())
}

/// What there is to say about a job with that payload for its executor and so many bytes of input; what does not apply
/// is left out.
fn fields(
    view: &JobView,
    last_line: Option<String>,
    payload: Option<String>,
    input: Option<usize>,
) -> Vec<(&'static str, String)> {
    let time = |time: Option<Timestamp>| time.map(local);
    let timeout = match view.timeout_ms {
        Some(ms) => exact(Duration::from_millis(ms)),
        None => "none".to_owned(),
    };
    let id = if view.id == view.number.to_string() {
        view.id.clone()
    } else {
        format!("{} (number {})", view.id, view.number)
    };
    let mut all = vec![
        ("job", Some(id)),
        ("state", Some(view.state.to_string())),
        ("error", view.error.clone()),
        ("last line", last_line),
        ("command", Some(view.command.clone())),
        ("queue", Some(view.queue.to_string())),
        ("priority", Some(view.priority.to_string())),
        (
            "attempts",
            Some(format!(
                "{} of {}",
                view.attempts,
                view.max_retries.saturating_add(1)
            )),
        ),
        ("backoff base", Some(format!("{} s", view.backoff_base))),
        ("timeout", Some(timeout)),
        ("executor", Some(view.executor.to_string())),
        ("folder", view.cwd.clone()),
        ("payload", payload),
        ("run at", time(view.run_at)),
        ("node", view.node.map(|node| node.to_string())),
        (
            "cancelling",
            view.cancel_requested.then(|| "yes, its node stops it".to_owned()),
        ),
        ("enqueued", time(Some(view.created_at))),
        ("updated", time(Some(view.updated_at))),
        ("started", time(view.started_at)),
        ("finished", time(view.finished_at)),
    ];
    all.extend(view.env.iter().map(|(name, value)| {
        let value = value.as_deref().unwrap_or(HIDDEN);
        ("environment", Some(format!("{name}={value}")))
    }));
    all.push(("input", input.map(|bytes| format!("{bytes} bytes"))));
    all.into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
}

fn print_attempts(attempts: &[Attempt], raw: bool) -> io::Result<()> {
    let columns = [
        Column::whole("ATTEMPT"),
        Column::whole("OUTCOME"),
        Column::whole("ENDED BY").expendable(2),
        Column::whole("STARTED").expendable(1),
        Column::whole("TOOK"),
        Column::whole("NODE").expendable(4),
        Column::whole("WORKER").expendable(5),
        Column::whole("OUTPUT").expendable(3),
        Column::sentence("REASON", 16),
    ];
    let mut table = Table::new(&columns, raw);
    for attempt in attempts {
        table.row([
            attempt.number.to_string(),
            attempt.outcome.kind.to_string(),
            ending(&attempt.outcome),
            local(attempt.started_at),
            exact(attempt.finished_at.since(attempt.started_at)),
            attempt.node.to_string(),
            attempt.worker.to_string(),
            format!("{} B", attempt.output.total_bytes),
            attempt.outcome.message.clone(),
        ]);
    }
    table.print()
}
