//! The jobs that a command takes, and what it does to many of them.
//!
//! Commands that only look take [`jobs`]; those that change jobs take [`ChangeArgs`].
//!
//! Jobs that are named one by one are changed one by one, each with a line of its own. What a range, a group or a filter means
//! is counted first and asked about, then changed in steps by the store; jobs that come later are not meant.

use anyhow::Result;
use clap::Args;
use queuectl_core::selector::{Filter, Selector, SelectorError, Word};
use queuectl_core::{JobRef, State};
use queuectl_storage::{
    JobFilter, MassChange, MassDone, NamedDone, NewOperation, Store, StoreError, frozen_request,
};
use queuectl_views::{CancelledView, CountView, RetriedView, WouldView};

use super::asked::Asked;
use super::batch::{for_each, line, say_result};
use super::confirm::{can_ask, confirm_change};
use super::doing::Doing;
use super::op::{as_operation, begin_operation, offer_undo};
use crate::context::Context;
use crate::exit::{Ended, Exit, Usage};
use crate::output::diagnostics;

/// Jobs that a dry run names.
const FIRST: u32 = 5;

/// Most jobs that a command takes that goes through them one by one.
const EACH: usize = 100_000;
/// Jobs whose numbers are read at a time.
const PAGE: u32 = 1000;
/// Why a job is left alone that is not running.
const NOT_RUNNING: &str = "does not fit state=processing";

/// Returns the jobs that words mean, for a command that goes through them one by one.
pub fn jobs(store: &mut Store, words: &[Word]) -> Result<Vec<JobRef>> {
    selected(store, &selector(words)?)
}

/// Returns the jobs that a selector means, for such a command.
pub fn selected(store: &mut Store, selector: &Selector) -> Result<Vec<JobRef>> {
    let now = store.now()?;
    if selector.is_by_name() {
        let only = store.narrowing(selector.filters(), now)?;
        let picks = selector.picks().iter();
        let jobs: Vec<JobRef> = picks.map(|pick| store.picked(pick)).collect::<Result<_, _>>()?;
        if !selector.filters().is_empty() {
            jobs.iter()
                .try_for_each(|job| store.check_fits(job, &only).map_err(plain))?;
        }
        return Ok(jobs);
    }
    let mut filter = store.job_filter(selector, now)?;
    store.freeze(&mut filter, now)?;
    let jobs = each(store, &filter)?;
    if jobs.is_empty() {
        diagnostics::note(&format!("no job fits '{selector}'"));
    }
    Ok(jobs)
}

/// What is only looked at is not said to be left alone.
fn plain(error: StoreError) -> anyhow::Error {
    match error {
        StoreError::LeftAlone { job, why } => {
            let why = match why == NOT_RUNNING {
                true => "is not running",
                false => &why,
            };
            let message = format!("job '{job}' {why}");
            let exit = Exit::CONFLICT;
            Ended { message, exit }.into()
        }
        error => error.into(),
    }
}

/// The numbers of all jobs that a filter means.
fn each(store: &mut Store, filter: &JobFilter) -> Result<Vec<JobRef>> {
    let (mut jobs, mut after) = (Vec::new(), None);
    loop {
        let page = store.select(filter, after, PAGE)?;
        jobs.extend(page.jobs.into_iter().map(JobRef::Number));
        if jobs.len() > EACH {
            let message = format!("these are more than {EACH} jobs, which are too many for this command");
            return Err(Usage::new(message)
                .hint("narrow them with a filter or a range; `queuectl help selectors`")
                .into());
        }
        after = page.next;
        if after.is_none() {
            return Ok(jobs);
        }
    }
}

/// Which jobs, and whether to ask.
#[derive(Debug, Args)]
pub struct ChangeArgs {
    /// The jobs: ids or numbers, 12-20, last, last~2, @GROUP; or filters such as state=dead queue=mail error~timeout
    /// older=2d, which narrow them (`queuectl help selectors`)
    #[arg(value_name = "JOB", required = true)]
    pub jobs: Vec<Word>,
    /// Only say how many jobs are meant, and which come first
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask about the jobs of a range, a group or a filter
    #[arg(long)]
    pub yes: bool,
}

/// Puts the words of a command line together.
pub fn selector(words: &[Word]) -> Result<Selector> {
    Ok(Selector::new(words.iter().cloned()).map_err(|error| Usage::new(error.to_string()))?)
}

/// Adds what an option says to a selector.
pub fn narrow(selector: &mut Selector, option: &str, filter: Option<Filter>) -> Result<()> {
    let Some(filter) = filter else { return Ok(()) };
    let narrowed = selector.narrow(filter).map_err(|error| match error {
        SelectorError::Twice(key) => {
            let message = format!("{option} and {}= narrow the same; give one of them", key.name);
            Usage::new(message)
        }
        error => Usage::new(error.to_string()),
    });
    Ok(narrowed?)
}

/// What was done to many jobs, for what is still to be done.
pub struct Many {
    /// Which jobs were meant.
    pub filter: JobFilter,
    pub done: MassDone,
}

/// A job that was named, and changed.
pub struct Named {
    /// As it was named.
    pub said: String,
    pub job: JobRef,
    pub done: NamedDone,
}

/// What became of the jobs.
pub enum Acted {
    /// They were named, and these were changed.
    Named(Vec<Named>),
    Many(Box<Many>),
    /// Nothing was to be done.
    DryRun,
}

impl ChangeArgs {
    /// Makes a change to the jobs and prints what became of them.
    pub fn act<'a>(
        &self,
        store: &mut Store,
        change: impl Into<Doing<'a>>,
        context: &Context,
    ) -> Result<(Exit, Acted)> {
        act(
            store,
            &selector(&self.jobs)?,
            change.into(),
            (self.dry_run, self.yes),
            context,
        )
    }
}

/// Makes a change to the jobs of a selector and prints what became of them; or only says which those are; or does not ask.
pub fn act(
    store: &mut Store,
    selector: &Selector,
    change: Doing<'_>,
    (is_dry, yes): (bool, bool),
    context: &Context,
) -> Result<(Exit, Acted)> {
    if is_dry || !selector.is_by_name() {
        let acted = act_on_many(store, selector, change, is_dry, yes, context)?;
        return Ok((Exit::OK, acted));
    }
    let now = store.now()?;
    let only = store.narrowing(selector.filters(), now)?;
    // All of them before the first is changed: `last~1` is another job once `last` is removed.
    let mut picked = Vec::new();
    for pick in selector.picks() {
        picked.push(match store.picked(pick) {
            Err(StoreError::NoSuchJob(_)) => None,
            job => Some(job?),
        });
    }
    let mut picked = picked.into_iter();
    let mut named = Vec::new();
    if let Some(kind) = change.kind() {
        begin_operation(store, kind, change.described(selector))?;
    }
    let exit = for_each(selector.picks(), context, |pick, records| {
        let job = picked.next().flatten();
        let job = job.ok_or_else(|| StoreError::NoSuchJob(pick.to_string()))?;
        let (done, result) = change.one(store, &job, &only)?;
        if !change.is_said_later(&done) {
            say_result(records, &pick.to_string(), result);
        }
        named.push(Named {
            said: pick.to_string(),
            job,
            done,
        });
        Ok(())
    });
    let operation = store.end_operation(now)?;
    let exit = exit?;
    if change.mass() == Some(MassChange::Purge) {
        offer_undo(store, operation, context);
    }
    Ok((exit, Acted::Named(named)))
}

/// Makes a change to all jobs that a selector means.
fn act_on_many(
    store: &mut Store,
    selector: &Selector,
    change: Doing<'_>,
    is_dry: bool,
    yes: bool,
    context: &Context,
) -> Result<Acted> {
    let now = store.now()?;
    let mut filter = store.job_filter(selector, now)?;
    filter.states = meant(&filter.states, change.states(), change.words().1)?;
    filter.change = change.mass();
    store.freeze(&mut filter, now)?;
    if is_dry {
        say_what_would_be(store, &filter, change.words().1, context)?;
        return Ok(Acted::DryRun);
    }
    let asked = match yes {
        true => None,
        false => match ask(store, &filter, selector, change.words(), context)? {
            None => {
                let done = MassDone::default();
                say_what_was_done(&done, change, context);
                return Ok(Acted::Many(Box::new(Many { filter, done })));
            }
            asked => asked,
        },
    };
    let total = asked.as_ref().map(Asked::jobs);
    let meanwhile = asked.map(|asked| asked.meanwhile(store, &filter)).transpose()?;
    let say = |done: &MassDone| {
        say_what_was_done(done, change, context);
        if let Some(why) = meanwhile.as_ref().and_then(|meanwhile| meanwhile.explained(done)) {
            context.output.remark(&why);
        }
    };
    let Some(kind) = change.kind() else {
        let done = change.all(store, &filter, total)?;
        say(&done);
        return Ok(Acted::Many(Box::new(Many { filter, done })));
    };
    let operation = NewOperation {
        kind: kind.to_owned(),
        what: change.described(selector),
        request: Some(frozen_request(&filter, change.edit(), None)),
        total,
    };
    let act = |store: &mut Store| Ok(change.all(store, &filter, total)?);
    let (done, operation) = as_operation(store, operation, act)?;
    say(&done);
    offer_undo(store, operation, context);
    Ok(Acted::Many(Box::new(Many { filter, done })))
}

/// Returns the jobs of a selector that have ended, for `rerun`; none if it only says which those are.
pub fn ended(
    store: &mut Store,
    args: &ChangeArgs,
    selector: &Selector,
    context: &Context,
) -> Result<Option<Vec<JobRef>>> {
    let now = store.now()?;
    let mut filter = store.job_filter(selector, now)?;
    filter.states = meant(&filter.states, MassChange::Purge.states(), "rerun")?;
    store.freeze(&mut filter, now)?;
    if args.dry_run {
        say_what_would_be(store, &filter, "rerun", context)?;
        return Ok(None);
    }
    if args.yes {
        return each(store, &filter).map(Some);
    }
    match ask(store, &filter, selector, ("rerun", "rerun"), context)? {
        None => Ok(Some(Vec::new())),
        Some(_) => each(store, &filter).map(Some),
    }
}

/// Asks whether to change the jobs, and how many there are. Returns those; none, without a question, if there are none: what fits
/// later was not asked about. Without a terminal there is no answer, however many there are.
fn ask(
    store: &mut Store,
    filter: &JobFilter,
    selector: &Selector,
    (verb, done): (&str, &str),
    context: &Context,
) -> Result<Option<Asked>> {
    let mut asked = None;
    let what = match can_ask() {
        false => format!("all jobs of '{selector}'"),
        true => match asked.insert(Asked::count(store, filter)?).jobs() {
            0 => return Ok(None),
            1 => "1 job".to_owned(),
            jobs => format!("{jobs} jobs"),
        },
    };
    // What is sent a signal is not named twice.
    let done = match done.split_once(' ') {
        Some((done, _)) => done,
        None if verb == "remove" => "removed",
        None => done,
    };
    confirm_change(verb, done, &what, context)?;
    Ok(asked)
}

/// The states that are meant of those in which this can be done to a job.
fn meant(asked: &[State], possible: &[State], done: &str) -> Result<Vec<State>> {
    if asked.is_empty() {
        return Ok(possible.to_vec());
    }
    let both: Vec<State> = asked
        .iter()
        .copied()
        .filter(|state| possible.contains(state))
        .collect();
    if both.is_empty() {
        let names = |states: &[State]| {
            let names: Vec<&str> = states.iter().map(|state| state.name()).collect();
            match names.split_last() {
                Some((last, others @ [_, ..])) => format!("{} or {last}", others.join(", ")),
                _ => names.concat(),
            }
        };
        return Err(Usage::new(format!(
            "jobs that are {} cannot be {done}; only those that are {} can",
            names(asked),
            names(possible)
        ))
        .into());
    }
    Ok(both)
}

fn say_what_would_be(store: &mut Store, filter: &JobFilter, done: &str, context: &Context) -> Result<()> {
    let jobs = store.count_selected(filter)?;
    let mut lines = Vec::new();
    let mut first = Vec::new();
    for id in store.select(filter, None, FIRST)?.jobs {
        let job = match store.job(&JobRef::Number(id)) {
            // It was removed meanwhile.
            Err(StoreError::NoSuchJob(_)) => continue,
            job => job?,
        };
        let name = job.public_id();
        lines.push(format!("  {name} ({}, queue {})", job.state, job.queue));
        first.push(name);
    }
    let mut said = line(jobs, &format!("would be {done}"));
    if !lines.is_empty() {
        said.push(':');
    }
    let more = jobs.saturating_sub(lines.len() as u64);
    if more > 0 {
        lines.push(format!("  and {more} more"));
    }
    let view = WouldView { jobs, first };
    context.output.document(&view, |page| {
        page.line(&said)?;
        lines.iter().try_for_each(|line| page.line(line))
    })?;
    Ok(())
}

fn say_what_was_done(done: &MassDone, change: Doing<'_>, context: &Context) {
    let output = &context.output;
    let jobs = done.changed;
    match change.mass() {
        // Its caller says it when they have stopped.
        Some(MassChange::Cancel) if matches!(change, Doing::CancelAndWait) && done.requested > 0 => {}
        Some(MassChange::Cancel) => {
            let stopping = match done.requested {
                0 => String::new(),
                1 => "; 1 running job is being stopped".to_owned(),
                jobs => format!("; {jobs} running jobs are being stopped"),
            };
            let view = CancelledView {
                jobs,
                stopping: done.requested,
            };
            output.done(&view, &format!("{}{stopping}", line(jobs, "cancelled")));
        }
        Some(MassChange::Retry) => {
            let skipped = done.held_back;
            output.done(&RetriedView { jobs, skipped }, &line(jobs, "will run again"));
            if skipped > 0 {
                let stay = if skipped == 1 { "stays" } else { "stay" };
                output.remark(&format!(
                    "{} as before: other jobs have their unique keys; retry them when those have ended",
                    line(skipped, stay)
                ));
            }
        }
        _ => {
            let said = match change {
                Doing::Signal(signalling) => line(jobs, signalling.will),
                _ => line(jobs, change.words().1),
            };
            output.done(&CountView { jobs }, &said);
        }
    }
}
