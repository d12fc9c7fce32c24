//! `db:path`: prints the queue's location.

use anyhow::Result;
use clap::Args;
use queuectl_views::PathView;

use crate::context::Context;
use crate::exit::Exit;
use crate::registry::Run;

/// Print the queue's location
#[derive(Debug, Args)]
pub struct PathArgs {}

impl Run for PathArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let view = PathView {
            db: context.location.to_string(),
            folder: context.location.state_dir().display().to_string(),
        };
        context.output.document(&view, |page| page.line(&view.db))?;
        Ok(Exit::OK)
    }
}
