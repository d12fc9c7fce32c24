//! `queue:drain`: pauses queues and waits until no job of them runs.

use std::io;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use queuectl_core::{QueueName, parse_duration, parse_reason, show_short};
use queuectl_storage::{Pause, Store};
use queuectl_views::QueueChangedView;

use super::pause::running;
use crate::commands::waiter::Waiter;
use crate::context::Context;
use crate::exit::{Ended, Exit};
use crate::operator;
use crate::output::progress::Progress;
use crate::output::warn_unprinted;
use crate::registry::Run;

/// Start no more jobs of queues and wait until their running jobs have ended
#[derive(Debug, Args)]
#[command(after_help = "\
The queues stay paused, also after a timeout, until `queue:resume`. A queue that is paused already keeps its reason \
and its end, unless --reason is given.

Exit status: 0 if no job of the queues runs any more, 124 if --timeout ran out.")]
pub struct DrainArgs {
    /// The queues' names
    #[arg(value_name = "NAME", required = true)]
    queues: Vec<QueueName>,
    /// Why, for those who see the pause
    #[arg(long, value_name = "TEXT", value_parser = parse_reason)]
    reason: Option<String>,
    /// Wait at most this long
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, allow_hyphen_values = true)]
    timeout: Option<Duration>,
}

impl Run for DrainArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open_or_create()?;
        self.pause(&mut store)?;
        let mut waiter = Waiter::new(self.timeout);
        let mut records = context.output.records(io::stdout());
        for queue in &self.queues {
            let mut progress = None;
            while waiter.ask(&mut store, |store| store.any_running(queue))? {
                // Only one that waits.
                progress.get_or_insert_with(|| Progress::of_unknown("waiting for running jobs"));
                if !waiter.pause() {
                    return Err(self.out_of_time(&mut store)?.into());
                }
            }
            drop(progress);
            let view = QueueChangedView {
                queue: queue.as_str(),
                result: "drained",
                until: None,
                running: 0,
            };
            let line = format!(
                "{queue} drained: none of its jobs runs, and none starts until `queuectl queue:resume {queue}`"
            );
            let printed = records.item(&view, &line);
            warn_unprinted(printed.and_then(|()| records.flush()), || line);
        }
        Ok(Exit::OK)
    }
}

impl DrainArgs {
    fn pause(&self, store: &mut Store) -> Result<()> {
        let now = store.now()?;
        let paused = store.pauses(now)?;
        let is_new = |queue: &&QueueName| self.reason.is_some() || !paused.contains_key(queue.as_str());
        let new: Vec<QueueName> = self.queues.iter().filter(is_new).cloned().collect();
        let pause = Pause {
            at: now,
            until: None,
            by: operator::name(),
            reason: self.reason.clone(),
        };
        Ok(store.pause_queues(&new, &pause)?)
    }

    fn out_of_time(&self, store: &mut Store) -> Result<Ended> {
        let mut left = Vec::new();
        for queue in &self.queues {
            match running(store, queue)? {
                0 => {}
                jobs => left.push(format!("{queue} ({jobs})")),
            }
        }
        let after = show_short(self.timeout.unwrap_or_default());
        Ok(Ended {
            message: format!(
                "timed out after {after}; jobs still run: {}; no more of them start",
                left.join(", ")
            ),
            exit: Exit::TIMEOUT,
        })
    }
}
