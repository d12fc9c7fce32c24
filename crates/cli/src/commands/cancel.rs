//! `cancel`: cancels jobs, also running ones.

use std::io;

use anyhow::Result;
use clap::Args;
use queuectl_core::{JobId, JobRef, State};
use queuectl_storage::{JobFilter, MassChange, Store, StoreError};
use queuectl_views::CancelledView;

use super::batch::{line, say_result};
use super::doing::Doing;
use super::select::{Acted, ChangeArgs, Named};
use super::waiter::Waiter;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::diagnostics;
use crate::registry::Run;

/// Cancel jobs; running ones are stopped
#[derive(Debug, Args)]
pub struct CancelArgs {
    #[command(flatten)]
    change: ChangeArgs,
    /// Wait until running jobs have stopped; the exit status is 1 if one of them ended on its own before
    #[arg(long)]
    wait: bool,
}

impl Run for CancelArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open()?;
        if !self.wait {
            return Ok(self.change.act(&mut store, MassChange::Cancel, context)?.0);
        }
        let (exit, acted) = self.change.act(&mut store, Doing::CancelAndWait, context)?;
        let all_cancelled = match acted {
            Acted::Named(named) => {
                let running: Vec<Named> = named
                    .into_iter()
                    .filter(|one| one.done.state == State::Processing)
                    .collect();
                let mut all_cancelled = true;
                let mut records = context.output.records(io::stdout());
                for one in running {
                    let state = wait_until_stopped(&mut store, &one.job)?;
                    say_result(&mut records, &one.said, state.name());
                    all_cancelled &= state == State::Cancelled;
                }
                all_cancelled
            }
            Acted::Many(many) if many.done.requested > 0 => {
                let done = many.done;
                let asked = wait_until_all_stopped(&mut store, many.filter)?;
                let ended = ended_before(&mut store, &asked)?;
                let stopped = done.requested.saturating_sub(ended);
                let jobs = done.changed + stopped;
                let ran = match stopped {
                    0 => String::new(),
                    1 => "; 1 was running".to_owned(),
                    stopped => format!("; {stopped} were running"),
                };
                let view = CancelledView { jobs, stopping: 0 };
                context
                    .output
                    .done(&view, &format!("{}{ran}", line(jobs, "cancelled")));
                ended == 0
            }
            Acted::Many(_) | Acted::DryRun => true,
        };
        Ok(if exit == Exit::OK && !all_cancelled {
            Exit::NEGATIVE
        } else {
            exit
        })
    }
}

/// Jobs whose numbers are read at a time.
const PAGE: u32 = 100;

/// Waits until none of the jobs runs any more that were asked to stop, and returns those that still ran. Others may start in their
/// place.
fn wait_until_all_stopped(store: &mut Store, filter: JobFilter) -> Result<Vec<JobId>> {
    let running = JobFilter {
        states: vec![State::Processing],
        change: None,
        ..filter
    };
    let mut waiter = Waiter::new(None);
    let mut asked = None;
    loop {
        let marker = waiter.ask(store, Store::change_marker)?;
        let most = if asked.is_none() { usize::MAX } else { 1 };
        let stopping = waiter.ask(store, |store| those_that_stop(store, &running, most))?;
        let first = stopping.first().copied();
        let asked = asked.get_or_insert(stopping);
        let Some(first) = first else {
            return Ok(std::mem::take(asked));
        };
        let job = match waiter.ask(store, |store| store.job(&JobRef::Number(first))) {
            Err(StoreError::NoSuchJob(_)) => continue,
            job => job?,
        };
        waiter.wait_for_change(store, marker, &job)?;
    }
}

/// Returns how many of the jobs ended on their own, and says so.
fn ended_before(store: &mut Store, asked: &[JobId]) -> Result<u64> {
    let states = Waiter::new(None).ask(store, |store| store.states(asked))?;
    let ended = |state: &&State| matches!(state, State::Completed | State::Dead);
    let ended = states.values().filter(ended).count() as u64;
    match ended {
        0 => {}
        1 => diagnostics::note("1 job ended before it could be stopped"),
        jobs => diagnostics::note(&format!("{jobs} jobs ended before they could be stopped")),
    }
    Ok(ended)
}

/// Returns running jobs that were asked to stop, at most that many.
fn those_that_stop(store: &mut Store, running: &JobFilter, most: usize) -> Result<Vec<JobId>, StoreError> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = store.select(running, after, PAGE)?;
        for id in page.jobs {
            match store.job(&JobRef::Number(id)) {
                Ok(job) if job.state == State::Processing && job.cancel_requested => found.push(id),
                Ok(_) | Err(StoreError::NoSuchJob(_)) => {}
                Err(error) => return Err(error),
            }
        }
        after = page.next;
        if after.is_none() || found.len() >= most {
            return Ok(found);
        }
    }
}

/// Waits until the job runs no more, and returns what it is then. Says if it ended on its own before.
fn wait_until_stopped(store: &mut Store, job: &JobRef) -> Result<State> {
    let mut waiter = Waiter::new(None);
    loop {
        let marker = waiter.ask(store, Store::change_marker)?;
        let found = waiter.ask(store, |store| store.job(job))?;
        if found.state != State::Processing {
            if found.state != State::Cancelled {
                diagnostics::note(&format!(
                    "job '{job}' is {}: it ended before it could be stopped",
                    found.state
                ));
            }
            return Ok(found.state);
        }
        waiter.wait_for_change(store, marker, &found)?;
    }
}
