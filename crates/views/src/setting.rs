//! A setting, of queuectl itself or of one executor.

use queuectl_core::ExecutorSetting;
use queuectl_core::settings::Key;
use serde::Serialize;

/// A setting with its value in force.
#[derive(Debug, Serialize)]
pub struct SettingView {
    /// Its name; `EXECUTOR.key` for a setting of one executor.
    pub key: String,
    /// The value in force; none for an executor's setting that is not set.
    pub value: Option<String>,
    /// None for an executor's setting: its plugin knows.
    pub default: Option<&'static str>,
    /// Whether it was set, rather than left at its default.
    pub set: bool,
    /// Its range, in words.
    pub allowed: String,
    /// What it means, in words.
    pub about: String,
}

impl SettingView {
    /// Returns the view of one of queuectl's own. A stored value that is not valid counts for nothing.
    pub fn of_queue(key: &Key, stored: Option<&str>) -> SettingView {
        let set = stored.and_then(|value| key.parse(value).ok());
        SettingView {
            key: key.name.to_owned(),
            set: set.is_some(),
            value: Some(set.unwrap_or_else(|| key.default.to_owned())),
            default: Some(key.default),
            allowed: key.kind.to_string(),
            about: key.about.to_owned(),
        }
    }

    /// Returns the view of an executor's.
    pub fn of_executor(setting: &ExecutorSetting, stored: Option<&str>) -> SettingView {
        SettingView {
            key: setting.to_string(),
            set: stored.is_some(),
            value: stored.map(str::to_owned),
            default: None,
            allowed: "what the executor takes; see `queuectl plugin:info`".to_owned(),
            about: format!("setting of the executor '{}'", setting.executor),
        }
    }
}
