//! `job:progress`, `job:checkpoint`, `job:result`: what a job's own command says about the job.
//!
//! They write to the store by themselves and ask no node, so they work in any process of a job that reaches the queue. Which job
//! and which attempt they are of, they know from their environment alone.

pub mod checkpoint;
pub mod progress;
pub mod result;

use std::io::{self, Read};
use std::thread;

use anyhow::Result;
use queuectl_core::JobReport;
use queuectl_storage::{Reported, Store};

use crate::context::Context;
use crate::exit::{Exit, Usage};
use crate::inside;

/// Stores a report of the job that this process is part of.
fn report(
    context: &Context,
    report: &JobReport,
    adjust: impl FnOnce(&mut Store) -> Result<()>,
) -> Result<Exit> {
    let from = inside::reporter()?;
    let mut store = context.open_existing()?;
    adjust(&mut store)?;
    loop {
        let now = store.now()?;
        match store.report(&from, report, now)? {
            Reported::Stored => return Ok(Exit::OK),
            Reported::TooSoon(rest) => thread::sleep(rest),
        }
    }
}

/// Returns a text that was given, or all of standard input for `-`, and refuses more than that many bytes.
fn text_of(given: &str, most: usize, what: &str) -> Result<String> {
    if given != "-" {
        return Ok(given.to_owned());
    }
    let mut text = String::new();
    let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    let read = io::stdin().lock().take(limit).read_to_string(&mut text);
    read.map_err(|error| Usage::new(format!("cannot read {what} from standard input: {error}")))?;
    Ok(text)
}
