//! `help COMMAND`: the same as `COMMAND --help`.

use std::ffi::OsString;

use anyhow::Result;
use clap::Args;

use crate::context::Context;
use crate::exit::Exit;
use crate::registry::Run;

/// Same as COMMAND --help
#[derive(Debug, Args)]
pub struct HelpArgs {
    /// The command
    #[arg(value_name = "COMMAND", trailing_var_arg = true)]
    words: Vec<OsString>,
}

impl Run for HelpArgs {
    fn reread(&mut self, words: &[OsString], _: bool) -> Result<Option<Vec<OsString>>, String> {
        let asked = words.iter().take(1).chain(&self.words).cloned();
        Ok(Some(asked.chain(["--help".into()]).collect()))
    }

    fn run(self, _: &Context) -> Result<Exit> {
        // Reading `COMMAND --help` has printed it.
        Ok(Exit::OK)
    }
}
