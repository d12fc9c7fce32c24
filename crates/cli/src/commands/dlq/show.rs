//! `dlq:show`: prints everything about one dead job.

use anyhow::Result;
use clap::Args;
use queuectl_core::JobRef;

use crate::commands::show;
use crate::context::Context;
use crate::exit::Exit;
use crate::registry::Run;

/// Show a dead job with its attempts
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The job's id or number
    #[arg(value_name = "JOB")]
    job: JobRef,
    /// Also show what may be secret, as with `show`
    #[arg(long)]
    secrets: bool,
}

impl Run for ShowArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open()?;
        let (job, attempts) = queuectl_dlq::show(&mut store, &self.job)?;
        show::print(&mut store, job, &attempts, self.secrets, context)?;
        Ok(Exit::OK)
    }
}
