//! `version`: the same as `--version`.

use std::io::{self, Write};

use anyhow::Result;
use clap::Args;

use crate::context::Context;
use crate::exit::Exit;
use crate::registry::Run;

/// Same as --version
#[derive(Debug, Args)]
pub struct VersionArgs {}

impl Run for VersionArgs {
    fn run(self, _: &Context) -> Result<Exit> {
        writeln!(io::stdout(), "queuectl {}", env!("CARGO_PKG_VERSION"))?;
        Ok(Exit::OK)
    }
}
