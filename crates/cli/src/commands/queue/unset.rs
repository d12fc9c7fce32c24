//! `queue:unset`: removes settings of one queue.

use anyhow::Result;
use clap::Args;
use queuectl_core::settings::per_queue;
use queuectl_core::{QueueLimitKey, QueueName};

use super::set::Change;
use crate::context::Context;
use crate::exit::Exit;
use crate::registry::Run;

/// Remove settings and limits of one queue; its jobs follow those for all queues again
#[derive(Debug, Args)]
pub struct UnsetArgs {
    /// The queue's name
    #[arg(value_name = "NAME")]
    queue: QueueName,
    /// The settings; - and _ are interchangeable [default: all that the queue has]
    #[arg(value_name = "KEY")]
    settings: Vec<String>,
}

impl Run for UnsetArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let limit = QueueLimitKey::ALL.map(QueueLimitKey::name);
        let all = per_queue().map(|key| key.name).chain(limit);
        let named = self.settings.iter().map(String::as_str);
        let keys: Vec<&str> = match self.settings.is_empty() {
            true => all.collect(),
            false => named.collect(),
        };
        let mut change = Change::default();
        for key in keys {
            change.add(&self.queue, key, "")?;
        }
        let mut store = context.open()?;
        change.make(&mut store, &self.queue, context)?;
        Ok(Exit::OK)
    }
}
