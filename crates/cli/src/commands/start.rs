//! `start`: starts waiting jobs now, past what they wait for.

use anyhow::Result;
use clap::Args;
use queuectl_storage::MassChange;

use super::select::ChangeArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::registry::Run;

/// Start waiting jobs now, past pauses, times, holds and limits
#[derive(Debug, Args)]
#[command(after_help = "\
The next node with a free slot that serves the queue of such a job claims it first, even if the queue is paused, the job is \
scheduled, held or waits for its retry, or a limit is full. It counts for its limits like any other, so one may run more jobs \
than it allows (`limit:show` says how many of them were started so), and others wait longer.

A job that waits for other jobs is refused: for dependencies, for the job that has its unique key, or for an earlier run of its \
schedule. Any other change of the job before a node claims it, such as `hold`, `cancel` or `edit`, takes the start back. It is \
for one attempt: a retry waits like any other.

Examples:
  queuectl start 12 --now
  queuectl start @nightly --now --yes")]
pub struct StartArgs {
    #[command(flatten)]
    change: ChangeArgs,
    /// Start them past everything but other jobs; there is no other way to start one
    #[arg(long, required = true)]
    now: bool,
}

impl Run for StartArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open()?;
        let (exit, _) = self.change.act(&mut store, MassChange::Start, context)?;
        Ok(exit)
    }
}
