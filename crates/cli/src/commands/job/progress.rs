//! `job:progress`: says how far a job is.

use anyhow::Result;
use clap::Args;
use queuectl_core::settings::Durability;
use queuectl_core::{JobReport, parse_message, parse_percent};

use super::report;
use crate::context::Context;
use crate::exit::Exit;
use crate::registry::Run;

/// Say how far the job is that this command is part of
#[derive(Debug, Args)]
#[command(after_help = "\
For the command of a job: `list`, `show`, `top` and `wait` show it while the job runs. Prints nothing. What is not given stays as it was.

The newest report counts. A job can report 10 times a second; a report that comes sooner waits until then. Reports are not \
waited for until they are on the disk, so a power cut can lose the last ones.

Examples:
  queuectl job progress 40
  queuectl job progress 80 --message 'page 8 of 10'")]
pub struct ProgressArgs {
    /// Hundredths of the work: 0 to 100
    #[arg(value_name = "PERCENT", required_unless_present = "message", value_parser = parse_percent, allow_hyphen_values = true)]
    percent: Option<u8>,
    /// What the job is doing, on one line of at most 1024 bytes; '' for nothing
    #[arg(short, long, value_name = "TEXT", value_parser = parse_message)]
    message: Option<String>,
}

impl Run for ProgressArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let (percent, message) = (self.percent, self.message);
        report(context, &JobReport::Progress { percent, message }, |store| {
            Ok(store.set_durability(Durability::Normal)?)
        })
    }
}
