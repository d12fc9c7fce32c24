//! `rerun`: stores a copy of an ended job.
//!
//! The copy is a new job with its own number and history; the old one stays as it is. `retry` continues the old one.

use anyhow::Result;
use clap::Args;
use queuectl_core::selector::Selector;
use queuectl_core::{IMPORTED_FROM, JobRef, JobSpec, Refused};
use queuectl_storage::{JobFilter, Placed, Store, StoreError};

use super::batch::for_each;
use super::enqueue::submit::{public_id, remark, store_one, view};
use super::select::{ChangeArgs, ended, selector};
use crate::context::Context;
use crate::exit::{Ended, Exit};
use crate::output::warn_unprinted;
use crate::registry::Run;

/// Store a copy of an ended job, to run it again; print the copy's id
#[derive(Debug, Args)]
#[command(after_help = "\
The copy has the command, payload, folder, environment, input, queue, priority, timeout and retries of the job, and \
may start at once. It gets a number instead of the job's id. The job itself stays as it is; `queuectl retry` continues a \
failed, dead or cancelled job instead. A job that has not ended is refused. Of a range, a group or a filter, those are meant \
that have ended, at most 100,000; repeated, the command stores further copies.")]
pub struct RerunArgs {
    #[command(flatten)]
    change: ChangeArgs,
}

impl Run for RerunArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open()?;
        let selector = selector(&self.change.jobs)?;
        if self.change.dry_run || !selector.is_by_name() {
            return match ended(&mut store, &self.change, &selector, context)? {
                Some(jobs) => copy_all(&mut store, &jobs, &JobFilter::default(), context),
                None => Ok(Exit::OK),
            };
        }
        let now = store.now()?;
        let only = store.narrowing(selector.filters(), now)?;
        let jobs = jobs_of(&mut store, &selector)?;
        copy_all(&mut store, &jobs, &only, context)
    }
}

/// Stores a copy of each job that fits, and prints its id.
fn copy_all(store: &mut Store, jobs: &[JobRef], only: &JobFilter, context: &Context) -> Result<Exit> {
    for_each(jobs, context, |job, records| {
        store.check_fits(job, only)?;
        let (id, placed) = copy(store, job)?;
        let printed = records.item(&view(&id, &placed), &id);
        warn_unprinted(printed.and_then(|()| records.flush()), || {
            format!("job '{id}' is stored, a copy of job '{job}'")
        });
        if let Some(remark) = remark(&placed) {
            context.output.remark(&remark);
        }
        Ok(())
    })
}

/// The jobs that are named one by one.
fn jobs_of(store: &mut Store, selector: &Selector) -> Result<Vec<JobRef>, StoreError> {
    selector.picks().iter().map(|pick| store.picked(pick)).collect()
}

/// Stores a copy of a job and returns its id.
fn copy(store: &mut Store, job: &JobRef) -> Result<(String, Placed)> {
    let found = store.job(job)?;
    if let Some(what) = &found.unreadable {
        let message = format!("job '{job}' cannot be copied, because a part of it cannot be read: {what}");
        let exit = Exit::CONFLICT;
        return Err(Ended { message, exit }.into());
    }
    if !found.state.is_final() {
        let (state, event) = (found.state, "rerun");
        let job = job.to_string();
        let refused = Refused { state, event };
        return Err(StoreError::Refused { job, refused }.into());
    }
    let mut copy = JobSpec::again(found);
    // The copy is no dead letter of another store.
    copy.labels.remove(IMPORTED_FROM);
    let copy = copy.validate(store.now()?)?;
    let placed = store_one(store, &copy)?;
    Ok((public_id(&copy, &placed), placed))
}
