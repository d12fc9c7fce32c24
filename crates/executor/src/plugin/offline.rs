//! A plugin without a host behind it: to ask what it is, whether it could work, and what it thinks of a request.
//!
//! It cannot run jobs. Use it in a separate process, because the plugin's code runs there.

use std::path::Path;
use std::sync::Arc;

use super::Instance;
use super::load::{PluginInfo, load};
use super::loader::settings_of;
use crate::process::Reactor;
use crate::shared::Shared;
use crate::{PluginError, PluginSettings};

/// A plugin and an instance of it.
pub struct Offline {
    info: PluginInfo,
    instance: Instance,
    /// What the instance would tell its host goes here, and nowhere.
    _reactor: Reactor,
}

impl Offline {
    /// Loads a plugin and makes an instance with the settings of its executor.
    ///
    /// # Errors
    /// [`PluginError`] names the file, the cause and what to do.
    pub fn open(path: &Path, settings: &PluginSettings) -> Result<Offline, PluginError> {
        let plugin = load(path)?;
        let create = |error: std::io::Error| PluginError::Create {
            path: path.to_owned(),
            cause: error.to_string(),
        };
        let (reactor, waker) = Reactor::new().map_err(create)?;
        let shared = Arc::new(Shared::new(waker, Box::new(|_| ())));
        // The parent process watches this one.
        let watchdog = Arc::default();
        let settings = settings_of(settings, &plugin.info.name);
        let instance = Instance::create(&plugin, &settings, shared, watchdog)?;
        Ok(Offline {
            info: plugin.info,
            instance,
            _reactor: reactor,
        })
    }

    /// What it says about itself.
    pub fn info(&self) -> &PluginInfo {
        &self.info
    }

    /// Whether jobs could run now.
    ///
    /// # Errors
    /// The plugin's reason.
    pub fn fingerprint(&self) -> Result<(), String> {
        self.instance.fingerprint()
    }

    /// Whether it could start this request, which is a stored payload.
    ///
    /// # Errors
    /// The plugin's reason.
    pub fn validate(&self, request: &str) -> Result<(), String> {
        self.instance.validate(request)
    }
}
