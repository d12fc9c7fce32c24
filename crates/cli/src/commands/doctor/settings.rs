//! Settings that are stored and that nothing reads.

use queuectl_core::ExecutorSetting;
use queuectl_core::settings::Key;
use queuectl_executor::PluginInfo;
use queuectl_storage::Store;
use queuectl_views::{FindingView, Verdict};

use super::plugins::{Plugins, has};
use super::unread;

pub(super) fn findings(store: &mut Store, plugins: &Plugins) -> Vec<FindingView> {
    match store.stored_settings() {
        Ok(stored) => stored
            .iter()
            .filter_map(|(name, _)| without_reader(name, plugins))
            .collect(),
        Err(error) => vec![unread("settings", &error)],
    }
}

fn without_reader(name: &str, plugins: &Plugins) -> Option<FindingView> {
    if Key::find(name).is_ok() {
        return None;
    }
    let why = match name.parse::<ExecutorSetting>() {
        Err(_) => "this version does not know it".to_owned(),
        Ok(setting) if !has(plugins, setting.executor.as_str()) => {
            format!("no plugin for the executor '{}' is found here", setting.executor)
        }
        Ok(setting) => match plugins.get(&setting.executor.as_str().replace('-', "_")) {
            Some(Some(info)) if !knows(info, &setting.key) => {
                format!("the executor '{}' does not know it", setting.executor)
            }
            _ => return None,
        },
    };
    let found = FindingView::new(
        "settings",
        Verdict::Warning,
        format!("nothing reads {name}: {why}"),
    );
    Some(found.fix(format!("`queuectl config:unset {name}`")))
}

/// Whether an executor has a setting, as far as it tells.
fn knows(info: &PluginInfo, key: &str) -> bool {
    let schema = info.settings_schema.as_ref();
    let known = schema.and_then(|schema| schema.get("properties")?.as_object());
    known.is_none_or(|known| known.contains_key(key))
}
