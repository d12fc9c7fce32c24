//! Doing the same to several jobs: a job that refuses does not keep the others from their turn.

use std::io;

use anyhow::Error;
use queuectl_core::JobRef;
use queuectl_storage::StoreError;
use queuectl_views::{ChangedView, CountView};

use crate::context::Context;
use crate::exit::{Exit, classify};
use crate::output::{diagnostics, warn_unprinted};

/// Does something to each job, and says for each what became of it. The exit status is that of the first job that
/// refused; when the store itself is in trouble, the rest is left alone.
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

/// Says how many jobs something was done to.
pub fn count(jobs: u64, what: &str, context: &Context) -> Exit {
    let line = match jobs {
        1 => format!("1 job {what}"),
        _ => format!("{jobs} jobs {what}"),
    };
    context.output.done(&CountView { jobs }, &line);
    Exit::OK
}
