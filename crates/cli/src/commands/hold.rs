//! `hold`: keeps jobs from starting until they are released.

use anyhow::Result;
use clap::Args;
use queuectl_storage::MassChange;

use super::select::ChangeArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::registry::Run;

/// Hold back jobs that have not started, until `release`
#[derive(Debug, Args)]
pub struct HoldArgs {
    #[command(flatten)]
    change: ChangeArgs,
}

impl Run for HoldArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open()?;
        let (exit, _) = self.change.act(&mut store, MassChange::Hold, context)?;
        Ok(exit)
    }
}
