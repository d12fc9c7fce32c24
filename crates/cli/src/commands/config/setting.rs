//! A setting, found by its name.

use anyhow::Result;
use queuectl_core::ExecutorSetting;
use queuectl_core::settings::Key;
use queuectl_storage::Store;
use queuectl_views::SettingView;

use crate::context::Context;

/// A setting of queuectl itself, or of one executor.
pub enum Setting {
    Own(&'static Key),
    Executor(ExecutorSetting),
}

impl Setting {
    /// Finds a setting. A name with a dot is an executor's.
    pub fn find(name: &str) -> Result<Setting> {
        if name.contains('.') {
            return Ok(Setting::Executor(name.parse()?));
        }
        Ok(Setting::Own(Key::find(name)?))
    }

    /// Returns the setting as it is in force.
    pub fn view(&self, stored: &[(String, String)]) -> SettingView {
        let find = |name: &str| {
            let found = stored.iter().find(|(key, _)| key == name);
            found.map(|(_, value)| value.as_str())
        };
        match self {
            Setting::Own(key) => SettingView::of_queue(key, find(key.name)),
            Setting::Executor(setting) => SettingView::of_executor(setting, find(&setting.to_string())),
        }
    }

    /// Prints the setting after a change.
    pub fn print_change(&self, store: &mut Store, context: &Context) -> Result<()> {
        let view = self.view(&store.stored_settings()?);
        let line = match &view.value {
            Some(value) if view.set => format!("{} = {value}", view.key),
            Some(value) => format!("{} = {value} (default)", view.key),
            None => format!("{} is not set", view.key),
        };
        context.output.done(&view, &line);
        Ok(())
    }
}
