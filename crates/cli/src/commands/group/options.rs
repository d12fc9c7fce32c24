//! What `group:create` and `group:close` take: the callbacks of a group, and how many of its jobs may fail.

use anyhow::Result;
use clap::Args;
use queuectl_core::group::{GroupChange, callback_fault};
use queuectl_core::limits::MAX_FAILS;
use queuectl_core::{JobSpec, QueueName};

use crate::commands::enqueue::submit::checked;
use crate::commands::enqueue::words::{Asked, read};
use crate::context::Context;
use crate::exit::Usage;
use crate::number::whole;

/// What runs when the jobs of a group have ended, and when they are given up.
#[derive(Debug, Args)]
pub struct GroupOptions {
    /// What to run when all jobs are completed: a command line, or a job as a JSON object
    #[arg(long, value_name = "COMMAND", allow_hyphen_values = true)]
    then: Option<String>,
    /// What to run when all jobs have ended and one is dead or cancelled
    #[arg(long, value_name = "COMMAND", allow_hyphen_values = true)]
    then_failed: Option<String>,
    /// The queue of these two [default: default]
    #[arg(long, value_name = "NAME")]
    queue: Option<QueueName>,
    /// Cancel the jobs that have not begun once this many are dead
    #[arg(long, value_name = "N", value_parser = whole::<u32>(MAX_FAILS), allow_negative_numbers = true)]
    max_fails: Option<u32>,
}

impl GroupOptions {
    /// Returns what they say, with the callbacks checked. Call it before the queue is opened: a mistake must not create one.
    pub fn change(self, context: &Context) -> Result<GroupChange> {
        if self.queue.is_some() && self.then.is_none() && self.then_failed.is_none() {
            return Err(Usage::new("--queue is about --then and --then-failed; give one of them").into());
        }
        let callback = |text: Option<String>| {
            text.map(|text| callback(text, self.queue.as_ref(), context))
                .transpose()
        };
        Ok(GroupChange {
            then: callback(self.then)?,
            then_failed: callback(self.then_failed)?,
            max_fails: self.max_fails,
        })
    }
}

fn callback(text: String, queue: Option<&QueueName>, context: &Context) -> Result<JobSpec> {
    let Asked::One(mut spec) = read(vec![text])? else {
        return Err(Usage::new("a group's callback is one job, and this is an array").into());
    };
    if let Some(fault) = callback_fault(&spec) {
        return Err(Usage::new(fault).into());
    }
    spec.queue = spec.queue.or_else(|| queue.cloned());
    Ok((*checked(*spec, context)?).clone())
}
