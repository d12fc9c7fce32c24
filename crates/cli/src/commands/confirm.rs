//! Asks before many jobs are changed or removed.

use std::io::{self, BufRead, IsTerminal};
use std::time::Duration;

use anyhow::{Context as _, Result};
use queuectl_core::{QueueName, show_time, whole_ms};

use crate::context::Context;
use crate::exit::Usage;
use crate::output::diagnostics;

/// Describes the jobs that match a filter.
pub fn meant(states: &str, queue: Option<&QueueName>, age: Option<Duration>) -> String {
    let queue = queue.map_or_else(|| "all queues".to_owned(), |queue| format!("queue '{queue}'"));
    let age = age.map_or_else(String::new, |age| {
        format!(" that ended more than {} ago", show_time(whole_ms(age)))
    });
    format!("the {states} jobs of {queue}{age}")
}

/// Whether there is somebody to ask.
pub fn can_ask() -> bool {
    io::stdin().is_terminal()
}

/// Asks whether to remove jobs, as [`confirm_change`].
pub fn confirm(what: &str, context: &Context) -> Result<()> {
    confirm_change("remove", "removed", what, context)
}

/// Asks the user, and fails unless the answer is yes or if there is no terminal.
pub fn confirm_change(verb: &str, done: &str, what: &str, context: &Context) -> Result<()> {
    let location = &context.location;
    if !can_ask() {
        return Err(Usage::new(format!(
            "this would {verb} {what} in {location} and needs --yes without a terminal; nothing was {done}"
        ))
        .hint("repeat it with --yes if that is what you want")
        .into());
    }
    diagnostics::ask(&format!("{verb} {what} in {location}? [y/N] "));
    let mut answer = String::new();
    io::stdin()
        .lock()
        .read_line(&mut answer)
        .context("cannot read standard input")?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Usage::new(format!("nothing was {done}")).into()),
    }
}
