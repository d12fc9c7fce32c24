//! Doing the same to several jobs: a job that refuses does not keep the others from their turn.

use anyhow::Error;
use queuectl_core::JobRef;
use queuectl_storage::StoreError;
use serde::Serialize;

use crate::context::Context;
use crate::exit::{Exit, classify};
use crate::output::{diagnostics, done};

/// What became of one job.
#[derive(Serialize)]
struct Done<'a> {
    id: String,
    result: &'a str,
}

/// Does something to each job, and says for each what became of it. The exit status is that of the first job that
/// refused; when the store itself is in trouble, the rest is left alone.
pub fn for_each_job(
    jobs: &[JobRef],
    context: &Context,
    mut act: impl FnMut(&JobRef) -> Result<&'static str, StoreError>,
) -> anyhow::Result<Exit> {
    let mut exit = Exit::OK;
    for job in jobs {
        match act(job) {
            Ok(result) => {
                let id = job.to_string();
                let line = format!("{id} {result}");
                done::tell(context, &Done { id, result }, &line);
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
