//! `op:show`: one operation, and whether it can be undone.

use anyhow::Result;
use clap::Args;

use super::{OneOperation, operation, view};
use crate::commands::batch::line;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::time::local;
use crate::registry::Run;

/// Show what an operation did, and whether it can be undone
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Its number in `op:list`, or last
    #[arg(value_name = "OP", value_parser = operation, allow_negative_numbers = true)]
    operation: OneOperation,
}

impl Run for ShowArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let view = view(self.operation.find(&mut context.open()?)?);
        context.output.document(&view, |page| {
            page.field("operation", &view.id.to_string())?;
            page.field("did", &view.kind)?;
            page.field("what", &view.what)?;
            page.field("by", view.by.as_deref().unwrap_or("unknown"))?;
            page.field("began", &local(view.at))?;
            match view.ended {
                true => page.field("ended", &local(view.updated_at))?,
                false => page.field(
                    "unfinished",
                    &format!(
                        "last step {}; if its command is gone, {} goes on",
                        local(view.updated_at),
                        match view.undo_of {
                            Some(other) => format!("`queuectl op:undo {other}`"),
                            None => format!("`queuectl op:resume {}`", view.id),
                        }
                    ),
                )?,
            }
            let of = view
                .total
                .map_or_else(String::new, |total| format!(" of {total}"));
            page.field("jobs", &format!("{}{of}", view.jobs))?;
            if view.stopping > 0 {
                page.field(
                    "stopped",
                    &format!("{} that ran; they do not come back", view.stopping),
                )?;
            }
            if view.left > 0 {
                page.field("left alone", &view.left.to_string())?;
            }
            match &view.not_undoable {
                Some(why) => page.field("undo", why),
                None if view.kept > 0 => {
                    let kib = view.kept_bytes.div_ceil(1024);
                    let jobs = view.kept;
                    let command = format!("`queuectl op:undo {}`", view.id);
                    let jobs = line(jobs, if jobs == 1 { "is kept" } else { "are kept" });
                    page.field("undo", &format!("{command}: {jobs} ({kib} KiB)"))
                }
                None => page.field("undo", &format!("`queuectl op:undo {}`", view.id)),
            }
        })?;
        Ok(Exit::OK)
    }
}
