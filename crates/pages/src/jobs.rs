//! The list of jobs, with the selector language of the command line as its filter.

use maud::html;
use queuectl_core::explain::Code;
use queuectl_core::{State, Timestamp};
use queuectl_views::JobView;

use crate::frame::Frame;
use crate::parts::{Html, command, in_query, job_link, queue_link, state, table, text, when};

/// What can be done to all that fit.
const CHANGES: [(&str, &str); 5] = [
    ("cancel", "Cancel"),
    ("retry", "Retry"),
    ("hold", "Hold"),
    ("release", "Release"),
    ("purge", "Purge"),
];

/// What the screen shows.
pub struct JobsPage<'a> {
    /// The filter, as it was typed.
    pub select: &'a str,
    /// What is wrong with it.
    pub problem: Option<String>,
    /// The jobs of this page.
    pub jobs: &'a [JobView],
    /// Where the list goes on.
    pub next: Option<String>,
    /// Whether this is not its beginning.
    pub is_later: bool,
    /// Whether the list is turned round.
    pub oldest_first: bool,
}

/// Returns the screen.
pub fn jobs(frame: &Frame, page: &JobsPage<'_>) -> Html {
    let rows: Vec<Html> = page.jobs.iter().map(|job| row(job, frame.now)).collect();
    let with = |more: &str| format!("/jobs?select={}{more}", in_query(page.select));
    let order = if page.oldest_first {
        "&oldest_first=true"
    } else {
        ""
    };
    html! {
        form.filter method="get" action="/jobs" role="search" {
            label for="select" { "Filter" }
            input id="select" name="select" type="search" value=(page.select) autocomplete="off" spellcheck="false"
                maxlength="4096" placeholder="state=dead queue=mail error~timeout older=2d"
                aria-describedby="grammar" aria-invalid=[page.problem.is_some().then_some("true")];
            @if page.oldest_first { input type="hidden" name="oldest_first" value="true"; }
            button { "Show" }
        }
        p #grammar.hint {
            @if let Some(problem) = &page.problem { span.problem role="alert" { (text(problem)) } " " }
            "Such as " code { "12-20" } ", " code { "@import" } ", " code { "state=failed,dead" } ", " code { "label=team:web" }
            "; the same as in " (command(format!("queuectl list {}", shell(page.select)).trim_end())) "."
        }
        ul.quick aria-label="Filters" {
            li { a href="/jobs" { "all" } }
            @for one in State::ALL { li { a href={ "/jobs?select=state%3D" (one.name()) } { (one.name()) } } }
        }
        section id="jobs" data-fresh[!page.is_later] {
            (table(
                "Jobs",
                &["Job", "State", "Queue", "Attempts", "When", "Reason", "Command"],
                &rows,
                "No job fits.",
            ))
        }
        nav.pager aria-label="Pages" {
            @if page.is_later { a href=(with(order)) { "First page" } }
            @if let Some(next) = &page.next { a rel="next" href=(with(&format!("{order}&cursor={}", in_query(next)))) { "Next page" } }
            @if page.oldest_first { a href=(with("")) { "Newest first" } } @else { a href=(with("&oldest_first=true")) { "Oldest first" } }
        }
        @if !frame.readonly && page.problem.is_none() && !page.jobs.is_empty() {
            form.mass method="get" action="/change" {
                input type="hidden" name="select" value=(page.select);
                label for="change" { "Change all jobs that fit" }
                select id="change" name="change" {
                    @for (change, label) in CHANGES { option value=(change) { (label) } }
                }
                button { "Count them…" }
            }
        }
    }
}

/// A selector as a shell takes it.
pub fn shell(select: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || " =,.:_@/%+-".contains(c);
    match select.chars().all(is_plain) {
        true => select.to_owned(),
        // Each word by itself is more than what a hint is for.
        false => select
            .split(' ')
            .map(|word| match word.chars().all(is_plain) {
                true => word.to_owned(),
                false => format!("'{}'", word.replace('\'', r"'\''")),
            })
            .collect::<Vec<_>>()
            .join(" "),
    }
}

fn row(job: &JobView, now: Timestamp) -> Html {
    html! {
        tr {
            td { (job_link(job.number, &job.id)) }
            td { (job_state(job)) }
            td { (queue_link(job.queue.as_str())) }
            td.number { (job.attempts) "/" (job.max_retries.saturating_add(1)) }
            td { (when(job.run_at.unwrap_or(job.updated_at), now)) }
            td { (reason(job)) }
            td.wide { (text(&job.command)) }
        }
    }
}

/// The state, and what else a running job is.
pub fn job_state(job: &JobView) -> Html {
    html! {
        (state(job.state))
        @if job.cancel_requested { " stopping" } @else if job.suspended_since.is_some() { " suspended" }
    }
}

/// Why it does not run, how far it is, or why it failed.
fn reason(job: &JobView) -> String {
    if let Some(reason) = job.reason.and_then(Code::in_short) {
        return reason.to_owned();
    }
    match (&job.progress, &job.error) {
        (Some(progress), _) => text(&progress.words),
        (None, Some(error)) => text(error),
        (None, None) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_quoted_where_a_shell_needs_it() {
        assert_eq!(shell("state=dead 12-20 @a"), "state=dead 12-20 @a");
        assert_eq!(shell("error~'x' a"), r"'error~'\''x'\''' a");
    }
}
