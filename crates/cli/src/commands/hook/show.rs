//! `hook:show`: everything about one hook.

use anyhow::Result;
use clap::Args;
use queuectl_core::{HookName, HookOn, show_time};
use queuectl_views::HookView;

use crate::context::Context;
use crate::exit::Exit;
use crate::output::time::local;
use crate::registry::Run;

/// Show a hook
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The hook
    #[arg(value_name = "HOOK")]
    name: HookName,
}

impl Run for ShowArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let view = HookView::from(context.open()?.hook(&self.name)?);
        context.output.document(&view, |page| {
            page.field("hook", view.name.as_str())?;
            page.field("on", &events(&view))?;
            page.field("of", &scope(&view))?;
            if view.when_dead.is_some() {
                let again = match view.again_after_ms {
                    Some(ms) => format!("{} later, or when fewer were dead", show_time(ms)),
                    None => "when fewer were dead".to_owned(),
                };
                page.field("again", &again)?;
                if let Some(at) = view.fired_at {
                    page.field("last ran", &local(at))?;
                }
            }
            page.field("command", &view.command)?;
            if let Some(cwd) = &view.cwd {
                page.field("folder", cwd)?;
            }
            let to_queue = view.to_queue.as_ref().map(ToString::to_string);
            page.field(
                "to queue",
                &to_queue.unwrap_or_else(|| "that of the job".to_owned()),
            )?;
            page.field("added", &local(view.created_at))
        })?;
        Ok(Exit::OK)
    }
}

/// Says what a hook runs for: `failure,death`, `10 dead`.
pub fn events(view: &HookView) -> String {
    if let Some(dead) = view.when_dead {
        return format!("{dead} dead");
    }
    let names: Vec<&str> = view.on.iter().copied().map(HookOn::name).collect();
    names.join(",")
}

/// Says whose jobs a hook is for.
pub fn scope(view: &HookView) -> String {
    let queue = view.queue.as_ref().map(|queue| format!("queue {queue}"));
    let schedule = view
        .schedule
        .as_ref()
        .map(|schedule| format!("schedule {schedule}"));
    let parts: Vec<String> = queue.into_iter().chain(schedule).collect();
    match parts.is_empty() {
        true => "all jobs".to_owned(),
        false => parts.join(", "),
    }
}
