//! Dead jobs by what they died of, and one cause.

use maud::html;
use queuectl_core::{QueueName, Timestamp};
use queuectl_views::CauseView;

use crate::frame::Frame;
use crate::parts::{Html, command, job_link, number, queue_link, table, text, when};

/// A cause with its newest jobs.
pub struct CausePage<'a> {
    /// Its key.
    pub key: &'a str,
    /// The jobs, newest first.
    pub jobs: &'a [DeadJob],
    /// Whether there are more.
    pub more: bool,
}

/// A dead job, and when it died.
pub type DeadJob = (queuectl_views::JobView, Option<Timestamp>);

/// Returns the list. `of` is how many of the newest dead jobs were looked at, if not all.
pub fn causes(frame: &Frame, causes: &[CauseView], of: Option<usize>) -> Html {
    let rows: Vec<Html> = causes.iter().map(|cause| row(cause, frame.now)).collect();
    html! {
        section id="causes" data-fresh {
            (table(
                "Causes",
                &["Jobs", "Last", "Ended by", "Queues", "Example", "Cause", "Key"],
                &rows,
                "No job is dead.",
            ))
            @if let Some(of) = of {
                p { "Of the newest " (number(of as u64)) " dead jobs; " (command("queuectl dlq:causes")) " counts all." }
            }
        }
    }
}

fn row(cause: &CauseView, now: Timestamp) -> Html {
    html! {
        tr {
            td.number { (number(cause.jobs)) }
            td { @if let Some(last) = cause.last_died_at { (when(last, now)) } }
            td { (ended_by(cause)) }
            td { @for (at, queue) in cause.queues.iter().map(QueueName::as_str).enumerate() { @if at > 0 { ", " } (queue_link(queue)) } }
            td { @if let Some(example) = &cause.example { a href={ "/jobs/" (crate::parts::in_path(example)) } { (text(example)) } } }
            td {
                @match &cause.cause {
                    Some(key) => { a href={ "/dead/" (key) } { (text(&in_words(cause))) } },
                    None => { (in_words(cause)) },
                }
            }
            td { @if let Some(key) = &cause.cause { code { (key) } } }
        }
    }
}

/// How the last attempts ended.
fn ended_by(cause: &CauseView) -> String {
    match (cause.exit_code, cause.signal, cause.outcome) {
        (_, Some(signal), _) => format!("signal {signal}"),
        (Some(code), None, _) => format!("exit {code}"),
        (None, None, Some(outcome)) => outcome.name().replace('_', " "),
        (None, None, None) => String::new(),
    }
}

/// The program and its error.
pub fn in_words(cause: &CauseView) -> String {
    let program = cause.program.as_deref().unwrap_or_default();
    let error = cause.error.as_deref().unwrap_or_default();
    // The column of the ends says more.
    let error = error.strip_prefix("exit status <n>: ").unwrap_or(error);
    match (program, error) {
        ("", "") => "other causes".to_owned(),
        ("", one) | (one, "") => one.to_owned(),
        (program, error) => format!("{program}: {error}"),
    }
}

/// Returns the page of one cause.
pub fn one_cause(frame: &Frame, page: &CausePage<'_>) -> Html {
    let rows: Vec<Html> = page
        .jobs
        .iter()
        .map(|(job, died)| {
            html! {
                tr {
                    td { (job_link(job.number, &job.id)) }
                    td { (queue_link(job.queue.as_str())) }
                    td { @if let Some(died) = died { (when(*died, frame.now)) } }
                    td { (text(&job.command)) }
                    td { (text(job.error.as_deref().unwrap_or_default())) }
                }
            }
        })
        .collect();
    let retry = format!("queuectl dlq:retry --cause {}", page.key);
    html! {
        @if !frame.readonly && !page.jobs.is_empty() {
            ul.acts {
                li {
                    a.button href={ "/dead/" (page.key) "/retry" } { "Retry all of this cause…" }
                    (command(&retry))
                }
            }
        }
        section id="newest" data-fresh {
            h2 { "Its newest jobs" }
            (table("Dead jobs", &["Job", "Queue", "Died", "Command", "Error"], &rows, "No dead job has this cause any more."))
            @if page.more { p { "And more: " (command(&format!("queuectl dlq:list --cause {}", page.key))) } }
        }
    }
}
