//! Details of what is not a job: queues, limits, groups, schedules, causes, nodes and events.

use std::time::Duration;

use queuectl_core::limits::GRAPH_SHOWN;
use queuectl_core::{
    GroupName, JobId, JobRef, LimitName, NodeId, QueueName, ScheduleName, State, Timestamp, show_rough,
    show_short,
};
use queuectl_dlq::{CauseKey, Selected};
use queuectl_frontend::limits::{allows, detail};
use queuectl_frontend::time::{local, relative};
use queuectl_frontend::{graph, load, pause};
use queuectl_scheduler::cron::next_tick;
use queuectl_storage::{Store, StoreError, zone};
use queuectl_views::{GroupView, ScheduleView, TickView};

use super::job::lines_of;
use crate::snapshot::{Page, Tone};

/// Members of a group that are shown, and jobs of a node or cause.
const MEMBERS: u32 = 20;
/// Coming times of a schedule, and past ones.
const TIMES: usize = 5;
const TICKS: u32 = 20;
/// Lines of a graph.
const GRAPH: usize = 300;

pub fn queue(store: &mut Store, name: &QueueName, now: Timestamp) -> Result<Page, StoreError> {
    let queue = load::queue(store, name, now)?;
    let mut page = Page::new(&format!("queue {name}"));
    page.field("queue", &queue.queue);
    if let Some(paused) = &queue.paused {
        page.toned_field("paused", pause::in_words(paused, now), Tone::Warn);
    }
    if let Some(limit) = &queue.limit {
        let full = if limit.full { "; full" } else { "" };
        page.field(
            "limit",
            format!("{}; {} running{full}", limit.allows(), limit.jobs_running),
        );
        page.field_if("next start", limit.next_at.map(|at| relative(at, now)));
    }
    for state in State::ALL {
        let jobs = queue.jobs.of(state);
        let tone = if jobs > 0 {
            Tone::of_state(state)
        } else {
            Tone::Plain
        };
        page.toned_field(state.name(), jobs.to_string(), tone);
    }
    page.field_if("oldest", queue.oldest_pending.map(|since| relative(since, now)));
    let nodes: Vec<String> = queue.nodes.iter().map(ToString::to_string).collect();
    page.field(
        "nodes",
        if nodes.is_empty() {
            "none".to_owned()
        } else {
            nodes.join(", ")
        },
    );
    page.heading("settings of its jobs");
    for (name, setting) in &queue.settings {
        page.line(format!("{name} = {}", setting.in_words()));
    }
    Ok(page)
}

pub fn limit(store: &mut Store, name: &LimitName, now: Timestamp) -> Result<Page, StoreError> {
    let detail = detail(store, name, None, now)?;
    let mut page = Page::new(&format!("limit {name}"));
    page.field("limit", name.as_str());
    page.field("allows", allows(&detail.limit));
    page.field("running", detail.limit.jobs_running.to_string());
    page.field("waiting", detail.limit.jobs_waiting.to_string());
    for (heading, runs) in [("jobs that hold it", true), ("jobs that wait for it", false)] {
        let mut jobs = detail.jobs.iter().filter(|job| job.runs == runs).peekable();
        if jobs.peek().is_some() {
            page.heading(heading);
        }
        for job in jobs {
            let time = show_rough(now.since(job.since));
            page.line(format!(
                "job {} of queue {}, key {}, for {time}",
                job.id, job.queue, job.key
            ));
        }
    }
    page.heading("keys");
    for key in &detail.by_key {
        let next = match (key.busy_until, key.next_at.filter(|next| *next > now)) {
            (Some(until), _) => format!(", busy, next start {}", relative(until, now)),
            (None, Some(next)) => format!(", next start {}", relative(next, now)),
            (None, None) => String::new(),
        };
        let (running, waiting) = (key.jobs_running, key.jobs_waiting);
        page.line(format!("{}: {running} running, {waiting} waiting{next}", key.key));
    }
    Ok(page)
}

pub fn group(store: &mut Store, name: &GroupName, now: Timestamp) -> Result<Page, StoreError> {
    let found = store.group(name)?;
    let view = GroupView::new(&found.group, &found.progress, false);
    let mut page = Page::new(&format!("group {name}"));
    page.field("group", view.name.as_str());
    page.field("state", view.in_words());
    page.field("progress", format!("{} ({})", view.ended(), view.percent()));
    for (label, jobs) in [
        ("completed", view.completed),
        ("dead", view.dead),
        ("cancelled", view.cancelled),
        ("not ended", view.open),
    ] {
        page.field(label, jobs.to_string());
    }
    page.field_if("then", view.then.as_ref());
    page.field_if("then failed", view.then_failed.as_ref());
    page.field("created", local(view.created_at));
    page.field_if("closed", view.closed_at.map(local));
    page.field_if("stopped", view.stopped_at.map(local));
    page.field_if("complete", view.completed_at.map(local));
    page.field_if("callback", view.callback.map(|job| format!("job {job}")));
    if let Some(problem) = &view.problem {
        page.toned_field("problem", problem, Tone::Bad);
    }
    let shown = u32::try_from(GRAPH_SHOWN).unwrap_or(u32::MAX);
    let members = store.members(name, shown)?;
    if !members.is_empty() {
        page.heading("jobs: dead and cancelled first, then those that have not ended");
    }
    for member in members.iter().take(MEMBERS as usize) {
        let id = member.name.clone().unwrap_or_else(|| member.id.to_string());
        let state = member.state.map_or("unknown", State::name);
        let queue = member.queue.as_deref().unwrap_or("removed");
        let time = member.since.map_or_else(String::new, |since| {
            format!(", for {}", show_rough(now.since(since)))
        });
        let tone = member.state.map_or(Tone::Plain, Tone::of_state);
        page.toned(format!("{id}: {state}, queue {queue}{time}"), tone);
    }
    let left = view.jobs.saturating_sub(u64::from(MEMBERS));
    if left > 0 {
        page.toned(
            format!("and {left} more; o opens the jobs of the group"),
            Tone::Dim,
        );
    }
    let members: Vec<JobId> = members.into_iter().map(|member| member.id).collect();
    let graph = load::graph(store, &members)?;
    if !graph.edges.is_empty() {
        page.heading("which waits for which");
        lines_of(&mut page, &graph::forest(&graph), GRAPH);
    }
    Ok(page)
}

pub fn schedule(store: &mut Store, name: &ScheduleName, now: Timestamp) -> Result<Page, StoreError> {
    let schedule = store.schedule(name)?;
    let (expr, zone) = (schedule.spec.when.parse(), zone(&schedule.spec.zone));
    let mut coming = Vec::new();
    if let (Ok(expr), Ok(zone), None) = (&expr, &zone, &schedule.paused) {
        let next = |after: &Timestamp| next_tick(expr, zone, schedule.start_at, *after);
        coming.extend(std::iter::successors(next(&now), next).take(TIMES));
    }
    let view = ScheduleView::from(schedule);
    let mut page = Page::new(&format!("schedule {name}"));
    page.field("schedule", &view.schedule);
    page.field("when", format!("{} ({})", view.when, view.tz));
    if let Some(at) = view.paused_at {
        let reason = view.paused_reason.as_deref().map(|reason| format!(": {reason}"));
        let since = relative(at, now);
        page.toned_field(
            "paused",
            format!("{since}{}", reason.unwrap_or_default()),
            Tone::Warn,
        );
    }
    page.field("command", &view.command);
    page.field("queue", view.queue.as_str());
    page.field("missed", view.missed.to_string());
    page.field("overlap", view.overlap.to_string());
    page.field_if("owner", view.owner.as_ref());
    if let Some(fault) = &view.unreadable {
        page.toned_field("unreadable", fault, Tone::Bad);
    }
    page.heading("next");
    if coming.is_empty() {
        page.line("no time to come");
    }
    for at in coming {
        page.line(format!("{} ({})", local(at), relative(at, now)));
    }
    let ticks = store.ticks(name, TICKS)?;
    if !ticks.is_empty() {
        page.heading("last ticks, newest first");
    }
    for tick in ticks {
        let tick = TickView::from(tick);
        let job = tick.job.map_or_else(String::new, |job| format!(", job {job}"));
        let reason = tick
            .reason
            .map_or_else(String::new, |reason| format!(": {reason}"));
        let count = match tick.count {
            1 => String::new(),
            count => format!(", {count} times"),
        };
        page.line(format!("{} {}{job}{count}{reason}", local(tick.at), tick.result));
    }
    Ok(page)
}

pub fn cause(store: &mut Store, key: CauseKey, now: Timestamp) -> Result<Page, StoreError> {
    let selected = Selected {
        queue: None,
        cause: Some(key),
        age: Duration::ZERO,
        now,
    };
    let mut page = Page::new(&format!("dead jobs of cause {key}"));
    let (jobs, more) = queuectl_dlq::newest(store, &selected, Some(MEMBERS))?;
    page.field("cause", key.to_string());
    page.field("list", format!("queuectl dlq:list --cause {key}"));
    page.field("retry", format!("queuectl dlq:retry --cause {key}"));
    page.heading("its newest jobs");
    for number in jobs.iter().rev() {
        let job = match store.job(&JobRef::Number(*number)) {
            Err(StoreError::NoSuchJob(_)) => continue,
            job => job?,
        };
        let error = load::last_error(store, &job)?.unwrap_or_default();
        let died = job.finished_at.map_or_else(String::new, |at| relative(at, now));
        page.line(format!(
            "{} of queue {}, {died}: {error}",
            job.public_id(),
            job.queue
        ));
        page.toned(format!("  {}", job.display(false)), Tone::Dim);
    }
    if jobs.is_empty() {
        page.line("no dead job has this cause any more");
    }
    if more {
        page.toned("and more", Tone::Dim);
    }
    Ok(page)
}

pub fn node(store: &mut Store, id: NodeId, now: Timestamp) -> Result<Page, StoreError> {
    let mut page = Page::new(&format!("node {id}"));
    let Some(node) = load::nodes(store)?.into_iter().find(|node| node.id == id) else {
        page.line("it is not there any more");
        return Ok(page);
    };
    page.field("node", node.id.to_string());
    page.field("state", node.state.name());
    page.field("host", &node.host);
    page.field("pid", node.pid.to_string());
    page.field("version", &node.version);
    page.field("workers", format!("{} x {}", node.workers, node.concurrency));
    let queues = node.queues.join(", ");
    page.field("queues", if queues.is_empty() { "all" } else { &queues });
    page.field("started", local(node.started_at));
    page.field("heartbeat", relative(node.heartbeat_at, now));
    page.heading(&format!("its jobs, {} in all", node.jobs));
    for running in store.jobs_of_node(id)?.iter().take(MEMBERS as usize) {
        let job = match store.job(&JobRef::Number(running.id)) {
            Err(StoreError::NoSuchJob(_)) => continue,
            job => job?,
        };
        let started = job
            .started_at
            .map(|at| format!("for {}", show_short(now.since(at))));
        let time = started.unwrap_or_else(|| "claimed".to_owned());
        let (id, queue) = (job.public_id(), &job.queue);
        page.line(format!("{id} of queue {queue}, {time}: {}", job.display(false)));
    }
    Ok(page)
}

pub fn event(store: &mut Store, id: i64) -> Result<Page, StoreError> {
    let mut page = Page::new(&format!("event {id}"));
    let place = store.event_place(id.saturating_sub(1))?;
    let found = store.events_after(None, place, 1)?.into_iter().next();
    let Some(event) = found.filter(|event| event.id == id) else {
        page.line("it is not there any more");
        return Ok(page);
    };
    let view = load::event(event);
    page.field("event", view.event.to_string());
    page.field("time", local(view.at));
    page.field("what", &view.kind);
    page.field_if("job", view.id.as_ref());
    page.field_if("node", view.node.map(|node| node.to_string()));
    page.field("detail", view.in_words(local));
    Ok(page)
}
