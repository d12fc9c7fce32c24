//! Follows several jobs at the same time, each line with the id of its job.
//!
//! Jobs that are named by ids and ranges are looked at one by one until all have ended. A group or a filter has no end: jobs
//! that fit and run join, and so do those that began and ended between two looks. Memory and open files are bounded by the number
//! of jobs that are followed at the same time; those above it wait until another ends, or are left out with a note.

use std::collections::BTreeMap;

use anyhow::Result;
use queuectl_core::selector::{Pick, Selector};
use queuectl_core::{Job, JobId, JobRef, OutcomeKind, State, Timestamp};
use queuectl_frontend::output::Stream;
use queuectl_storage::{JobFilter, Store, StoreError};

use super::follow::say_end;
use super::print::{Printer, Shown};
use crate::commands::select;
use crate::commands::waiter::Waiter;
use crate::context::Context;
use crate::exit::Usage;
use crate::output::diagnostics;

/// Jobs whose output is followed at the same time.
const FOLLOWED: usize = 100;
/// Jobs that may be named.
const NAMED: usize = 1000;
/// Jobs whose newest attempt is remembered, so that none is printed twice.
const REMEMBERED: usize = 10_000;
/// How far back jobs are looked for that ended between two looks, in ms: transactions may show up later than their times.
const LATE_MS: i64 = 10_000;
/// Jobs per query.
const PAGE: u32 = 1000;

/// Follows the jobs of a selector.
pub fn follow(
    store: &mut Store,
    selector: &Selector,
    all_attempts: bool,
    shown: Shown,
    context: &Context,
) -> Result<()> {
    let mut follower = Follower {
        waiter: Waiter::new(None),
        shown,
        all_attempts,
        context,
        active: Vec::new(),
        seen: BTreeMap::new(),
        is_full: false,
    };
    let ranges = selector
        .picks()
        .iter()
        .all(|pick| !matches!(pick, Pick::Group(_)));
    if ranges && !selector.picks().is_empty() {
        let jobs = select::selected(store, selector)?;
        if jobs.len() > NAMED {
            let message = format!(
                "these are {} jobs, and at most {NAMED} can be followed",
                jobs.len()
            );
            return Err(Usage::new(message)
                .hint("a filter without numbers follows those that run: `queuectl logs -f --running`")
                .into());
        }
        return follower.named(store, jobs);
    }
    let now = store.now()?;
    let filter = store.job_filter(selector, now)?;
    if !filter.states.is_empty() && !filter.states.contains(&State::Processing) {
        return Err(Usage::new(
            "only running jobs can be followed; leave out state=, or make it state=processing",
        )
        .into());
    }
    follower.fitting(store, filter, now)
}

/// A job whose newest attempt runs.
struct Followed {
    job: Job,
    stream: Stream,
    printer: Printer,
}

struct Follower<'a> {
    waiter: Waiter,
    shown: Shown,
    all_attempts: bool,
    context: &'a Context,
    active: Vec<Followed>,
    /// The newest attempt of each job that was printed or is followed.
    seen: BTreeMap<JobId, i64>,
    /// Whether a note has said that there are too many.
    is_full: bool,
}

impl Follower<'_> {
    /// Follows jobs until all of them have ended.
    fn named(&mut self, store: &mut Store, mut left: Vec<JobRef>) -> Result<()> {
        loop {
            let marker = self.waiter.ask(store, Store::change_marker)?;
            let mut waiting = None;
            let mut open = Vec::new();
            for job in left {
                let found = match self.waiter.ask(store, |store| store.job(&job)) {
                    // It was removed.
                    Err(StoreError::NoSuchJob(_)) => continue,
                    found => found?,
                };
                let is_final = found.state.is_final();
                let is_printed = self.look(store, &found)?;
                if !is_final || !is_printed {
                    open.push(job);
                    waiting = waiting.or(Some(found));
                }
            }
            left = open;
            self.end(store)?;
            if left.is_empty() && self.active.is_empty() {
                return Ok(());
            }
            self.pause(store, marker, waiting.as_ref())?;
        }
    }

    /// Follows what fits and runs, until the process is ended.
    fn fitting(&mut self, store: &mut Store, filter: JobFilter, start: Timestamp) -> Result<()> {
        let running = JobFilter {
            states: vec![State::Processing],
            ..filter.clone()
        };
        let mut ended = JobFilter {
            states: State::ALL.into_iter().filter(|state| state.is_final()).collect(),
            since: filter.since.max(Some(start)),
            ..filter.clone()
        };
        let mut says_nothing = true;
        loop {
            let marker = self.waiter.ask(store, Store::change_marker)?;
            let now = self.waiter.ask(store, Store::now)?;
            for filter in [&ended, &running] {
                let mut after = None;
                loop {
                    let page = self
                        .waiter
                        .ask(store, |store| store.select(filter, after, PAGE))?;
                    for number in page.jobs {
                        match self.waiter.ask(store, |store| store.job(&JobRef::Number(number))) {
                            Err(StoreError::NoSuchJob(_)) => {}
                            found => drop(self.look(store, &found?)?),
                        }
                    }
                    after = page.next;
                    if after.is_none() {
                        break;
                    }
                }
            }
            self.end(store)?;
            if std::mem::take(&mut says_nothing) && self.active.is_empty() {
                diagnostics::note("no job that fits is running; waiting for one to start");
            }
            let late = Timestamp(now.0.saturating_sub(LATE_MS));
            ended.since = filter.since.max(Some(late.max(start)));
            self.pause(store, marker, None)?;
        }
    }

    /// Begins with the newest attempt of a job, if it is not printed yet, and with those before it that were missed. Returns
    /// false if there are too many jobs.
    fn look(&mut self, store: &mut Store, job: &Job) -> Result<bool> {
        let printed = self.seen.get(&job.id).copied();
        if job.fence == 0 || printed.is_some_and(|printed| printed >= job.fence) {
            return Ok(true);
        }
        // What it printed before goes first.
        if let Some(at) = self.active.iter().position(|other| other.job.id == job.id) {
            let before = self.active.swap_remove(at);
            self.finish(store, before)?;
        }
        let running = job.state == State::Processing;
        if running && self.active.len() >= FOLLOWED {
            if !std::mem::replace(&mut self.is_full, true) {
                diagnostics::note(&format!(
                    "{FOLLOWED} jobs are followed at the same time; others join when one of them ends"
                ));
            }
            return Ok(false);
        }
        if printed.is_some() || self.all_attempts {
            let after = printed.unwrap_or(0);
            let attempts = self
                .waiter
                .ask(store, |store| store.attempts_without_output(job.id))?;
            let missed = attempts.iter().map(|attempt| attempt.fence);
            for fence in missed.filter(|fence| *fence > after && *fence < job.fence) {
                let followed = self.begin(store, job, fence)?;
                self.finish(store, followed)?;
            }
        }
        let mut followed = self.begin(store, job, job.fence)?;
        if running {
            followed.printer.print_file(&mut followed.stream)?;
            followed.printer.go_on_with_all()?;
            self.active.push(followed);
        } else {
            self.finish(store, followed)?;
        }
        self.seen.insert(job.id, job.fence);
        if self.seen.len() > REMEMBERED {
            let is_active = |id: &&JobId| self.active.iter().any(|other| other.job.id == **id);
            let oldest = self.seen.keys().find(|id| !is_active(id)).copied();
            oldest.map(|id| self.seen.remove(&id));
        }
        Ok(true)
    }

    fn begin(&mut self, store: &mut Store, job: &Job, fence: i64) -> Result<Followed> {
        let outputs = self.waiter.ask(store, Store::outputs)?;
        Ok(Followed {
            stream: Stream::new(outputs.file(job.id.0, fence), 0),
            printer: Printer::new(&self.shown, job, self.context.output),
            job: Job { fence, ..job.clone() },
        })
    }

    /// Prints what is left of an attempt that has ended.
    fn finish(&mut self, store: &mut Store, followed: Followed) -> Result<()> {
        let Followed {
            job,
            mut stream,
            mut printer,
        } = followed;
        printer.print_file(&mut stream)?;
        match self.waiter.ask(store, |store| store.attempt(job.id, job.fence))? {
            Some(attempt) => {
                printer.print_rest(&attempt, &mut stream)?;
                if attempt.outcome.kind != OutcomeKind::Succeeded {
                    say_end(&job, &attempt, &self.shown);
                }
            }
            // It was given back before it began.
            None => printer.finish()?,
        }
        Ok(())
    }

    /// Ends with the jobs whose attempt has ended.
    fn end(&mut self, store: &mut Store) -> Result<()> {
        for at in (0..self.active.len()).rev() {
            let (id, fence) = (self.active[at].job.id, self.active[at].job.fence);
            let found = self.waiter.ask(store, |store| store.job(&JobRef::Number(id)));
            let runs = match found {
                Err(StoreError::NoSuchJob(_)) => false,
                found => found.map(|job| job.state == State::Processing && job.fence == fence)?,
            };
            if !runs {
                let followed = self.active.swap_remove(at);
                self.finish(store, followed)?;
            }
        }
        Ok(())
    }

    /// Prints what comes until the store changes.
    fn pause(&mut self, store: &mut Store, marker: i64, waiting: Option<&Job>) -> Result<()> {
        while self.waiter.ask(store, Store::change_marker)? == marker {
            if let Some(job) = waiting {
                self.waiter.look_for_nodes(store, job);
            }
            self.waiter.pause();
            for followed in &mut self.active {
                followed.printer.print_file(&mut followed.stream)?;
            }
        }
        Ok(())
    }
}
