//! One job: how it stands, why it waits, its attempts, what it printed, and what can be done.

use std::time::Duration;

use maud::{PreEscaped, html};
use queuectl_core::{Command, State, Timestamp, show_short};
use queuectl_frontend::output::{Chunk, Place};
use queuectl_frontend::time::local;
use queuectl_views::{AttemptView, ExplainView, JobDetailView, RelativeView};

use crate::ansi::Painter;
use crate::frame::Frame;
use crate::jobs::job_state;
use crate::parts::{
    Act, Html, acts, clock, command, field, job_link, number, queue_link, state, table, text, value, whole,
};

/// Attempts and relatives that are shown.
const ATTEMPTS: usize = 50;
const RELATIVES: usize = 50;
/// Variables that are shown.
const VARIABLES: usize = 50;

/// What the screen shows.
pub struct JobPage<'a> {
    /// The job.
    pub job: &'a JobDetailView,
    /// Why it does not run, if it waits.
    pub explain: Option<&'a ExplainView>,
    /// What it printed.
    pub printed: Printed,
    /// What can be done to it: the words of the changes.
    pub changes: &'a [&'static str],
}

/// The end of what an attempt printed.
pub struct Printed {
    /// The attempt; 0 if there is none.
    pub attempt: u32,
    /// The HTML of it.
    pub html: String,
    /// Bytes before it that are not shown.
    pub before: u64,
    /// Where it goes on, if it does.
    pub next: Option<Place>,
}

/// Returns what a part of an output looks like.
pub fn printed_chunk(painter: &mut Painter, chunk: &Chunk) -> String {
    let painted = painter.paint(&chunk.bytes);
    let html = match chunk.stream {
        queuectl_core::OutputStream::Stderr => html! { span.err { (PreEscaped(painted)) } },
        _ => PreEscaped(painted),
    };
    let gap = html! {
        @if chunk.omitted > 0 { span.gap { "\n… " (number(chunk.omitted)) " bytes left out …\n" } }
    };
    gap.into_string() + &html.into_string()
}

/// Returns what follows the output of an attempt that is followed by others.
pub fn attempt_end(attempt: &AttemptView) -> String {
    let error = attempt
        .error
        .as_deref()
        .map_or_else(String::new, |error| format!(" ({error})"));
    let took = show_short(Duration::from_millis(attempt.duration_ms));
    let outcome = attempt.outcome.name().replace('_', " ");
    let line = format!("[attempt {} {outcome} after {took}{error}]", attempt.attempt);
    html! { span.gap { "\n" (text(&line)) "\n" } }.into_string()
}

/// Returns the screen.
pub fn job(frame: &Frame, page: &JobPage<'_>) -> Html {
    let job = &page.job.job;
    html! {
        div id="actions" data-fresh { (actions(frame, page)) }
        section id="job" data-fresh {
            dl.fields {
                (field("State", Some(job_state(job))))
                (field("Queue", Some(queue_link(job.queue.as_str()))))
                (field("Number", value(job.number.to_string())))
                (field("Error", job.error.as_ref().and_then(value)))
                (field("Last line", page.job.last_line.as_ref().and_then(value)))
                (field("Progress", job.progress.as_ref().and_then(|progress| value(&progress.words))))
                (field("Attempts", value(format!("{} of {}", job.attempts, job.max_retries.saturating_add(1)))))
                (field("Run at", job.run_at.map(|at| crate::parts::when(at, frame.now))))
                (field("Node", job.node.map(|node| html! { a href={ "/nodes/" (node) } { (node) } })))
            }
            p { (command(&job.command)) }
            (explained(page.explain, frame.now))
            h2 { "Timeline" }
            (timeline(page.job, frame.now))
        }
        (output(page))
        section id="more" data-fresh {
            (attempts(&page.job.attempt_history))
            (relatives("Waits for", &page.job.parents))
            (relatives("Is waited for by", &page.job.dependants))
            h2 { "Details" }
            (details(page.job))
            (events(page.job))
        }
    }
}

/// What can be done to a job, in words.
fn label(change: &str) -> (&'static str, bool) {
    match change {
        "cancel" => ("Cancel", true),
        "retry" => ("Retry", false),
        "hold" => ("Hold", false),
        "release" => ("Release", false),
        "start" => ("Start now", false),
        _ => ("Purge", true),
    }
}

fn actions(frame: &Frame, page: &JobPage<'_>) -> Html {
    let number = page.job.job.number;
    let all: Vec<Act> = page
        .changes
        .iter()
        .map(|change| {
            let (label, is_harsh) = label(change);
            let now = if *change == "start" { " --now" } else { "" };
            Act {
                path: format!("/jobs/{number}/{change}"),
                label,
                command: format!("queuectl {change} {number}{now}"),
                is_harsh,
            }
        })
        .collect();
    acts(frame.readonly, &all)
}

fn explained(explain: Option<&ExplainView>, now: Timestamp) -> Html {
    html! {
        @if let Some(view) = explain {
            h2 { "Why it does not run" }
            ul.reasons {
                @for reason in &view.reasons {
                    li {
                        (whole(&reason.text))
                        @if let Some(line) = &reason.command { " " (command(line)) }
                    }
                }
            }
            p {
                @match view.earliest_start {
                    Some(at) if at > now => { "It can start " (crate::parts::when(at, now)) "." },
                    Some(_) => { "It can start now." },
                    None => { "It cannot start before that has changed." },
                }
            }
        }
    }
}

/// What happened when, oldest first.
fn timeline(job: &JobDetailView, now: Timestamp) -> Html {
    let history = &job.attempt_history;
    let left_out = history.len().saturating_sub(ATTEMPTS);
    let is_running = job.job.state == State::Processing;
    let started = job.job.started_at.filter(|_| is_running);
    html! {
        ol.timeline {
            li { (clock(job.job.created_at)) " enqueued" }
            @if left_out > 0 { li { "… " (left_out) " attempts …" } }
            @for attempt in &history[left_out..] {
                li class=(attempt.outcome.name()) {
                    (clock(attempt.started_at)) " attempt " (attempt.attempt) ": " (attempt.outcome.name().replace('_', " "))
                    " after " (show_short(Duration::from_millis(attempt.duration_ms)))
                }
            }
            @if let Some(started) = started {
                li.processing { (clock(started)) " running for " (show_short(now.since(started))) }
            }
            @if let Some(at) = job.job.run_at.filter(|at| *at > now) { li { (clock(at)) " due" } }
            @if let Some(at) = job.job.finished_at { li class=(job.job.state.name()) { (clock(at)) " " (job.job.state.name()) } }
        }
    }
}

fn output(page: &JobPage<'_>) -> Html {
    let printed = &page.printed;
    let number = page.job.job.number;
    let live = printed
        .next
        .map(|place| format!("/jobs/{number}/live?after={place}"));
    html! {
        section id="output" {
            h2 { "Output" @if printed.attempt > 0 { " of attempt " (printed.attempt) } }
            @if printed.before > 0 {
                p {
                    (crate::parts::number(printed.before)) " bytes before this are not shown here: "
                    a href={ "/api/v1/jobs/" (number) "/logs?attempt=" (printed.attempt) } { "as JSON" } ", "
                    (command(&format!("queuectl logs {number}")))
                }
            }
            pre.output role="region" tabindex="0" aria-label="Output" data-live=[live] { (PreEscaped(&printed.html)) }
            @if printed.html.is_empty() { p.none { "Nothing was printed yet." } }
        }
    }
}

fn attempts(attempts: &[AttemptView]) -> Html {
    let rows: Vec<Html> = attempts
        .iter()
        .rev()
        .take(ATTEMPTS)
        .map(|attempt| {
            html! {
                tr {
                    td.number { (attempt.attempt) }
                    td { (attempt.outcome.name().replace('_', " ")) }
                    td { (clock(attempt.started_at)) }
                    td.number { (show_short(Duration::from_millis(attempt.duration_ms))) }
                    td.number { @if let Some(code) = attempt.exit_code { (code) } @else if let Some(signal) = attempt.signal { "signal " (signal) } }
                    td { a href={ "/nodes/" (attempt.node) } { (attempt.node) } }
                    td.number { (number(attempt.output_bytes)) }
                    td { (text(attempt.error.as_deref().unwrap_or_default())) }
                }
            }
        })
        .collect();
    html! {
        h2 { "Attempts" }
        (table(
            "Attempts",
            &["No.", "Outcome", "Started", "Took", "Exit", "Node", "Bytes", "Error"],
            &rows,
            "None has ended.",
        ))
        @if attempts.len() > ATTEMPTS { p { "And " (attempts.len() - ATTEMPTS) " older." } }
    }
}

fn relatives(heading: &str, relatives: &[RelativeView]) -> Html {
    html! {
        @if !relatives.is_empty() {
            h2 { (heading) }
            ul {
                @for one in relatives.iter().take(RELATIVES) {
                    li {
                        (job_link(one.number, &one.id)) " "
                        @match one.state { Some(known) => { (state(known)) }, None => { "removed" } }
                        " (" (one.condition) @if one.met == Some(false) { ", not met" } ")"
                    }
                }
                @if relatives.len() > RELATIVES { li { "and " (relatives.len() - RELATIVES) " more" } }
            }
        }
    }
}

fn details(page: &JobDetailView) -> Html {
    let job = &page.job;
    let hook = |command: &Option<Command>| command.as_ref().map(Command::display).and_then(value);
    let joined = |names: Vec<String>| (!names.is_empty()).then(|| names.join(", ")).and_then(value);
    html! {
        dl.fields {
            (field("Enqueued", Some(clock(job.created_at))))
            (field("Started", job.started_at.map(clock)))
            (field("Finished", job.finished_at.map(clock)))
            (field("Priority", value(job.priority.to_string())))
            (field("Executor", value(job.executor.as_str())))
            (field("Timeout", job.timeout_ms.and_then(|ms| value(show_short(Duration::from_millis(ms))))))
            (field("Unique key", job.unique.as_ref().and_then(|key| value(key.to_string()))))
            (field("Limits", joined(job.limit.iter().map(ToString::to_string).collect())))
            (field("Groups", joined(job.groups.iter().map(ToString::to_string).collect())))
            (field("Labels", joined(job.labels.iter().map(|(key, value)| format!("{key}:{value}")).collect())))
            (field("Comment", job.comment.as_ref().and_then(value)))
            (field("Schedule", page.schedule.as_ref().map(|name| html! { a href={ "/schedules/" (crate::parts::in_path(name)) } { (text(name)) } })))
            (field("On success", hook(&job.on_success)))
            (field("On failure", hook(&job.on_failure)))
            (field("On death", hook(&job.on_death)))
            (field("Hook of", job.hook_of.map(|of| job_link(of, &of.to_string()))))
            (field("Enqueued by", job.enqueued_by.map(|by| job_link(by, &by.to_string()))))
            (field("Folder", job.cwd.as_ref().and_then(value)))
            (field("Checkpoint", page.checkpoint.as_ref().and_then(|text| value(crate::parts::text(text)))))
            (field("Result", page.result.as_ref().and_then(|result| value(text(result.get())))))
            @for (name, content) in job.env.iter().take(VARIABLES) {
                (field("Variable", value(text(&format!("{name}={}", content.as_deref().unwrap_or("(hidden)"))))))
            }
            @if job.env.len() > VARIABLES { (field("Variables", value(format!("and {} more", job.env.len() - VARIABLES)))) }
            (field("Unreadable", job.unreadable.as_ref().and_then(value)))
        }
    }
}

fn events(page: &JobDetailView) -> Html {
    html! {
        @if !page.events.is_empty() {
            h2 { "Events" }
            ol.timeline {
                @for event in &page.events {
                    li { (clock(event.at)) " " (text(&event.kind)) " " (text(&event.in_words(local))) }
                }
            }
        }
    }
}
