//! `queue:set`: changes settings of one queue.

use anyhow::Result;
use clap::Args;
use queuectl_core::settings::per_queue_names;
use queuectl_core::{HookOn, QueueLimitChange, QueueLimitKey, QueueName, QueueSetting};
use queuectl_storage::Store;
use queuectl_views::QueueLimitView;

use crate::context::Context;
use crate::exit::{Exit, Usage};
use crate::operator;
use crate::output::warn_unprinted;
use crate::registry::Run;
use queuectl_frontend::load;

/// Change settings and limits of one queue; running nodes pick them up
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
         queues can have settings of their own.\n\n\
         It can also have limits, which hold on all nodes together: running is how many of its jobs run at a time, with 0 for \
         none; rate how many start in a length of time, such as 10/s or 100/10s; burst how many of those may come at once. \
         Jobs that run are never stopped. See docs/flow.md.\n\n\
         Examples:\n  queuectl queue:set mail max_retries=8 job_timeout=90\n  queuectl queue:set mail running=4 rate=10/s",
        per_queue_names()
    )
}

impl Run for SetArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut change = Change::default();
        for (key, value) in &self.settings {
            change.add(&self.queue, key, value)?;
        }
        let mut store = context.open_or_create()?;
        change.make(&mut store, &self.queue, context)?;
        Ok(Exit::OK)
    }
}

/// What is to change of a queue.
#[derive(Default)]
pub struct Change {
    settings: Vec<(QueueSetting, Option<String>)>,
    limit: Vec<QueueLimitChange>,
    keys: Vec<&'static str>,
}

impl Change {
    /// Adds a setting or a part of the limit with its new value; an empty one removes it.
    pub fn add(&mut self, queue: &QueueName, key: &str, value: &str) -> Result<()> {
        if let Some(key) = QueueLimitKey::find(key) {
            self.limit.push(key.change(value).map_err(Usage::new)?);
            self.keys.push(key.name());
            return Ok(());
        }
        let word = key.replace('-', "_");
        let on = HookOn::ALL
            .into_iter()
            .find(|on| word.strip_prefix("on_") == Some(on.name()));
        if let Some(on) = on {
            return Err(Usage::new(format!(
                "'{key}' is not a setting of a queue but a hook; add it with `queuectl hook:add --queue {queue} --on {on} COMMAND`"
            ))
            .into());
        }
        let setting = QueueSetting::find(queue.clone(), key)?;
        let value = match value.trim() {
            "" => None,
            value => Some(setting.key.parse(value)?),
        };
        self.keys.push(setting.key.name);
        self.settings.push((setting, value));
        Ok(())
    }

    /// Makes the change and prints what is in force then.
    pub fn make(self, store: &mut Store, queue: &QueueName, context: &Context) -> Result<()> {
        store.act_as(operator::name());
        store.change_queue(queue, &self.settings, &self.limit)?;
        print(store, queue, &self.keys, context)
    }
}

/// Prints these settings of a queue after a change.
fn print(store: &mut Store, queue: &QueueName, keys: &[&str], context: &Context) -> Result<()> {
    let now = store.now()?;
    let view = load::queue_settings(store, queue, now)?;
    let printed = context.output.document(&view, |page| {
        for key in keys {
            let value = match view.settings.get(key) {
                Some(setting) => setting.in_words(),
                None => part(view.limit.as_ref(), key),
            };
            page.line(&format!("{queue} {key} = {value}"))?;
        }
        Ok(())
    });
    warn_unprinted(printed, || format!("the settings of {queue} are changed"));
    Ok(())
}

/// A part of a queue's limit.
fn part(limit: Option<&QueueLimitView>, key: &str) -> String {
    let value = limit.and_then(|limit| match key {
        "running" => limit.running.map(|running| running.to_string()),
        "rate" => limit.rate.clone(),
        _ => limit.burst.map(|burst| burst.to_string()),
    });
    match (value, key) {
        (Some(value), _) => format!("{value} (queue)"),
        (None, "burst") => "none (default)".to_owned(),
        (None, _) => "any number (default)".to_owned(),
    }
}
