//! Storing one job, for every command that does so: what its words and options say, checked, and then stored.
//!
//! Not here: what is printed, and whether the command waits for the job.

use anyhow::Result;
use queuectl_core::selector::{Pick, Word};
use queuectl_core::{Clock, JobRef, JobSpec, State, SystemClock, ValidJob};
pub use queuectl_frontend::placed::{public_id, view};
use queuectl_storage::{Placed, Store};

use super::ignored::Ignored;
use super::validate::Validator;
use super::words::{self, Asked};
use crate::context::Context;
use crate::exit::Usage;
use crate::input::validate;
use crate::inside::enqueued_by;
use crate::output::diagnostics;

/// Reads the words of a command line, whose options are `options`. Notes options of ours among a program's arguments,
/// unless the words are `exact`.
pub fn asked(words: Vec<String>, exact: bool, options: &JobSpec) -> Result<Asked, Usage> {
    if !exact {
        note_strays(&words);
    }
    // A payload may be all that its executor needs.
    if words.is_empty() && options.payload.command.is_none() && options.payload.payload.is_some() {
        return Ok(Asked::One(Box::default()));
    }
    words::read(words)
}

/// Notes options of ours among a program's arguments.
pub fn note_strays(words: &[String]) {
    let strays = words::strays(words);
    if !strays.is_empty() {
        diagnostics::note(&format!(
            "note: {} is an argument of {}; options of queuectl go before the command",
            strays.join(" "),
            words.first().map_or("the program", String::as_str)
        ));
    }
}

/// Puts the number of the newest job in the place of `last` in `--after`. Other forms of jobs, which can be stored later, have no
/// `last`.
pub fn resolve_last(options: &mut JobSpec, context: &Context) -> Result<()> {
    let mut store = None;
    for after in &mut options.after {
        let JobRef::Name(name) = &after.job else {
            continue;
        };
        if let Ok(Word::Pick(pick @ Pick::Last(_))) = name.as_str().parse() {
            let store = match &mut store {
                Some(store) => store,
                none => none.insert(context.open()?),
            };
            after.job = store.picked(&pick)?;
        }
    }
    Ok(())
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

/// Stores a job, unless another has its unique key, and returns what became of it.
pub fn store_one(store: &mut Store, job: &ValidJob) -> Result<Placed> {
    // A delay counts by the queue's clock.
    let now = store.now()?;
    let job = job.clone().with_enqueued_by(enqueued_by(store));
    let placed = store.place(&[job], now)?;
    let placed = placed.into_iter().next();
    placed.ok_or_else(|| anyhow::anyhow!("the store gave no number"))
}

/// Says that another job counts in the place of this one, or the other way round.
pub fn remark(placed: &Placed) -> Option<String> {
    if let Some(existing) = &placed.existing {
        let (id, state) = (&existing.public_id, existing.state);
        return Some(format!(
            "note: nothing was stored; job '{id}', which is {state}, has the unique key"
        ));
    }
    let replaced = placed.replaced.as_ref()?;
    let id = &replaced.public_id;
    Some(match replaced.state {
        State::Processing => format!(
            "note: job '{id}' is running; this one takes its place when that has ended, and '{id}' is not tried again"
        ),
        _ => format!("note: it takes the place of job '{id}'"),
    })
}
