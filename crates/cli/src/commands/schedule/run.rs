//! `schedule:run`: makes a job of a schedule now.

use anyhow::Result;
use clap::Args;
use queuectl_core::ScheduleName;
use queuectl_views::EnqueuedView;

use crate::context::Context;
use crate::exit::Exit;
use crate::registry::Run;

/// Store a job of a schedule now; print its id
#[derive(Debug, Args)]
#[command(after_help = "\
Works while the schedule is paused, and moves none of its ticks. The job counts as a run: with --overlap skip, ticks are \
skipped until it has ended.")]
pub struct RunArgs {
    /// The schedule's name
    #[arg(value_name = "NAME")]
    name: ScheduleName,
}

impl Run for RunArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open_existing()?;
        let now = store.now()?;
        let id = store.run_schedule(&self.name, now)?.to_string();
        context.output.done(
            &EnqueuedView {
                id: &id,
                existing: false,
                replaced: None,
            },
            &id,
        );
        Ok(Exit::OK)
    }
}
