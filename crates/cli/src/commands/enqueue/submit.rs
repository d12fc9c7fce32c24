//! Storing one job, for every command that does so: what its words and options say, checked, and then stored.
//!
//! Not here: what is printed, and whether the command waits for the job.

use anyhow::Result;
use queuectl_core::{Clock, JobId, JobSpec, SystemClock, ValidJob};
use queuectl_storage::Store;

use super::ignored::Ignored;
use super::validate::Validator;
use super::words::{self, Asked};
use crate::context::Context;
use crate::exit::Usage;
use crate::input::job::validate;
use crate::output::diagnostics;

/// Reads the words of a command line, whose options are `options`. Notes options of ours among a program's arguments,
/// unless the words are `exact`.
pub fn asked(words: Vec<String>, exact: bool, options: &JobSpec) -> Result<Asked, Usage> {
    let strays = if exact { Vec::new() } else { words::strays(&words) };
    if !strays.is_empty() {
        diagnostics::note(&format!(
            "note: {} is an argument of {}; options of queuectl go before the command",
            strays.join(" "),
            words.first().map_or("the program", String::as_str)
        ));
    }
    // A payload may be all that its executor needs.
    if words.is_empty() && options.payload.command.is_none() && options.payload.payload.is_some() {
        return Ok(Asked::One(Box::default()));
    }
    words::read(words)
}

/// Checks a job, also with its executor. Call it before the queue is opened: a mistake must not create one.
pub fn checked(spec: JobSpec, context: &Context) -> Result<ValidJob> {
    let mut ignored = Ignored::default();
    ignored.add(&spec);
    ignored.say();
    let job = validate(spec, SystemClock.now()).map_err(Usage::new)?;
    Validator::new(context).check(&job).map_err(Usage::new)?;
    Ok(job)
}

/// Stores a job and returns its number.
pub fn store_one(store: &mut Store, job: &ValidJob) -> Result<JobId> {
    // A delay counts by the queue's clock.
    let now = store.now()?;
    let numbers = store.enqueue(std::slice::from_ref(job), now)?;
    let number = numbers.first().copied();
    number.ok_or_else(|| anyhow::anyhow!("the store gave no number"))
}

/// Returns the id that users see.
pub fn public_id(job: &ValidJob, number: JobId) -> String {
    let name = job.id.as_ref();
    name.map_or_else(|| number.to_string(), |name| name.to_string())
}
