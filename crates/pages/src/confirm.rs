//! The question before a change of many things.

use maud::html;
use queuectl_core::Timestamp;

use crate::frame::Frame;
use crate::parts::{Html, command, number, text, whole};

/// What is asked.
pub struct Confirm<'a> {
    /// What would be done: `cancel`.
    pub verb: &'a str,
    /// How many jobs are meant.
    pub jobs: u64,
    /// The ids of the first of them.
    pub first: &'a [String],
    /// What else is to be known.
    pub remark: Option<String>,
    /// Where the answer is sent.
    pub path: &'a str,
    /// What is sent besides, by name.
    pub values: &'a [(&'a str, String)],
    /// The command that does the same.
    pub command: String,
    /// Where to go instead.
    pub back: String,
    /// When it was counted; later jobs are not meant.
    pub at: Timestamp,
}

/// Returns the question.
pub fn confirm(frame: &Frame, asked: &Confirm<'_>) -> Html {
    let jobs = match asked.jobs {
        1 => "1 job".to_owned(),
        jobs => format!("{} jobs", number(jobs)),
    };
    html! {
        @if asked.jobs == 0 {
            p.none { "No job fits whose state allows that." }
            p { a href=(asked.back) { "Back" } }
        } @else {
            p.question { (whole(&format!("{} {jobs}?", asked.verb))) }
            @if !asked.first.is_empty() {
                p { "Such as " @for (at, id) in asked.first.iter().enumerate() { @if at > 0 { ", " } (text(id)) } "." }
            }
            @if let Some(remark) = &asked.remark { p { (remark) } }
            @if !frame.readonly {
                form.answer method="post" action=(asked.path) {
                    @for (name, value) in asked.values { input type="hidden" name=(name) value=(value); }
                    input type="hidden" name="at" value=(asked.at.0);
                    button.harsh { (asked.verb) " " (jobs) }
                    a href=(asked.back) { "Leave them as they are" }
                }
            }
            p { "The same on a command line: " (command(&asked.command)) }
        }
    }
}
