//! Settings: `KEY=VALUE`, of queuectl's own and of executors.

use std::time::Duration;

use queuectl_core::settings::Key;
use queuectl_core::{ExecutorSetting, Settings};

/// The form that is stored is a fixed point, and is what a node then reads; what is refused is named.
pub fn settings(data: &[u8]) {
    let Some((name, value)) = std::str::from_utf8(data)
        .ok()
        .and_then(|text| text.split_once('='))
    else {
        return;
    };
    match name.parse::<ExecutorSetting>() {
        Ok(setting) => {
            assert_eq!(setting.to_string().parse(), Ok(setting.clone()));
            if let Err(error) = setting.check(value) {
                crate::check_error(&error.to_string());
            }
        }
        Err(error) => crate::check_names(&error.to_string(), name),
    }
    let key = match Key::find(name) {
        Ok(key) => key,
        Err(error) => return crate::check_names(&error.to_string(), name),
    };
    let stored = match key.parse(value) {
        Ok(stored) => stored,
        Err(error) => return crate::check_names(&error.to_string(), value),
    };
    assert_eq!(key.parse(&stored), Ok(stored.clone()), "{}={value:?}", key.name);
    // A node takes what is stored, and keeps everything else at its default.
    let read = Settings::from_stored([(key.name, stored.as_str())]);
    let mut same = Settings::from_stored([(key.name, value.trim())]);
    assert_eq!(read, same, "{}={value:?}", key.name);
    assert!(read.backoff_base >= 1.0 && read.backoff_cap <= Duration::from_secs(30 * 86_400));
    assert!((0.0..=1.0).contains(&read.backoff_jitter) && read.max_retries <= 1000);
    same = Settings::from_stored([(key.name, key.default)]);
    assert_eq!(same, Settings::from_stored([]), "the default of {}", key.name);
}
