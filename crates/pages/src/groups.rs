//! Groups, and one with its members and its graph.

use maud::html;
use queuectl_core::show_rough;
use queuectl_views::{GroupDetailView, GroupView};

use crate::frame::Frame;
use crate::parts::{
    Html, clock, command, field, in_path, in_query, job_link, number, queue_link, state, table, text, value,
    whole,
};

/// A group with what is around it.
pub struct GroupPage<'a> {
    /// The group with its first members.
    pub detail: &'a GroupDetailView,
    /// Which member waits for which, as a tree.
    pub graph: &'a [String],
}

/// Returns the list.
pub fn groups(frame: &Frame, groups: &[GroupView]) -> Html {
    let rows: Vec<Html> = groups
        .iter()
        .map(|group| {
            html! {
                tr {
                    td { a href={ "/groups/" (in_path(group.name.as_str())) } { (text(group.name.as_str())) } }
                    td { (group.in_words()) }
                    td { (bar(group)) }
                    td.number { (number(group.jobs)) }
                    td.number { (number(group.completed)) }
                    td.number { (number(group.dead)) }
                    td.number { (number(group.cancelled)) }
                    td { (show_rough(frame.now.since(group.created_at))) }
                }
            }
        })
        .collect();
    html! {
        section id="groups" data-fresh {
            (table(
                "Groups",
                &["Group", "State", "Ended", "Jobs", "Completed", "Dead", "Cancelled", "Age"],
                &rows,
                "There is no group.",
            ))
        }
    }
}

fn bar(group: &GroupView) -> Html {
    html! {
        progress max=(group.jobs.max(1)) value=(group.jobs - group.open.min(group.jobs)) { (group.percent()) }
        " " (group.percent())
    }
}

/// Returns the page of one group.
pub fn one_group(frame: &Frame, page: &GroupPage<'_>) -> Html {
    let group = &page.detail.group;
    let name = group.name.as_str();
    let acts = [
        ("retry", "Retry the dead and cancelled…"),
        ("cancel", "Cancel the others…"),
    ];
    let rows: Vec<Html> = page
        .detail
        .members
        .iter()
        .map(|member| {
            html! {
                tr {
                    td { (job_link(member.number, &member.id)) }
                    td { @match member.state { Some(known) => { (state(known)) }, None => { "removed" } } }
                    td { @if let Some(queue) = &member.queue { (queue_link(queue)) } @else { "removed" } }
                    td { @if let Some(since) = member.since { (show_rough(frame.now.since(since))) } }
                }
            }
        })
        .collect();
    html! {
        @if !frame.readonly {
            ul.acts {
                @for (verb, label) in acts {
                    li {
                        a.button href={ "/groups/" (in_path(name)) "/" (verb) } { (label) }
                        (command(&format!("queuectl group:{verb} {name}")))
                    }
                }
            }
        }
        section id="group" data-fresh {
            dl.fields {
                (field("State", value(group.in_words())))
                (field("Ended", Some(bar(group))))
                (field("Completed", value(number(group.completed))))
                (field("Dead", value(number(group.dead))))
                (field("Cancelled", value(number(group.cancelled))))
                (field("Not ended", value(number(group.open))))
                (field("Then", group.then.as_ref().and_then(value)))
                (field("Then, if one failed", group.then_failed.as_ref().and_then(value)))
                (field("Created", Some(clock(group.created_at))))
                (field("Closed", group.closed_at.map(clock)))
                (field("Complete", group.completed_at.map(clock)))
                (field("Callback", group.callback.map(|job| job_link(job, &job.to_string()))))
                (field("Problem", group.problem.as_ref().and_then(value)))
            }
            h2 { "Jobs" }
            (table("Jobs", &["Job", "State", "Queue", "Since"], &rows, "It has no jobs."))
            p { a href={ "/jobs?select=" (in_query(&format!("@{name}"))) } { "All jobs of the group" } }
            @if !page.graph.is_empty() {
                h2 { "Which waits for which" }
                pre.graph role="region" aria-label="Graph" tabindex="0" { @for line in page.graph { (whole(line)) "\n" } }
            }
        }
    }
}
