//! What is around every page: its head, the way to the others, and what was just done.

use maud::{DOCTYPE, html};
use queuectl_core::Timestamp;

use crate::assets::{SCRIPT, STYLE};
use crate::parts::{Html, clock, text};

/// A part of the dashboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// The first screen.
    Overview,
    /// Jobs.
    Jobs,
    /// Queues.
    Queues,
    /// Dead jobs by their causes.
    Dead,
    /// Limits.
    Limits,
    /// Schedules.
    Schedules,
    /// Groups.
    Groups,
    /// Nodes.
    Nodes,
    /// What operators did.
    Operations,
    /// What happened.
    Events,
}

impl Section {
    const ALL: [(Section, &'static str, &'static str); 10] = [
        (Section::Overview, "/", "Overview"),
        (Section::Jobs, "/jobs", "Jobs"),
        (Section::Queues, "/queues", "Queues"),
        (Section::Dead, "/dead", "Dead"),
        (Section::Limits, "/limits", "Limits"),
        (Section::Schedules, "/schedules", "Schedules"),
        (Section::Groups, "/groups", "Groups"),
        (Section::Nodes, "/nodes", "Nodes"),
        (Section::Operations, "/operations", "Operations"),
        (Section::Events, "/events", "Events"),
    ];
}

/// What every page shows.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Where the queue is.
    pub place: String,
    /// Whether nothing can be changed.
    pub readonly: bool,
    /// When it was read.
    pub now: Timestamp,
    /// What was just done.
    pub done: Option<&'static str>,
}

/// Returns a page.
pub fn render(frame: &Frame, section: Section, title: &str, main: &Html) -> Html {
    let name = frame.place.rsplit('/').next().unwrap_or(&frame.place);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (text(title)) " · queuectl" }
                link rel="icon" href="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath fill='%23437a5b' d='M2 2h12v3H2zM2 6.5h9v3H2zM2 11h6v3H2z'/%3E%3C/svg%3E";
                link rel="stylesheet" href=(STYLE.path());
                script src=(SCRIPT.path()) defer {}
            }
            body {
                a.skip href="#main" { "Skip to content" }
                header.top {
                    a.brand href="/" { "queuectl" }
                    span.place title=(text(&frame.place)) { (text(name)) }
                    @if frame.readonly { span.readonly { "read only" } }
                    nav aria-label="Screens" {
                        ul {
                            @for (other, path, label) in Section::ALL {
                                li { a href=(path) aria-current=[(other == section).then_some("page")] { (label) } }
                            }
                        }
                    }
                }
                main id="main" tabindex="-1" {
                    h1 { (text(title)) }
                    @if let Some(done) = frame.done { p.done role="status" { (done) } }
                    (main)
                }
                footer {
                    p { "Read " (clock(frame.now)) ". " span id="fresh" hidden { } }
                }
            }
        }
    }
}
