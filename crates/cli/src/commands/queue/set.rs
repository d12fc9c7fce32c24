//! `queue:set`: changes settings of one queue.

use anyhow::Result;
use clap::Args;
use queuectl_core::settings::per_queue_names;
use queuectl_core::{QueueName, QueueSetting};
use queuectl_storage::Store;

use crate::context::Context;
use crate::exit::Exit;
use crate::load;
use crate::output::warn_unprinted;
use crate::registry::Run;

/// Change settings of one queue; running nodes pick them up
#[derive(Debug, Args)]
#[command(after_help = help())]
pub struct SetArgs {
    /// The queue's name
    #[arg(value_name = "NAME")]
    queue: QueueName,
    /// A setting and its value; - and _ are interchangeable, and an empty value removes the setting from the queue
    #[arg(value_name = "KEY=VALUE", required = true, value_parser = pair)]
    settings: Vec<(String, String)>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text
        .split_once('=')
        .ok_or("expected KEY=VALUE, such as max_retries=5")?;
    Ok((key.to_owned(), value.to_owned()))
}

fn help() -> String {
    format!(
        "A queue can have {}; `config:list` describes them. What a job has of its own comes first, then its queue's, then \
         the setting for all queues, then the default; `queue:show` and `show` say where a value comes from. At most 1000 \
         queues can have settings of their own.",
        per_queue_names()
    )
}

impl Run for SetArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut changes = Vec::new();
        for (key, value) in &self.settings {
            let setting = QueueSetting::find(self.queue.clone(), key)?;
            let value = match value.trim() {
                "" => None,
                value => Some(setting.key.parse(value)?),
            };
            changes.push((setting, value));
        }
        let mut store = context.open_or_create()?;
        store.change_queue_settings(&changes)?;
        let keys: Vec<&str> = changes.iter().map(|(setting, _)| setting.key.name).collect();
        print(&mut store, &self.queue, &keys, context)?;
        Ok(Exit::OK)
    }
}

/// Prints these settings of a queue after a change.
pub fn print(store: &mut Store, queue: &QueueName, keys: &[&str], context: &Context) -> Result<()> {
    let view = load::queue_settings(queue, &store.stored_settings()?);
    let printed = context.output.document(&view, |page| {
        let settings = keys.iter().filter_map(|key| Some((key, view.settings.get(key)?)));
        for (key, setting) in settings {
            page.line(&format!("{queue} {key} = {}", setting.in_words()))?;
        }
        Ok(())
    });
    warn_unprinted(printed, || format!("the settings of {queue} are changed"));
    Ok(())
}
