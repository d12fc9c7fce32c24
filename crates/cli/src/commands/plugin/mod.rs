//! `plugin:list`, `plugin:info`, `plugin:run`, `plugin:check`, `plugin:install`, `plugin:new`, and the hidden
//! `plugin:probe`, which answers questions about a plugin.

pub mod check;
pub mod info;
pub mod install;
pub mod list;
pub mod new;
pub mod probe;
pub mod run;
pub mod setting;

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Result;
use queuectl_core::ExecutorName;
use queuectl_executor::{PluginSettings, SearchPath};
use queuectl_worker::Probe;

use crate::context::Context;
use crate::exit::{Exit, Failed, Usage};

/// Returns the search path of plugins.
pub fn search(context: &Context) -> SearchPath {
    SearchPath::standard(&context.plugin_dirs)
}

/// Returns the plugin's file, given as a path or as the name of an executor on the search path.
pub fn file(text: &str, context: &Context) -> Result<PathBuf> {
    if text.contains(std::path::is_separator) || text.ends_with(std::env::consts::DLL_SUFFIX) {
        let absolute = std::path::absolute(text);
        return Ok(absolute.map_err(|error| Usage::new(format!("{text}: {error}")))?);
    }
    let name: ExecutorName = text.parse()?;
    Ok(search(context).find(&name).map_err(Failed::executor)?)
}

/// Returns the settings for plugins; the defaults if there is no queue.
pub fn settings(context: &Context) -> Result<PluginSettings> {
    let settings = context.settings_if_any()?;
    Ok(PluginSettings {
        shell: settings.shell,
        executors: settings.executors,
    })
}

/// Returns the arguments that make this binary a helper process.
fn probe_arguments() -> Vec<OsString> {
    vec!["plugin:probe".into()]
}

/// Starts a helper process with that plugin.
pub fn ask(file: &std::path::Path, context: &Context) -> Result<Probe> {
    Ok(Probe::start(&probe_arguments(), file, &settings(context)?).map_err(Failed::executor)?)
}

/// Exit status if a plugin cannot run jobs.
pub const UNHEALTHY: Exit = Exit::NEGATIVE;
