//! `plugin:info`: everything about one plugin, and whether jobs could run on it now.

use std::io::{self, Write};

use anyhow::Result;
use clap::Args;
use queuectl_executor::PluginInfo;
use serde::Serialize;

use super::{UNHEALTHY, ask, file};
use crate::context::Context;
use crate::exit::Exit;
use crate::output::{escape, json};

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

#[derive(Serialize)]
struct InfoView<'a> {
    #[serde(flatten)]
    info: &'a PluginInfo,
    file: String,
    abi: String,
    healthy: bool,
    /// Why it is not.
    reason: Option<String>,
}

pub fn run(args: &InfoArgs, context: &Context) -> Result<Exit> {
    let file = file(&args.plugin, context)?;
    let mut probe = ask(&file, context)?;
    let health = probe.fingerprint()?;
    let info = probe.info();
    let view = InfoView {
        info,
        file: file.display().to_string(),
        abi: format!("1.{}", info.minor),
        healthy: health.is_ok(),
        reason: health.err(),
    };
    if context.json {
        json::print(&view)?;
    } else {
        print(&view, context)?;
    }
    Ok(if view.healthy { Exit::OK } else { UNHEALTHY })
}

fn print(view: &InfoView, context: &Context) -> Result<()> {
    let info = view.info;
    let schema = |schema: &Option<serde_json::Value>| schema.as_ref().map(|schema| format!("{schema:#}"));
    let health = match &view.reason {
        None => "yes".to_owned(),
        Some(reason) => format!("no: {reason}"),
    };
    let fields = [
        ("name", Some(info.name.clone())),
        ("version", Some(info.version.clone())),
        ("about", Some(info.about.clone())),
        ("file", Some(view.file.clone())),
        ("abi", Some(view.abi.clone())),
        ("capabilities", Some(info.capabilities.join(", "))),
        ("functions", Some(info.slots.join(", "))),
        ("can run jobs", Some(health)),
        ("payload", schema(&info.schema)),
        ("settings", schema(&info.settings_schema)),
    ];
    let mut out = io::stdout().lock();
    for (name, value) in fields
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
    {
        for (at, line) in value.lines().enumerate() {
            let line = if context.raw {
                line.into()
            } else {
                escape::line(line)
            };
            writeln!(out, "{:<13} {line}", if at == 0 { name } else { "" })?;
        }
    }
    Ok(())
}
