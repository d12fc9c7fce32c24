//! `wait`: waits until jobs have ended, and exits with their status.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use queuectl_core::selector::Word;
use queuectl_core::{Job, JobId, JobRef, State, parse_duration, show_short};
use queuectl_storage::{Store, StoreError};
use queuectl_views::ChangedView;

use super::select;
use super::waiter::{PATIENCE, Waiter};
use crate::context::Context;
use crate::exit::{Ended, Exit};
use crate::output::diagnostics;
use crate::output::progress::Progress;
use crate::registry::Run;

/// Wait until jobs have ended, and exit with their status
#[derive(Debug, Args)]
#[command(after_help = "\
A job has ended when it is completed, dead or cancelled; one that waits for a retry has not. Nor has one that was cancelled for \
another job which was retried since: it goes on if that one ends as it needs.

Exit status: 0 if the job completed; 1 if it was cancelled; if it is dead, the status of its last attempt as a shell \
would report it (128 + the signal number; 127 if its program was not found). With several jobs, the first status that \
is not 0, in the order given, and a line on standard error names those that did not complete. 124 if --timeout ran out. 3, at \
once, if a job does not exist, and 4 if a job that is named does not fit a filter. 6 if a database server went away and was not back within a minute. What a range, a group or a filter means is \
looked up once, at most 100,000 jobs; if that is none, the status is 0. If no node serves a job's queue after a second, or the \
queue is paused, a note on standard error says so, and the wait goes on.")]
pub struct WaitArgs {
    /// The jobs: ids or numbers, 12-20, last, last~2, @GROUP; or filters such as state=failed queue=mail, which narrow
    /// them (`queuectl help selectors`)
    #[arg(value_name = "JOB", required = true)]
    jobs: Vec<Word>,
    /// Only until the first of them has ended; prints its id and state, and exits with its status
    #[arg(long)]
    any: bool,
    /// Wait at most this long
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, allow_hyphen_values = true)]
    timeout: Option<Duration>,
}

/// Jobs named in the message of a timeout.
const NAMED: usize = 5;

impl Run for WaitArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open()?;
        let jobs = select::jobs(&mut store, &self.jobs)?;
        let mut wait = Wait::new(&mut store, &jobs, self.timeout)?;
        if !self.any || jobs.is_empty() {
            return wait.for_all();
        }
        let (job, exit) = wait.for_any()?;
        let id = job.public_id();
        let result = job.state.name();
        let line = format!("{id} {result}");
        context.output.done(&ChangedView { id, result }, &line);
        Ok(exit)
    }
}

/// Waits until all jobs have ended. Returns the first status, in order, that is not 0.
pub fn wait_for(store: &mut Store, jobs: &[JobRef], timeout: Option<Duration>) -> Result<Exit> {
    Wait::new(store, jobs, timeout)?.for_all()
}

/// Some jobs that are waited for.
struct Wait<'a> {
    store: &'a mut Store,
    waiter: Waiter,
    timeout: Option<Duration>,
    /// As they were named.
    jobs: Vec<(JobId, String)>,
    /// Those that had not ended at the last look, by their places.
    open: Vec<usize>,
    /// The states of those, then.
    states: HashMap<JobId, State>,
    /// How those ended that did not complete, by their places.
    failed: BTreeMap<usize, (String, Exit)>,
    /// Of those that were cancelled, but go on if another one ends as needed: that one, by their places.
    revived_by: HashMap<usize, JobId>,
    /// Of one job only as far as it says how far it is.
    progress: Option<Progress>,
}

impl Wait<'_> {
    /// Looks at all jobs, so that mistakes are reported before anything is waited for.
    fn new<'a>(store: &'a mut Store, jobs: &[JobRef], timeout: Option<Duration>) -> Result<Wait<'a>> {
        let mut waiter = Waiter::new(timeout).looking_after(PATIENCE);
        let numbers = look_at_all(store, &mut waiter, jobs)?;
        let names = jobs.iter().map(ToString::to_string);
        Ok(Wait {
            store,
            waiter,
            timeout,
            open: (0..jobs.len()).collect(),
            jobs: numbers.into_iter().zip(names).collect(),
            states: HashMap::new(),
            failed: BTreeMap::new(),
            revived_by: HashMap::new(),
            progress: (jobs.len() > 1)
                .then(|| Progress::new("waiting for jobs", Some(jobs.len() as u64)).at_once()),
        })
    }

    fn for_all(&mut self) -> Result<Exit> {
        while !self.open.is_empty() {
            let marker = self.waiter.ask(self.store, Store::change_marker)?;
            self.look()?;
            if let Some(first) = self.open.first().copied() {
                self.pause(marker, first)?;
            }
        }
        self.progress = None;
        self.name_failed();
        let exit = self.failed.values().next();
        Ok(exit.map_or(Exit::OK, |(_, exit)| *exit))
    }

    /// Waits until one of them has ended.
    fn for_any(&mut self) -> Result<(Job, Exit)> {
        loop {
            let marker = self.waiter.ask(self.store, Store::change_marker)?;
            let before = self.open.clone();
            self.look()?;
            let ended = before.into_iter().find(|place| !self.open.contains(place));
            if let Some(place) = ended {
                self.progress = None;
                let job = self.job(place)?;
                let exit = self.waiter.ask(self.store, |store| status(store, &job))?;
                return Ok((job, exit));
            }
            if let Some(first) = self.open.first().copied() {
                self.pause(marker, first)?;
            }
        }
    }

    fn job(&mut self, place: usize) -> Result<Job, StoreError> {
        let number = self.jobs[place].0;
        let found = self
            .waiter
            .ask(self.store, |store| store.job(&JobRef::Number(number)));
        match found {
            // In the words in which it was named.
            Err(StoreError::NoSuchJob(_)) => Err(StoreError::NoSuchJob(self.jobs[place].1.clone())),
            found => found,
        }
    }

    /// Looks which of the open jobs have ended.
    fn look(&mut self) -> Result<()> {
        let start = Instant::now();
        let numbers: Vec<JobId> = self.open.iter().map(|place| self.jobs[*place].0).collect();
        self.states = self.waiter.ask(self.store, |store| store.states(&numbers))?;
        let mut open = Vec::new();
        for place in std::mem::take(&mut self.open) {
            match self.states.get(&self.jobs[place].0).copied() {
                Some(State::Completed) => {}
                Some(state) if !state.is_final() => open.push(place),
                // Also a job that was removed, which is an error. It may have been retried since.
                _ if !self.add_failed(place)? => open.push(place),
                _ => {}
            }
        }
        self.open = open;
        let ended = self.jobs.len() - self.open.len();
        let counts = self.jobs.len() > 1 && !self.open.is_empty();
        if let Some(progress) = self.progress.as_mut().filter(|_| counts) {
            progress.set(ended as u64);
        }
        // A look at many jobs must not keep the database busy.
        self.waiter.rest(start.elapsed() * 4);
        Ok(())
    }

    /// Adds a job that did not complete. Returns false if it has not ended after all.
    fn add_failed(&mut self, place: usize) -> Result<bool> {
        let job = self.job(place)?;
        if !job.state.is_final() || job.state == State::Completed {
            return Ok(job.state.is_final());
        }
        if job.unmet.is_some()
            && let Some(open) = self.waiter.ask(self.store, |store| store.revived_by(job.id))?
        {
            if self.revived_by.insert(place, open).is_none() {
                self.say_that_it_goes_on(place, open)?;
            }
            return Ok(false);
        }
        let last = self.waiter.ask(self.store, |store| store.last_attempt(job.id))?;
        let message = last
            .map(|attempt| attempt.outcome.message)
            .filter(|message| !message.is_empty() && job.state == State::Dead);
        let name = &self.jobs[place].1;
        let said = match message {
            Some(message) => format!("{name} ({}: {message})", job.state),
            None => format!("{name} ({})", job.state),
        };
        let exit = self.waiter.ask(self.store, |store| status(store, &job))?;
        self.failed.insert(place, (said, exit));
        Ok(true)
    }

    /// Says, once, that a job which looks as if it had ended goes on with another.
    fn say_that_it_goes_on(&mut self, place: usize, open: JobId) -> Result<()> {
        if self.revived_by.len() > 1 {
            return Ok(());
        }
        let open = self
            .waiter
            .ask(self.store, |store| store.job(&JobRef::Number(open)));
        let open = match open {
            Err(StoreError::NoSuchJob(_)) => return Ok(()),
            open => open?,
        };
        diagnostics::note(&format!(
            "job '{}' is cancelled, but goes on if job '{}', which was retried, ends as it needs; waiting for that",
            self.jobs[place].1,
            open.public_id()
        ));
        Ok(())
    }

    /// Waits for a change of the store.
    fn pause(&mut self, marker: i64, first: usize) -> Result<()> {
        let mut job = self.job(first)?;
        if job.state.is_final()
            && let Some(open) = self.revived_by.get(&first)
        {
            // What that one waits for is what this one waits for.
            let open = JobRef::Number(*open);
            match self.waiter.ask(self.store, |store| store.job(&open)) {
                Err(StoreError::NoSuchJob(_)) => {}
                open => job = open?,
            }
        }
        self.show_progress(&job);
        if self.waiter.wait_for_change(self.store, marker, &job)? {
            return Ok(());
        }
        self.progress = None;
        let message = self.out_of_time();
        Err(Ended {
            message,
            exit: Exit::TIMEOUT,
        }
        .into())
    }

    /// Shows how far the job is, if it is the only one and says so.
    fn show_progress(&mut self, job: &Job) {
        let percent = job.progress.as_ref().and_then(|progress| progress.percent);
        match percent.filter(|_| self.jobs.len() == 1) {
            Some(percent) => self
                .progress
                .get_or_insert_with(|| Progress::in_percent("the job runs"))
                .set(u64::from(percent)),
            // Its next attempt starts over.
            None if self.jobs.len() == 1 => self.progress = None,
            None => {}
        }
    }

    /// Says which jobs did not complete, if there were several.
    fn name_failed(&self) {
        if self.jobs.len() < 2 || self.failed.is_empty() {
            return;
        }
        let failed = self.failed.values().map(|(said, _)| said.clone());
        let (count, of) = (self.failed.len(), self.jobs.len());
        let named = a_few(failed.collect());
        diagnostics::note(&format!("{count} of {of} jobs did not complete: {named}"));
    }

    /// Returns the message of a timeout: which of the jobs left have not ended.
    fn out_of_time(&self) -> String {
        let open = self.open.iter().map(|place| {
            let (number, name) = &self.jobs[*place];
            let state = self.states.get(number).map_or("removed", |state| state.name());
            match self.revived_by.get(place) {
                Some(open) if state == State::Cancelled.name() => {
                    format!("{name} (cancelled until job {open} ends as it needs)")
                }
                _ => format!("{name} ({state})"),
            }
        });
        let (count, of) = (self.open.len(), self.jobs.len());
        let have = if count == 1 { "has" } else { "have" };
        let jobs = if of == 1 { "job" } else { "jobs" };
        let after = show_short(self.timeout.unwrap_or_default());
        let open = a_few(open.collect());
        format!("timed out after {after}; {count} of {of} {jobs} {have} not ended: {open}")
    }
}

/// Returns a list of a few jobs, with the number of the others.
fn a_few(mut jobs: Vec<String>) -> String {
    let others = jobs.len().saturating_sub(NAMED);
    if others > 0 {
        jobs.truncate(NAMED);
        jobs.push(format!("and {others} more"));
    }
    jobs.join(", ")
}

/// Returns the numbers of the jobs. Fails if jobs do not exist, naming all of them. Has the waiter note which of them wait for
/// a node.
fn look_at_all(store: &mut Store, waiter: &mut Waiter, jobs: &[JobRef]) -> Result<Vec<JobId>> {
    let mut missing = None;
    let mut numbers = Vec::with_capacity(jobs.len());
    for job in jobs {
        match waiter.ask(store, |store| store.job(job)) {
            Ok(found) => {
                numbers.push(found.id);
                waiter.look_also_for(found);
            }
            Err(error @ StoreError::NoSuchJob(_)) => {
                // The command ends with the last one.
                if let Some(earlier) = missing.replace(error) {
                    diagnostics::error(&earlier.to_string());
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    if let Some(error) = missing {
        return Err(error.into());
    }
    Ok(numbers)
}

fn status(store: &mut Store, job: &Job) -> Result<Exit, StoreError> {
    if job.state != State::Dead {
        let cancelled = job.state == State::Cancelled;
        return Ok(if cancelled { Exit::NEGATIVE } else { Exit::OK });
    }
    let last = store.last_attempt(job.id)?;
    // A dead job is never a success, whatever its last attempt says.
    Ok(Exit(
        last.map_or(1, |attempt| attempt.outcome.shell_status().max(1)),
    ))
}
