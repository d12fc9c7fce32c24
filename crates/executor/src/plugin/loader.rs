//! Which executors are loaded in this process: loaded on the first job that names them, then kept.
//!
//! A failure to load is remembered for a moment. A missing plugin is looked for again by every job, so that a job which is
//! retried right after the plugin was installed runs.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use queuectl_core::ExecutorName;

use super::Instance;
use super::load::{Plugin, load};
use super::watchdog::Watchdog;
use crate::shared::Shared;
use crate::{CallRecord, PluginError, PluginSettings, SearchPath};

/// How long a failure to load is remembered.
const REMEMBER_FAILURE: Duration = Duration::from_secs(3);

/// The executors of this process.
pub(crate) struct Loader {
    search: SearchPath,
    settings: PluginSettings,
    watchdog: Arc<Watchdog>,
    shared: Arc<Shared>,
    plugins: HashMap<ExecutorName, Plugin>,
    instances: HashMap<ExecutorName, Arc<Instance>>,
    failures: HashMap<ExecutorName, (Instant, PluginError)>,
}

/// The settings that an executor gets, as JSON.
pub fn settings_of(settings: &PluginSettings, executor: &str) -> String {
    let own = settings.executors.get(executor);
    serde_json::json!({ "shell": settings.shell, "settings": own.cloned().unwrap_or_default() }).to_string()
}

impl Loader {
    pub(crate) fn new(
        search: SearchPath,
        settings: PluginSettings,
        call_limit: Duration,
        call_record: Option<CallRecord>,
        shared: Arc<Shared>,
    ) -> Loader {
        Loader {
            search,
            settings,
            watchdog: Watchdog::start(call_limit, call_record, Arc::clone(&shared)),
            shared,
            plugins: HashMap::new(),
            instances: HashMap::new(),
            failures: HashMap::new(),
        }
    }

    /// From now on plugins are given these settings. Executors whose own changed get a new instance; runs under way keep
    /// theirs.
    pub(crate) fn set_settings(&mut self, settings: PluginSettings) {
        let before = std::mem::replace(&mut self.settings, settings);
        let unchanged = |name: &ExecutorName| {
            settings_of(&before, name.as_str()) == settings_of(&self.settings, name.as_str())
        };
        self.instances.retain(|name, _| unchanged(name));
        self.failures.retain(|name, _| unchanged(name));
    }

    /// What plugins are given.
    pub(crate) fn settings(&self) -> &PluginSettings {
        &self.settings
    }

    /// What is called from now on is called for that run; 0: for none.
    pub(crate) fn set_current_run(&self, run: u64) {
        self.watchdog.set_current_run(run);
    }

    /// Visits the instances.
    pub(crate) fn each(&self, visit: impl Fn(&Instance)) {
        self.instances.values().for_each(|instance| visit(instance));
    }

    /// The instance of an executor; `made_new` sees it first if it is new.
    pub(crate) fn get(
        &mut self,
        name: &ExecutorName,
        made_new: impl Fn(&Instance),
    ) -> Result<Arc<Instance>, PluginError> {
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
                made_new(instance);
                self.failures.remove(name);
                self.instances.insert(name.clone(), Arc::clone(instance));
            }
            Err(error) => {
                // The job's outcome says it to the user.
                tracing::debug!(executor = %name, "{error}");
                // Names come from users: what is remembered must not grow without end.
                self.failures.retain(|_, (at, _)| at.elapsed() < REMEMBER_FAILURE);
                if !matches!(error, PluginError::NotFound { .. }) {
                    self.failures
                        .insert(name.clone(), (Instant::now(), error.clone()));
                }
            }
        }
        made
    }

    fn make(&mut self, name: &ExecutorName) -> Result<Arc<Instance>, PluginError> {
        if !self.plugins.contains_key(name) {
            let path = self.search.find(name)?;
            let plugin = {
                let _call = self
                    .watchdog
                    .enter(&path.display().to_string().into(), "being loaded", 0);
                load(&path)?
            };
            tracing::info!(executor = %name, path = %plugin.path.display(), version = plugin.info.version, "plugin loaded");
            self.plugins.insert(name.clone(), plugin);
        }
        let plugin = &self.plugins[name];
        let settings = settings_of(&self.settings, name.as_str());
        let (watchdog, shared) = (Arc::clone(&self.watchdog), Arc::clone(&self.shared));
        Instance::create(plugin, &settings, shared, watchdog).map(Arc::new)
    }
}
