//! `purge`: removes ended jobs for good, by state and age.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use queuectl_core::{QueueName, State, Timestamp, parse_duration};
use queuectl_storage::PurgeFilter;

use super::batch::count;
use super::confirm::{confirm, meant};
use crate::context::Context;
use crate::exit::Exit;
use crate::registry::Run;

/// Remove ended jobs for good, with their attempts and output
#[derive(Debug, Args)]
#[command(after_help = "\
Asks first; without a terminal it needs --yes. Never removes jobs that have not ended. Nodes remove completed and \
cancelled jobs after the time in the setting `retention`; use this to remove them sooner. The file does not shrink, \
but new jobs reuse its space; see db:compact.")]
pub struct PurgeArgs {
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

/// Jobs removed per transaction; other writers wait for it.
const STEP: u32 = 500;

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
        let mut states = self.states.clone();
        if states.is_empty() {
            states = vec![State::Completed, State::Cancelled];
        }
        states.sort_unstable();
        states.dedup();
        if !self.dry_run && !self.yes {
            let names: Vec<&str> = states.iter().map(|state| state.name()).collect();
            let what = meant(&names.join(" and "), self.queue.as_ref(), self.older_than);
            confirm(&what, context)?;
        }
        let age = self.older_than.unwrap_or_default();
        let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        // The filter is exclusive, and a job that ended in this millisecond has ended.
        let before = Timestamp(store.now()?.0.saturating_sub(age).saturating_add(1));
        let mut jobs = 0;
        for state in states {
            let filter = PurgeFilter {
                state,
                queue: self.queue.clone(),
                ended_before: Some(before),
                limit: STEP,
            };
            jobs += if self.dry_run {
                store.count_purgeable(&filter)?
            } else {
                store.purge_all(&filter)?
            };
        }
        let what = if self.dry_run { "would be purged" } else { "purged" };
        Ok(count(jobs, what, context))
    }
}
