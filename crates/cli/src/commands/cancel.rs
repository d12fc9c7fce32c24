//! `cancel`: cancels jobs, also running ones.

use anyhow::Result;
use clap::Args;
use queuectl_core::{JobRef, State};
use queuectl_storage::{Cancelled, Store};

use super::batch::for_each_job;
use super::wait::Waiter;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::diagnostics;
use crate::registry::Run;

/// Cancel jobs; running ones are stopped
#[derive(Debug, Args)]
pub struct CancelArgs {
    /// The jobs' ids or numbers
    #[arg(value_name = "JOB", required = true)]
    jobs: Vec<JobRef>,
    /// Wait until running jobs have stopped
    #[arg(long)]
    wait: bool,
}

impl Run for CancelArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open()?;
        let mut stopping = Vec::new();
        let exit = for_each_job(&self.jobs, context, |job| {
            let now = store.now()?;
            Ok(match store.cancel(job, now)? {
                Cancelled::Now => "cancelled",
                Cancelled::Requested => {
                    stopping.push(job.clone());
                    "is being stopped"
                }
            })
        })?;
        if !self.wait {
            return Ok(exit);
        }
        let mut all_cancelled = true;
        for job in &stopping {
            all_cancelled &= wait_until_stopped(&mut store, job)?;
        }
        Ok(if exit == Exit::OK && !all_cancelled {
            Exit::NEGATIVE
        } else {
            exit
        })
    }
}

/// Waits until the job has stopped. Returns false if it ended on its own before.
fn wait_until_stopped(store: &mut Store, job: &JobRef) -> Result<bool> {
    let mut waiter = Waiter::new(None);
    loop {
        let marker = waiter.ask(store, Store::change_marker)?;
        let found = waiter.ask(store, |store| store.job(job))?;
        if found.state != State::Processing {
            let cancelled = found.state == State::Cancelled;
            if !cancelled {
                diagnostics::note(&format!(
                    "job '{job}' is {}: it ended before it could be stopped",
                    found.state
                ));
            }
            return Ok(cancelled);
        }
        waiter.wait_for_change(store, marker, &found)?;
    }
}
