//! `release`: lets held jobs go on.

use anyhow::Result;
use clap::Args;
use queuectl_storage::MassChange;

use super::select::ChangeArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::registry::Run;

/// Let held jobs go on; each keeps the time it is due
#[derive(Debug, Args)]
pub struct ReleaseArgs {
    #[command(flatten)]
    change: ChangeArgs,
}

impl Run for ReleaseArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open()?;
        let (exit, _) = self.change.act(&mut store, MassChange::Release, context)?;
        Ok(exit)
    }
}
