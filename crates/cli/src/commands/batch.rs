//! Applies a command to several jobs. A job that refuses does not stop the others.

use std::io;

use anyhow::Error;
use queuectl_core::JobRef;
use queuectl_storage::StoreError;
use queuectl_views::{ChangedView, CountView};

use crate::context::Context;
use crate::exit::{Exit, classify};
use crate::output::{diagnostics, warn_unprinted};

/// Acts on each job and prints the result. The exit status is that of the first job that refused. An error of the store
/// itself ends the loop.
pub fn for_each_job(
    jobs: &[JobRef],
    context: &Context,
    mut act: impl FnMut(&JobRef) -> Result<&'static str, StoreError>,
) -> anyhow::Result<Exit> {
    let mut exit = Exit::OK;
    let mut records = context.output.records(io::stdout());
    for job in jobs {
        match act(job) {
            Ok(result) => {
                let id = job.to_string();
                let line = format!("{id} {result}");
                let printed = records.item(&ChangedView { id, result }, &line);
                warn_unprinted(printed.and_then(|()| records.flush()), || line);
            }
            Err(
                error
                @ (StoreError::NoSuchJob(_) | StoreError::Refused { .. } | StoreError::LeftAlone { .. }),
            ) => {
                diagnostics::error(&error.to_string());
                if exit == Exit::OK {
                    exit = classify(&Error::from(error));
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(exit)
}

/// Prints how many jobs were changed.
pub fn count(jobs: u64, what: &str, context: &Context) -> Exit {
    let line = match jobs {
        1 => format!("1 job {what}"),
        _ => format!("{jobs} jobs {what}"),
    };
    context.output.done(&CountView { jobs }, &line);
    Exit::OK
}
