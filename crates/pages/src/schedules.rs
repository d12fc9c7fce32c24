//! Schedules, and one with its next times and its ticks.

use maud::html;
use queuectl_core::Timestamp;
use queuectl_views::{ScheduleView, TickView};

use crate::frame::Frame;
use crate::parts::{
    Act, Html, acts, clock, command, field, in_path, job_link, queue_link, table, text, value, when, whole,
};

/// Schedules that are shown.
const ROWS: usize = 500;

/// A schedule with its times.
pub struct SchedulePage<'a> {
    /// The schedule.
    pub schedule: &'a ScheduleView,
    /// When it runs next.
    pub next: &'a [Timestamp],
    /// Its ticks, newest first.
    pub ticks: &'a [TickView],
}

/// Returns the list.
pub fn schedules(frame: &Frame, schedules: &[ScheduleView]) -> Html {
    let rows: Vec<Html> = schedules
        .iter()
        .take(ROWS)
        .map(|schedule| {
            html! {
                tr {
                    td { a href={ "/schedules/" (in_path(&schedule.schedule)) } { (text(&schedule.schedule)) } }
                    td { code { (text(&schedule.when)) } }
                    td { (text(&schedule.tz)) }
                    td { @if let (None, Some(next)) = (schedule.paused_at, schedule.next_due) { (when(next, frame.now)) } }
                    td { (queue_link(schedule.queue.as_str())) }
                    td.wide { (text(&schedule.command)) }
                    td { (paused(schedule, frame.now)) }
                }
            }
        })
        .collect();
    html! {
        section id="schedules" data-fresh {
            (table(
                "Schedules",
                &["Schedule", "When", "Zone", "Next", "Queue", "Command", "Paused"],
                &rows,
                "There is no schedule; queuectl schedule:add makes one.",
            ))
            @if schedules.len() > ROWS { p { "And " (schedules.len() - ROWS) " more." } }
        }
    }
}

fn paused(schedule: &ScheduleView, now: Timestamp) -> Html {
    html! {
        @if let Some(at) = schedule.paused_at {
            span.warn { (when(at, now)) @if let Some(reason) = &schedule.paused_reason { ": " (whole(reason)) } }
        }
    }
}

/// Returns the page of one schedule.
pub fn one_schedule(frame: &Frame, page: &SchedulePage<'_>) -> Html {
    let schedule = page.schedule;
    let name = &schedule.schedule;
    let act = |verb: &'static str, label: &'static str, is_harsh| Act {
        path: format!("/schedules/{}/{verb}", in_path(name)),
        label,
        command: format!("queuectl schedule:{verb} {name}"),
        is_harsh,
    };
    let flip = match schedule.paused_at {
        Some(_) => act("resume", "Resume", false),
        None => act("pause", "Pause", true),
    };
    let rows: Vec<Html> = page.ticks.iter().map(tick).collect();
    html! {
        (acts(frame.readonly, &[act("run", "Run it now", false), flip]))
        section id="schedule" data-fresh {
            dl.fields {
                (field("When", value(format!("{} ({})", schedule.when, schedule.tz))))
                (field("Paused", schedule.paused_at.map(|_| paused(schedule, frame.now))))
                (field("Queue", Some(queue_link(schedule.queue.as_str()))))
                (field("Missed", value(schedule.missed.to_string())))
                (field("Overlap", value(schedule.overlap.to_string())))
                (field("Owner", schedule.owner.as_ref().and_then(value)))
                (field("Unreadable", schedule.unreadable.as_ref().and_then(value)))
            }
            p { (command(&schedule.command)) }
            h2 { "Next" }
            @if page.next.is_empty() { p.none { "No time to come." } }
            ul { @for at in page.next { li { (clock(*at)) ", " (when(*at, frame.now)) } } }
            h2 { "Ticks" }
            (strip(page.ticks))
            (table("Ticks", &["Time", "Result", "Job", "Times", "Reason"], &rows, "None yet."))
        }
    }
}

/// The ticks as a row of marks, oldest first; the table says the same in words.
fn strip(ticks: &[TickView]) -> Html {
    html! {
        @if !ticks.is_empty() {
            ol.strip aria-hidden="true" {
                @for tick in ticks.iter().rev() { li class=(if tick.job.is_some() { "made" } else { "skipped" }) {} }
            }
        }
    }
}

fn tick(tick: &TickView) -> Html {
    html! {
        tr {
            td { (clock(tick.at)) }
            td { (tick.result) }
            td { @if let Some(job) = tick.job { (job_link(job, &job.to_string())) } }
            td.number { (tick.count) }
            td { (text(tick.reason.as_deref().unwrap_or_default())) }
        }
    }
}
