//! `queue:unset`: removes settings of one queue.

use anyhow::Result;
use clap::Args;
use queuectl_core::{QueueName, QueueSetting};

use super::set::print;
use crate::context::Context;
use crate::exit::Exit;
use crate::registry::Run;

/// Remove settings of one queue; its jobs follow those for all queues again
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
        let settings: Vec<QueueSetting> = match self.settings.is_empty() {
            true => QueueSetting::all(&self.queue).collect(),
            false => {
                let named = self.settings.iter();
                let found = named.map(|key| QueueSetting::find(self.queue.clone(), key));
                found.collect::<Result<_, _>>()?
            }
        };
        let mut store = context.open()?;
        let keys: Vec<&str> = settings.iter().map(|setting| setting.key.name).collect();
        let changes: Vec<_> = settings.into_iter().map(|setting| (setting, None)).collect();
        store.change_queue_settings(&changes)?;
        print(&mut store, &self.queue, &keys, context)?;
        Ok(Exit::OK)
    }
}
