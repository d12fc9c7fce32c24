//! `schedule:remove`: forgets a schedule.

use anyhow::Result;
use clap::Args;
use queuectl_core::ScheduleName;
use queuectl_storage::ScheduleChange;
use queuectl_views::ScheduleChangedView;

use crate::commands::op::begin_operation;
use crate::context::Context;
use crate::exit::Exit;
use crate::registry::Run;

/// Remove schedules and the record of their ticks; their jobs stay
#[derive(Debug, Args)]
pub struct RemoveArgs {
    /// The schedules' names; all are removed or none
    #[arg(value_name = "NAME", required = true)]
    names: Vec<ScheduleName>,
}

impl Run for RemoveArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open_existing()?;
        let now = store.now()?;
        let changes: Vec<ScheduleChange> = self.names.iter().cloned().map(ScheduleChange::Remove).collect();
        let names: Vec<&str> = self.names.iter().map(ScheduleName::as_str).collect();
        begin_operation(&mut store, "schedule:remove", names.join(" "))?;
        store.change_schedules(&changes, now)?;
        for name in &self.names {
            let view = ScheduleChangedView {
                schedule: name.to_string(),
                result: "removed",
                next_due: None,
            };
            context.output.done(&view, &format!("schedule {name} removed"));
        }
        Ok(Exit::OK)
    }
}
