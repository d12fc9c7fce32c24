//! `queue:resume`: ends the pauses of queues.

use std::io;

use anyhow::Result;
use clap::Args;
use queuectl_core::QueueName;
use queuectl_views::QueueChangedView;

use super::pause::running;
use crate::context::Context;
use crate::exit::Exit;
use crate::operator;
use crate::output::warn_unprinted;
use crate::registry::Run;

/// Start jobs of paused queues again
#[derive(Debug, Args)]
pub struct ResumeArgs {
    /// The queues' names
    #[arg(value_name = "NAME", required = true)]
    queues: Vec<QueueName>,
}

impl Run for ResumeArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open()?;
        store.act_as(operator::name());
        let now = store.now()?;
        let resumed = store.resume_queues(&self.queues, now)?;
        let mut records = context.output.records(io::stdout());
        for (queue, was_paused) in self.queues.iter().zip(resumed) {
            let result = if was_paused { "resumed" } else { "was not paused" };
            let view = QueueChangedView {
                queue: queue.as_str(),
                result,
                until: None,
                running: running(&mut store, queue)?,
            };
            let line = format!("{queue} {result}");
            let printed = records.item(&view, &line);
            warn_unprinted(printed.and_then(|()| records.flush()), || line);
        }
        Ok(Exit::OK)
    }
}
