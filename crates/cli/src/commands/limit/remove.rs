//! `limit:remove`: removes a limit.

use anyhow::Result;
use clap::Args;
use queuectl_core::LimitName;
use queuectl_storage::StoreError;
use queuectl_views::ChangedView;

use crate::context::Context;
use crate::exit::Exit;
use crate::operator;
use crate::output::diagnostics;
use crate::registry::Run;

/// Remove a limit; jobs that wait for it go on
#[derive(Debug, Args)]
#[command(after_help = "\
Jobs that name it keep doing so: they run without it, and count again if it is set again. New jobs that name it are \
refused, and so are those of schedules: their ticks are skipped, with this reason, until it is set again.")]
pub struct RemoveArgs {
    /// The limit
    name: LimitName,
}

impl Run for RemoveArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open()?;
        let now = store.now()?;
        store.act_as(operator::name());
        if !store.remove_limit(&self.name, now)? {
            return Err(StoreError::NoSuchLimit {
                name: self.name.to_string(),
                index: 0,
            }
            .into());
        }
        let view = ChangedView {
            id: self.name.to_string(),
            result: "removed",
        };
        context.output.done(&view, &format!("{}: removed", self.name));
        for schedule in store.schedules_naming(&self.name)? {
            diagnostics::note(&format!(
                "schedule {schedule} names it; its ticks make no jobs until `queuectl limit:set {}` makes it again",
                self.name
            ));
        }
        Ok(Exit::OK)
    }
}
