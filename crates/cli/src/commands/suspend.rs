//! `suspend`: suspends the processes of running jobs.

use anyhow::Result;
use clap::Args;
use queuectl_storage::SUSPEND;

use super::doing::{Doing, Signalling};
use super::select::ChangeArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::registry::Run;

/// Suspend running jobs: stop their processes for a while, until `resume`
#[derive(Debug, Args)]
#[command(after_help = "\
The node of each job suspends all its processes, so that they use no processor time and keep their memory, files and \
connections. The job stays `processing` and keeps its slot and its limits; the time does not count for its timeout. `cancel`, \
`kill` and a stop of the node work as always.

`queuectl queue:pause` is something else: it starts no more jobs of a queue and leaves running ones alone; `queuectl hold` \
keeps a job from starting.

Examples:
  queuectl suspend 12
  queuectl suspend queue=encode --yes")]
pub struct SuspendArgs {
    #[command(flatten)]
    change: ChangeArgs,
}

impl Run for SuspendArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let signalling = Signalling {
            signal: SUSPEND,
            will: "will be suspended",
            words: ("suspend", "suspended"),
        };
        let mut store = context.open()?;
        let (exit, _) = self.change.act(&mut store, Doing::Signal(&signalling), context)?;
        Ok(exit)
    }
}
