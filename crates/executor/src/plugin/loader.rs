//! Which executors are loaded in this process: loaded on the first job that names them, then kept.
//!
//! A failure is remembered for a moment only, so that installing the missing plugin is enough to go on.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use queuectl_core::ExecutorName;

use super::Instance;
use super::load::{Plugin, load};
use crate::supervisor::Shared;
use crate::{PluginError, SearchPath};

/// How long a failure to load is remembered.
const REMEMBER_FAILURE: Duration = Duration::from_secs(3);

/// The executors of this process.
pub(crate) struct Loader {
    search: SearchPath,
    settings: String,
    shared: Arc<Shared>,
    plugins: HashMap<ExecutorName, Plugin>,
    instances: HashMap<ExecutorName, Arc<Instance>>,
    failures: HashMap<ExecutorName, (Instant, PluginError)>,
}

/// The settings that plugins get, as JSON.
fn settings(shell: &str) -> String {
    serde_json::json!({ "shell": shell }).to_string()
}

impl Loader {
    pub(crate) fn new(search: SearchPath, shell: &str, shared: Arc<Shared>) -> Loader {
        Loader {
            search,
            settings: settings(shell),
            shared,
            plugins: HashMap::new(),
            instances: HashMap::new(),
            failures: HashMap::new(),
        }
    }

    /// From now on plugins are told to use this shell. Runs under way keep their instance.
    pub(crate) fn set_shell(&mut self, shell: &str) {
        let settings = settings(shell);
        if settings != self.settings {
            self.settings = settings;
            self.instances.clear();
            self.failures.clear();
        }
    }

    /// The instance of an executor.
    pub(crate) fn get(&mut self, name: &ExecutorName) -> Result<Arc<Instance>, PluginError> {
        if let Some(instance) = self.instances.get(name) {
            return Ok(Arc::clone(instance));
        }
        if let Some((at, error)) = self.failures.get(name)
            && at.elapsed() < REMEMBER_FAILURE
        {
            return Err(error.clone());
        }
        let made = self.make(name);
        match &made {
            Ok(instance) => {
                self.failures.remove(name);
                self.instances.insert(name.clone(), Arc::clone(instance));
            }
            Err(error) => {
                tracing::error!(executor = %name, "{error}");
                // Names come from users: what is remembered must not grow without end.
                self.failures.retain(|_, (at, _)| at.elapsed() < REMEMBER_FAILURE);
                self.failures
                    .insert(name.clone(), (Instant::now(), error.clone()));
            }
        }
        made
    }

    fn make(&mut self, name: &ExecutorName) -> Result<Arc<Instance>, PluginError> {
        if !self.plugins.contains_key(name) {
            let plugin = load(&self.search.find(name)?)?;
            tracing::info!(executor = %name, path = %plugin.path.display(), version = plugin.info.version, "plugin loaded");
            self.plugins.insert(name.clone(), plugin);
        }
        let plugin = &self.plugins[name];
        Instance::create(plugin, &self.settings, Arc::clone(&self.shared)).map(Arc::new)
    }
}
