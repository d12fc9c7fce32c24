//! What a plugin says about itself.

use queuectl_executor::PluginInfo;

/// What is accepted is written and read again as the same.
pub fn plugin_describe(data: &[u8]) {
    let info = match PluginInfo::parse(data) {
        Ok(info) => info,
        Err(said) => return crate::check_error(&said),
    };
    let Ok(text) = serde_json::to_vec(&info) else {
        panic!("read and not writable: {info:?}")
    };
    assert_eq!(PluginInfo::parse(&text), Ok(info));
}
