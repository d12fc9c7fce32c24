//! Asks an executor's plugin about a setting before it is stored.
//!
//! Not asked is a plugin that this machine lacks, or that fails even without the change.

use anyhow::Result;
use queuectl_core::ExecutorSetting;
use queuectl_executor::PluginInfo;
use queuectl_worker::Probe;
use serde_json::Value;

use super::{probe_arguments, search, settings};
use crate::context::Context;
use crate::output::diagnostics;

/// Returns the plugin's objection to a value, if it has one.
pub fn objection(setting: &ExecutorSetting, value: &str, context: &Context) -> Result<Option<String>> {
    let file = match search(context).find(&setting.executor) {
        Ok(file) => file,
        Err(error) => {
            diagnostics::note(&format!("{setting} is stored unchecked: {error}"));
            return Ok(None);
        }
    };
    let before = settings(context)?;
    let mut after = before.clone();
    let own = after.executors.entry(setting.executor.to_string()).or_default();
    own.insert(setting.key.clone(), value.to_owned());
    match Probe::start(&probe_arguments(), &file, &after) {
        Ok(probe) => Ok(unknown(&setting.key, probe.info())),
        Err(error) => Ok(Probe::start(&probe_arguments(), &file, &before)
            .is_ok()
            .then(|| error.to_string())),
    }
}

/// Returns an objection if the plugin lists all its settings and this is not one of them.
fn unknown(key: &str, info: &PluginInfo) -> Option<String> {
    let schema = info.settings_schema.as_ref()?;
    let known = schema.get("properties")?.as_object()?;
    if known.contains_key(key) || schema.get("additionalProperties") != Some(&Value::Bool(false)) {
        return None;
    }
    let names: Vec<&str> = known.keys().map(String::as_str).collect();
    Some(format!(
        "it has no setting of that name; it has {}",
        names.join(", ")
    ))
}
