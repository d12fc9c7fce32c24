//! `retry`: runs jobs again, with fresh attempts.

use anyhow::Result;
use clap::Args;
use queuectl_storage::MassChange;

use super::select::ChangeArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::registry::Run;

/// Run dead, cancelled or failed jobs again, now and with fresh attempts
#[derive(Debug, Args)]
pub struct RetryArgs {
    #[command(flatten)]
    change: ChangeArgs,
}

impl Run for RetryArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open()?;
        let (exit, _) = self.change.act(&mut store, MassChange::Retry, context)?;
        Ok(exit)
    }
}
