//! Asks before jobs are removed for good.

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

/// Asks the user, and fails unless the answer is yes or if there is no terminal.
pub fn confirm(what: &str, context: &Context) -> Result<()> {
    if !io::stdin().is_terminal() {
        return Err(Usage::new(format!(
            "this removes {what} in {} for good and needs --yes without a terminal; nothing was removed",
            context.location
        ))
        .hint("repeat it with --yes if that is what you want")
        .into());
    }
    diagnostics::ask(&format!("remove {what} in {} for good? [y/N] ", context.location));
    let mut answer = String::new();
    io::stdin()
        .lock()
        .read_line(&mut answer)
        .context("cannot read standard input")?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Usage::new("nothing was removed").into()),
    }
}
