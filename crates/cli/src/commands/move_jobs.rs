//! `move`: puts jobs into another queue.

use anyhow::Result;
use clap::Args;
use queuectl_core::{JobEdit, JobSpec, QueueName};

use super::edit::edit_jobs;
use super::select::ChangeArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::registry::Run;

/// Move jobs that do not run to another queue
#[derive(Debug, Args)]
#[command(after_help = "\
The same as `queuectl edit --queue NAME JOB...`. From then on the settings, the limit and the pause of the new queue count, and so \
do its hooks; limits that the job names itself stay. The queue need not have had jobs before.

Examples:
  queuectl move slow 12
  queuectl move mail2 queue=mail state=pending")]
pub struct MoveArgs {
    /// The queue that the jobs go to
    #[arg(value_name = "QUEUE")]
    queue: QueueName,
    #[command(flatten)]
    change: ChangeArgs,
}

impl Run for MoveArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let edit = JobEdit {
            set: JobSpec {
                queue: Some(self.queue.clone()),
                ..JobSpec::default()
            },
            ..JobEdit::default()
        };
        let verb = format!("move to queue '{}'", self.queue);
        let described = format!("queue {}", self.queue);
        edit_jobs(
            &self.change,
            &edit,
            ("move", described),
            (&verb, "moved"),
            "moved",
            context,
        )
    }
}
