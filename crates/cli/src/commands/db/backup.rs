//! `db:backup`: copies the queue to a file.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use queuectl_views::BackupView;

use crate::context::Context;
use crate::exit::Exit;
use crate::output::progress::Progress;
use crate::registry::Run;

/// Copy the queue to a new file while nodes keep working
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// The new file; it must not exist
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

impl Run for BackupArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open_existing()?;
        let progress = Progress::of_unknown("copying the queue");
        let copied = store.backup(&self.file);
        drop(progress);
        copied?;
        let file = self.file.display().to_string();
        let line = format!("copied to {file}");
        context.output.done(&BackupView { file }, &line);
        Ok(Exit::OK)
    }
}
