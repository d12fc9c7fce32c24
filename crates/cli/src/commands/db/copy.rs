//! `db:copy`: copies a whole queue, also between SQLite and PostgreSQL.

use anyhow::Result;
use clap::Args;
use queuectl_storage::{EventPlace, Location, OpenMode, Store, StoreError};
use queuectl_views::CopyView;

use crate::context::Context;
use crate::exit::{Ended, Exit};
use crate::output::progress::Progress;
use crate::registry::Run;

/// Copy a queue, within or between SQLite and PostgreSQL
#[derive(Debug, Args)]
#[command(after_help = "\
Copies jobs, attempts, the stored part of their output, settings, and schedules with their ticks, then reads everything back and compares it. The \
target must be empty or not exist. Stop the nodes of the source first. The first node on the copy rescues jobs that were \
running when a node died. Files with long output stay where they are, and so do events.

Other users can see arguments: give a password in PGPASSWORD or ~/.pgpass rather than in a location.")]
pub struct CopyArgs {
    /// The queue to copy: a file path, sqlite:PATH or postgres://...
    #[arg(value_name = "FROM")]
    from: String,
    /// The target, in the same form
    #[arg(value_name = "TO")]
    to: String,
}

impl Run for CopyArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let (from, to): (Location, Location) = (self.from.parse()?, self.to.parse()?);
        let mut source = Store::open(&from, OpenMode::MustExist).map_err(|error| at(&from, error))?;
        if source.nodes_with_lives()?.iter().any(|(_, lives)| *lives) {
            return Err(StoreError::NodesLive.into());
        }
        let jobs = source.counts(None)?.iter().map(|count| count.jobs).sum();
        let mut progress = Progress::new("copying jobs", Some(jobs));
        let copied = source.copy_to_location(&to, |jobs| progress.set(jobs));
        drop(progress);
        let copied = copied.map_err(|error| at(&to, error))?;
        let view = CopyView {
            from: from.to_string(),
            to: to.to_string(),
            jobs: copied.jobs,
            attempts: copied.attempts,
            outputs: copied.outputs,
            settings: copied.settings,
            schedules: copied.schedules,
        };
        let line = format!(
            "copied {} jobs, {} attempts, {} outputs, {} settings and {} schedules to {}, and compared them",
            view.jobs, view.attempts, view.outputs, view.settings, view.schedules, view.to
        );
        context.output.done(&view, &line);
        if source.newest_events_from(None, 0)? != EventPlace::START {
            context.output.remark(&format!(
                "the events of {from} were not copied; the copy records its own"
            ));
        }
        Ok(Exit::OK)
    }
}

/// Returns an error that names its queue, one of two.
fn at(location: &Location, error: StoreError) -> Ended {
    let message = format!("{location}: {error}");
    let exit = crate::exit::classify(&error.into());
    Ended { message, exit }
}
