//! `queue:show`: everything about one queue.

use anyhow::Result;
use clap::Args;
use queuectl_core::{QueueName, State, Timestamp};
use queuectl_views::{QueueSettingView, QueueView};

use crate::context::Context;
use crate::exit::Exit;
use crate::output::pause;
use crate::output::table::Column;
use crate::output::time::{local, relative};
use crate::registry::Run;
use queuectl_frontend::load;

/// Show one queue with the settings that its jobs follow
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The queue's name
    #[arg(value_name = "NAME")]
    queue: QueueName,
}

const SETTINGS: [Column; 3] = [
    Column::name("SETTING", 17),
    Column::name("VALUE", 10),
    Column::whole("FROM"),
];

fn row(key: &str, setting: &QueueSettingView) -> Vec<String> {
    vec![
        key.to_owned(),
        setting.value.clone(),
        setting.from.name().to_owned(),
    ]
}

impl Run for ShowArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open()?;
        let now = store.now()?;
        let view = load::queue(&mut store, &self.queue, now)?;
        context.output.document(&view, |page| {
            for (name, value) in fields(&view, now) {
                page.field(name, &value)?;
            }
            page.text("")?;
            let settings = view.settings.iter();
            page.table(&SETTINGS, settings.map(|(key, setting)| row(key, setting)))
        })?;
        Ok(Exit::OK)
    }
}

fn fields(view: &QueueView, now: Timestamp) -> Vec<(&'static str, String)> {
    let mut fields = vec![("queue", view.queue.clone())];
    if let Some(paused) = &view.paused {
        fields.push(("state", pause::in_words(paused, now)));
        if let Some(until) = paused.until {
            fields.push(("paused until", local(until)));
        }
    }
    if let Some(limit) = &view.limit {
        fields.push(("limit", limit.allows()));
        if limit.full {
            fields.push(("", format!("full: {} running", limit.jobs_running)));
        } else if let Some(next) = limit.next_at {
            fields.push(("", format!("next start {}", relative(next, now))));
        }
    }
    let nodes: Vec<String> = view.nodes.iter().map(ToString::to_string).collect();
    let nodes = if nodes.is_empty() {
        "none".to_owned()
    } else {
        nodes.join(", ")
    };
    fields.push(("nodes", nodes));
    fields.extend(State::ALL.map(|state| (state.name(), view.jobs.of(state).to_string())));
    if let Some(oldest) = view.oldest_pending {
        fields.push(("oldest", format!("pending since {}", relative(oldest, now))));
    }
    fields
}
