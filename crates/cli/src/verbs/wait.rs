//! `wait`: until jobs have ended, and with which status.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use queuectl_core::{Job, JobRef, State};
use queuectl_storage::{Store, StoreError};

use crate::context::Context;
use crate::exit::{Ended, Exit};
use crate::input::time::duration;
use crate::output::say;

/// Wait until jobs have ended, and end with their status
#[derive(Debug, Args)]
#[command(after_help = "\
A job has ended when it is completed, dead or cancelled; one that waits for a retry has not.

Exit status: 0 if the job completed; 1 if it was cancelled; if it is dead, that of its last attempt as a shell would \
report it (128 + the signal's number). Of several jobs, the first that is not 0, in the order given. 124 if --timeout \
ran out. A database server that goes away meanwhile is waited for, for a minute at most; then 6.")]
pub struct WaitArgs {
    /// The jobs' ids or numbers
    #[arg(value_name = "JOB", required = true)]
    jobs: Vec<JobRef>,
    /// Wait no longer than this
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    timeout: Option<Duration>,
}

/// How often a change of the store is looked for. Looking costs next to nothing.
const POLL: Duration = Duration::from_millis(100);
/// How long a database server that went away is waited for: longer than a restart or a fail-over takes.
const OUTAGE: Duration = Duration::from_secs(60);
/// Longest pause between two tries to reach it.
const RETRY_MOST: Duration = Duration::from_secs(2);

pub fn run(args: &WaitArgs, context: &Context) -> Result<Exit> {
    wait_for(&mut context.open()?, &args.jobs, args.timeout)
}

/// Waits until all jobs have ended. The status is the first, in order, that is not 0.
pub fn wait_for(store: &mut Store, jobs: &[JobRef], timeout: Option<Duration>) -> Result<Exit> {
    let mut patience = Patience::new(timeout);
    let mut exit = Exit::OK;
    for (index, job) in jobs.iter().enumerate() {
        loop {
            let marker = patience.ask(store, Store::change_marker)?;
            let found = patience.ask(store, |store| store.job(job))?;
            if found.state.is_final() {
                let ended = patience.ask(store, |store| status(store, &found))?;
                if exit == Exit::OK {
                    exit = ended;
                }
                break;
            }
            if !patience.wait_for_change(store, marker)? {
                let left = jobs.len() - index;
                let message = format!(
                    "the time is up: job '{job}' is {}, {left} of {} jobs not waited for",
                    found.state,
                    jobs.len()
                );
                return Err(Ended {
                    message,
                    exit: Exit::TIMEOUT,
                }
                .into());
            }
        }
    }
    Ok(exit)
}

fn status(store: &mut Store, job: &Job) -> Result<Exit, StoreError> {
    if job.state != State::Dead {
        let cancelled = job.state == State::Cancelled;
        return Ok(if cancelled { Exit::NEGATIVE } else { Exit::OK });
    }
    let last = store.last_attempt(job.id)?;
    // A dead job never reads as a success, whatever its last attempt says.
    Ok(Exit(
        last.map_or(1, |attempt| attempt.outcome.shell_status().max(1)),
    ))
}

/// How long to go on waiting.
pub struct Patience {
    until: Option<Instant>,
}

impl Patience {
    pub fn new(timeout: Option<Duration>) -> Patience {
        Patience {
            until: timeout.and_then(|timeout| Instant::now().checked_add(timeout)),
        }
    }

    /// Waits until the store has changed since the marker was read. False if the time ran out first.
    pub fn wait_for_change(&mut self, store: &mut Store, marker: i64) -> Result<bool> {
        loop {
            if !self.pause() {
                return Ok(false);
            }
            if self.ask(store, Store::change_marker)? != marker {
                return Ok(true);
            }
        }
    }

    /// Asks the store, and goes on asking for a while if its server went away, as nodes do. Only for what changes
    /// nothing.
    pub fn ask<T>(
        &self,
        store: &mut Store,
        mut question: impl FnMut(&mut Store) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut pause = POLL;
        let mut until = None;
        loop {
            let error = match question(store) {
                Err(error) if error.is_outage() => error,
                answer => return answer,
            };
            let now = Instant::now();
            let until = *until.get_or_insert_with(|| {
                say::note(&format!(
                    "{error}; waiting for it for up to {} s",
                    OUTAGE.as_secs()
                ));
                let most = now + OUTAGE;
                self.until.map_or(most, |end| end.min(most))
            });
            if now >= until {
                return Err(error);
            }
            thread::sleep(pause.min(until - now));
            pause = (pause * 2).min(RETRY_MOST);
        }
    }

    /// Waits for a moment. False if the time has run out.
    pub fn pause(&mut self) -> bool {
        let left = match self.until {
            Some(until) => until.saturating_duration_since(Instant::now()),
            None => POLL,
        };
        if left.is_zero() {
            return false;
        }
        thread::sleep(left.min(POLL));
        true
    }
}
