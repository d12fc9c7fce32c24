//! `schedule:pause`: makes no more jobs, until the schedule is resumed.

use anyhow::Result;
use clap::Args;
use queuectl_core::{ScheduleName, parse_reason};
use queuectl_views::ScheduleChangedView;

use crate::commands::op::begin_operation;
use crate::context::Context;
use crate::exit::Exit;
use crate::registry::Run;

/// Make no more jobs of a schedule; existing ones go on
#[derive(Debug, Args)]
#[command(after_help = "\
When the schedule is resumed, the ticks in between are recorded as skipped. `schedule:run` and `schedule:backfill` \
still work.")]
pub struct PauseArgs {
    /// The schedule's name
    #[arg(value_name = "NAME")]
    name: ScheduleName,
    /// Why, for those who see the pause
    #[arg(long, value_name = "TEXT", value_parser = parse_reason)]
    reason: Option<String>,
}

impl Run for PauseArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open_existing()?;
        let now = store.now()?;
        let reason = self.reason.as_ref().map(|reason| format!(": {reason}"));
        let what = format!("{}{}", self.name, reason.unwrap_or_default());
        begin_operation(&mut store, "schedule:pause", what)?;
        let was_new = store.pause_schedule(&self.name, self.reason.as_deref(), now)?;
        let result = if was_new { "paused" } else { "was paused already" };
        let view = ScheduleChangedView {
            schedule: self.name.to_string(),
            result,
            next_due: None,
        };
        context
            .output
            .done(&view, &format!("schedule {} {result}", self.name));
        Ok(Exit::OK)
    }
}
