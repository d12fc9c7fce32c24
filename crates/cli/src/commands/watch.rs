//! Watches a job that this command stored: prints its output until it has ended, and returns its status.
//!
//! Not here: stopping the job with the command (`run`), following other jobs (`logs`).

use anyhow::Result;
use queuectl_core::{Job, JobId, JobRef, State};
use queuectl_storage::{Store, StoreError};

use super::logs::{From, Shown, follow};
use super::wait::wait_for;
use super::waiter::{PATIENCE, Waiter};
use crate::context::Context;
use crate::exit::Exit;
use crate::output::diagnostics;

/// Prints the job's output until it has ended, and returns its status.
pub fn watch(store: &mut Store, number: JobId, context: &Context) -> Result<Exit> {
    let job = JobRef::Number(number);
    let mut waiter = Waiter::new(None).looking_after(PATIENCE);
    follow(store, &job, From::First, &mut waiter, &Shown::default(), context)?;
    let found = waiter.ask(store, |store| store.job(&job))?;
    say_end(store, &waiter, &found)?;
    wait_for(store, &[job], None)
}

/// Notes why a job did not complete.
fn say_end(store: &mut Store, waiter: &Waiter, job: &Job) -> Result<(), StoreError> {
    if job.state == State::Completed {
        return Ok(());
    }
    let last = waiter.ask(store, |store| store.last_attempt(job.id))?;
    let reason = last
        .map(|attempt| attempt.outcome.message)
        .filter(|message| !message.is_empty() && job.state == State::Dead);
    let reason = reason.map_or_else(String::new, |message| format!(" ({message})"));
    let id = job.public_id();
    diagnostics::note(&format!(
        "job {id} is {}{reason}; `queuectl show {id}` has its attempts",
        job.state
    ));
    Ok(())
}
