//! Limits, and one with the jobs that hold it and wait for it.

use maud::html;
use queuectl_core::show_rough;
use queuectl_frontend::limits::allows;
use queuectl_views::{LimitDetailView, LimitJobView, LimitKeyView, LimitView};

use crate::frame::Frame;
use crate::parts::{Html, field, in_path, job_link, number, queue_link, table, text, value, when};

/// Limits that are shown.
const ROWS: usize = 500;

/// Returns the list.
pub fn limits(limits: &[LimitView]) -> Html {
    let rows: Vec<Html> = limits
        .iter()
        .take(ROWS)
        .map(|limit| {
            html! {
                tr {
                    td { a href={ "/limits/" (in_path(limit.name.as_str())) } { (text(limit.name.as_str())) } }
                    td { (allows(limit)) }
                    td.number { (number(limit.jobs_running)) }
                    td.number { (number(limit.jobs_waiting)) }
                    td.number { (number(limit.keys)) }
                }
            }
        })
        .collect();
    html! {
        section id="limits" data-fresh {
            (table("Limits", &["Limit", "Allows", "Running", "Waiting", "Keys"], &rows, "There is no limit; queuectl limit:set makes one."))
            @if limits.len() > ROWS { p { "And " (limits.len() - ROWS) " more." } }
        }
    }
}

/// Returns the page of one limit.
pub fn one_limit(frame: &Frame, detail: &LimitDetailView) -> Html {
    let limit = &detail.limit;
    let rows: Vec<Html> = detail.by_key.iter().map(|key| key_row(frame, key)).collect();
    html! {
        section id="limit" data-fresh {
            dl.fields {
                (field("Allows", value(allows(limit))))
                (field("Running", value(number(limit.jobs_running))))
                (field("Waiting", value(number(limit.jobs_waiting))))
                (field("Started past it", (detail.started_now > 0).then(|| number(detail.started_now)).and_then(value)))
            }
            (holders(frame, "Jobs that hold it", detail.jobs.iter().filter(|job| job.runs).collect(), "No job holds it."))
            (holders(frame, "Jobs that wait for it", detail.jobs.iter().filter(|job| !job.runs).collect(), "No job waits for it."))
            h2 { "Keys" }
            (table("Keys", &["Key", "Running", "Waiting", "Next start"], &rows, "No job holds it or waits for it."))
        }
    }
}

fn key_row(frame: &Frame, key: &LimitKeyView) -> Html {
    html! {
        tr {
            td { (text(&key.key)) }
            td.number { (number(key.jobs_running)) }
            td.number { (number(key.jobs_waiting)) }
            td {
                @match (key.busy_until, key.next_at.filter(|next| *next > frame.now)) {
                    (Some(until), _) => { "busy, " (when(until, frame.now)) },
                    (None, Some(next)) => { (when(next, frame.now)) },
                    (None, None) => {},
                }
            }
        }
    }
}

fn holders(frame: &Frame, heading: &str, jobs: Vec<&LimitJobView>, none: &str) -> Html {
    let rows: Vec<Html> = jobs
        .into_iter()
        .map(|job| {
            html! {
                tr {
                    td { (job_link(job.number, &job.id)) }
                    td { (queue_link(&job.queue)) }
                    td { (text(&job.key)) }
                    td { (show_rough(frame.now.since(job.since))) }
                }
            }
        })
        .collect();
    html! { h2 { (heading) } (table(heading, &["Job", "Queue", "Key", "For"], &rows, none)) }
}
