//! What happened, the newest first.

use maud::html;
use queuectl_frontend::time::local;
use queuectl_views::EventView;

use crate::parts::{Html, clock, command, job_link, table, text};

/// What the screen shows.
pub struct EventsPage<'a> {
    /// Newest first.
    pub events: &'a [EventView],
    /// Whether events are recorded.
    pub is_on: bool,
}

/// Returns the screen.
pub fn events(page: &EventsPage<'_>) -> Html {
    let rows: Vec<Html> = page.events.iter().map(row).collect();
    html! {
        @if !page.is_on {
            p { "Nothing is recorded; " (command("queuectl config:set event_retention 7d")) " has it recorded from then on." }
        }
        section id="events" data-fresh {
            (table("Events", &["No.", "Time", "Job", "What", "Node", "Detail"], &rows, "Nothing happened."))
        }
    }
}

fn row(event: &EventView) -> Html {
    html! {
        tr {
            td.number { (event.event) }
            td { (clock(event.at)) }
            td { @if let (Some(number), Some(id)) = (event.number, &event.id) { (job_link(number, id)) } }
            td { (text(&event.kind)) }
            td { @if let Some(node) = event.node { a href={ "/nodes/" (node) } { (node) } } }
            td.wide { (text(&event.in_words(local))) }
        }
    }
}
