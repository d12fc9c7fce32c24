//! `plugin:probe`: a helper process that answers questions about a plugin. Other commands start it.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::context::Context;
use crate::exit::Exit;
use crate::registry::Run;

/// Answer questions about a plugin; other commands start this themselves
#[derive(Debug, Args)]
pub struct ProbeArgs {
    /// The plugin's file
    file: PathBuf,
}

impl Run for ProbeArgs {
    fn run(self, _: &Context) -> Result<Exit> {
        queuectl_worker::serve_probe(&self.file)?;
        Ok(Exit::OK)
    }
}
