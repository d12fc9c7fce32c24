//! The nodes, and one with its jobs.

use maud::html;
use queuectl_core::show_rough;
use queuectl_views::{JobView, NodeView};

use crate::frame::Frame;
use crate::overview::node_state;
use crate::parts::{Html, clock, field, job_link, number, queue_link, state, table, text, value, when};

/// A node with its first jobs.
pub struct NodePage<'a> {
    /// The node.
    pub node: &'a NodeView,
    /// Its first jobs.
    pub jobs: &'a [JobView],
}

/// Returns the list.
pub fn nodes(frame: &Frame, nodes: &[NodeView]) -> Html {
    let rows: Vec<Html> = nodes
        .iter()
        .map(|node| {
            html! {
                tr {
                    td { a href={ "/nodes/" (node.id) } { (node.id) } }
                    td { (node_state(node.state)) }
                    td { (text(&node.host)) }
                    td.number { (node.pid) }
                    td.number { (node.workers) " × " (node.concurrency) }
                    td.number { (number(node.jobs)) }
                    td { (when(node.heartbeat_at, frame.now)) }
                    td { (show_rough(frame.now.since(node.started_at))) }
                    td { (served(node)) }
                }
            }
        })
        .collect();
    html! {
        section id="nodes" data-fresh {
            (table(
                "Nodes",
                &["Node", "State", "Host", "Pid", "Workers", "Jobs", "Seen", "Up", "Queues"],
                &rows,
                "No node is running; queuectl worker:start starts one.",
            ))
        }
    }
}

fn served(node: &NodeView) -> String {
    match node.queues.is_empty() {
        true => "all".to_owned(),
        false => text(&node.queues.join(", ")),
    }
}

/// Returns the page of one node.
pub fn one_node(frame: &Frame, page: &NodePage<'_>) -> Html {
    let node = page.node;
    let rows: Vec<Html> = page
        .jobs
        .iter()
        .map(|job| {
            html! {
                tr {
                    td { (job_link(job.number, &job.id)) }
                    td { (queue_link(job.queue.as_str())) }
                    td { (state(job.state)) }
                    td { @if let Some(started) = job.started_at { (when(started, frame.now)) } @else { "claimed" } }
                    td { (text(&job.command)) }
                }
            }
        })
        .collect();
    html! {
        section id="node" data-fresh {
            dl.fields {
                (field("State", Some(node_state(node.state))))
                (field("Host", value(&node.host)))
                (field("Pid", value(node.pid.to_string())))
                (field("Version", value(&node.version)))
                (field("Workers", value(format!("{} × {}", node.workers, node.concurrency))))
                (field("Queues", value(served(node))))
                (field("Started", Some(clock(node.started_at))))
                (field("Heartbeat", Some(when(node.heartbeat_at, frame.now))))
            }
            h2 { "Its jobs, " (number(node.jobs)) " in all" }
            (table("Jobs", &["Job", "Queue", "State", "Started", "Command"], &rows, "It runs nothing."))
        }
    }
}
