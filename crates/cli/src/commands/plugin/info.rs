//! `plugin:info`: everything about one plugin, and whether jobs could run on it now.

use std::io;

use anyhow::Result;
use clap::Args;
use queuectl_executor::PluginInfo;
use queuectl_views::PluginInfoView;
use serde_json::Value;

use super::{UNHEALTHY, ask, file};
use crate::context::Context;
use crate::exit::Exit;
use crate::output::page::Page;
use crate::registry::Run;

/// Describe a plugin, and say whether jobs can run on it now
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 1 if the plugin says that it cannot run jobs now, 7 if it cannot be loaded."
)]
pub struct InfoArgs {
    /// An executor's name, or a plugin's file
    #[arg(value_name = "NAME|FILE")]
    plugin: String,
}

impl Run for InfoArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let file = file(&self.plugin, context)?;
        let mut probe = ask(&file, context)?;
        let health = probe.fingerprint()?;
        let view = view(probe.info().clone(), file.display().to_string(), health.err());
        context.output.document(&view, |page| print(&view, page))?;
        Ok(if view.healthy { Exit::OK } else { UNHEALTHY })
    }
}

fn view(info: PluginInfo, file: String, reason: Option<String>) -> PluginInfoView {
    PluginInfoView {
        name: info.name,
        version: info.version,
        about: info.about,
        capabilities: info.capabilities,
        schema: info.schema,
        settings_schema: info.settings_schema,
        minor: info.minor,
        slots: info.slots,
        file,
        abi: format!("1.{}", info.minor),
        healthy: reason.is_none(),
        reason,
    }
}

fn print(view: &PluginInfoView, page: &mut Page) -> io::Result<()> {
    let schema = |schema: &Option<Value>| schema.as_ref().map(|schema| format!("{schema:#}"));
    let health = match &view.reason {
        None => "yes".to_owned(),
        Some(reason) => format!("no: {reason}"),
    };
    let fields = [
        ("name", Some(view.name.clone())),
        ("version", Some(view.version.clone())),
        ("about", Some(view.about.clone())),
        ("file", Some(view.file.clone())),
        ("abi", Some(view.abi.clone())),
        ("capabilities", Some(view.capabilities.join(", "))),
        ("functions", Some(view.slots.join(", "))),
        ("can run jobs", Some(health)),
        ("payload", schema(&view.schema)),
        ("settings", schema(&view.settings_schema)),
    ];
    let mut shown = fields
        .iter()
        .filter_map(|(name, value)| Some((name, value.as_ref()?)));
    shown.try_for_each(|(name, value)| page.block(name, value))
}
