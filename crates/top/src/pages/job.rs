//! A job's details, and why it does not run.

use queuectl_core::{Attempt, Command, Job, JobId, JobRef, Settings, State, Timestamp, show_short};
use queuectl_frontend::time::local;
use queuectl_frontend::{explain as explained, graph, load};
use queuectl_storage::{Relative, Store, StoreError};
use queuectl_views::JobView;

use crate::snapshot::{Page, Tone};

/// Newest attempts that are shown, relatives, events, and lines of the graph.
const ATTEMPTS: usize = 20;
const RELATIVES: usize = 20;
const EVENTS: u32 = 50;
const GRAPH: usize = 60;

pub fn explain(store: &mut Store, job: JobId, now: Timestamp) -> Result<Page, StoreError> {
    let view = explained::load(store, &JobRef::Number(job), now)?;
    let title = match view.state.is_final() || view.state == State::Processing {
        true => format!("job {}", view.id),
        false => format!("why job {} does not run", view.id),
    };
    let mut page = Page::new(&title);
    let lines = explained::lines(&view, now);
    lines.iter().for_each(|line| page.line(line));
    Ok(page)
}

pub fn details(store: &mut Store, number: JobId, now: Timestamp) -> Result<Page, StoreError> {
    let job = store.job(&JobRef::Number(number))?;
    let settings = store.settings()?;
    let attempts = store.attempts_without_output(job.id)?;
    let last_line = load::last_line(store, &job, &attempts)?;
    let (parents, dependants) = (store.parents(job.id)?, store.dependants(job.id)?);
    let waits = !job.state.is_final() && job.state != State::Processing;
    let mut page = Page::new(&format!("job {}", job.public_id()));
    fields(&mut page, job, attempts.last(), last_line, &settings);
    if waits {
        page.heading("why it does not run");
        let view = explained::load(store, &JobRef::Number(number), now)?;
        let lines = explained::lines(&view, now);
        lines.iter().skip(1).for_each(|line| page.line(line));
    }
    if !attempts.is_empty() {
        page.heading("attempts, newest first");
        let newest = attempts.iter().rev().take(ATTEMPTS);
        newest.for_each(|attempt| page.line(attempt_line(attempt)));
        if attempts.len() > ATTEMPTS {
            page.toned(format!("and {} older", attempts.len() - ATTEMPTS), Tone::Dim);
        }
    }
    relatives(&mut page, "waits for", &parents);
    relatives(&mut page, "is waited for by", &dependants);
    if !(parents.is_empty() && dependants.is_empty()) {
        let view = load::graph(store, &[number])?;
        page.heading("graph");
        lines_of(&mut page, &graph::tree(&view, number), GRAPH);
    }
    if !settings.event_retention.is_zero() {
        timeline(store, &mut page, number)?;
    }
    Ok(page)
}

/// Adds the first of some lines, and how many there are besides.
pub fn lines_of(page: &mut Page, lines: &[String], most: usize) {
    lines.iter().take(most).for_each(|line| page.line(line));
    if lines.len() > most {
        page.toned(format!("and {} more lines", lines.len() - most), Tone::Dim);
    }
}

fn fields(
    page: &mut Page,
    job: Job,
    newest: Option<&Attempt>,
    last_line: Option<String>,
    settings: &Settings,
) {
    let error = newest.map(|attempt| attempt.outcome.message.clone());
    let view = JobView::new(job, error.filter(|error| !error.is_empty()), settings, false);
    let id = match view.id == view.number.to_string() {
        true => view.id.clone(),
        false => format!("{} (number {})", view.id, view.number),
    };
    page.field("job", id);
    page.toned_field("state", view.state.name(), Tone::of_state(view.state));
    page.field_if("blocked by", view.blocked_by.map(|by| by.name()));
    if view.cancel_requested {
        page.toned_field("cancelling", "yes, its node stops it", Tone::Warn);
    }
    page.field_if("progress", view.progress.as_ref().map(|progress| &progress.words));
    if let Some(since) = view.suspended_since {
        page.toned_field("suspended", format!("since {}", local(since)), Tone::Warn);
    }
    if let Some(error) = &view.error {
        page.toned_field("error", error, Tone::Bad);
    }
    page.field_if("last line", last_line);
    page.field("command", &view.command);
    page.field("queue", view.queue.as_str());
    page.field("priority", view.priority.to_string());
    let most = view.max_retries.saturating_add(1);
    page.field("attempts", format!("{} of {most}", view.attempts));
    let timeout = view.timeout_ms.map(std::time::Duration::from_millis);
    page.field("timeout", timeout.map_or_else(|| "none".to_owned(), show_short));
    page.field("executor", view.executor.as_str());
    page.field_if("unique key", view.unique.as_ref().map(ToString::to_string));
    page.field_if("limits", joined(&view.limit));
    page.field_if("groups", joined(&view.groups));
    let hooks = [
        ("on success", &view.on_success),
        ("on failure", &view.on_failure),
        ("on death", &view.on_death),
    ];
    for (name, command) in hooks {
        page.field_if(name, command.as_ref().map(Command::display));
    }
    page.field_if("hook of", view.hook_of.map(|job| format!("job {job}")));
    page.field_if("enqueued by", view.enqueued_by.map(|job| format!("job {job}")));
    page.field_if("folder", view.cwd.as_ref());
    page.field_if("run at", view.run_at.map(local));
    page.field_if("node", view.node.map(|node| node.to_string()));
    page.field("enqueued", local(view.created_at));
    page.field_if("started", view.started_at.map(local));
    page.field_if("finished", view.finished_at.map(local));
    for (name, value) in &view.env {
        let value = value.as_deref().unwrap_or("(hidden)");
        page.field("environment", format!("{name}={value}"));
    }
    if let Some(fault) = &view.unreadable {
        page.toned_field("unreadable", fault, Tone::Bad);
    }
}

fn joined(names: &[impl ToString]) -> Option<String> {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

fn attempt_line(attempt: &Attempt) -> String {
    let took = show_short(attempt.finished_at.since(attempt.started_at));
    let mut line = format!(
        "{}: {} after {took}, {}, node {}, {} bytes of output",
        attempt.number,
        attempt.outcome.kind,
        local(attempt.started_at),
        attempt.node,
        attempt.output.total_bytes
    );
    if !attempt.outcome.message.is_empty() {
        line.push_str(&format!("; {}", attempt.outcome.message));
    }
    line
}

fn relatives(page: &mut Page, heading: &str, relatives: &[Relative]) {
    if relatives.is_empty() {
        return;
    }
    page.heading(heading);
    for relative in relatives.iter().take(RELATIVES) {
        let id = relative.name.clone().unwrap_or_else(|| relative.id.to_string());
        let state = relative.state.map_or("removed", State::name);
        let met = match relative.is_met {
            Some(true) => "met",
            Some(false) => "not met",
            None => "not yet met",
        };
        page.line(format!("{id}: {state} ({}, {met})", relative.condition.name()));
    }
    if relatives.len() > RELATIVES {
        page.toned(format!("and {} more", relatives.len() - RELATIVES), Tone::Dim);
    }
}

fn timeline(store: &mut Store, page: &mut Page, job: JobId) -> Result<(), StoreError> {
    let place = store.newest_events_from(Some(job), EVENTS)?;
    let events = store.events_after(Some(job), place, EVENTS)?;
    if !events.is_empty() {
        page.heading("events");
    }
    for event in events {
        let view = load::event(event);
        let node = view.node.map_or_else(String::new, |node| format!(" node {node}"));
        let words = view.in_words(local);
        page.line(format!("{} {}{node} {words}", local(view.at), view.kind));
    }
    Ok(())
}
