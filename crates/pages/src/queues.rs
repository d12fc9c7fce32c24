//! The queues, and one with its settings.

use maud::html;
use queuectl_core::{State, Timestamp, show_rough};
use queuectl_frontend::pause;
use queuectl_views::QueueView;

use crate::frame::Frame;
use crate::parts::{
    Act, Html, acts, command, field, in_path, in_query, number, queue_link, state, table, value, when, whole,
};

/// Queues that are shown.
const ROWS: usize = 300;

/// Returns the list.
pub fn queues(frame: &Frame, queues: &[QueueView]) -> Html {
    let rows: Vec<Html> = queues
        .iter()
        .take(ROWS)
        .map(|queue| row(queue, frame.now))
        .collect();
    html! {
        section id="queues" data-fresh {
            (table(
                "Queues",
                &["Queue", "Pending", "Running", "Blocked", "Failed", "Dead", "Oldest", "Nodes", "Pause or limit"],
                &rows,
                "There is no queue with jobs or settings.",
            ))
            @if queues.len() > ROWS { p { "And " (queues.len() - ROWS) " more: " (command("queuectl queue:list")) } }
        }
    }
}

fn row(queue: &QueueView, now: Timestamp) -> Html {
    let count = |state: State| {
        let jobs = queue.jobs.of(state);
        let select = format!("queue={} state={}", queue.queue, state.name());
        html! {
            td.number {
                @if jobs == 0 { "0" } @else { a href={ "/jobs?select=" (in_query(&select)) } { (number(jobs)) } }
            }
        }
    };
    html! {
        tr {
            td { (queue_link(&queue.queue)) }
            @for state in [State::Pending, State::Processing, State::Blocked, State::Failed, State::Dead] { (count(state)) }
            td { @if let Some(since) = queue.oldest_pending { (show_rough(now.since(since))) } }
            td.number { (queue.nodes.len()) }
            td { (note(queue, now)) }
        }
    }
}

fn note(queue: &QueueView, now: Timestamp) -> Html {
    html! {
        @match (&queue.paused, &queue.limit) {
            (Some(paused), _) => { span.warn { "paused " (whole(&pause::in_short(paused, now))) } },
            (None, Some(limit)) => { @if limit.full { "full: " } (limit.allows()) },
            (None, None) => {},
        }
    }
}

/// Returns the page of one queue.
pub fn one_queue(frame: &Frame, queue: &QueueView) -> Html {
    let name = in_path(&queue.queue);
    let nodes: Vec<String> = queue.nodes.iter().map(ToString::to_string).collect();
    let resume = Act {
        path: format!("/queues/{name}/resume"),
        label: "Resume",
        command: format!("queuectl queue:resume {}", queue.queue),
        is_harsh: false,
    };
    html! {
        @if queue.paused.is_some() { (acts(frame.readonly, &[resume])) } @else if !frame.readonly { (pause_form(queue)) }
        section id="queue" data-fresh {
            dl.fields {
                (field("Paused", queue.paused.as_ref().map(|paused| html! { span.warn { (whole(&pause::in_words(paused, frame.now))) } })))
                (field("Limit", queue.limit.as_ref().and_then(|limit| {
                    let full = if limit.full { "; full" } else { "" };
                    value(format!("{}; {} running{full}", limit.allows(), limit.jobs_running))
                })))
                (field("Oldest", queue.oldest_pending.map(|since| when(since, frame.now))))
                (field("Nodes", value(if nodes.is_empty() { "none".to_owned() } else { nodes.join(", ") })))
            }
            h2 { "Jobs" }
            ul.counts {
                @for one in State::ALL {
                    li class=(one.name()) {
                        a href={ "/jobs?select=" (in_query(&format!("queue={} state={}", queue.queue, one.name()))) } {
                            b { (number(queue.jobs.of(one))) } " " (state(one))
                        }
                    }
                }
            }
            h2 { "Settings of its jobs" }
            dl.fields {
                @for (name, setting) in &queue.settings { (field(name, value(setting.in_words()))) }
            }
        }
    }
}

fn pause_form(queue: &QueueView) -> Html {
    html! {
        form.pause method="post" action={ "/queues/" (in_path(&queue.queue)) "/pause" } {
            label { "Reason " input name="reason" maxlength="200" autocomplete="off"; }
            label { "For " input name="for" maxlength="20" size="8" placeholder="2h" autocomplete="off"; }
            button.harsh { "Pause" }
            (command(&format!("queuectl queue:pause {}", queue.queue)))
        }
    }
}
