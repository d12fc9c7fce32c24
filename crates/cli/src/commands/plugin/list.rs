//! `plugin:list`: lists the executor plugins.

use anyhow::Result;
use clap::Args;
use queuectl_executor::PluginFile;
use queuectl_views::PluginView;

use super::{ask, search};
use crate::context::Context;
use crate::exit::Exit;
use crate::output::table::Column;
use crate::registry::Run;

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

impl Run for ListArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut list = context.output.list(&COLUMNS)?;
        for found in search(context).list() {
            let plugin = view(found, context);
            list.item(&plugin, || row(&plugin))?;
        }
        list.end()?;
        Ok(Exit::OK)
    }
}

fn row(plugin: &PluginView) -> Vec<String> {
    let about = match &plugin.error {
        Some(error) => format!("unusable: {error}"),
        None => plugin.about.clone(),
    };
    vec![
        plugin.name.clone(),
        plugin.version.clone(),
        plugin.file.clone(),
        about,
    ]
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
