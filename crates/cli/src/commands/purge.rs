//! `purge`: removes ended jobs, by state and age.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use queuectl_core::selector::{Filter, Selector, Word};
use queuectl_core::{QueueName, State, Timestamp, parse_duration};
use queuectl_storage::{JobFilter, MassChange, NewOperation, PurgeFilter, Store, frozen_request};

use super::batch::count;
use super::confirm::{confirm, meant};
use super::doing::Doing;
use super::op::{as_operation, offer_undo};
use super::select::{act, narrow, selector};
use crate::context::Context;
use crate::exit::Exit;
use crate::registry::Run;

/// Remove ended jobs, with their attempts and output
#[derive(Debug, Args)]
#[command(after_help = "\
Asks first, unless all jobs are named by ids, numbers or last; without a terminal it then needs --yes. Never removes \
jobs that have not ended. Nodes remove completed and cancelled jobs after the time in the setting `retention`; use this \
to remove them sooner. For the time in the setting `op_retention`, they can be brought back with op:undo and still take \
space. The file does not shrink, but new jobs reuse its space; see db:compact.")]
pub struct PurgeArgs {
    /// The jobs: ids or numbers, 12-20, last, last~2, @GROUP; or filters such as queue=mail error~timeout older=30d,
    /// which narrow them (`queuectl help selectors`)
    #[arg(value_name = "JOB")]
    jobs: Vec<Word>,
    /// Jobs in this state: completed, cancelled or dead; may be repeated [default: completed and cancelled]
    #[arg(long = "state", value_name = "STATE", value_parser = final_state)]
    states: Vec<State>,
    /// Only jobs of this queue
    #[arg(long, value_name = "NAME")]
    queue: Option<QueueName>,
    /// Only jobs that ended longer ago
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, allow_hyphen_values = true)]
    older_than: Option<Duration>,
    /// Only say how many jobs would be removed
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

fn final_state(text: &str) -> Result<State, String> {
    let state: State = text.parse().map_err(|error| format!("{error}"))?;
    if state.is_final() {
        Ok(state)
    } else {
        Err(format!("jobs in state {state} have not ended; cancel them first"))
    }
}

impl Run for PurgeArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open()?;
        if !self.jobs.is_empty() {
            return self.purge_selected(&mut store, context);
        }
        let mut states = self.states.clone();
        if states.is_empty() {
            states = vec![State::Completed, State::Cancelled];
        }
        states.sort_unstable();
        states.dedup();
        let age = self.older_than.unwrap_or_default();
        let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        // The filter is exclusive, and a job that ended in this millisecond has ended. Those that end after the
        // question are not meant.
        let before = Timestamp(store.now()?.0.saturating_sub(age).saturating_add(1));
        if !self.dry_run && !self.yes {
            let names: Vec<&str> = states.iter().map(|state| state.name()).collect();
            let what = meant(&names.join(" and "), self.queue.as_ref(), self.older_than);
            confirm(&what, context)?;
        }
        if self.dry_run {
            let mut jobs = 0;
            for state in states {
                jobs += store.count_purgeable(&PurgeFilter {
                    state,
                    queue: self.queue.clone(),
                    ended_before: Some(before),
                    limit: 0,
                })?;
            }
            return Ok(count(jobs, "would be purged", context));
        }
        let mut selector = Selector::default();
        narrow(&mut selector, "--state", Some(Filter::State(states.clone())))?;
        narrow(
            &mut selector,
            "--queue",
            self.queue.clone().map(|queue| Filter::Queue(vec![queue])),
        )?;
        narrow(&mut selector, "--older-than", self.older_than.map(Filter::Older))?;
        let filter = JobFilter {
            states,
            until: Some(Timestamp(before.0.saturating_sub(1))),
            change: Some(MassChange::Purge),
            ..JobFilter::default().in_queue(self.queue.as_ref())
        };
        let operation = NewOperation {
            kind: MassChange::Purge.name().to_owned(),
            what: selector.to_string(),
            request: Some(frozen_request(&filter, None, None)),
            total: None,
        };
        let doing = Doing::from(MassChange::Purge);
        let act = |store: &mut Store| Ok(doing.all(store, &filter, None)?);
        let (done, operation) = as_operation(&mut store, operation, act)?;
        let exit = count(done.changed, "purged", context);
        offer_undo(&mut store, operation, context);
        Ok(exit)
    }
}

impl PurgeArgs {
    /// Removes jobs of a selector, which options narrow, too. Dead jobs only if their state is asked for, or if they are named.
    fn purge_selected(self, store: &mut Store, context: &Context) -> Result<Exit> {
        let mut selector = selector(&self.jobs)?;
        let is_state = |filter: &Filter| matches!(filter, Filter::State(_));
        if !self.states.is_empty() {
            narrow(&mut selector, "--state", Some(Filter::State(self.states)))?;
        } else if !selector.is_by_name() && !selector.filters().iter().any(is_state) {
            let states = vec![State::Completed, State::Cancelled];
            narrow(&mut selector, "purge", Some(Filter::State(states)))?;
        }
        narrow(
            &mut selector,
            "--queue",
            self.queue.map(|queue| Filter::Queue(vec![queue])),
        )?;
        narrow(&mut selector, "--older-than", self.older_than.map(Filter::Older))?;
        let (exit, _) = act(
            store,
            &selector,
            MassChange::Purge.into(),
            (self.dry_run, self.yes),
            context,
        )?;
        Ok(exit)
    }
}
