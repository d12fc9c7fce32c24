//! The filters that the commands about dead jobs share, and the question before many of them are changed.
//!
//! A filter narrows what is named or `--all`; `--cause` alone means all jobs of that cause.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use queuectl_core::{JobRef, QueueName, Timestamp, parse_duration, show_time, whole_ms};
use queuectl_dlq::{CAUSES, CauseKey, CauseRef, Selected, Survey};
use queuectl_storage::{DeadFilter, Store};

use crate::commands::batch::line;
use crate::commands::op::begin_operation;
use crate::context::Context;
use crate::exit::{Ended, Exit};

/// Which dead jobs are meant.
#[derive(Debug, Clone, Args)]
pub struct Narrow {
    /// Only jobs of this queue; others are left alone even if named
    #[arg(long, value_name = "NAME")]
    pub queue: Option<QueueName>,
    /// Only jobs that died of this, by its key or number in `dlq:causes`; others are left alone even if named
    #[arg(long, value_name = "CAUSE")]
    pub cause: Option<CauseRef>,
    /// Only jobs that have been dead for longer; others are left alone even if named
    #[arg(long, alias = "older", value_name = "DURATION", value_parser = parse_duration, allow_hyphen_values = true)]
    pub older_than: Option<Duration>,
}

impl Narrow {
    /// Returns those that are meant by now.
    pub fn selected(&self, store: &mut Store, now: Timestamp) -> Result<Selected> {
        let mut selected = Selected {
            queue: self.queue.clone(),
            cause: None,
            age: self.older_than.unwrap_or_default(),
            now,
        };
        selected.cause = match self.cause {
            None => None,
            Some(CauseRef::Key(key)) => Some(key),
            Some(CauseRef::Number(number)) => Some(numbered(store, &selected.filter(), number)?),
        };
        Ok(selected)
    }
}

/// Returns the key of a cause by its place in the list of these jobs.
fn numbered(store: &mut Store, filter: &DeadFilter, number: usize) -> Result<CauseKey> {
    let causes = queuectl_dlq::causes(store, filter, CAUSES)?;
    let found = number.checked_sub(1).and_then(|at| causes.list.get(at));
    let Some(found) = found else {
        let message = match causes.list.len() {
            0 => format!("there is no cause {number}: no such job is dead"),
            1 => format!("there is no cause {number}, only 1; `queuectl dlq:causes` prints it"),
            most => {
                format!("there is no cause {number}, only 1 to {most}; `queuectl dlq:causes` prints them")
            }
        };
        let exit = Exit::NOT_FOUND;
        return Err(Ended { message, exit }.into());
    };
    Ok(found.key)
}

/// Returns what is meant in the words of a selector, for the list of operations.
pub fn meaning(selected: &Selected) -> String {
    let mut words = vec!["state=dead".to_owned()];
    words.extend(selected.queue.as_ref().map(|queue| format!("queue={queue}")));
    words.extend(selected.cause.map(|cause| format!("cause {cause}")));
    if !selected.age.is_zero() {
        let age = show_time(whole_ms(selected.age)).replace(' ', "");
        words.push(format!("older={age}"));
    }
    words.join(" ")
}

/// Counts what happens to jobs that are named as one operation.
pub fn begin_named(store: &mut Store, kind: &str, jobs: &[JobRef]) -> Result<()> {
    let names: Vec<String> = jobs.iter().map(ToString::to_string).collect();
    begin_operation(store, kind, names.join(" "))
}

/// Describes what is meant: `12 dead jobs of queue 'mail' of this cause (sync.sh: exit status <n>)`.
pub fn describe(survey: &Survey, selected: &Selected) -> String {
    let noun = if survey.jobs == 1 { "dead job" } else { "dead jobs" };
    let mut text = format!("{} {noun}", survey.jobs);
    if let Some(queue) = &selected.queue {
        text.push_str(&format!(" of queue '{queue}'"));
    }
    if !selected.age.is_zero() {
        let age = show_time(whole_ms(selected.age));
        text.push_str(&format!(" that died more than {age} ago"));
    }
    if let Some(cause) = &survey.cause {
        let program = match cause.program.as_str() {
            "" => String::new(),
            program => format!("{program}: "),
        };
        text.push_str(&format!(" of this cause ({program}{})", cause.error));
    }
    text
}

/// Says why fewer jobs were changed than were asked about.
pub fn say_if_fewer(asked: Option<u64>, done: u64, context: &Context) {
    let Some(left) = asked
        .and_then(|asked| asked.checked_sub(done))
        .filter(|left| *left > 0)
    else {
        return;
    };
    let of = asked.unwrap_or_default();
    let were = if left == 1 { "is" } else { "are" };
    context.output.remark(&format!(
        "{left} of the {of} jobs asked about {were} not dead any more: retried or removed meanwhile"
    ));
}

/// Says what would happen.
pub fn preview(survey: &Survey, would: &str) -> String {
    let more = if survey.jobs > survey.first.len() as u64 {
        ", ..."
    } else {
        ""
    };
    match survey.jobs {
        0 => line(0, would),
        jobs => format!("{}: {}{more}", line(jobs, would), survey.first.join(", ")),
    }
}

/// Words of the help that all these commands share.
pub const CAUSES_HELP: &str = "\
A cause is what jobs died of: their error without numbers, ids, paths, times and quoted texts, their exit status, and the \
program of their command; `queuectl dlq:causes` lists them. Its key stays the same; its number is that in the list with \
the same --queue and --older-than.";
