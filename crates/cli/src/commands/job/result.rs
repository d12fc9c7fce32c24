//! `job:result`: stores what a job has found.

use anyhow::Result;
use clap::Args;
use queuectl_core::limits::RESULT_BYTES;
use queuectl_core::{JobReport, parse_result};

use super::{report, text_of};
use crate::context::Context;
use crate::exit::{Exit, Usage};
use crate::registry::Run;

/// Store what the job has found, as JSON
#[derive(Debug, Args)]
#[command(after_help = "\
For the command of a job: `queuectl show` has it as `result`. The last one of the newest attempt counts; a later attempt starts without \
one. Once the command has ended with status 0, the result is on the disk.

Examples:
  queuectl job result '{\"pages\": 10}'
  make-report | queuectl job result -")]
pub struct ResultArgs {
    /// JSON of at most 64 KiB; - reads standard input
    #[arg(value_name = "JSON", allow_hyphen_values = true)]
    result: String,
}

impl Run for ResultArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        // Blank space around it does not count.
        let text = text_of(&self.result, 2 * RESULT_BYTES, "the result")?;
        let result = parse_result(&text).map_err(Usage::new)?;
        report(context, &JobReport::Result(result), |_| Ok(()))
    }
}
