//! `priority`: has jobs start before or after others.

use anyhow::Result;
use clap::Args;
use queuectl_core::limits::PRIORITY;
use queuectl_core::{JobEdit, JobSpec};

use super::edit::edit_jobs;
use super::select::ChangeArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::number::whole;
use crate::registry::Run;

/// Change the priority of jobs that do not run
#[derive(Debug, Args)]
#[command(after_help = "\
The same as `queuectl edit --priority N JOB...`.

Examples:
  queuectl priority 10 last
  queuectl priority -5 queue=reports")]
pub struct PriorityArgs {
    /// The new priority; higher runs first, and 0 is the default
    #[arg(value_name = "N", allow_negative_numbers = true, value_parser = whole::<i32>(PRIORITY))]
    priority: i32,
    #[command(flatten)]
    change: ChangeArgs,
}

impl Run for PriorityArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let edit = JobEdit {
            set: JobSpec {
                priority: Some(self.priority),
                ..JobSpec::default()
            },
            ..JobEdit::default()
        };
        let verb = format!("give priority {} to", self.priority);
        let described = format!("priority {}", self.priority);
        let command = ("priority", described);
        edit_jobs(
            &self.change,
            &edit,
            command,
            (&verb, "changed"),
            "changed",
            context,
        )
    }
}
