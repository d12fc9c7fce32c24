//! `plugin:list`: the executors there are.

use anyhow::Result;
use clap::Args;
use queuectl_executor::PluginFile;
use serde::Serialize;

use super::{ask, search};
use crate::context::Context;
use crate::exit::Exit;
use crate::output::json;
use crate::output::table::{Column, Table};

/// List the executor plugins found
#[derive(Debug, Args)]
#[command(after_help = "\
Searched in this order: --plugin-dir, the folders in QUEUECTL_PLUGIN_PATH, the folder of queuectl itself, \
../lib/queuectl/plugins next to it, and queuectl/plugins in the user's data folder. The first file with a name \
counts.")]
pub struct ListArgs {}

const COLUMNS: [Column; 4] = [
    Column::name("NAME", 8),
    Column::whole("VERSION"),
    Column::name("FILE", 16).expendable(1),
    Column::sentence("ABOUT", 30),
];

#[derive(Serialize)]
struct PluginView {
    name: String,
    version: String,
    about: String,
    file: String,
    /// Why it cannot be used, if it cannot.
    error: Option<String>,
}

pub fn run(_: &ListArgs, context: &Context) -> Result<Exit> {
    let plugins: Vec<PluginView> = search(context)
        .list()
        .into_iter()
        .map(|found| view(found, context))
        .collect();
    if context.json {
        json::print(&plugins)?;
        return Ok(Exit::OK);
    }
    let mut table = Table::new(&COLUMNS, context.raw);
    for plugin in plugins {
        let about = plugin
            .error
            .map_or(plugin.about, |error| format!("unusable: {error}"));
        table.row([plugin.name, plugin.version, plugin.file, about]);
    }
    table.print()?;
    Ok(Exit::OK)
}

fn view(found: PluginFile, context: &Context) -> PluginView {
    let asked = match found.refused {
        Some(refused) => Err(refused.to_string()),
        None => ask(&found.path, context).map_err(|error| error.to_string()),
    };
    let file = found.path.display().to_string();
    match asked {
        Ok(probe) => PluginView {
            name: found.name,
            version: probe.info().version.clone(),
            about: probe.info().about.clone(),
            file,
            error: None,
        },
        Err(error) => PluginView {
            name: found.name,
            version: String::new(),
            about: String::new(),
            file,
            error: Some(error),
        },
    }
}
