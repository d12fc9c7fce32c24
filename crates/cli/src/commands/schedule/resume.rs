//! `schedule:resume`: has a paused schedule go on.

use anyhow::Result;
use clap::Args;
use queuectl_core::ScheduleName;

use super::add::say;
use crate::commands::op::begin_operation;
use crate::context::Context;
use crate::exit::Exit;
use crate::registry::Run;

/// Make jobs of a paused schedule again
#[derive(Debug, Args)]
#[command(after_help = "The ticks in between are recorded as skipped; `schedule:backfill` runs them.")]
pub struct ResumeArgs {
    /// The schedule's name
    #[arg(value_name = "NAME")]
    name: ScheduleName,
}

impl Run for ResumeArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open_existing()?;
        let now = store.now()?;
        begin_operation(&mut store, "schedule:resume", self.name.to_string())?;
        let was_paused = store.resume_schedule(&self.name, now)?;
        let spec = store.schedule(&self.name)?.spec;
        let result = if was_paused { "resumed" } else { "was not paused" };
        say(&mut store, &spec, result, context)?;
        Ok(Exit::OK)
    }
}
