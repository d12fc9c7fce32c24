//! `op:undo`: takes back what an operation did.

use anyhow::Result;
use clap::Args;
use queuectl_views::UndoneView;

use super::{OneOperation, operation};
use crate::commands::batch::line;
use crate::context::Context;
use crate::exit::Exit;
use crate::operator;
use crate::output::progress::Progress;
use crate::registry::Run;

/// Take back what an operation did, as far as nothing has happened to it since
#[derive(Debug, Args)]
#[command(after_help = "\
cancel, group:cancel, hold and release: the jobs wait again as they did, with their attempts, times and holds. Running jobs that were \
stopped stay cancelled; `retry` runs them again. edit, move and priority: parts that are still as they were set get \
their old values. purge: the jobs are there again with their numbers, ids, attempts and the output that the database has; \
long outputs, which are files, are gone. Settings get their old values, and schedules that were edited, removed, paused or resumed are as before. A retry cannot be undone, nor can an undo: \
repeat the command.

What was changed since is left alone and counted, and the exit status is 1 then. An undo that was cut off goes on when \
it is repeated.")]
pub struct UndoArgs {
    /// Its number in `op:list`, or last
    #[arg(value_name = "OP", value_parser = operation, allow_negative_numbers = true)]
    operation: OneOperation,
}

impl Run for UndoArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open()?;
        let found = self.operation.find(&mut store)?;
        let now = store.now()?;
        let mut progress = Progress::new("jobs looked at:", Some(found.kept).filter(|kept| *kept > 0));
        let undone = store.undo(found.id, &operator::name(), now, |jobs| progress.set(jobs));
        drop(progress);
        let undone = undone?;
        let (restored, left) = (undone.restored, undone.left);
        let said = match found.kept {
            0 if found.kind.starts_with("schedule:") => match left {
                0 => "the schedules are as before".to_owned(),
                _ => "schedules were left alone that were changed since".to_owned(),
            },
            0 if left == 0 => "the setting is as before".to_owned(),
            0 => "the setting was left alone".to_owned(),
            _ if restored == 1 => "1 job is as before".to_owned(),
            _ => format!("{restored} jobs are as before"),
        };
        let said = match left {
            0 => said,
            _ if found.kept == 0 => said,
            1 => format!("{said}; 1 job was left alone"),
            _ => format!("{said}; {}", line(left, "were left alone")),
        };
        let view = UndoneView {
            operation: undone.operation,
            restored,
            left,
            reasons: undone.reasons,
        };
        context.output.done(&view, &said);
        for reason in &view.reasons {
            context.output.remark(reason);
        }
        Ok(match left {
            0 => Exit::OK,
            _ => Exit::NEGATIVE,
        })
    }
}
