//! The first screen: whether the queue is healthy, how it goes, and who runs its jobs.

use std::time::Duration;

use maud::html;
use queuectl_core::{State, Timestamp, show_rough, show_short};
use queuectl_views::{CauseView, NodeState, NodeView, StatusView};

use crate::chart::{Chart, Series, bars, lines};
use crate::dead::in_words;
use crate::frame::Frame;
use crate::parts::{Html, command, counted, number, queue_link, table, text, when, whole};

/// Rows of the nodes and of the causes.
const NODES: usize = 20;
const CAUSES: usize = 5;

/// What the screen shows.
pub struct Overview<'a> {
    /// How the queue stands.
    pub status: &'a StatusView,
    /// How the last hour went.
    pub charts: &'a Charts,
    /// What most of the newest dead jobs died of.
    pub causes: &'a [CauseView],
}

/// How the last hour went, in parts of a minute.
#[derive(Debug, Clone)]
pub struct Charts {
    /// Jobs that ended, by how.
    pub ended: Vec<Series>,
    /// How long jobs waited, in ms.
    pub waited: Vec<Series>,
    /// How long they ran, in ms.
    pub ran: Vec<Series>,
    /// Until when it is known.
    pub until: Timestamp,
    /// Attempts that failed, by how.
    pub failures: Vec<(&'static str, u64)>,
}

/// Returns the screen.
pub fn overview(frame: &Frame, shown: &Overview<'_>) -> Html {
    let status = shown.status;
    html! {
        section id="health" data-fresh {
            (health(status))
            ul.counts aria-label="Jobs by state" {
                @for state in State::ALL {
                    li class=(state.name()) {
                        a href={ "/jobs?select=state%3D" (state.name()) } {
                            b { (number(status.total.of(state))) } " " (state.name())
                        }
                    }
                }
            }
            dl.fields {
                div { dt { "Oldest runnable" } dd { (oldest(status, frame.now)) } }
                div { dt { "Queues" } dd { (number(status.queues.len() as u64)) ", " (status.paused.len()) " paused" } }
                div { dt { "Rescued" } dd { (counted(status.rescued_jobs, "job", "jobs")) " in 24 h" } }
                @if let Some(due) = status.next_due { div { dt { "Next due" } dd { (when(due, frame.now)) } } }
            }
        }
        section id="charts" data-fresh {
            h2 { "The last hour" }
            (charts(shown.charts, frame.now))
        }
        section id="causes" data-fresh {
            h2 { "What jobs died of" }
            (causes(shown.causes, frame.now))
        }
        section id="nodes" data-fresh {
            h2 { "Nodes" }
            (nodes(&status.nodes, frame.now))
        }
    }
}

fn health(status: &StatusView) -> Html {
    html! {
        @if status.healthy {
            p.healthy role="status" { "The queue is healthy." }
        } @else {
            ul.problems aria-label="Problems" {
                @for problem in status.problems.iter().take(20) {
                    li { (whole(&problem.text)) " " (command(&problem.command)) }
                }
                @if status.problems.len() > 20 { li { "and " (status.problems.len() - 20) " more" } }
            }
        }
    }
}

/// The oldest job that could run.
fn oldest(status: &StatusView, now: Timestamp) -> Html {
    let runnable = status.oldest_pending.iter();
    let runnable = runnable.filter(|(queue, _)| !status.paused.contains_key(*queue));
    html! {
        @match runnable.min_by_key(|(_, since)| **since) {
            Some((queue, since)) => { "waits for " (show_rough(now.since(*since))) " in queue " (queue_link(queue)) },
            None => { "no job waits that could run" },
        }
    }
}

fn charts(charts: &Charts, now: Timestamp) -> Html {
    let end = match now.since(charts.until) {
        late if late < Duration::from_secs(90) => "now".to_owned(),
        late => format!("{} ago", show_rough(late)),
    };
    let span = ("1 h before", end.as_str());
    let per_minute = |most: f64| format!("{}/min", number(most.round() as u64));
    let time = |most: f64| show_short(Duration::from_millis(most.round() as u64));
    let chart = |title, most, series| Chart {
        title,
        most,
        span,
        series,
    };
    html! {
        div.charts {
            (bars(&chart("Jobs that ended", &per_minute, &charts.ended)))
            (lines(&chart("Time they waited", &time, &charts.waited)))
            (lines(&chart("Time they ran", &time, &charts.ran)))
        }
        @if !charts.failures.is_empty() {
            p {
                "Attempts that failed: "
                @for (at, (kind, count)) in charts.failures.iter().enumerate() {
                    @if at > 0 { ", " }
                    (number(*count)) " " (kind.replace('_', " "))
                }
            }
        }
    }
}

fn causes(causes: &[CauseView], now: Timestamp) -> Html {
    let rows: Vec<Html> = causes
        .iter()
        .take(CAUSES)
        .map(|cause| {
            html! {
                tr {
                    td.number { (number(cause.jobs)) }
                    td { @if let Some(last) = cause.last_died_at { (when(last, now)) } }
                    td {
                        @match &cause.cause {
                            Some(key) => { a href={ "/dead/" (key) } { (text(&in_words(cause))) } },
                            None => { (text(&in_words(cause))) },
                        }
                    }
                }
            }
        })
        .collect();
    html! {
        (table("Causes", &["Jobs", "Last", "Cause"], &rows, "No job is dead."))
        @if causes.len() > CAUSES { p { a href="/dead" { "All causes" } } }
    }
}

fn nodes(nodes: &[NodeView], now: Timestamp) -> Html {
    let rows: Vec<Html> = nodes.iter().take(NODES).map(|node| row(node, now)).collect();
    html! {
        (table(
            "Nodes",
            &["Node", "State", "Host", "Jobs", "Slots", "Seen"],
            &rows,
            "No node is running; queuectl worker:start starts one.",
        ))
        @if nodes.len() > NODES { p { a href="/nodes" { "All nodes" } } }
    }
}

fn row(node: &NodeView, now: Timestamp) -> Html {
    html! {
        tr {
            td { a href={ "/nodes/" (node.id) } { (node.id) } }
            td { (node_state(node.state)) }
            td { (text(&node.host)) }
            td.number { (number(node.jobs)) }
            td.number { (number(u64::from(node.workers) * u64::from(node.concurrency))) }
            td { (when(node.heartbeat_at, now)) }
        }
    }
}

/// What a node does.
pub fn node_state(state: NodeState) -> Html {
    html! { span class={ "state node-" (state.name()) } { (state.name()) } }
}
