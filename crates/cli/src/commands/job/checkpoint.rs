//! `job:checkpoint`: says from where the next attempt of a job goes on.

use anyhow::Result;
use clap::Args;
use queuectl_core::limits::CHECKPOINT_BYTES;
use queuectl_core::{JobReport, parse_checkpoint};

use super::{report, text_of};
use crate::context::Context;
use crate::exit::{Exit, Usage};
use crate::registry::Run;

/// Store from where the next attempt of the job goes on
#[derive(Debug, Args)]
#[command(after_help = "\
For the command of a job: its later attempts find the newest checkpoint in QUEUECTL_CHECKPOINT, also after `retry`. Once the command \
has ended with status 0, the checkpoint is on the disk.

Examples:
  queuectl job checkpoint page=8
  start=${QUEUECTL_CHECKPOINT:-0}")]
pub struct CheckpointArgs {
    /// The checkpoint: any text of at most 16 KiB; - reads standard input
    #[arg(
        value_name = "TEXT",
        required_unless_present = "clear",
        allow_hyphen_values = true
    )]
    text: Option<String>,
    /// Remove the checkpoint, so that the next attempt starts over
    #[arg(long, conflicts_with = "text")]
    clear: bool,
}

impl Run for CheckpointArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let text = self
            .text
            .map(|text| text_of(&text, CHECKPOINT_BYTES, "the checkpoint"));
        let text = text.transpose()?.map(|text| parse_checkpoint(&text)).transpose();
        let checkpoint = text.map_err(Usage::new)?;
        report(context, &JobReport::Checkpoint(checkpoint), |_| Ok(()))
    }
}
