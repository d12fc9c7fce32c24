//! `group:wait`: waits until the jobs of a group have ended.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use queuectl_core::group::Progress;
use queuectl_core::{GroupName, JobId, JobRef, parse_duration, show_short};
use queuectl_storage::{Store, StoreError};
use queuectl_views::GroupView;

use crate::commands::waiter::Waiter;
use crate::context::Context;
use crate::exit::{Ended, Exit};
use crate::output::diagnostics;
use crate::registry::Run;

/// Wait until all jobs of a group have ended
#[derive(Debug, Args)]
#[command(after_help = "\
It waits for the jobs that the group has, and for those that come meanwhile. It does not wait for the group to be closed, \
nor for the job that --then stores.

Exit status: 0 if all jobs are completed, 1 if one is dead or cancelled, 3 if there is no such group, 124 if --timeout ran \
out.")]
pub struct WaitArgs {
    /// The group's name
    name: GroupName,
    /// Wait at most this long
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, allow_hyphen_values = true)]
    timeout: Option<Duration>,
}

impl Run for WaitArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open()?;
        let mut waiter = Waiter::new(self.timeout);
        loop {
            let marker = waiter.ask(&mut store, Store::change_marker)?;
            let open = waiter.ask(&mut store, |store| {
                store.open_members(&self.name, JobId(i64::MIN), 1)
            })?;
            let Some(member) = open.first() else {
                return self.end(&mut store);
            };
            let job = waiter.ask(&mut store, |store| store.job(&JobRef::Number(member.id)));
            let job = match job {
                // It ended and was removed at this moment.
                Err(StoreError::NoSuchJob(_)) => continue,
                job => job?,
            };
            if !waiter.wait_for_change(&mut store, marker, &job)? {
                return Err(self.out_of_time(&mut store)?.into());
            }
        }
    }
}

impl WaitArgs {
    fn end(&self, store: &mut Store) -> Result<Exit> {
        let found = store.group(&self.name)?;
        if found.group.closed_at.is_none() {
            diagnostics::note(&format!(
                "group '{0}' is still open; `queuectl group:close {0}` says that no more jobs come",
                self.name
            ));
        }
        if found.progress.is_success() {
            return Ok(Exit::OK);
        }
        diagnostics::note(&format!(
            "group '{0}': {1}; `queuectl group:show {0}` names them",
            self.name,
            failures(&found.progress)
        ));
        Ok(Exit::NEGATIVE)
    }

    fn out_of_time(&self, store: &mut Store) -> Result<Ended> {
        let found = store.group(&self.name)?;
        let view = GroupView::new(&found.group, &found.progress, false);
        let after = show_short(self.timeout.unwrap_or_default());
        Ok(Ended {
            message: format!("timed out after {after}; group '{}': {}", self.name, view.ended()),
            exit: Exit::TIMEOUT,
        })
    }
}

/// Says how many jobs did not complete: `3 of 10 jobs did not complete: 2 dead, 1 cancelled`.
fn failures(progress: &Progress) -> String {
    let (failed, of) = (progress.dead + progress.cancelled, progress.total());
    let jobs = if of == 1 { "job" } else { "jobs" };
    let kinds = [(progress.dead, "dead"), (progress.cancelled, "cancelled")];
    let kinds = kinds.iter().filter(|(count, _)| *count > 0);
    let kinds: Vec<String> = kinds.map(|(count, kind)| format!("{count} {kind}")).collect();
    format!("{failed} of {of} {jobs} did not complete: {}", kinds.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_counted_by_how_they_ended() {
        let progress = |dead, cancelled| Progress {
            open: 0,
            completed: 1,
            dead,
            cancelled,
        };
        assert_eq!(
            failures(&progress(2, 1)),
            "3 of 4 jobs did not complete: 2 dead, 1 cancelled"
        );
        assert_eq!(
            failures(&progress(0, 1)),
            "1 of 2 jobs did not complete: 1 cancelled"
        );
    }
}
