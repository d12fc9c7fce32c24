//! `schedule:list`: the schedules, and when each runs next.

use anyhow::Result;
use clap::Args;
use queuectl_core::{OwnerName, Timestamp};
use queuectl_views::ScheduleView;

use crate::context::Context;
use crate::exit::Exit;
use crate::output::table::Column;
use crate::output::time::relative;
use crate::registry::Run;

/// List the schedules
#[derive(Debug, Args)]
#[command(after_help = "`schedule:next NAME` has the exact times, `schedule:show NAME` the last ticks.")]
pub struct ListArgs {
    /// Only those of this owner, see `schedule:apply`
    #[arg(long, value_name = "OWNER")]
    owner: Option<OwnerName>,
}

const COLUMNS: [Column; 7] = [
    Column::name("SCHEDULE", 8),
    Column::name("WHEN", 9),
    Column::name("ZONE", 6).expendable(2),
    Column::whole("NEXT"),
    Column::name("QUEUE", 5).expendable(3),
    Column::name("COMMAND", 8).expendable(1),
    Column::sentence("PAUSED", 8).if_any(),
];

impl Run for ListArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open()?;
        let now = store.now()?;
        let mut list = context.output.list(&COLUMNS)?;
        for schedule in store.schedules(self.owner.as_ref())? {
            let view = ScheduleView::from(schedule);
            list.item(&view, || row(&view, now))?;
        }
        list.end()?;
        Ok(Exit::OK)
    }
}

fn row(view: &ScheduleView, now: Timestamp) -> Vec<String> {
    let next = match (view.paused_at, view.next_due) {
        (None, Some(next)) => relative(next, now),
        _ => "-".to_owned(),
    };
    let paused = view.paused_at.map(|at| {
        let since = relative(at, now);
        let reason = view.paused_reason.as_ref();
        reason.map_or_else(|| since.clone(), |reason| format!("{since}: {reason}"))
    });
    vec![
        view.schedule.clone(),
        view.when.clone(),
        view.tz.clone(),
        next,
        view.queue.to_string(),
        view.unreadable.clone().unwrap_or_else(|| view.command.clone()),
        paused.unwrap_or_default(),
    ]
}
