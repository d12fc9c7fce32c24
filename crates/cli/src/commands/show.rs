//! `show`: prints everything about one job.

use std::time::Duration;

use anyhow::Result;
use clap::{Args, ValueEnum};
use queuectl_core::selector::OneJob;
use queuectl_core::{Attempt, Command, HIDDEN, HookOn, Job, Origin, State, Timestamp, show_short};
use queuectl_storage::Store;
use queuectl_views::{EventView, HookJobView, JobDetailView, RelativeView};

use super::events;
use super::list::labels;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::table::Column;
use crate::output::time::local;
use crate::output::{graph, pause};
use crate::registry::Run;
use queuectl_frontend::{detail, graph as trees, load};

/// Show one job with its attempts
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The job's id or number, or last, last~2
    #[arg(value_name = "JOB")]
    job: OneJob,
    /// Also show what may be secret: environment, standard input, and payload members whose names suggest a secret
    #[arg(long)]
    secrets: bool,
    /// Show instead which jobs it waits for and which wait for it, directly or through others: as a tree, or for Graphviz
    #[arg(long, value_name = "FORMAT", num_args = 0..=1, default_missing_value = "tree")]
    graph: Option<GraphFormat>,
}

/// How a graph looks to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    // Lines of text.
    Tree,
    // The language of Graphviz.
    Dot,
}

const ATTEMPTS: [Column; 9] = [
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

const PARENTS: [Column; 4] = [
    Column::name("WAITS FOR", 8),
    Column::whole("STATE"),
    Column::whole("CONDITION"),
    Column::whole("MET"),
];

const DEPENDANTS: [Column; 4] = [
    Column::name("WAITED FOR BY", 8),
    Column::whole("STATE"),
    Column::whole("CONDITION"),
    Column::whole("MET"),
];

const HOOKS: [Column; 3] = [
    Column::whole("HOOK JOB"),
    Column::whole("ON"),
    Column::whole("STATE"),
];

impl Run for ShowArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open()?;
        let job = {
            let job = store.picked(self.job.pick())?;
            store.job(&job)?
        };
        if let Some(format) = self.graph {
            let view = load::graph(&mut store, &[job.id])?;
            let lines = match format {
                GraphFormat::Tree => trees::tree(&view, job.id),
                GraphFormat::Dot => trees::dot(&view),
            };
            graph::print(&view, &lines, &context.output)?;
            return Ok(Exit::OK);
        }
        let attempts = store.attempts_without_output(job.id)?;
        print(&mut store, job, &attempts, self.secrets, context)?;
        Ok(Exit::OK)
    }
}

/// Prints a job and its attempts, with or without secrets.
pub fn print(
    store: &mut Store,
    job: Job,
    attempts: &[Attempt],
    secrets: bool,
    context: &Context,
) -> Result<()> {
    let input = job.payload.stdin.as_ref().map(String::len);
    let payload = job.payload.payload.as_ref().map(|payload| match secrets {
        true => payload.as_str().to_owned(),
        false => payload.marked(),
    });
    let view = detail::load(store, job, attempts, secrets)?;
    let now = store.now()?;
    // A role that may not read pauses goes without.
    let pauses = load::pauses(store, now).unwrap_or_default();
    let ends = view.job.state.is_final() || view.job.state == State::Processing;
    let paused = pauses.get(view.job.queue.as_str()).filter(|_| !ends);
    context.output.document(&view, |page| {
        for (name, value) in fields(&view, payload, input) {
            page.field(name, &value)?;
            if let ("queue", Some(schedule), Some(at)) = (name, &view.schedule, view.scheduled_at) {
                page.field("schedule", &format!("{schedule}, for {}", local(at)))?;
            }
            if let ("queue", Some(paused)) = (name, paused) {
                page.field("", &pause::in_words(paused, now))?;
            }
        }
        if !view.parents.is_empty() {
            page.text("")?;
            page.table(&PARENTS, view.parents.iter().map(relative_row))?;
        }
        if !view.dependants.is_empty() {
            page.text("")?;
            page.table(&DEPENDANTS, view.dependants.iter().map(relative_row))?;
        }
        if !view.hooks.is_empty() {
            page.text("")?;
            page.table(&HOOKS, view.hooks.iter().map(hook_row))?;
        }
        if !attempts.is_empty() {
            page.text("")?;
            page.table(&ATTEMPTS, attempts.iter().map(row))?;
        }
        if view.events.is_empty() {
            return Ok(());
        }
        page.text("")?;
        page.table(&TIMELINE, view.events.iter().map(moment))
    })?;
    Ok(())
}

fn hook_row(view: &HookJobView) -> Vec<String> {
    vec![
        view.number.to_string(),
        view.on.map_or("-", HookOn::name).to_owned(),
        view.state.map_or("-", State::name).to_owned(),
    ]
}

fn relative_row(view: &RelativeView) -> Vec<String> {
    let met = match view.met {
        Some(true) => "yes",
        Some(false) => "no",
        None => "not yet",
    };
    let state = view.state.map_or("removed", State::name);
    [&view.id, state, view.condition, met].map(str::to_owned).into()
}

const TIMELINE: [Column; 4] = [
    Column::whole("TIME"),
    Column::whole("WHAT"),
    Column::whole("NODE").expendable(1),
    Column::sentence("DETAIL", 16),
];

fn moment(event: &EventView) -> Vec<String> {
    let [_, time, _, what, node, detail] = events::row(event);
    vec![time, what, node, detail]
}

fn row(attempt: &Attempt) -> Vec<String> {
    vec![
        attempt.number.to_string(),
        attempt.outcome.kind.to_string(),
        ending(attempt.outcome.exit_code, attempt.outcome.signal),
        local(attempt.started_at),
        show_short(attempt.finished_at.since(attempt.started_at)),
        attempt.node.to_string(),
        attempt.worker.to_string(),
        format!("{} B", attempt.output.total_bytes),
        attempt.outcome.message.clone(),
    ]
}

/// Returns the exit status or the signal of an attempt, for a narrow column.
pub fn ending(exit_code: Option<i32>, signal: Option<i32>) -> String {
    match (exit_code, signal) {
        (_, Some(signal)) => format!("signal {signal}"),
        (Some(code), None) => format!("exit {code}"),
        (None, None) => "-".to_owned(),
    }
}

/// Returns the fields of a job, without those that do not apply. `payload` is the text to show for the executor's object,
/// `input` the length of standard input in bytes.
fn fields(
    detail: &JobDetailView,
    payload: Option<String>,
    input: Option<usize>,
) -> Vec<(&'static str, String)> {
    let (view, sources) = (&detail.job, &detail.sources);
    let time = |time: Option<Timestamp>| time.map(local);
    let from = |value: String, source: Origin| Some(format!("{value} ({})", source.name()));
    let timeout = match view.timeout_ms {
        Some(ms) => show_short(Duration::from_millis(ms)),
        None => "none".to_owned(),
    };
    let id = if view.id == view.number.to_string() {
        view.id.clone()
    } else {
        format!("{} (number {})", view.id, view.number)
    };
    let unique = view.unique.as_ref().map(|key| match view.unique_for_ms {
        Some(ms) => format!("{key} (for {} at least)", show_short(Duration::from_millis(ms))),
        None => key.to_string(),
    });
    let progress = view.progress.as_ref();
    let progress = progress.map(|progress| format!("{} (at {})", progress.words, local(progress.at)));
    let hook_of = view.hook_of.zip(view.hook);
    let hook_of = hook_of.map(|(job, on)| format!("job {job}, for its {on}"));
    let mut all = vec![
        ("job", Some(id)),
        ("state", Some(view.state.to_string())),
        ("blocked by", view.blocked_by.map(|by| by.name().to_owned())),
        (
            "unmet",
            view.unmet_by.map(|unmet| {
                // By the id that users see, as in the list below.
                let parent = detail.parents.iter().find(|parent| parent.number == unmet.number);
                let id = parent.map_or_else(|| unmet.number.to_string(), |parent| parent.id.clone());
                match detail.revived_by {
                    None => format!("job {id} is {}", unmet.state),
                    Some(open) if open == unmet.number => {
                        format!("job {id} was {} and was retried; this one goes on if it ends as needed", unmet.state)
                    }
                    Some(open) => {
                        format!("job {id} is {}; this one goes on if job {open}, which was retried, ends as needed", unmet.state)
                    }
                }
            }),
        ),
        ("error", view.error.clone()),
        ("last line", detail.last_line.clone()),
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
        (
            "max retries",
            from(view.max_retries.to_string(), sources.max_retries),
        ),
        (
            "backoff base",
            from(format!("{} s", view.backoff_base), sources.backoff_base),
        ),
        ("timeout", from(timeout, sources.timeout_ms)),
        ("executor", Some(view.executor.to_string())),
        ("unique key", unique),
        (
            "group",
            Some(
                view.groups
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(", "),
            )
            .filter(|groups| !groups.is_empty()),
        ),
        (
            "labels",
            Some(labels(&view.labels)).filter(|labels| !labels.is_empty()),
        ),
        ("comment", view.comment.clone()),
        ("on success", view.on_success.as_ref().map(Command::display)),
        ("on failure", view.on_failure.as_ref().map(Command::display)),
        ("on death", view.on_death.as_ref().map(Command::display)),
        ("hook queue", view.hook_queue.as_ref().map(ToString::to_string)),
        ("hook of", hook_of),
        ("enqueued by", view.enqueued_by.map(|job| format!("job {job}"))),
        ("folder", view.cwd.clone()),
        ("payload", payload),
        ("run at", time(view.run_at)),
        ("node", view.node.map(|node| node.to_string())),
        (
            "cancelling",
            view.cancel_requested.then(|| "yes, its node stops it".to_owned()),
        ),
        (
            "suspended",
            view.suspended_since
                .map(|since| format!("since {}", local(since))),
        ),
        ("progress", progress),
        (
            "result",
            detail.result.as_ref().map(|result| result.get().to_owned()),
        ),
        ("checkpoint", detail.checkpoint.clone()),
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
