//! `resume`: has suspended jobs go on.

use anyhow::Result;
use clap::Args;
use queuectl_storage::RESUME;

use super::doing::{Doing, Signalling};
use super::select::ChangeArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::registry::Run;

/// Have suspended jobs go on
#[derive(Debug, Args)]
#[command(after_help = "\
The timeout of each job runs on from where it was.

Examples:
  queuectl resume 12
  queuectl resume state=processing --yes")]
pub struct ResumeArgs {
    #[command(flatten)]
    change: ChangeArgs,
}

impl Run for ResumeArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let signalling = Signalling {
            signal: RESUME,
            will: "will be resumed",
            words: ("resume", "resumed"),
        };
        let mut store = context.open()?;
        let (exit, _) = self.change.act(&mut store, Doing::Signal(&signalling), context)?;
        Ok(exit)
    }
}
