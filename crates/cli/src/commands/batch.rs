//! Applies a command to several jobs. A job that refuses does not stop the others.

use std::io::{self, Stdout};

use queuectl_storage::StoreError;
use queuectl_views::{ChangedView, CountView};

use crate::context::Context;
use crate::exit::{Ended, Exit, classify, in_words};
use crate::output::list::Records;
use crate::output::{diagnostics, warn_unprinted};

/// Acts on each job and prints the result. The exit status is that of the first job that refused. An error of the store
/// itself ends the loop.
pub fn for_each_job<T: ToString>(
    jobs: &[T],
    context: &Context,
    mut act: impl FnMut(&T) -> Result<&'static str, StoreError>,
) -> anyhow::Result<Exit> {
    for_each(jobs, context, |job, records| {
        let result = act(job)?;
        say_result(records, &job.to_string(), result);
        Ok(())
    })
}

/// Prints what became of a job.
pub fn say_result(records: &mut Records<Stdout>, id: &str, result: &'static str) {
    let id = id.to_owned();
    let line = format!("{id} {result}");
    let printed = records.item(&ChangedView { id, result }, &line);
    warn_unprinted(printed.and_then(|()| records.flush()), || line);
}

/// The same for actions that print their result themselves.
pub fn for_each<T>(
    jobs: &[T],
    context: &Context,
    mut act: impl FnMut(&T, &mut Records<Stdout>) -> anyhow::Result<()>,
) -> anyhow::Result<Exit> {
    let mut exit = Exit::OK;
    let mut records = context.output.records(io::stdout());
    for job in jobs {
        let Err(error) = act(job, &mut records) else {
            continue;
        };
        if !is_about_job(&error) {
            return Err(error);
        }
        diagnostics::error(&in_words(&error));
        if exit == Exit::OK {
            exit = classify(&error);
        }
    }
    Ok(exit)
}

/// Returns whether an error is about one job, so that the others can be acted on.
fn is_about_job(error: &anyhow::Error) -> bool {
    let refused = matches!(
        error.downcast_ref(),
        Some(
            StoreError::NoSuchJob(_)
                | StoreError::Refused { .. }
                | StoreError::KeyHeld { .. }
                | StoreError::LeftAlone { .. }
                | StoreError::NotEdited { .. }
                | StoreError::NotStarted { .. }
                | StoreError::NoProcesses { .. }
                | StoreError::NotSuspended { .. }
        )
    );
    refused || error.is::<Ended>()
}

/// Prints how many jobs were changed.
pub fn count(jobs: u64, what: &str, context: &Context) -> Exit {
    context.output.done(&CountView { jobs }, &line(jobs, what));
    Exit::OK
}

/// Returns the remark about a list that has more than what it shows: the newest or the first of one or several things.
pub fn these_are(which: &str, number: u32, (one, several): (&str, &str)) -> String {
    let shown = match number {
        1 => format!("this is the {which} {one}"),
        _ => format!("these are the {which} {number} {several}"),
    };
    format!("{shown}; --limit N shows more")
}

/// Returns the line that says this of a number of jobs.
pub fn line(jobs: u64, what: &str) -> String {
    match jobs {
        1 => format!("1 job {what}"),
        _ => format!("{jobs} jobs {what}"),
    }
}
